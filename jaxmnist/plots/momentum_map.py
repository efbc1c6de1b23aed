"""The figure of the map of momentum: steps needed, by η/(1−μ), beside SGD's."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from jaxmnist.plots.style import BLUE, GREEN, ORANGE, PINK, SKY
from jaxmnist.studies.claims import quartiles
from jaxmnist.studies.momentum_map import THRESHOLDS, Result, methods
from jaxmnist.studies.momentum_map_report import best_lengths


def figures(result: Result, dataset: str) -> dict[str, Figure]:
    """Draw a panel for each method and batch size: where a curve lies on SGD's, momentum is SGD at η/(1−μ)."""
    batch_sizes, seeds = list(result.map.epochs), result.map.seeds - result.map.tuning_seeds
    figure = Figure(figsize=(1.6 + 2.3 * len(batch_sizes), 5.8), layout="constrained")
    figure.suptitle(f"{dataset}: steps to a training cost of {THRESHOLDS[0]:g}, median of {seeds} random starts")
    panels = figure.subplots(2, len(batch_sizes), sharex=True, sharey="col", squeeze=False)
    for row, method in enumerate(("momentum", "nesterov")):
        for column, batch_size in enumerate(batch_sizes):
            _draw(panels[row, column], result, column, method)
            panels[row, column].set_title(f"{method}, batch size {batch_size}", fontsize=10)
        panels[row, 0].set_ylabel("steps")
    for axes in panels[-1]:
        axes.set_xlabel("η/(1−μ)")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]), frameon=False)
    return {"momentum_map.png": figure}


def _draw(axes: Axes, result: Result, batch: int, method: str) -> None:
    """Draw SGD's curve and a method's, one for each μ; a large dot is at the length chosen on other seeds."""
    best, lengths = best_lengths(result), np.array(result.map.lengths)
    colours = iter((SKY, BLUE, GREEN, ORANGE, PINK))
    for row, (name, momentum) in enumerate(methods(result.map)):
        if name in ("sgd", method):
            colour, label = ("black", "SGD") if name == "sgd" else (next(colours), f"μ = {momentum:g}")
            tested = result.steps[batch, row, :, result.map.tuning_seeds :, 0]
            steps = quartiles(tested.T)[1]
            steps = np.where(np.isfinite(steps), steps, np.nan)
            width = 3.5 if name == "sgd" else 1.5
            axes.plot(lengths, steps, color=colour, linewidth=width, alpha=0.8, label=label)
            axes.plot(lengths[best[batch][row]], steps[best[batch][row]], "o", color=colour)
    axes.set(xscale="log", yscale="log")
    if not np.isfinite(axes.dataLim.minposy):  # no curve got there, and a logarithmic axis needs a range
        axes.set_ylim(1, 10)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:,g}", minor_formatter="")
    axes.grid(alpha=0.3, which="major")
    axes.spines[["top", "right"]].set_visible(False)
