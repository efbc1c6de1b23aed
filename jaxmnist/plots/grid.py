"""The figures of a grid: a sweep's accuracy as a map, and cross-validation's costs and errors by momentum."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from jaxmnist.plots.style import AMOUNT, BLUE, GREEN, ORANGE
from jaxmnist.studies.grid import Result
from jaxmnist.studies.grid_report import order

LARGEST_RANGE = 15
"""Percentage points that the map's colours show below the best."""
MAX_LABELS, MAX_PANELS = 16, 8
"""Most numbers in a row or column of a map, and most maps or momenta, of a grid however large."""
MAX_NUMBERS, MAX_DOTS = 500, 300
"""Most numbers on all maps together, and most networks of a setting that are drawn."""


def figures(result: Result, dataset: str) -> dict[str, Figure]:
    """Draw a grid: a map of the accuracy if one fold is held out, otherwise costs and errors by momentum."""
    if result.grid.held_out == 1:
        return {"accuracy.png": _accuracy_map(result, dataset)}
    return {"cross_validation.png": _by_momentum(result, dataset)}


def _accuracy_map(result: Result, dataset: str) -> Figure:
    """A panel for each optimizer and batch size; colour and first number are the mean over a setting's networks."""
    configs, accuracy = result.grid.configs, 100 * result.accuracy[:, 0]
    names = [f"{config.optimizer}, batch size {config.batch_size}" for config in configs]
    panels = list(dict.fromkeys(names))
    best_panels = list(dict.fromkeys(names[index] for index in order(result)))[:MAX_PANELS]
    panels = [panel for panel in panels if panel in best_panels]
    momenta = {momentum: row for row, momentum in enumerate(dict.fromkeys(config.momentum for config in configs))}
    rates = {rate: column for column, rate in enumerate(dict.fromkeys(config.learning_rate for config in configs))}
    means, (best, *_) = accuracy.mean(axis=1), order(result)
    high, low = means.max(), max(means.min(), means.max() - LARGEST_RANGE)
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    cells = len(rates) * len(momenta) * len(panels)
    numbered = max(len(rates), len(momenta)) <= MAX_LABELS and cells <= MAX_NUMBERS
    columns, rows = (len(rates), len(momenta)) if numbered else (6, 5)
    size = max(7.0, across * (1.2 + 1.05 * columns)), max(4.4, down * (1.5 + 0.62 * rows))
    figure = Figure(figsize=size, layout="constrained")
    some = f"; the best {MAX_PANELS} batch sizes" if len(best_panels) < len(set(names)) else ""
    title = f"{accuracy.size:,} networks, {configs[0].epochs} epochs each; the best setting is framed{some}"
    figure.suptitle(f"{dataset}: {title}")
    boxes = figure.subplots(down, across, squeeze=False).ravel()
    for axes, panel in zip(boxes, panels, strict=False):
        image = np.full((len(momenta), len(rates)), np.nan)
        for index in (index for index, name in enumerate(names) if name == panel):
            row, column = momenta[configs[index].momentum], rates[configs[index].learning_rate]
            image[row, column] = means[index]
            if index == best:
                # a frame of its own size would hide a small cell
                axes.add_patch(_frame(column, row, *((0.0, 0.0) if numbered else (len(rates) / 50, len(momenta) / 30))))
            if numbered:
                label = f"{means[index]:.2f}"
                label += f"\n± {accuracy[index].std(ddof=1):.2f}" if result.grid.seeds > 1 else ""
                colour = "white" if means[index] > (low + high) / 2 else "black"
                axes.text(column, row, label, ha="center", va="center", color=colour, fontsize=9)
        mapped = axes.imshow(image, cmap=AMOUNT, vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        axes.set(title=panel, xlabel="learning rate η", ylabel="momentum μ")
        axes.set_xticks(*_few_labels(rates))
        axes.set_yticks(*_few_labels(momenta))
        axes.tick_params(length=0)
        if not numbered:  # among many rates there are long ones
            axes.tick_params("x", rotation=90)
    for axes in boxes[len(panels) :]:
        axes.set_axis_off()
    label = "held-out accuracy (%), mean" + " ± standard deviation" * (numbered and result.grid.seeds > 1)
    figure.colorbar(mapped, ax=boxes.tolist(), label=label, extend="min" if low > means.min() else "neither")
    return figure


def _frame(column: int, row: int, wider: float, higher: float) -> Rectangle:
    """A frame around a cell of a map, by so many cells larger than it."""
    corner = column - 0.5 - wider / 2, row - 0.5 - higher / 2
    return Rectangle(corner, 1 + wider, 1 + higher, fill=False, color=ORANGE, lw=4, clip_on=False, zorder=3)


def _few_labels(values: Mapping[Any, int]) -> tuple[list[int], list[str]]:
    """Where to put the labels of some values, and those labels: at most `MAX_LABELS`, evenly spaced."""
    few = list(values)[:: -(-len(values) // MAX_LABELS)]
    return [values[value] for value in few], [f"{value:g}" for value in few]


def _by_momentum(result: Result, dataset: str) -> Figure:
    """Costs and errors by momentum coefficient, each at its best learning rate: networks, mean and standard error."""
    configs, (folds, seeds) = result.grid.configs, result.cost.shape[1:]
    all_momenta = list(dict.fromkeys(config.momentum for config in configs))
    best_momenta = list(dict.fromkeys(configs[index].momentum for index in order(result)))[:MAX_PANELS]
    momenta = [momentum for momentum in all_momenta if momentum in best_momenta]
    optimizers = list(dict.fromkeys(config.optimizer for config in configs))
    best = {(configs[index].optimizer, configs[index].momentum): index for index in reversed(order(result))}
    ticks = []
    for momentum in momenta:
        rates = dict.fromkeys(f"{configs[best[optimizer, momentum]].learning_rate:g}" for optimizer in optimizers)
        ticks.append(f"μ = {momentum:g}\nη = " + " /\n".join(rates))
    figure = Figure(figsize=(max(10, 2.5 * len(momenta)), 4.8), layout="constrained")
    some = f"; the best {MAX_PANELS} of {len(all_momenta):,} μ" if len(momenta) < len(all_momenta) else ""
    title = f"{folds} folds × {seeds:,} seeds, each μ at its best η ({' / '.join(optimizers)}){some}"
    figure.suptitle(f"{dataset}: {title}")
    every = -(-folds * seeds // MAX_DOTS)
    panels = {
        "mean cost per validation example": np.where(np.isfinite(result.cost), result.cost, np.nan),
        "validation examples read wrong (%)": 100 * (1 - result.accuracy),
    }
    for axes, (label, measured) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for number, (optimizer, colour) in enumerate(zip(optimizers, (BLUE, ORANGE, GREEN), strict=False)):
            values = measured[[best[optimizer, momentum] for momentum in momenta]].reshape(len(momenta), -1)
            middle = np.arange(len(momenta)) + 0.4 * (number - (len(optimizers) - 1) / 2) - 0.06
            drawn = values[:, ::every]
            dots = middle[:, None] + np.linspace(0.07, 0.17, drawn.shape[1])
            axes.plot(dots.ravel(), drawn.ravel(), ".", color=colour, alpha=0.35)
            error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
            name = f"{optimizer}: mean ± standard error beside {'its' if every == 1 else 'some of its'} networks"
            axes.errorbar(middle, values.mean(axis=1), error, color=colour, fmt="o", capsize=5, label=name)
        axes.set_xticks(range(len(momenta)), ticks)
        axes.set(yscale="log", ylabel=label, xlim=(-0.5, len(momenta) - 0.5))
        if not np.isfinite(axes.dataLim.minposy):  # nothing that a logarithmic axis can show
            axes.set_ylim(0.1, 1)
        axes.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter="")
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
