"""The settings of a grid, the best first, and how sure their order is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.grid import Result, momentum_and_rate

STANDARD_ERRORS = 2
"""Settings that differ by no more than this many standard errors are not told apart."""


class Row(NamedTuple):
    """How a setting did: means over its networks; an error is the standard error of a mean.

    `behind` is how much worse than the best it is in what ranks, cost or accuracy, compared fold by fold and seed by
    seed. The standard deviation, `lowest` and `highest` are of the accuracy. `diverged` counts networks, and
    `diverged_at_step` is the earliest step at which one diverged.
    """

    optimizer: str
    batch_size: int
    momentum: float
    learning_rate: float
    effective_rate: float
    cost: float
    cost_error: float
    accuracy: float
    accuracy_error: float
    standard_deviation: float
    lowest: float
    highest: float
    behind: float
    behind_error: float
    diverged: int
    diverged_at_step: int | None


def order(result: Result) -> list[int]:
    """Order the settings, the best first; those with a diverged network come last."""
    score = (result.cost if result.grid.metric == "cost" else -result.accuracy).mean(axis=(1, 2))
    best_first: list[int] = np.lexsort((score, (result.diverged_at > 0).any(axis=(1, 2)))).tolist()
    return best_first


def rank(result: Result) -> list[Row]:
    """Describe the settings, the best first."""
    cost, accuracy, diverged_at = (
        values.reshape(len(values), -1) for values in (result.cost, result.accuracy, result.diverged_at)
    )
    cost = np.where(np.isfinite(cost), cost, np.nan)
    loss = cost if result.grid.metric == "cost" else 1 - accuracy
    indices, rows = order(result), []
    for index in indices:
        config, bad_steps = result.grid.configs[index], diverged_at[index][diverged_at[index] > 0]
        momentum, learning_rate = momentum_and_rate(config)
        mean_accuracy, accuracy_error = _mean(accuracy[index])
        behind, behind_error = _mean(loss[index] - loss[indices[0]])
        row = Row(
            *(config.optimizer, int(config.batch_size), momentum, learning_rate),
            round(learning_rate / (1 - momentum), 6),
            *_mean(cost[index]),
            *(mean_accuracy, accuracy_error),
            standard_deviation=accuracy_error * accuracy.shape[1] ** 0.5,
            lowest=float(accuracy[index].min()),
            highest=float(accuracy[index].max()),
            behind=behind,
            behind_error=behind_error,
            diverged=bad_steps.size,
            diverged_at_step=int(bad_steps.min()) if bad_steps.size else None,
        )
        rows.append(row)
    return rows


def not_told_apart(rows: Sequence[Row]) -> list[Row]:
    """Select the ranked settings that may be as good as the best."""
    return [row for row in rows[1:] if not row.diverged and row.behind <= STANDARD_ERRORS * row.behind_error]


def at_the_edge(rows: Sequence[Row]) -> list[Row]:
    """Select each optimizer's, batch size's and momentum's best setting, if its η is an end of those tried."""
    edge = []
    for shared in dict.fromkeys(row[:3] for row in rows):
        best, *others = [row for row in rows if row[:3] == shared]
        if len({best.learning_rate < other.learning_rate for other in others}) == 1 and not best.diverged:
            edge.append(best)
    return edge


def report(result: Result, guessing_accuracy: float) -> str:
    """Describe the settings in a table, the best first, and say what follows.

    Args:
        result: of the grid.
        guessing_accuracy: largest accuracy of a network that only guesses.
    """
    grid, rows, networks = result.grid, rank(result), result.grid.held_out * result.grid.seeds
    equal, edge = not_told_apart(rows), at_the_edge(rows)
    guessing = int(((result.accuracy.round(6) <= guessing_accuracy) & (result.diverged_at == 0)).sum())
    lines = [
        f"{grid.configs[0].epochs} epochs each on {result.fold_size * (grid.folds - 1):,} training examples, measured "
        f"on {result.fold_size:,} others; each setting {grid.held_out} × {grid.seeds} networks (folds × seeds)",
        *_table_lines(rows, equal, networks, grid.metric),
    ]
    if networks > 1:
        lines.append("± is the standard deviation over networks; in the last column, the standard error of the mean.")
    if grid.held_out > 1:
        lines.append("Folds share training examples, so the standard error is somewhat too small.")
    if guessing:
        lines.append(f"{guessing} of {result.cost.size} networks only guess: accuracy up to {guessing_accuracy:.0%}.")
    if rows[0].diverged:
        return "\n".join([*lines, "Every setting diverged: try smaller learning rates."])
    lines.append(f"Best: {name(rows[0])}, by {'lowest' if grid.metric == 'cost' else 'highest'} mean {grid.metric}.")
    if networks == 1:
        lines.append("One network a setting can't show whether settings differ; more seeds can.")
    elif equal:
        lines.append(
            f"Not told apart from it, within {STANDARD_ERRORS} standard errors (=): {len(equal)} of {len(rows)}."
        )
    elif len(rows) > 1:
        lines.append(f"All others are more than {STANDARD_ERRORS} standard errors worse.")
    if edge:
        lines.append(f"Best at an end of the η tried, so a rate beyond it may be better: {'; '.join(map(name, edge))}.")
    return "\n".join(lines)


def _table_lines(rows: Sequence[Row], equal: Sequence[Row], networks: int, metric: str) -> list[str]:
    """Lay out the settings, one a line."""
    scale, digits, behind = (1, 4, "cost above best") if metric == "cost" else (100, 2, "points below best")
    lines = [
        f"{'optimizer':<9}{'batch':>7}{'μ':>6}{'η':>9}{'η/(1−μ)':>9}{'cost':>9}{'accuracy (%)':>15}"
        f"{'lowest to highest':>19}  {behind}"
    ]
    for row in rows:
        line = f"{row.optimizer:<9}{row.batch_size:>7}{row.momentum:>6g}{row.learning_rate:>9g}{row.effective_rate:>9g}"
        if row.diverged:
            line += f"  {row.diverged} of {networks} networks diverged, the first at step {row.diverged_at_step:,}"
        else:
            line += f"{row.cost:>9.4f}{_with_error(100 * row.accuracy, 100 * row.standard_deviation, 2):>15}"
            line += f"{100 * row.lowest:>9.2f} to {100 * row.highest:.2f}".ljust(21)
            difference = _with_error(scale * row.behind, scale * row.behind_error, digits) + " =" * (row in equal)
            line += difference if row is not rows[0] else "* best"
        lines.append(line)
    return lines


def name(row: Row) -> str:
    """Name a setting."""
    return f"{row.optimizer}, batch {row.batch_size}, μ {row.momentum:g}, η {row.learning_rate:g}"


def to_csv(result: Result) -> str:
    """List every network as a line of CSV."""
    lines = ["optimizer,batch_size,momentum,learning_rate,fold,seed,accuracy,cost,training_cost,diverged_at_step"]
    for index in np.ndindex(result.cost.shape):
        config = result.grid.configs[index[0]]
        setting = (config.optimizer, config.batch_size, config.momentum, config.learning_rate, *index[1:])
        measured = [f"{values[index]:.7g}" for values in (result.accuracy, result.cost, result.training_cost)]
        lines.append(",".join(map(str, (*setting, *measured, result.diverged_at[index] or ""))))
    return "\n".join(lines) + "\n"


def _mean(values: Float[np.ndarray, "networks"]) -> tuple[float, float]:
    """Return the mean and its standard error, which one value doesn't give."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def _with_error(value: float, error: float, digits: int) -> str:
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")
