"""Training: one step, one epoch, one whole run, each a pure function of all that it needs.

`train` is a whole run as one compiled program; the command line calls `train_epoch` once an epoch instead, to show
progress, and gets the same numbers. `jax.vmap` and `jax.grad` go through both.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

from jaxmnist.config import Config
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, check, jitter, minibatch_order, one_hot, scale, take
from jaxmnist.metrics import Metrics, evaluate
from jaxmnist.network import Params, init
from jaxmnist.optimizers import (
    AnyOptimizer,
    LearningRate,
    Momentum,
    Optimizer,
    apply_updates,
    call_update,
    cosine,
    momentum,
    nesterov,
    sgd,
)

GATHERED = 3_000
"""Examples gathered from the data at a time: they stay in a processor's cache until their steps come. On two cores an
epoch at batch 32 takes 71 ms so, 93 when all are gathered at once, and 140 when every step gathers its own."""

OPTIMIZERS: dict[str, Callable[[LearningRate, Momentum], Optimizer]] = {
    "sgd": lambda learning_rate, momentum: sgd(learning_rate),
    "momentum": momentum,
    "nesterov": nesterov,
}
"""The optimizers by name, as functions of η and μ."""


class TrainState(NamedTuple):
    """All that training carries from one step to the next."""

    params: Params  # the network
    optimizer_state: Any  # the optimizer's state
    key: Key[Array, ""]  # decides the shuffles to come
    epoch: Int[Array, ""]  # epochs completed


class History(NamedTuple):
    """Cost and accuracy over a run: entry 0 before training, entry e after epoch e."""

    train: Metrics  # on the whole training set, each of shape (epochs + 1,)
    test: Metrics  # on the test set


def make_optimizer(config: Config, steps: int) -> Optimizer:
    """Make the optimizer that a recipe names; a cosine schedule falls to 0 over the `steps` of the whole run."""
    rate = config.learning_rate
    return OPTIMIZERS[config.optimizer](cosine(rate, steps) if config.schedule == "cosine" else rate, config.momentum)


def count_steps(config: Config, examples: int) -> int:
    """The number of steps of a whole run by a resolved recipe; a remainder smaller than a minibatch is dropped."""
    return int(config.epochs) * (examples // int(config.batch_size))


@partial(jax.jit, static_argnames="optimizer")
def start(key: Key[Array, ""], config: Config, optimizer: AnyOptimizer | None = None) -> TrainState:
    """Make the state before training: a random network, an optimizer at rest, a key for the shuffles.

    Args:
        key: decides the network and all shuffles.
        config: the recipe.
        optimizer: instead of the recipe's; ours or optax's.
    """
    # No schedule changes an optimizer's first state, so its length doesn't matter here.
    optimizer = optimizer or OPTIMIZERS[config.optimizer](config.learning_rate, config.momentum)
    params_key, shuffles_key = jax.random.split(key)
    params = init(params_key, config.sizes)
    return TrainState(params, optimizer.init(params), shuffles_key, jnp.zeros((), jnp.int32))


def train_step(
    state: TrainState, batch: Dataset, config: Config, optimizer: AnyOptimizer
) -> tuple[TrainState, Float[Array, ""]]:
    """One step of gradient descent on one minibatch.

    Args:
        state: before the step.
        batch: the minibatch, in bytes; it becomes floats only here.
        config: the recipe; its activation and cost count.
        optimizer: ours or optax's.

    Returns:
        The state after the step, and the minibatch's mean cost before it.
    """
    check(batch)
    cost, gradient = jax.value_and_grad(mean_cost)(
        state.params, scale(batch.images), one_hot(batch.labels), config.activation, config.cost
    )
    updates, optimizer_state = call_update(optimizer, gradient, state.optimizer_state, state.params, cost)
    params = apply_updates(state.params, updates)
    return state._replace(params=params, optimizer_state=optimizer_state), cost


def train_steps(
    state: TrainState, batches: Dataset, config: Config, optimizer: AnyOptimizer
) -> tuple[TrainState, Float[Array, "steps"]]:
    """Make one `train_step` on each minibatch in turn, as one `lax.scan`; `batches` has a leading axis of steps."""
    return jax.lax.scan(lambda state, batch: train_step(state, batch, config, optimizer), state, batches)


@partial(jax.jit, static_argnames="optimizer")
def train_epoch(
    state: TrainState, train_set: Dataset, config: Config, optimizer: AnyOptimizer | None = None
) -> tuple[TrainState, Float[Array, "steps"]]:
    """Make one pass over the training set, newly shuffled: one compiled program.

    Args:
        state: before the epoch.
        train_set: in bytes, on the device.
        config: the recipe.
        optimizer: instead of the recipe's; ours or optax's.

    Returns:
        The state after the epoch, and each minibatch's mean cost before its step.
    """
    examples = train_set.labels.shape[0]
    config = config.resolved(examples)
    chosen = optimizer or make_optimizer(config, count_steps(config, examples))
    next_key, shuffle_key = jax.random.split(state.key)
    train_set, order = plan_epoch(shuffle_key, train_set, config)
    state, costs = train_in_order(state, train_set, order, partial(train_steps, config=config, optimizer=chosen))
    return state._replace(key=next_key, epoch=state.epoch + 1), costs


def plan_epoch(key: Key[Array, ""], train_set: Dataset, config: Config) -> tuple[Dataset, UInt32[Array, "steps batch"]]:
    """Prepare an epoch by a resolved recipe: its examples, jittered if it says so, and each minibatch's indices."""
    if config.augmentation == "jitter":
        key, jitter_key = jax.random.split(key)
        train_set = jitter(jitter_key, train_set)
    return train_set, minibatch_order(key, train_set.labels.shape[0], int(config.batch_size))


