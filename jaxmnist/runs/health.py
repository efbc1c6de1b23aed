"""When training goes wrong: where an epoch went bad, and whether a run should be given up."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, take
from jaxmnist.optimizers import Optimizer
from jaxmnist.training import History, TrainState, make_optimizer, plan, train_step

CHANCE = 0.15
"""Training accuracy up to which a network only guesses: always saying the commonest digit gives MNIST's 11.2 %."""

PATIENCE = 1_000
"""Steps for which a network may only guess: first all outputs go to the mean label. SGD on the embedded digits, at
rates from 0.05 to 0.2, took up to 396 to leave that plateau; a first epoch of MNIST has 1,875."""

STILL = 1e-3
"""Share of the cost by which it must have risen to be called worse than the start's, and not the same."""

SMALLER_STEPS = (
    f"try a smaller --learning-rate, or --momentum {Config.momentum} --cost {Config.cost} "
    f"--activation {Config.activation}"
)
"""What mostly helps where the steps were too long."""


@partial(jax.jit, static_argnames="optimizer")
def last_good_step(
    state: TrainState, train_set: Dataset, config: Config, optimizer: Optimizer | None = None
) -> tuple[TrainState, Int[Array, ""]]:
    """The same epoch once more, up to the first step that goes bad: whose cost, or a parameter after it, isn't finite.

    Args:
        state: before the epoch, as `train_epoch` had it.
        train_set: as `train_epoch` had it.
        config: the recipe.
        optimizer: instead of the recipe's.

    Returns:
        The state before the bad step, and that step's index in the epoch; the number of steps if all are good.
    """
    examples = train_set.labels.shape[0]
    chosen = optimizer or make_optimizer(config, examples)
    _next_key, shuffle_key = jax.random.split(state.key)
    train_set, order = plan(shuffle_key, train_set, config)

    def going_well(carry: tuple[TrainState, Int[Array, ""], Bool[Array, ""]]) -> Bool[Array, ""]:
        _state, index, good = carry
        return good & (index < order.shape[0])

    def step(
        carry: tuple[TrainState, Int[Array, ""], Bool[Array, ""]],
    ) -> tuple[TrainState, Int[Array, ""], Bool[Array, ""]]:
        state, index, _good = carry
        after, cost = train_step(state, take(train_set, order[index]), config, chosen)
        good = jnp.all(jnp.stack([jnp.isfinite(cost), *map(jnp.all, map(jnp.isfinite, jax.tree.leaves(after.params)))]))
        return jax.tree.map(partial(jnp.where, good), after, state), index + good, good

    state, index, _good = jax.lax.while_loop(going_well, step, (state, jnp.zeros((), jnp.int32), jnp.array(True)))
    return state, index


def why_not_learning(before: History, previous: History, now: History, steps: int, share: float) -> str | None:
    """Whether a run should be given up: a sigmoid that saturates gives no NaN, it just stops learning.

    Args:
        before: measured before training.
        previous: measured an epoch ago.
        now: measured after the last epoch.
        steps: made so far; that it only guesses is held against a run after PATIENCE.
        share: of the run's epochs that are made. In the first half the cost must move: a learning rate that falls as a
            cosine is then still half of what it was.

    Returns:
        What is wrong and what to try instead, or None for a run that learns.
    """
    first, cost, accuracy = float(before.train.cost), float(now.train.cost), float(now.train.accuracy)
    if not math.isfinite(cost):
        return f"the training cost is {cost}; {SMALLER_STEPS}"
    if cost >= first:
        moved = cost > (1 + STILL) * first
        remedy = SMALLER_STEPS if moved else "try a larger --learning-rate"
        return f"the training cost is {cost:.4g}, not below the {first:.4g} of the random start; {remedy}"
    if guesses(now) and steps >= PATIENCE:
        return (
            f"after {steps:,} steps the training accuracy is {accuracy:.1%}, no better than guessing; {SMALLER_STEPS}"
        )
    if guesses(now) and share <= 0.5 and cost == float(previous.train.cost):
        return f"the training cost stands still at {cost:.4g}, with an accuracy of {accuracy:.1%}; {SMALLER_STEPS}"
    return None


def guesses(now: History) -> bool:
    """Whether a network does no better on its training set than always saying the commonest digit."""
    return round(float(now.train.accuracy), 6) <= CHANCE
