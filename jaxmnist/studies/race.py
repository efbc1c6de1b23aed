"""The race: gradient descent, SGD, momentum and Nesterov's method, from the same starts on the same data.

Each method runs at its own best learning rate of a grid, chosen on examples outside the race. What counts is what it
needs until the mean training cost has come down to a threshold.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.config import LARGEST_LEARNING_RATE, Config
from jaxmnist.config import validate as validate_config
from jaxmnist.dataset import Dataset, permutation, take
from jaxmnist.population import make_members
from jaxmnist.studies.methods import METHODS, Method, Training, evaluation_costs, first_at_or_below

DIVISION = 0xD171DE
"""Purpose of the key that divides the training set; large, as `methods.SHUFFLES` is."""

PROBE = 1_000
"""Training examples, always the same, on which the training cost is measured."""

VALIDATION = 1_000
"""Examples kept out of the race to choose learning rates on; of a small training set a fifth."""

TUNING_SEEDS = 4
"""Random starts, none of them in the race, from which each rate of the grid is tried."""

EVALUATIONS = 150
"""How often the cost is measured in a race, about."""


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


class RaceData(NamedTuple):
    """A training set, divided for a race; the test set has no part in it.

    Attributes:
        train: what all methods learn from.
        probe: the first examples of `train`, on which the training cost is measured.
        validation: other examples, to choose learning rates on.
    """

    train: Dataset
    probe: Dataset
    validation: Dataset


class Outcome(NamedTuple):
    """How one method raced at one learning rate.

    Attributes:
        learning_rate: η.
        steps: made at each evaluation, from 0.
        examples_per_step: training examples that a step takes.
        seconds_per_step: of one network alone, without evaluations; NaN if not measured.
        costs: mean training cost of every seed's network at each evaluation.
        reached: steps to each threshold, for every seed; infinite if never.
    """

    learning_rate: float
    steps: Int[np.ndarray, "evaluations"]
    examples_per_step: int
    seconds_per_step: float
    costs: Float[np.ndarray, "seeds evaluations"]
    reached: Float[np.ndarray, "seeds thresholds"]


class Result(NamedTuple):
    """What a race gave.

    Attributes:
        settings: what the race was like.
        examples: how many raced ("racing"), measured the cost ("measured"), and chose the rates ("validation").
        scores: for each method and rate of the grid, the validation cost that decides.
        best: each method at its own best rate.
        same: SGD, momentum and Nesterov's method at one rate, momentum's best.
    """

    settings: Settings
    examples: dict[str, int]
    scores: dict[Method, dict[float, float]]
    best: dict[Method, Outcome]
    same: dict[Method, Outcome]


def validate(settings: Settings) -> None:
    """Reject settings with which no race can be run.

    Raises:
        ValueError: naming the setting, what was expected and an example.
    """
    for name in ("learning_rates", "thresholds"):
        values = getattr(settings, name)
        for value in values or ["none"]:
            if not values or not 0 < value <= LARGEST_LEARNING_RATE:
                raise ValueError(
                    f"{name}={value}: expected one or more numbers above 0, at most {LARGEST_LEARNING_RATE:g}; for "
                    f"example {name}={' '.join(f'{number:g}' for number in getattr(Settings, name))}"
                )
    validate_config(Config(momentum=settings.momentum))
    for name, least in (("seeds", 2), ("batch_size", 1), ("examples", 1), ("steps", 1), ("full_batch_steps", 1)):
        if getattr(settings, name) < least:
            raise ValueError(
                f"{name}={getattr(settings, name)}: expected a whole number from {least}; for example "
                f"{name}={getattr(Settings, name)}"
            )


def divide(key: Key[Array, ""], train_set: Dataset, settings: Settings) -> RaceData:
    """Divide a training set for a race.

    Args:
        key: the race's; decides which examples race.
        train_set: n examples.
        settings: how many examples race; all that validation leaves if these are fewer.

    Raises:
        ValueError: if a minibatch is larger than what races.
    """
    total = train_set.labels.shape[0]
    order = permutation(jax.random.fold_in(key, DIVISION), total)
    held_out = min(VALIDATION, total // 5)
    train = take(train_set, order[held_out : held_out + settings.examples])
    racing = train.labels.shape[0]
    if settings.batch_size > racing:
        raise ValueError(
            f"batch_size={settings.batch_size}: expected at most the {racing:,} examples that race; for example "
            f"batch_size={min(Settings.batch_size, racing)}"
        )
    return RaceData(train, jax.tree.map(lambda leaf: leaf[:PROBE], train), take(train_set, order[:held_out]))


def make_training(key: Key[Array, ""], method: Method, data: RaceData, settings: Settings) -> Training:
    """What all networks of a method share in a race. Arguments as `run`."""
    steps = settings.full_batch_steps if method == "gd" else settings.steps
    return Training(method, key, data.train, settings.batch_size, steps, max(1, steps // EVALUATIONS))


def run(
    key: Key[Array, ""],
    data: RaceData,
    settings: Settings,
    seconds_per_step: Mapping[Method, float] | None = None,
    on_progress: Callable[[int], object] = lambda gradients: None,
) -> Result:
    """Choose every method's learning rate, then race all.

    The networks start as `training.start(jax.random.key(seed), …)` makes them.

    Args:
        key: decides the minibatches, for all seeds and methods alike.
        data: from `divide`.
        settings: what the race is like.
        seconds_per_step: how long one network takes for a step of each method, for the result.
        on_progress: called with the number of gradient evaluations since the last call, of `count_gradients` at most.
    """
    grid = sorted(set(settings.learning_rates))
    trainings = {method: make_training(key, method, data, settings) for method in METHODS}

    def race(method: Method, rate: float) -> Outcome:
        training = trainings[method]
        members = make_members([(settings.momentum, rate)], range(settings.seeds))
        costs = evaluation_costs(training, members, data.probe, settings.seeds, on_progress)
        steps = training.chunk * np.arange(costs.shape[1])
        seconds = (seconds_per_step or {}).get(method, math.nan)
        reached = first_at_or_below(costs, steps, settings.thresholds)
        return Outcome(rate, steps, training.examples_per_step, seconds, costs, reached)

    scores: dict[Method, dict[float, float]] = {}
    best: dict[Method, Outcome] = {}
    for method, training in trainings.items():
        scores[method] = tune(training, data.validation, settings, on_progress)
        best[method] = race(method, min(grid, key=scores[method].__getitem__))
    rate = best["momentum"].learning_rate
    same = {
        method: outcome if outcome.learning_rate == rate else race(method, rate)
        for method, outcome in best.items()
        if method != "gd"
    }
    counts = (part.labels.shape[0] for part in data)
    return Result(settings, dict(zip(("racing", "measured", "validation"), counts, strict=True)), scores, best, same)


def tune(
    training: Training,
    validation: Dataset,
    settings: Settings,
    on_progress: Callable[[int], object] = lambda gradients: None,
) -> dict[float, float]:
    """Try every learning rate of the grid from starts that don't race.

    Args:
        training: the method.
        validation: examples that don't race.
        settings: what the race is like.
        on_progress: as in `run`.

    Returns:
        For each rate the mean of the validation cost over all evaluations, as the median of the starts; infinite for
        NaN. The least is the best: it comes down early and stays down.
    """
    grid = sorted(set(settings.learning_rates))
    seeds = range(settings.seeds, settings.seeds + TUNING_SEEDS)
    members = make_members([(settings.momentum, rate) for rate in grid], seeds)
    # Groups as large as the race's, so that its compiled program serves here too.
    costs = evaluation_costs(training, members, validation, settings.seeds, on_progress)
    scores = np.median(costs.mean(axis=1).reshape(len(grid), TUNING_SEEDS), axis=1)
    return dict(zip(grid, np.nan_to_num(scores, nan=np.inf).tolist(), strict=True))


def count_gradients(data: RaceData, settings: Settings) -> int:
    """Gradient evaluations of a race, if no method's best rate is momentum's."""
    groups = math.ceil(len(set(settings.learning_rates)) * TUNING_SEEDS / settings.seeds)
    total = 0
    for method in METHODS:
        training = make_training(jax.random.key(0), method, data, settings)
        races = groups + (2 if method in ("sgd", "nesterov") else 1)
        total += races * (training.steps - training.steps % training.chunk) * training.examples_per_step
    return settings.seeds * total
