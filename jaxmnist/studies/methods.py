"""The methods that race: gradient descent, SGD, momentum and Nesterov's, each for many networks at once.

All networks of a method share their minibatches, so that their first layers become one large matrix product. Learning
rates and momenta are traced: one compiled program serves a method's whole grid.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, UInt32

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, minibatch_order, take
from jaxmnist.network import Params
from jaxmnist.population import Members, evaluate_many, start_many, with_rates
from jaxmnist.training import TrainState, make_optimizer, train_steps

Method = Literal["gd", "sgd", "momentum", "nesterov"]
METHODS: dict[Method, str] = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov"}
"""The methods and their names."""

SHUFFLES = 0x5AFF1E
"""Purpose of the key for all shuffles. Purposes are large, as `fold_in(key, i)` is `split(key)[i]` for a small i."""


class Training(NamedTuple):
    """What all networks of a method share.

    Attributes:
        method: how they learn.
        key: decides the minibatches.
        train_set: what they learn from.
        batch_size: examples in a minibatch; gradient descent takes all.
        steps: of each network, in all; steps that don't fill a last chunk are left out.
        chunk: steps from one evaluation to the next.
    """

    method: Method
    key: Key[Array, ""]
    train_set: Dataset
    batch_size: int
    steps: int
    chunk: int

    @property
    def examples_per_step(self) -> int:
        """Examples whose gradients make up a step."""
        return self.train_set.labels.shape[0] if self.method == "gd" else self.batch_size


def recipe(method: Method) -> Config:
    """The recipe of a method. Gradient descent is SGD on the whole set; all learning rates stay constant."""
    return Config(optimizer="sgd" if method == "gd" else method, schedule="constant")


def minibatch_chunks(training: Training) -> Iterator[Dataset]:
    """Gather the minibatches chunk by chunk, epoch after epoch, each newly shuffled.

    The same key gives the same minibatches, whatever the method and however many steps.

    Yields:
        The minibatches of a chunk: images (chunk, batch, 784), labels (chunk, batch).
    """
    method, key, train_set, batch_size, steps, chunk = training
    if method == "gd":
        whole = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (chunk, *leaf.shape)), train_set)
        yield from itertools.repeat(whole, steps // chunk)
        return
    examples = train_set.labels.shape[0]
    epochs = -(-steps // (examples // batch_size))
    keys = jax.vmap(lambda epoch: jax.random.fold_in(jax.random.fold_in(key, SHUFFLES), epoch))(jnp.arange(epochs))
    order = np.concatenate([_minibatch_order(epoch_key, examples, batch_size) for epoch_key in keys])
    for begin in range(0, steps // chunk * chunk, chunk):
        yield _take(train_set, order[begin : begin + chunk])


@jax.jit
def train_chunk(states: TrainState, batches: Dataset, config: Config) -> TrainState:
    """Make one `train_step` on each minibatch with every network.

    Args:
        states: of all networks; every leaf has a leading axis of members.
        batches: the chunk's minibatches, which all networks share.
        config: the recipe; `learning_rate` and `momentum` have one entry a member.
    """

    def train_member(state: TrainState, config: Config) -> TrainState:
        return train_steps(state, batches, config, make_optimizer(config, batches.labels.shape[0]))[0]

    trained: TrainState = jax.vmap(train_member, in_axes=(0, with_rates(config, 0, 0)))(states, config)
    return trained


def trajectory(
    training: Training, members: Members, evaluation_set: Dataset
) -> Iterator[tuple[TrainState, Float[Array, "members"]]]:
    """Train networks chunk by chunk.

    Args:
        training: what they share.
        members: what differs between them.
        evaluation_set: the examples on which their costs are measured.

    Yields:
        All states and their costs: before the first chunk, and after each.
    """
    config = recipe(training.method)
    states = start_many(members.keys, config)
    config = with_rates(config, members.learning_rates, members.momenta)
    yield states, evaluate_many(states.params, evaluation_set).cost
    for batches in minibatch_chunks(training):
        states = train_chunk(states, batches, config)
        yield states, evaluate_many(states.params, evaluation_set).cost


def evaluation_costs(
    training: Training,
    members: Members,
    evaluation_set: Dataset,
    group_size: int,
    on_progress: Callable[[int], object] = lambda gradients: None,
) -> Float[np.ndarray, "members evaluations"]:
    """The costs along every member's `trajectory`.

    Args:
        training: what the members share.
        members: what differs between them.
        evaluation_set: the examples on which their costs are measured.
        group_size: members to train at once; the last group is filled up with repetitions, so that one compiled
            program serves all groups.
        on_progress: called with the number of gradient evaluations since the last call.
    """
    groups = []
    gradients = group_size * training.chunk * training.examples_per_step
    for first in range(0, len(members.momenta), group_size):
        rows = np.arange(first, first + group_size) % len(members.momenta)
        group: Members = jax.tree.map(lambda column, rows=rows: column[rows], members)
        costs: list[Any] = []
        for _states, cost in trajectory(training, group, evaluation_set):
            costs.append(np.asarray(cost))
            on_progress(gradients if len(costs) > 1 else 0)
        groups.append(np.stack(costs, axis=1))
    return np.concatenate(groups)[: len(members.momenta)]


def first_at_or_below(
    costs: Float[np.ndarray, "members evaluations"], steps: Int[np.ndarray, "evaluations"], thresholds: Sequence[float]
) -> Float[np.ndarray, "members thresholds"]:
    """The steps at the first evaluation at or below each threshold; infinite if there is none."""
    below = costs[:, :, None] <= np.asarray(thresholds)  # NaN is below nothing
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


_minibatch_order: Callable[..., UInt32[Array, "steps batch"]] = jax.jit(minibatch_order, static_argnums=(1, 2))
_take = jax.jit(take)
