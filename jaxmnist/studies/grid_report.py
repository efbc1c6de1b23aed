"""The settings of a grid, the best first, and how sure their order is."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from jaxmnist.studies.grid import Result

CONFIDENCE = 0.95
"""Settings are told apart where 0 is outside this confidence interval of their difference, by Student's t."""
MAX_LINES, MAX_NAMES = 50, 10
"""Most settings in the printed table, and in a line."""


class Row(NamedTuple):
    """How a setting did, by its networks; an error is the standard error of a mean."""

    optimizer: str
    batch_size: int
    momentum: float  # μ
    learning_rate: float  # η
    effective_rate: float  # η/(1−μ); of SGD, which has no momentum, η
    cost: float  # mean
    cost_error: float
    accuracy: float  # mean
    accuracy_error: float
    standard_deviation: float  # of the accuracy
    lowest: float  # accuracy
    highest: float
    behind: float  # mean loss against the best setting, in cost or accuracy, paired by fold and seed
    behind_error: float
    behind_margin: float  # half the width of its 95 % confidence interval
    diverged: int  # networks
    diverged_at_step: int | None  # the earliest


def order(result: Result) -> list[int]:
    """Order the settings, the best first; those with a diverged network come last."""
    score = (result.cost if result.grid.metric == "cost" else -result.accuracy).mean(axis=(1, 2))
    return list(map(int, np.lexsort((score, (result.diverged_at > 0).any(axis=(1, 2))))))


def rank(result: Result) -> list[Row]:
    """Describe the settings, the best first."""
    indices, measured = order(result), (result.cost, result.accuracy, result.diverged_at)
    cost, accuracy, diverged_at = (values[indices].reshape(len(values), -1) for values in measured)
    cost = np.where(np.isfinite(cost), cost, np.nan)
    loss = cost if result.grid.metric == "cost" else 1 - accuracy
    mean_cost, mean_accuracy, behind = _mean(cost), _mean(accuracy), _mean(loss - loss[0])
    quantile = float(stdtrit(accuracy.shape[1] - 1, (1 + CONFIDENCE) / 2))  # NaN for one network
    rows = []
    for place, index in enumerate(indices):
        config, bad_steps = result.grid.configs[index], diverged_at[place][diverged_at[place] > 0].tolist()
        momentum, rate = float(np.asarray(config.momentum)), float(np.asarray(config.learning_rate))
        rows.append(
            Row(
                optimizer=config.optimizer,
                batch_size=int(config.batch_size),
                momentum=momentum,
                learning_rate=rate,
                effective_rate=round(rate if config.optimizer == "sgd" else rate / (1 - momentum), 6),
                cost=float(mean_cost[0][place]),
                cost_error=float(mean_cost[1][place]),
                accuracy=float(mean_accuracy[0][place]),
                accuracy_error=float(mean_accuracy[1][place]),
                standard_deviation=float(mean_accuracy[1][place] * accuracy.shape[1] ** 0.5),
                lowest=float(accuracy[place].min()),
                highest=float(accuracy[place].max()),
                behind=float(behind[0][place]),
                behind_error=float(behind[1][place]),
                behind_margin=float(quantile * behind[1][place]),
                diverged=len(bad_steps),
                diverged_at_step=min(bad_steps, default=None),
            )
        )
    return rows


def not_told_apart(rows: Sequence[Row]) -> list[Row]:
    """Select the ranked settings that may be as good as the best."""
    return [row for row in rows[1:] if not row.diverged and row.behind <= row.behind_margin]


def at_the_edge(rows: Sequence[Row]) -> list[Row]:
    """Select each optimizer's, batch size's and momentum's best setting, if its η is an end of those tried."""
    tried, edge = defaultdict[tuple[Any, ...], list[Row]](list), []
    for row in rows:
        tried[row[:3]].append(row)
    for best, *others in tried.values():
        if len({best.learning_rate < other.learning_rate for other in others}) == 1 and not best.diverged:
            edge.append(best)
    return edge


def report(result: Result, guessing_accuracy: float) -> str:
    """Describe the settings in a table and say how to read it; up to `guessing_accuracy`, a network only guesses."""
    grid, rows, networks = result.grid, rank(result), result.grid.held_out * result.grid.seeds
    edge = at_the_edge(rows)
    guessing = int(((result.accuracy.round(6) <= guessing_accuracy) & (result.diverged_at == 0)).sum())
    lines = [
        f"{grid.configs[0].epochs} epochs each on {result.fold_size * (grid.folds - 1):,} training examples, measured "
        f"on {result.fold_size:,} others; each setting {grid.held_out} × {grid.seeds:,} networks (folds × seeds)",
        *_table_lines(rows, not_told_apart(rows), networks, grid.metric),
    ]
    if networks > 1:
        lines.append("± is the standard deviation over networks; in the last column, the standard error of the mean.")
        lines.append(f"= may be as good as the best: 0 is in the difference's {CONFIDENCE:.0%} confidence interval.")
    if grid.held_out > 1:
        lines.append("Folds share training examples, so the standard error is somewhat too small.")
    if guessing:
        some = f"{guessing:,} of {result.cost.size:,}"
        lines.append(f"{some} networks only guess: accuracy up to {guessing_accuracy:.0%}.")
    if edge:
        more = f"; and {len(edge) - MAX_NAMES:,} more" if len(edge) > MAX_NAMES else ""
        named = "; ".join(map(_name, edge[:MAX_NAMES])) + more
        lines.append(f"Best at an end of the η tried, so a rate beyond it may be better: {named}.")
    return "\n".join(lines)


