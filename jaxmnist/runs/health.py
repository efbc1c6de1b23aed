"""When training goes wrong: at which step an epoch broke, and whether a run should be given up."""

import math
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, take
from jaxmnist.training import History, TrainState, count_steps, make_optimizer, plan_epoch, train_step

GUESSING_ACCURACY = 0.15
"""Largest training accuracy that counts as guessing: always answering the commonest digit gives 11.2 % on MNIST."""
MAX_GUESSING_STEPS = 1_000
"""Steps for which a network may only guess, since all outputs first go to the mean label. SGD on the embedded digits,
at rates from 0.05 to 0.2, took up to 396 steps to leave that plateau; a first epoch of MNIST has 1,875."""
MIN_RELATIVE_RISE = 1e-3
"""Relative rise in cost that counts as worse than the random start's cost, and not as the same."""
SMALLER_STEPS = (
    f"try a smaller learning rate, or momentum={Config.momentum} cost={Config.cost} activation={Config.activation}"
)
"""The usual remedy for steps that are too long."""
LONG_RATE = 1.0
"""Learning rate above which a network that stands still rather has saturated outputs than too short steps."""


Carry: TypeAlias = tuple[TrainState, Bool[Array, ""]]


@jax.jit
def last_good_step(state: TrainState, train_set: Dataset, config: Config) -> tuple[TrainState, Int[Array, ""]]:
    """Repeat an epoch of `train_epoch` up to its first bad step, whose cost or new parameters aren't all finite.

    Returns:
        The state before the bad step, and that step's index in the epoch; the number of steps if all are good.
    """
    examples = train_set.labels.shape[0]
    config = config.resolved(examples)
    optimizer = make_optimizer(config, count_steps(config, examples))
    train_set, order = plan_epoch(jax.random.split(state.key)[1], train_set, config)

    def step(carry: Carry, indices: UInt32[Array, "batch"]) -> tuple[Carry, Bool[Array, ""]]:
        state, good = carry
        after, cost = train_step(state, take(train_set, indices), config, optimizer)
        for leaf in (cost, *jax.tree.leaves(after.params)):
            good = good & jnp.isfinite(leaf).all()
        return (jax.tree.map(partial(jnp.where, good), after, state), good), good

    (state, _good), good_steps = jax.lax.scan(step, (state, jnp.array(True)), order)
    return state, good_steps.sum()


def other_steps(learning_rate: float) -> str:
    """Advise on a network that stands still: its steps are too short, or so long that its outputs saturate."""
    return "try a larger learning rate" if learning_rate <= LONG_RATE else SMALLER_STEPS


def why_not_learning(
    before: History, previous: History, now: History, steps: int, share: float, learning_rate: float
) -> str | None:
    """Return why to give a run up, with a remedy, or None: a sigmoid that saturates gives no NaN, it stops learning.

    Args:
        before: measured before training.
        previous: measured one epoch ago.
        now: measured after the last epoch.
        steps: steps so far. Guessing counts as failure only after MAX_GUESSING_STEPS.
        share: share of the run's epochs that are done. A cost that stands still counts as failure only in the first
            half, where the learning rate of a cosine schedule is at least half of its first value.
        learning_rate: the recipe's.
    """
    first, cost, accuracy = float(before.train.cost), float(now.train.cost), float(now.train.accuracy)
    if not math.isfinite(cost):
        return f"the training cost is {cost}; {SMALLER_STEPS}"
    if cost >= first:
        remedy = SMALLER_STEPS if cost > (1 + MIN_RELATIVE_RISE) * first else other_steps(learning_rate)
        return f"the training cost is {cost:.4g}, not below the {first:.4g} of the random start; {remedy}"
    if guesses(now) and steps >= MAX_GUESSING_STEPS:
        problem = f"after {steps:,} steps the training accuracy is {accuracy:.1%}, no better than guessing"
        return f"{problem}; {SMALLER_STEPS}"
    if guesses(now) and share <= 0.5 and cost == float(previous.train.cost):
        return f"the training cost stands still at {cost:.4g}, with an accuracy of {accuracy:.1%}; {SMALLER_STEPS}"
    return None


def guesses(now: History) -> bool:
    """Return whether a network is no better on its training set than always answering the commonest digit."""
    return round(float(now.train.accuracy), 6) <= GUESSING_ACCURACY
