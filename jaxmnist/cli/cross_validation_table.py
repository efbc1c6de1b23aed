"""The table that cross-validation ends in: what it shows, and what it doesn't."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxmnist.config import OptimizerName

if TYPE_CHECKING:
    from jaxmnist.studies.cross_validation import CrossValidation

ERRORS = 2
"""Standard errors up to which two settings are not told apart."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A setting and how it did: means over folds and seeds, each followed by its standard error.

    `behind` is by how much it costs more than the best setting, compared fold by fold and seed by seed.
    """

    optimizer: OptimizerName
    momentum: float
    learning_rate: float
    effective_rate: float
    cost: float
    cost_error: float
    accuracy: float
    accuracy_error: float
    behind: float
    behind_error: float
    diverged: int

    @property
    def name(self) -> str:
        """The setting in a few words."""
        return f"{self.optimizer} μ {self.momentum:g} η {self.learning_rate:g}"

    def to_json(self) -> dict[str, str | float | None]:
        """The fields, with None for what is no number, as JSON has no other word for that."""
        fields = dataclasses.asdict(self).items()
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields
        }


def scores(
    found: "Mapping[OptimizerName, CrossValidation]", seeds: int, pick: "Callable[[CrossValidation], Any]"
) -> Float[np.ndarray, "rows folds_seeds"]:
    """One figure of every network, as a row for each optimizer and setting, and a column for each fold and seed."""
    parts = [np.asarray(pick(one), float) for one in found.values()]
    return np.concatenate(
        [part.reshape(len(part), -1, seeds).swapaxes(0, 1).reshape(-1, len(part) * seeds) for part in parts]
    )


def rows(
    found: "Mapping[OptimizerName, CrossValidation]", settings: Sequence[tuple[float, float]], seeds: int
) -> list[Row]:
    """The table, in the order of the optimizers and settings.

    Raises:
        ValueError: when every setting diverged.
    """
    costs = scores(found, seeds, lambda one: one.measured.cost[..., -1])
    accuracies = scores(found, seeds, lambda one: one.measured.accuracy[..., -1])
    diverged = scores(found, seeds, lambda one: one.diverged_at > 0).sum(axis=1)
    if diverged.all():
        raise ValueError("every setting diverged, expected one that learns; try smaller values of --learning-rate")
    best = np.where(diverged, np.inf, costs.mean(axis=1)).argmin()
    names = [(optimizer, *setting) for optimizer in found for setting in settings]
    return [
        Row(
            *(optimizer, momentum, rate, round(rate / (1 - momentum), 6)),
            *(*_mean(costs[row]), *_mean(accuracies[row]), *_mean(costs[row] - costs[best])),
            diverged=int(diverged[row]),
        )
        for row, (optimizer, momentum, rate) in enumerate(names)
    ]


def best(table: Sequence[Row]) -> Row:
    """The row with the lowest mean cost."""
    return min((row for row in table if not row.diverged), key=lambda row: row.cost)


def as_good(table: Sequence[Row]) -> list[Row]:
    """The other rows that are not told apart from the best."""
    return [row for row in table if row is not best(table) and row.behind <= ERRORS * row.behind_error]


def at_the_edge(table: Sequence[Row]) -> list[Row]:
    """For each optimizer and momentum the best rate, where that is the largest tried and not the only one."""
    found = []
    for _setting, group in groupby(table, key=lambda row: (row.optimizer, row.momentum)):
        some = [row for row in group if not row.diverged]
        if len(some) > 1 and best(some) is max(some, key=lambda row: row.learning_rate):
            found.append(best(some))
    return found


def picture(
    table: Sequence[Row], found: "Mapping[OptimizerName, CrossValidation]", seeds: int
) -> tuple[list[float], dict[str, dict[str, Float[np.ndarray, "momenta networks"]]], dict[str, list[float]]]:
    """What to draw: the momenta; for each optimizer, at its best rate for each μ, the networks' scores; those rates."""
    costs = scores(found, seeds, lambda one: one.measured.cost[..., -1])
    accuracies = scores(found, seeds, lambda one: one.measured.accuracy[..., -1])
    shown: dict[str, dict[float, int]] = {name: {} for name in found}
    for place, row in enumerate(table):
        held = shown[row.optimizer].get(row.momentum)
        if held is None or table[held].diverged or (not row.diverged and row.cost < table[held].cost):
            shown[row.optimizer][row.momentum] = place
    picked = {name: list(places.values()) for name, places in shown.items()}
    return (
        list(next(iter(shown.values()))),
        {name: {"cost": costs[places], "accuracy": accuracies[places]} for name, places in picked.items()},
        {name: [table[place].learning_rate for place in places] for name, places in picked.items()},
    )


def told(table: Sequence[Row]) -> str:
    """The table in words and figures, as many lines as it has rows, and what to make of it."""
    chosen, others = best(table), as_good(table)
    head = ("optimizer", "μ", "η", "η/(1−μ)", "validation cost", "accuracy (%)", "cost above the best")
    lines = ["{:<10}{:>6}{:>9}{:>9}  {:<18}{:<15}{}".format(*head)]
    for row in table:
        line = f"{row.optimizer:<10}{row.momentum:>6g}{row.learning_rate:>9g}{row.effective_rate:>9g}  "
        if row.diverged:
            lines.append(f"{line}{row.diverged} networks diverged")
            continue
        cost = f"{row.cost:.4f} ± {row.cost_error:.4f}"
        accuracy = f"{100 * row.accuracy:.2f} ± {100 * row.accuracy_error:.2f}"
        behind = "* chosen" if row is chosen else f"{row.behind:.4f} ± {row.behind_error:.4f}{' =' * (row in others)}"
        lines.append(f"{line}{cost:<18}{accuracy:<15}{behind}")
    lines.append(
        "± is one standard error over folds and seeds; folds share training examples, so it is somewhat too small."
    )
    lines.append(f"Chosen: {chosen.name}, the lowest mean validation cost.")
    if others:
        lines.append(
            f"Not told apart from it, within {ERRORS} standard errors (=): {len(others)} of {len(table)} settings."
        )
    edge = at_the_edge(table)
    if edge:
        where = ", ".join(f"{row.optimizer} {row.momentum:g}" for row in edge)
        lines.append(f"Best at the largest η tried, so a larger one may be better still: {where}.")
    return "\n".join(lines)


def _mean(values: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Mean and standard error, with the digits that float32 knows."""
    return float(f"{values.mean():.6g}"), float(f"{values.std(ddof=1) / len(values) ** 0.5:.6g}")
