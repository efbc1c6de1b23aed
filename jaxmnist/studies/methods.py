"""What races: gradient descent, SGD, momentum and Nesterov's method, each with many networks at once.

All networks of a method share their minibatches, so that their first layers become one large matrix product. Learning
rates and momenta are traced: one compiled program serves a method's whole grid.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmnist.config import LARGEST_LEARNING_RATE, Config, validate
from jaxmnist.dataset import Dataset, minibatch_order, permutation, take
from jaxmnist.population import Members, evaluate_many, start_many, with_rates
from jaxmnist.training import TrainState, make_optimizer, train_steps

Method = Literal["gd", "sgd", "momentum", "nesterov"]
METHODS: dict[Method, str] = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov"}
"""The methods and their names."""

PROBE, VALIDATION = 1_000, 1_000
"""Training examples on which the cost is measured; and others, kept out of the race to choose learning rates on: of a
small training set a fifth."""

EVALUATIONS = 150
"""How often the cost is measured in a race, about."""

RANGES = {
    "seeds": (2, 1_000),
    "batch_size": (1, 1_000_000),
    "examples": (1, 1_000_000),
    "steps": (1, 1_000_000),
    "full_batch_steps": (1, 100_000),
}
"""Least and largest numbers for a race: its arrays then fit into a few GB."""

DIVISION, SHUFFLES = 0xD171DE, 0x5AFF1E
"""Purposes of the keys folded from a race's key. They are large, as `fold_in(key, 0)` is `split(key)[0]`."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a race is like."""

    learning_rates: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
    """The grid of learning rates η from which each method gets its best."""
    momentum: float = 0.9
    """Momentum coefficient μ in [0, 1) of momentum and Nesterov's method: how much of the last step is kept."""
    batch_size: int = 32
    """Examples in a minibatch. (Gradient descent takes all that race.)"""
    examples: int = 3_000
    """Most training examples that race."""
    steps: int = 1_500
    """Steps of the methods that take minibatches. A cost not reached by then counts as not reached."""
    full_batch_steps: int = 400
    """Steps of gradient descent, each of them a pass over all examples."""
    seeds: int = 16
    """Random starts 0, 1, 2, … that race; results are medians and quartiles over them."""
    thresholds: tuple[float, ...] = (0.6, 0.4, 0.3, 0.2, 0.15)
    """Mean training costs to reach. A random start has about 2.5; a network that always says the same has 0.9."""

    def steps_of(self, method: Method) -> int:
        """A method's number of steps."""
        return self.full_batch_steps if method == "gd" else self.steps

    def chunk_of(self, method: Method) -> int:
        """Steps of a method from one evaluation to the next."""
        return max(1, self.steps_of(method) // EVALUATIONS)


class RaceData(NamedTuple):
    """A training set, divided for a race; the test set has no part in it."""

    train: Dataset  # what all methods learn from
    probe: Dataset  # the first examples of `train`, on which the training cost is measured
    validation: Dataset  # other examples, to choose learning rates on


def check_settings(settings: Settings) -> None:
    """Raise a ValueError for settings with which no race can be run."""
    for name in ("learning_rates", "thresholds"):
        values = getattr(settings, name)
        bad = [value for value in values if not 0 < value <= LARGEST_LEARNING_RATE] if values else ["none"]
        if bad:
            raise ValueError(
                f"{name}={bad[0]}: expected one or more numbers above 0, at most {LARGEST_LEARNING_RATE:g}; for "
                f"example {name}={' '.join(f'{number:g}' for number in getattr(Settings, name))}"
            )
    validate(Config(momentum=settings.momentum))
    for name, (least, most) in RANGES.items():
        value, example = getattr(settings, name), getattr(Settings, name)
        if not least <= value <= most:
            expected = f"expected a whole number from {least} to {most:,}"
            raise ValueError(f"{name}={value}: {expected}; for example {name}={example}")


def divide(key: Key[Array, ""], train_set: Dataset, settings: Settings) -> RaceData:
    """Divide a training set for a race. If it is small, all examples race that validation leaves.

    Raises:
        ValueError: if fewer race than a minibatch takes.
    """
    total = train_set.labels.shape[0]
    order = jax.jit(permutation, static_argnums=1)(jax.random.fold_in(key, DIVISION), total)
    held_out = min(VALIDATION, total // 5)
    train = take(train_set, order[held_out : held_out + settings.examples])
    racing = train.labels.shape[0]
    if settings.batch_size > racing:
        raise ValueError(
            f"batch_size={settings.batch_size}: expected at most the {racing:,} examples that race; for example "
            f"batch_size={min(Settings.batch_size, racing)}"
        )
    return RaceData(train, jax.tree.map(lambda leaf: leaf[:PROBE], train), take(train_set, order[:held_out]))


def start_members(method: Method, members: Members) -> tuple[TrainState, Config]:
    """The networks at their random starts with the method's optimizer at rest, and the recipe with their rates."""
    recipe = Config(optimizer="sgd" if method == "gd" else method, schedule="constant")
    states = start_many(members.keys, Config())  # one slow compilation serves all methods
    optimizer_state = jax.vmap(make_optimizer(recipe, 1).init)(states.params)
    return states._replace(optimizer_state=optimizer_state), with_rates(recipe, members.learning_rates, members.momenta)


def minibatch_chunks(
    key: Key[Array, ""], method: Method, train_set: Dataset, settings: Settings, chunk: int
) -> Iterator[Dataset]:
    """Gather a method's minibatches in chunks of so many steps, epoch after epoch, each newly shuffled.

    The same key gives the same minibatches, whatever the method and however many steps. Steps that don't fill a last
    chunk are left out.
    """
    steps = settings.steps_of(method)
    if method == "gd":
        whole = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (chunk, *leaf.shape)), train_set)
        yield from itertools.repeat(whole, steps // chunk)
        return
    examples, shuffles = train_set.labels.shape[0], jax.random.fold_in(key, SHUFFLES)
    keys = [jax.random.fold_in(shuffles, epoch) for epoch in range(-(-steps // (examples // settings.batch_size)))]
    shuffle, gather = jax.jit(minibatch_order, static_argnums=(1, 2)), jax.jit(take)
    order = np.concatenate([shuffle(key, examples, settings.batch_size) for key in keys])
    for begin in range(0, steps // chunk * chunk, chunk):
        yield gather(train_set, order[begin : begin + chunk])


@jax.jit
def train_chunk(states: TrainState, batches: Dataset, config: Config) -> TrainState:
    """Make one `train_step` on each minibatch with every network; `config` has one rate and momentum a network."""

    def train_member(state: TrainState, config: Config) -> TrainState:
        return train_steps(state, batches, config, make_optimizer(config, batches.labels.shape[0]))[0]

    trained: TrainState = jax.vmap(train_member, in_axes=(0, with_rates(config, 0, 0)))(states, config)
    return trained


def trajectory(
    key: Key[Array, ""], method: Method, members: Members, data: RaceData, settings: Settings, chunk: int | None = None
) -> Iterator[tuple[TrainState, Float[Array, "members"]]]:
    """Train networks by one method, and yield their states, and their costs on the probe.

    It yields before the first step, and after every chunk of so many steps; the settings' chunk if None.
    """
    states, config = start_members(method, members)
    yield states, evaluate_many(states.params, data.probe).cost
    for batches in minibatch_chunks(key, method, data.train, settings, chunk or settings.chunk_of(method)):
        states = train_chunk(states, batches, config)
        yield states, evaluate_many(states.params, data.probe).cost
