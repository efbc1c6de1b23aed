"""The map of momentum: how many steps each method needs, over batch size, learning rate and momentum.

The question, the networks and the tests are those of notebooks/momentum_map.md, written down before the map was run.
The tests are made in `momentum_map_report`.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.population import Population, steps_of_a_part
from jaxmnist.studies import grid

EXAMPLES, FOLDS = 57_600, 9
"""Training examples of the map, of a larger set the first; one of the folds is held out, and 51,200 are learnt from."""
THRESHOLDS = (0.4, 0.25)
"""Mean training costs to reach; the first one is tested."""


class Map(NamedTuple):
    """Which networks the map is made of."""

    epochs: dict[int, int]  # by batch size
    momenta: tuple[float, ...]  # μ of momentum and Nesterov's method
    lengths: tuple[float, ...]  # L = η/(1−μ), of SGD η; ascending
    tuning_seeds: int  # the first seeds choose each method's best length
    seeds: int  # seeds in all; the others are tested
    first_seed: int = 0


FULL = Map(
    {8: 1, 32: 2, 128: 3, 512: 12}, (0.5, 0.8, 0.9, 0.95, 0.99), tuple(2 ** (k / 2) for k in range(-6, 9)), 4, 20, 100
)
REDUCED = Map({32: 2, 512: 12}, (0.5, 0.9), (0.5, 1.0, 2.0, 4.0, 8.0), 4, 10)

Method = Literal["sgd", "momentum", "nesterov"]


class Result(NamedTuple):
    """What the map shows."""

    map: Map  # which networks were trained
    steps: Float[np.ndarray, "batches methods lengths seeds thresholds"]  # needed; infinite if it never got there


def examples(train_set: Dataset) -> Dataset:
    """The part of a training set that the map is made with."""
    part: Dataset = jax.tree.map(lambda leaf: leaf[:EXAMPLES], train_set)
    return part


def methods(plan: Map) -> list[tuple[Method, float]]:
    """The methods with their momenta, in the order of a result's second axis: SGD first."""
    both: tuple[Method, ...] = ("momentum", "nesterov")
    return [("sgd", 0.0), *product(both, plan.momenta)]


def grid_of(plan: Map, train_set: Dataset) -> grid.Grid:
    """The grid of the map's networks, resolved; its settings are in the order of a result's axes."""
    configs: list[Config] = []
    for (batch_size, epochs), (method, momentum) in product(plan.epochs.items(), methods(plan)):
        recipe = Config(schedule="constant", epochs=epochs)
        rates = [float(f"{length * (1 - momentum):.6g}") for length in plan.lengths]
        configs += grid.combine(recipe, [method], [batch_size], [momentum], rates)
    return grid.resolved(grid.Grid(tuple(configs), plan.seeds, FOLDS, 1, first_seed=plan.first_seed), train_set)


def run(
    key: Key[Array, ""],
    plan: Map,
    train_set: Dataset,
    finished: Mapping[int, Float[np.ndarray, "networks thresholds"]],
    on_group: Callable[[int, Population, Float[np.ndarray, "networks thresholds"]], object],
) -> Result:
    """Train the groups of the map's grid that aren't finished.

    Args:
        key: decides folds and shuffles.
        plan: which networks.
        train_set: the first `EXAMPLES` of it are used.
        finished: the steps of groups that were trained before, by their numbers in `grid.groups`.
        on_group: called as each group ends, with its number, its networks and their steps.
    """
    train_set = examples(train_set)
    asked = grid_of(plan, train_set)
    groups, known = grid.groups(asked), dict(finished)
    learnt = train_set.labels.shape[0] // FOLDS * (FOLDS - 1)
    missing = [number for number in range(len(groups)) if number not in known]
    trained = grid.train_groups(key, asked, train_set, [groups[number] for number in missing])
    for number, population in zip(missing, trained, strict=True):
        steps_per_epoch = learnt // int(asked.configs[groups[number].settings[0]].batch_size)
        known[number] = steps_to_thresholds(population.course, steps_per_epoch)
        on_group(number, population, known[number])
    steps = np.empty((len(asked.configs), plan.seeds, len(THRESHOLDS)))
    for number, group in enumerate(groups):
        steps[group.settings, group.starts] = known[number]
    return Result(plan, steps.reshape(_shape(plan)))


def steps_to_thresholds(
    course: Float[np.ndarray, "networks epochs parts"], steps_per_epoch: int
) -> Float[np.ndarray, "networks thresholds"]:
    """Find the steps at which costs first come down to each threshold; infinite if they never do.

    A mean over a part of an epoch counts as the cost in its middle, and between two middles costs are interpolated.
    """
    networks, epochs, parts = course.shape
    costs, part = course.reshape(networks, -1), steps_of_a_part(steps_per_epoch)
    middles = np.add.outer(steps_per_epoch * np.arange(epochs), part * (np.arange(parts) + 0.5)).ravel()
    below = costs[:, :, None] <= np.array(THRESHOLDS)  # NaN is below nothing
    at = below.argmax(axis=1)
    before = np.maximum(at - 1, 0)
    high, low = (np.take_along_axis(costs, indices, axis=1) for indices in (before, at))
    fall = np.where(high > low, high - low, 1)
    steps = middles[before] + (middles[at] - middles[before]) * (high - THRESHOLDS) / fall
    return np.where(below.any(axis=1), np.where(at > 0, steps, middles[0]), np.inf)


def to_csv(result: Result) -> str:
    """List every setting and threshold as a line: what it is, and the steps of each seed."""
    seeds = ",".join(f"seed {result.map.first_seed + number}" for number in range(result.map.seeds))
    values = np.swapaxes(result.steps, -1, -2).reshape(-1, result.map.seeds)
    lines = [
        f"{label},{','.join(f'{steps:.0f}' for steps in row)}"
        for label, row in zip(_labels(result.map), values, strict=True)
    ]
    return "\n".join([f"batch_size,optimizer,momentum,length,cost,{seeds}", *lines]) + "\n"


def from_csv(text: str, plan: Map) -> Result:
    """Read what `to_csv` wrote of this map; the steps are whole numbers then.

    Raises:
        ValueError: if it is of another map.
    """
    rows = [line.split(",") for line in text.splitlines()[1:]]
    if [",".join(row[:5]) for row in rows] != _labels(plan) or {len(row) - 5 for row in rows} != {plan.seeds}:
        raise ValueError(f"text: {len(rows)} lines of another map, expected {len(_labels(plan))} of this one")
    steps = np.array([row[5:] for row in rows], float)
    batches, rows_of_a_batch, lengths, seeds, thresholds = _shape(plan)
    return Result(plan, np.swapaxes(steps.reshape(batches, rows_of_a_batch, lengths, thresholds, seeds), -1, -2))


def _labels(plan: Map) -> list[str]:
    return [
        f"{batch_size},{method},{momentum:g},{length:.6g},{threshold:g}"
        for batch_size, (method, momentum), length, threshold in product(
            plan.epochs, methods(plan), plan.lengths, THRESHOLDS
        )
    ]


def _shape(plan: Map) -> tuple[int, ...]:
    return len(plan.epochs), len(methods(plan)), len(plan.lengths), plan.seeds, len(THRESHOLDS)
