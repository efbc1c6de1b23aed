"""Time travel: the state of a run at any of its steps. A run is pure, so made again it is the same, bit for bit."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.network import Params
from jaxmnist.training import (
    TrainState,
    count_steps,
    make_optimizer,
    plan_epoch,
    start,
    train_epoch,
    train_in_order,
    train_steps,
)


def check_moment(config: Config, examples: int, epoch: int, step: int) -> None:
    """Reject a moment that a run by a resolved recipe doesn't have: `step` steps after so many whole epochs."""
    epochs = int(config.epochs)
    steps = count_steps(config, examples) // epochs
    if not 0 <= epoch <= epochs:
        raise ValueError(
            f"epoch={epoch}: expected 0 to {epochs}, as the run has {epochs:,} epochs; for example epoch=0"
        )
    if not 0 <= step <= steps:
        raise ValueError(f"step={step}: expected 0 to {steps}, as an epoch has {steps:,} steps; for example step=0")
    if epoch == epochs and step:
        raise ValueError(f"step={step}: the run ends after epoch {epoch}; expected step=0, or an earlier epoch")


def after_epochs(
    key: Key[Array, ""],
    train_set: Dataset,
    config: Config,
    epochs: int,
    on_epoch: Callable[[], object] = lambda: None,
) -> TrainState:
    """Make the first epochs of the run that `training.train` makes; calls `on_epoch` after each."""
    state: TrainState = start(key, config)
    for _ in range(epochs):
        state, costs = train_epoch(state, train_set, config)
        costs.block_until_ready()  # so that progress is reported when it is made
        on_epoch()
    return state


def params_after(
    key: Key[Array, ""],
    train_set: Dataset,
    config: Config,
    moments: Sequence[int],
    on_epoch: Callable[[], object] = lambda: None,
) -> dict[int, Params]:
    """Make a run up to the last of these moments, in epochs from 1; return the network at each."""
    state: TrainState = start(key, config)
    params = {}
    for epoch in range(1, max(moments, default=0) + 1):
        state, costs = train_epoch(state, train_set, config)
        costs.block_until_ready()
        on_epoch()
        if epoch in moments:
            params[epoch] = state.params
    return params


def spread_moments(epochs: int, most: int) -> list[int]:
    """Choose at most so many epochs before the last one of a run, closer together at first, when it learns most."""
    count = min(most, epochs - 1)
    moments: list[int] = []
    for even in np.geomspace(1, max(epochs - 1, 1), max(count, 0)):
        moments.append(max(round(even), moments[-1] + 1 if moments else 1))
    return moments


@partial(jax.jit, static_argnames="steps")
def after_steps(state: TrainState, train_set: Dataset, config: Config, steps: int) -> TrainState:
    """Make the first steps of the next epoch of `training.train_epoch`; key and epoch stay, as it isn't over."""
    if steps == 0:
        return state
    examples = train_set.labels.shape[0]
    config = config.resolved(examples)
    optimizer = make_optimizer(config, count_steps(config, examples))
    train_set, order = plan_epoch(jax.random.split(state.key)[1], train_set, config)
    make = partial(train_steps, config=config, optimizer=optimizer)
    return train_in_order(state, train_set, order[:steps], make)[0]