def conclusion(result: Result) -> str:
    """Name the best setting, and say whether it is told apart from the next, over networks paired by fold and seed."""
    metric, networks, rows = result.grid.metric, result.grid.held_out * result.grid.seeds, rank(result)
    best, *others = rows
    if best.diverged:
        return "Every setting diverged: try smaller learning rates."
    value = f"cost {best.cost:.4f}" if metric == "cost" else f"accuracy {best.accuracy:.2%}"
    line = f"Best: {_name(best)}, by {'lowest' if metric == 'cost' else 'highest'} mean {metric} ({value})."
    if not others:
        return line
    if networks == 1:
        return f"{line}\nOne network a setting can't show whether settings differ; more seeds can."
    following, same = others[0], not_told_apart(rows)
    if following.diverged:
        return f"{line}\nIn all other settings, networks diverged."
    told = "Not told apart from" if following in same else "Better than"
    low, high = following.behind - following.behind_margin, following.behind + following.behind_margin
    interval = f"{low:.4f} to {high:.4f}" if metric == "cost" else f"{100 * low:.2f} to {100 * high:.2f} points"
    line += f"\n{told} the next, {_name(following)}: {interval} worse ({CONFIDENCE:.0%} confidence interval)."
    return line + (f" {len(same):,} of {len(others):,} others may be as good (=)." if same else "")


def _table_lines(rows: Sequence[Row], same: Sequence[Row], networks: int, metric: str) -> Iterator[str]:
    scale, digits, behind = (1, 4, "cost above best") if metric == "cost" else (100, 2, "points below best")
    yield f"optimizer  batch     μ        η  η/(1−μ)     cost   accuracy (%)  lowest to highest  {behind}"
    alike = set(map(id, same))
    for row in rows[:MAX_LINES]:
        momentum = "none" if row.optimizer == "sgd" else f"{row.momentum:g}"
        line = f"{row.optimizer:<9}{row.batch_size:>7}{momentum:>6}{row.learning_rate:>9g}{row.effective_rate:>9g}"
        if row.diverged:
            line += f"  {row.diverged:,} of {networks:,} networks diverged, the first at step {row.diverged_at_step:,}"
        else:
            accuracy = _with_error(100 * row.accuracy, 100 * row.standard_deviation, 2)
            line += f"{row.cost:>9.4f}{accuracy:>15}{100 * row.lowest:>9.2f} to {100 * row.highest:<8.2f}"
            worse = _with_error(scale * row.behind, scale * row.behind_error, digits)
            line += "* best" if row is rows[0] else worse + " =" * (id(row) in alike)
        yield line
    if len(rows) > MAX_LINES:
        yield f"and {len(rows) - MAX_LINES:,} more, in the CSV file"


def _name(row: Row) -> str:
    momentum = "" if row.optimizer == "sgd" else f"μ {row.momentum:g}, "
    return f"{row.optimizer}, batch {row.batch_size}, {momentum}η {row.learning_rate:g}"


def to_csv(result: Result) -> Iterator[str]:
    """List every network that is trained, line by line of CSV."""
    recipe = "optimizer,batch_size,momentum,learning_rate"
    yield f"{recipe},fold,seed,accuracy,cost,training_cost,diverged_at_step,weights_sha256\n"
    for setting, config in enumerate(result.grid.configs):
        recipe = f"{config.optimizer},{config.batch_size},{config.momentum},{config.learning_rate}"
        for fold, start in np.argwhere(result.weights_sha256[setting].any(axis=-1)).tolist():
            index = setting, fold, start
            measured = [f"{values[index]:.7g}" for values in (result.accuracy, result.cost, result.training_cost)]
            bad_step, sha256 = result.diverged_at[index] or "", result.weights_sha256[index].tobytes().hex()
            yield f"{recipe},{fold},{result.grid.first_seed + start},{','.join(measured)},{bad_step},{sha256}\n"


def _mean(values: Float[np.ndarray, "rows n"]) -> tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "rows"]]:
    """Each row's mean and its standard error, which one value doesn't give."""
    n = values.shape[1]
    return values.mean(axis=1), values.std(axis=1, ddof=1) / n**0.5 if n > 1 else np.full(len(values), np.nan)


def _with_error(value: float, error: float, digits: int) -> str:
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")
