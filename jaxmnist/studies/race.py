"""The race: gradient descent, SGD, momentum and Nesterov's method, from the same starts on the same data.

All networks of a method run at once under `jax.vmap` and share their minibatches, so that the first layer is one
large matrix product. Learning rates and momentum are traced: one compiled program serves a method's whole grid.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, minibatches, permutation
from jaxmnist.metrics import evaluate
from jaxmnist.network import Params
from jaxmnist.training import TrainState, make_optimizer, start, train_step

Method = Literal["gd", "sgd", "momentum", "nesterov"]
METHODS: dict[Method, str] = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov"}
"""The methods, and what they are called."""

PROBE = 1_000
"""Racing examples, always the same, on which the training cost is measured."""

VALIDATION = 1_000
"""Training examples kept out of the race to choose learning rates on; of a small training set a fifth."""

Show = Callable[[int], None]
"""Is told of how many examples gradients have been evaluated since the last call."""


class Field(NamedTuple):
    """A training set, divided for a race; the test set has no part in it.

    Attributes:
        race: what all methods learn from.
        probe: the first examples of `race`, on which the training cost is measured.
        validation: examples outside `race`, to choose learning rates on.
    """

    race: Dataset
    probe: Dataset
    validation: Dataset


class Lane(NamedTuple):
    """A method, ready to race.

    Attributes:
        config: its recipe; the learning rate is given later.
        laps: its minibatches, in laps from one look at the cost to the next: images (lap, batch, 784), labels
            (lap, batch).
    """

    config: Config
    laps: list[Dataset]

    @property
    def steps(self) -> Int[np.ndarray, "looks"]:
        """Steps made at each look, before the first lap and after each."""
        return self.laps[0].labels.shape[0] * np.arange(len(self.laps) + 1)

    @property
    def examples_per_step(self) -> int:
        """Training examples that a step takes."""
        return int(self.laps[0].labels.shape[1])


def divide(key: Key[Array, ""], train_set: Dataset, examples: int) -> Field:
    """Draw the field of a race from a training set.

    Args:
        key: decides who is drawn.
        train_set: n examples.
        examples: how many race; all that validation leaves if these are fewer.
    """
    total = train_set.labels.shape[0]
    order = permutation(key, total)
    held_out = min(VALIDATION, total // 5)

    def part(places: slice) -> Dataset:
        return Dataset(train_set.images[order[places]], train_set.labels[order[places]])

    race = part(slice(held_out, held_out + examples))
    return Field(race, Dataset(race.images[:PROBE], race.labels[:PROBE]), part(slice(held_out)))


def recipe(method: Method, batch_size: int, momentum: float) -> Config:
    """What a method is. Gradient descent is SGD whose minibatch is the whole set; all learning rates stay constant."""
    return Config(
        optimizer="sgd" if method == "gd" else method,
        batch_size="full" if method == "gd" else batch_size,
        momentum=momentum,
        schedule="constant",
    )


def make_lane(key: Key[Array, ""], race: Dataset, config: Config, steps: int, lap: int) -> Lane:
    """Lay out a method's minibatches: epoch after epoch, each newly shuffled. Same key, same minibatches.

    Args:
        key: decides all shuffles.
        race: what is learned from.
        config: the recipe; its batch size counts here.
        steps: of the race; what does not fill a last lap is left out.
        lap: steps from one look at the cost to the next.
    """
    laps = steps // lap
    if config.batch_size == "full":
        return Lane(config, [jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (lap, *leaf.shape)), race)] * laps)
    shuffled = jax.jit(minibatches, static_argnames="batch_size")
    epochs = [
        shuffled(jax.random.fold_in(key, epoch), race, config.batch_size)
        for epoch in range(-(-steps // config.steps_per_epoch(race.labels.shape[0])))
    ]
    course = jax.tree.map(lambda *leaves: np.concatenate(leaves), *epochs)
    cut = [slice(begin, begin + lap) for begin in range(0, laps * lap, lap)]
    return Lane(config, [Dataset(course.images[steps], course.labels[steps]) for steps in cut])


def starts(seeds: Sequence[int]) -> TrainState:
    """The random starts that `training.start` gives for these seeds, stacked along an axis of members."""
    stacked: TrainState = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *(start(jax.random.key(seed), Config(), 1) for seed in seeds)
    )
    return stacked


def with_rates(config: Config, learning_rate: Any, momentum: Any) -> Config:
    """A recipe with other learning rates and momenta, arrays or whatever else stands at a pytree's leaves."""
    return dataclasses.replace(config, learning_rate=learning_rate, momentum=momentum)


def prepare(states: TrainState, config: Config) -> TrainState:
    """The same networks with the optimizer of a recipe, at rest."""
    return states._replace(optimizer_state=jax.vmap(make_optimizer(config, 1).init)(states.params))


