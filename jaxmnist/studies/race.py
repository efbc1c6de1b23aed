"""The race: gradient descent, SGD, momentum and Nesterov's method, from the same starts on the same data.

Each method runs at its own best learning rate of a grid, chosen on examples outside the race. What counts is what it
needs until the mean training cost has come down to a threshold.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.population import Members, make_members
from jaxmnist.studies.methods import METHODS, Method, RaceData, Settings, trajectory

TUNING_SEEDS = 4
"""Random starts, none of them in the race, from which each rate of the grid is tried."""

UNITS = {"steps": ",.0f", "examples": ",.0f", "seconds": ".2g"}
"""What is counted until a cost is reached, and its format."""

OnProgress = Callable[[int], object]


class Outcome(NamedTuple):
    """How one method raced at one learning rate."""

    learning_rate: float  # η
    steps: Int[np.ndarray, "evaluations"]  # made at each evaluation, from 0
    examples_per_step: int  # training examples that a step takes
    seconds_per_step: float  # of one network alone, without evaluations; NaN if not measured
    costs: Float[np.ndarray, "seeds evaluations"]  # mean training cost of every seed's network at each evaluation
    reached: Float[np.ndarray, "seeds thresholds"]  # steps to each threshold, for every seed; infinite if never

    def needed(self) -> dict[str, Float[np.ndarray, "seeds thresholds"]]:
        """What every seed needed to reach every threshold, in each of `UNITS`; infinite if it never did."""
        each = (1, self.examples_per_step, self.seconds_per_step)
        return {unit: self.reached * amount for unit, amount in zip(UNITS, each, strict=True)}


class Result(NamedTuple):
    """What a race gave."""

    settings: Settings  # what the race was like
    examples: dict[str, int]  # how many were trained on, measured the cost, and chose the rates
    scores: dict[Method, dict[float, float]]  # for each method and rate of the grid, the validation cost that decides
    best: dict[Method, Outcome]  # each method at its own best rate
    same: dict[Method, Outcome]  # SGD, momentum and Nesterov's method at one rate, momentum's best


def run(
    key: Key[Array, ""],
    data: RaceData,
    settings: Settings,
    seconds_per_step: Mapping[Method, float] | None = None,
    on_progress: OnProgress = lambda gradients: None,
) -> Result:
    """Choose every method's learning rate, then race all from the starts that `training.start` makes of the seeds.

    The key decides the minibatches, for all seeds and methods alike. `seconds_per_step` of one network is only for the
    result. `on_progress` gets the number of gradients since its last call: `count_gradients` in all, or a bit less.
    """

    def race(method: Method, rate: float) -> Outcome:
        members = make_members([(settings.momentum, rate)], range(settings.seeds))
        costs = evaluation_costs(key, method, members, data, settings, on_progress)
        steps = settings.chunk_of(method) * np.arange(costs.shape[1])
        reached = first_at_or_below(costs, steps, settings.thresholds)
        seconds = (seconds_per_step or {}).get(method, math.nan)
        return Outcome(rate, steps, _examples_per_step(method, data, settings), seconds, costs, reached)

    scores = {method: tune(key, method, data, settings, on_progress) for method in METHODS}
    best = {method: race(method, min(rates, key=rates.__getitem__)) for method, rates in scores.items()}
    rate, same = best["momentum"].learning_rate, best.copy()
    del same["gd"]
    for method, outcome in same.items():
        if outcome.learning_rate != rate:
            same[method] = race(method, rate)
    counts = (part.labels.shape[0] for part in data)
    return Result(settings, dict(zip(("racing", "measured", "validation"), counts, strict=True)), scores, best, same)


def tune(
    key: Key[Array, ""], method: Method, data: RaceData, settings: Settings, on_progress: OnProgress
) -> dict[float, float]:
    """Give each learning rate of the grid a score, from starts that don't race. Arguments as `run`.

    The score is the mean of the validation cost over all evaluations, as the median of the starts; infinite for NaN.
    The least is the best: it comes down early and stays down.
    """
    grid = sorted(set(settings.learning_rates))
    seeds = range(settings.seeds, settings.seeds + TUNING_SEEDS)
    members = make_members([(settings.momentum, rate) for rate in grid], seeds)
    costs = evaluation_costs(key, method, members, data._replace(probe=data.validation), settings, on_progress)
    scores = np.median(costs.mean(axis=1).reshape(len(grid), TUNING_SEEDS), axis=1)
    return dict(zip(grid, np.nan_to_num(scores, nan=np.inf).tolist(), strict=True))


def evaluation_costs(
    key: Key[Array, ""], method: Method, members: Members, data: RaceData, settings: Settings, on_progress: OnProgress
) -> Float[np.ndarray, "members evaluations"]:
    """The costs along the `trajectory` of every member, in groups as large as the race's: one compiled program."""
    count, groups = len(members.momenta), []
    gradients = settings.seeds * settings.chunk_of(method) * _examples_per_step(method, data, settings)
    for first in range(0, count, settings.seeds):
        rows = np.arange(first, first + settings.seeds) % count  # the last group is filled up with repetitions
        group: Members = jax.tree.map(lambda column, rows=rows: column[rows], members)
        costs: list[Any] = []
        for _states, cost in trajectory(key, method, group, data, settings):
            costs.append(np.asarray(cost))
            on_progress(gradients if len(costs) > 1 else 0)
        groups.append(np.stack(costs, axis=1))
    return np.concatenate(groups)[:count]


def first_at_or_below(
    costs: Float[np.ndarray, "members evaluations"], steps: Int[np.ndarray, "evaluations"], thresholds: Sequence[float]
) -> Float[np.ndarray, "members thresholds"]:
    """The steps at the first evaluation at or below each threshold; infinite if there is none."""
    below = costs[:, :, None] <= np.asarray(thresholds)  # NaN is below nothing
    return np.where(below.any(axis=1), steps[below.argmax(axis=1)], np.inf)


def count_gradients(data: RaceData, settings: Settings) -> int:
    """Gradient evaluations of a race, if SGD and Nesterov's method race at two rates each."""
    tuning = math.ceil(len(set(settings.learning_rates)) * TUNING_SEEDS / settings.seeds)
    races: dict[Method, int] = {"gd": 1, "sgd": 2, "momentum": 1, "nesterov": 2}
    return settings.seeds * sum(
        (tuning + times) * settings.steps_of(method) * _examples_per_step(method, data, settings)
        for method, times in races.items()
    )


def _examples_per_step(method: Method, data: RaceData, settings: Settings) -> int:
    return data.train.labels.shape[0] if method == "gd" else settings.batch_size