def train_in_order(
    state: TrainState,
    train_set: Dataset,
    order: UInt32[Array, "steps *batch"],
    train_on: Callable[[TrainState, Dataset], tuple[TrainState, Float[Array, "chunk"]]],
) -> tuple[TrainState, Float[Array, "steps"]]:
    """Train on minibatches given by their examples' indices, gathered in chunks of about `GATHERED` examples.

    Args:
        state: before the first step.
        train_set: in bytes, on the device.
        order: each minibatch's indices.
        train_on: makes one step on each of a chunk's minibatches, as `train_steps` does.
    """

    @jax.checkpoint  # a gradient through the run keeps one chunk's steps in memory, not all steps
    def train_chunk(
        state: TrainState, indices: UInt32[Array, "chunk *batch"]
    ) -> tuple[TrainState, Float[Array, "chunk"]]:
        return train_on(state, take(train_set, indices))

    steps, *batch = order.shape
    chunk = min(steps, max(1, GATHERED // math.prod(batch)))
    whole = steps // chunk * chunk
    state, costs = jax.lax.scan(train_chunk, state, order[:whole].reshape(-1, chunk, *batch))
    costs = costs.reshape(-1)
    if whole < steps:
        state, last_costs = train_chunk(state, order[whole:])
        costs = jnp.concatenate([costs, last_costs])
    return state, costs


def measure(state: TrainState, train_set: Dataset, test_set: Dataset, config: Config) -> History:
    """Measure cost and accuracy on both sets: one entry of a `History`, each of shape ()."""
    return History(
        train=evaluate(state.params, train_set, config.activation, config.cost),
        test=evaluate(state.params, test_set, config.activation, config.cost),
    )


def train(
    key: Key[Array, ""],
    train_set: Dataset,
    test_set: Dataset,
    config: Config,
    optimizer: AnyOptimizer | None = None,
) -> tuple[TrainState, History]:
    """A whole training run as one pure function of a key, the data and a recipe.

    It is compiled into one program. `jax.vmap` over the key, or over the learning rate and momentum in `config`, trains
    many networks at once. `jax.grad` of the last cost by `config` goes through every step. Steps are computed again
    rather than kept, so on a CPU XLA's temporary buffers are 49 MB for 30 epochs of MNIST (kept: 3.4 GB for 5).

    Args:
        key: decides the random start and all shuffles.
        train_set: examples that the network learns from.
        test_set: examples that the network is only measured on.
        config: the recipe.
        optimizer: instead of the recipe's; ours or optax's. In a `jax.jit` of your own it must be a static argument.

    Returns:
        The last state, and cost and accuracy on both sets before training and after every epoch.

    Raises:
        ValueError: if the recipe breaks a rule of `config.validate`, or a set one of `dataset.check`.
    """
    check(train_set, "train_set.")
    check(test_set, "test_set.")
    trained: tuple[TrainState, History]
    trained = _run(key, train_set, test_set, config.resolved(train_set.labels.shape[0]), optimizer)
    return trained


@partial(jax.jit, static_argnames="optimizer")
def _run(
    key: Key[Array, ""], train_set: Dataset, test_set: Dataset, config: Config, optimizer: AnyOptimizer | None
) -> tuple[TrainState, History]:
    """The run itself, by a resolved recipe."""
    state = start(key, config, optimizer)
    before = measure(state, train_set, test_set, config)

    @jax.checkpoint  # a gradient keeps each epoch's first state, and computes the rest once more
    def epoch(state: TrainState, _: None) -> tuple[TrainState, History]:
        state, _costs = train_epoch(state, train_set, config, optimizer)
        return state, measure(state, train_set, test_set, config)

    last: TrainState
    last, after = jax.lax.scan(epoch, state, None, length=int(config.epochs))
    return last, jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), before, after)