@jax.jit
def advance(states: TrainState, batches: Dataset, config: Config) -> TrainState:
    """A lap: every network makes one `train_step` on each minibatch.

    Args:
        states: of all networks; every leaf has a leading axis of members.
        batches: the lap's minibatches, which all networks share.
        config: the recipe; `learning_rate` has one entry for each member.
    """
    axes = with_rates(config, 0, None)

    def one(state: TrainState, config: Config, batch: Dataset) -> TrainState:
        return train_step(state, batch, config, make_optimizer(config, batch.labels.shape[0]))[0]

    def step(states: TrainState, batch: Dataset) -> tuple[TrainState, None]:
        return jax.vmap(one, in_axes=(0, axes, None))(states, config, batch), None

    return jax.lax.scan(step, states, batches)[0]


@jax.jit
def look(states: TrainState, judge: Dataset) -> Float[Array, "members"]:
    """Every network's mean cost on a set."""
    costs: Array = jax.vmap(lambda params: evaluate(params, judge).cost)(states.params)
    return costs


def run(
    states: TrainState, rates: Sequence[float], lane: Lane, judge: Dataset
) -> Iterator[tuple[TrainState, Float[Array, "members"]]]:
    """Run all of a lane's laps.

    Args:
        states: from `starts`.
        rates: the learning rate η of each member.
        lane: the method.
        judge: the set on which the cost is measured.

    Yields:
        All states and their costs: before the first lap, and after each.
    """
    config = with_rates(lane.config, jnp.asarray(rates, float), lane.config.momentum)
    states = prepare(states, config)
    yield states, look(states, judge)
    for batches in lane.laps:
        states = advance(states, batches, config)
        yield states, look(states, judge)


def record(
    states: TrainState, rates: Sequence[float], lane: Lane, judge: Dataset, show: Show = lambda examples: None
) -> Float[np.ndarray, "members looks"]:
    """The costs that `run` sees; arguments as there."""
    costs = []
    for _states, cost in run(states, rates, lane, judge):
        costs.append(np.asarray(cost))
        show(lane.laps[0].labels.size * len(rates) if len(costs) > 1 else 0)
    return np.stack(costs, axis=1)


def tune(
    states: TrainState,
    grid: Sequence[float],
    lane: Lane,
    judge: Dataset,
    at_once: int,
    show: Show = lambda examples: None,
) -> dict[float, float]:
    """Try every learning rate of a grid from every start.

    Args:
        states: from `starts`; others than race.
        grid: the rates.
        lane: the method.
        judge: the validation examples.
        at_once: networks that run together; as many as race, so that their compiled program serves here too.
        show: told of progress.

    Returns:
        For each rate what it is judged by: the mean of the validation cost over all looks, the median of the starts;
        infinite for NaN. It favours what comes down early and stays down.
    """
    members = states.epoch.shape[0]
    rates, places = np.repeat(grid, members), np.tile(np.arange(members), len(grid))
    means = []
    for begin in range(0, len(rates), at_once):
        heat = np.arange(begin, begin + at_once) % len(rates)  # the last heat is filled up with repetitions
        chosen = jax.tree.map(lambda leaf, heat=heat: leaf[places[heat]], states)
        means.append(record(chosen, rates[heat].tolist(), lane, judge, show).mean(axis=1))
    by_rate = np.concatenate(means)[: len(rates)].reshape(len(grid), members)
    return dict(zip(grid, np.nan_to_num(np.median(by_rate, axis=1), nan=np.inf).tolist(), strict=True))


def first_at_or_below(
    costs: Float[np.ndarray, "members looks"], steps: Int[np.ndarray, "looks"], thresholds: Sequence[float]
) -> Float[np.ndarray, "members thresholds"]:
    """The steps made when the cost was first seen at or below each threshold; infinite where it never was."""
    below = costs[:, :, None] <= np.asarray(thresholds)  # a cost that is NaN is below nothing
    return np.where(below.any(axis=1), steps[below.argmax(axis=1)], np.inf)


def textbook(params: Params, velocity: Params, learning_rate: ArrayLike, momentum: ArrayLike) -> Params:
    """θ' of the textbook's form of Nesterov's method; our parameters θ = θ' + μ v look ahead of it, with v = −η m.

    Args:
        params: θ, where the next gradient is taken.
        velocity: m, as the optimizer remembers it.
        learning_rate: η.
        momentum: μ.

    Source:
        `optimizers.nesterov`, which says why both forms make the same steps.
    """
    behind: Params = jax.tree.map(lambda theta, m: theta + momentum * learning_rate * m, params, velocity)
    return behind
