"""The figures of a grid: a sweep's accuracy as a map, and cross-validation's costs and errors by momentum."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from jaxmnist.plots.style import BLUE, GREEN, ORANGE
from jaxmnist.studies.grid import Result
from jaxmnist.studies.grid_report import order

OPTIMIZER_COLOURS = {"momentum": BLUE, "nesterov": ORANGE, "sgd": GREEN}
LARGEST_RANGE = 15
"""Percentage points that the map's colours show below the best."""


def figures(result: Result, dataset: str) -> dict[str, Figure]:
    """Draw a grid: a map of the accuracy if one fold is held out, otherwise costs and errors by momentum.

    Args:
        result: of the grid.
        dataset: its name, for the title.
    """
    if result.grid.held_out == 1:
        return {"accuracy": _accuracy_map(result, dataset)}
    return {"cross_validation": _by_momentum(result, dataset)}


def _accuracy_map(result: Result, dataset: str) -> Figure:
    """A panel for each optimizer and batch size; colour and first number are the mean over a setting's networks."""
    configs = result.grid.configs
    names = [f"{config.optimizer}, batch size {config.batch_size}" for config in configs]
    panels = list(dict.fromkeys(names))
    momenta = list(dict.fromkeys(config.momentum for config in configs))
    rates = list(dict.fromkeys(config.learning_rate for config in configs))
    means, labels = np.full((len(panels), len(momenta), len(rates)), np.nan), {}
    for name, config, accuracy in zip(names, configs, 100 * result.accuracy, strict=True):
        cell = panels.index(name), momenta.index(config.momentum), rates.index(config.learning_rate)
        means[cell] = accuracy.mean()
        labels[cell] = f"{means[cell]:.2f}" + (f"\n± {accuracy.std(ddof=1):.2f}" if accuracy.size > 1 else "")
    high, lowest = float(np.nanmax(means)), float(np.nanmin(means))
    low = max(lowest, high - LARGEST_RANGE)
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    width, height = max(7.0, across * (1.2 + 1.05 * len(rates))), max(4.4, down * (1.5 + 0.62 * len(momenta)))
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(f"{dataset}: {result.accuracy.size} networks, {configs[0].epochs} epochs each")
    boxes = figure.subplots(down, across, squeeze=False).ravel()
    for index, axes in enumerate(boxes):
        if index >= len(panels):
            axes.set_axis_off()
            continue
        image = axes.imshow(means[index], cmap="cividis", vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        axes.set_title(panels[index])
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set_yticks(range(len(momenta)), [f"{momentum:g}" for momentum in momenta])
        axes.set(xlabel="learning rate η", ylabel="momentum μ")
        axes.tick_params(length=0)
    for (index, row, column), label in labels.items():
        colour = "black" if means[index, row, column] > (low + high) / 2 else "white"
        boxes[index].text(column, row, label, ha="center", va="center", color=colour, fontsize=9)
    label = "held-out accuracy (%), mean ± standard deviation"
    figure.colorbar(image, ax=boxes.tolist(), label=label, extend="min" if low > lowest else "neither")
    return figure


def _by_momentum(result: Result, dataset: str) -> Figure:
    """Costs and errors by momentum coefficient, each at its best learning rate: networks, mean and standard error.

    Both axes are logarithmic, as the worst coefficient costs several times what the best does.
    """
    configs = result.grid.configs
    momenta = list(dict.fromkeys(config.momentum for config in configs))
    optimizers = list(dict.fromkeys(config.optimizer for config in configs))
    best = {(configs[index].optimizer, configs[index].momentum): index for index in reversed(order(result))}
    ticks = []
    for momentum in momenta:
        rates = dict.fromkeys(f"{configs[best[optimizer, momentum]].learning_rate:g}" for optimizer in optimizers)
        ticks.append(f"μ = {momentum:g}\nη = {' / '.join(rates)}")
    folds, seeds = result.cost.shape[1:]
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    figure.suptitle(f"{dataset}: {folds} folds × {seeds} seeds, each μ at its best η ({' / '.join(optimizers)})")
    panels = {
        "mean cost per validation example": result.cost,
        "validation examples read wrong (%)": 100 * (1 - result.accuracy),
    }
    for axes, (label, measured) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for number, optimizer in enumerate(optimizers):
            rows = [best[optimizer, momentum] for momentum in momenta]
            offset = 0.4 * (number - (len(optimizers) - 1) / 2)
            _draw_networks(axes, measured[rows].reshape(len(rows), -1), offset, optimizer)
        axes.set_xticks(range(len(momenta)), ticks)
        axes.set(yscale="log", ylabel=label, xlim=(-0.5, len(momenta) - 0.5))
        if not np.isfinite(axes.dataLim.minposy):  # nothing that a logarithmic axis can show
            axes.set_ylim(0.1, 1)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_networks(axes: Axes, values: Float[np.ndarray, "momenta networks"], offset: float, optimizer: str) -> None:
    """Draw an optimizer's networks as dots beside their mean and its standard error."""
    values = np.where(np.isfinite(values), values, np.nan)
    middle = np.arange(len(values)) + offset - 0.06
    dots = middle[:, None] + np.linspace(0.07, 0.17, values.shape[1])
    colour = OPTIMIZER_COLOURS[optimizer]
    axes.plot(dots.ravel(), values.ravel(), ".", color=colour, alpha=0.35)
    error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
    label = f"{optimizer}: mean ± standard error beside its networks"
    axes.errorbar(middle, values.mean(axis=1), error, color=colour, fmt="o", capsize=5, label=label)
