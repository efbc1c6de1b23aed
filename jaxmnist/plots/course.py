"""The figures of the notebooks: values in, one figure out, so that the cells are left to teach."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmnist.plots.style import AMOUNT, BLUE, COLOURS, GREEN, ORANGE, PINK, SIGNED, SKY

Line = tuple[npt.ArrayLike, npt.ArrayLike]
"""The x and the y of a curve."""


def curves(
    lines: Mapping[str, Line],
    xlabel: str,
    ylabel: str,
    log: Literal["", "x", "y", "xy"] = "",
    style: str = "-",
    dashed: Mapping[str, Line] | None = None,
    background: Sequence[Line] = (),
    dots: Mapping[str, tuple[Any, Any]] | None = None,
    **limits: tuple[Any, Any],
) -> Figure:
    """Draw curves.

    Args:
        lines: by their names; one whose name begins with _ stays out of the legend.
        xlabel: of the horizontal axis.
        ylabel: of the vertical axis.
        log: which axes are logarithmic.
        style: matplotlib's, of the lines.
        dashed: more curves; one with the name of a line has its colour and no place in the legend.
        background: grey curves, without names.
        dots: black points, with a text beside each.
        limits: xlim, ylim.
    """
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes, few = figure.subplots(), (BLUE, ORANGE, GREEN, PINK, SKY)
    shades = few if len(lines) <= len(few) else colormaps["viridis"](np.linspace(0, 0.95, len(lines)))
    colours = dict(zip(lines, shades, strict=False))
    for x, y in background:
        axes.plot(x, y, color="0.75", linewidth=1)
    for name, (x, y) in lines.items():
        axes.plot(x, y, style, color=colours[name], label=name, linewidth=2, markersize=4)
    for name, (x, y) in (dashed or {}).items():
        axes.plot(x, y, "--", color=colours.get(name, "0.5"), label=f"_{name}" if name in lines else name)
    for text, at in (dots or {}).items():
        axes.plot(*at, "o", color="black", zorder=3)
        axes.annotate(text, at, (8, 4), textcoords="offset points")
    axes.set(xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    axes.set(xlabel=xlabel, ylabel=ylabel, **limits)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if any(not name.startswith("_") for name in axes.get_legend_handles_labels()[1]):
        figure.legend(loc="outside right upper", frameon=False, markerscale=2)
    return figure


def bars(values: Mapping[str, int | float], xlabel: str, form: str = "{:,.0f}", log: bool = True) -> Figure:
    """Draw a horizontal bar for each value, with the value beside it."""
    figure = Figure(figsize=(8, 0.9 + 0.34 * len(values)), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(list(values), list(values.values()), color=BLUE)
    axes.bar_label(drawn, [form.format(value) for value in values.values()], padding=3)
    axes.set(xlabel=f"{xlabel} (logarithmic)" if log else xlabel, xscale="log" if log else "linear")
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def images(pictures: Mapping[str, npt.ArrayLike], signed: float | None = None, rows: int = 1) -> Figure:
    """Draw 28×28 images, given as 784 numbers; signed ones in orange and blue up to a value, or 0.0 for its own."""
    columns = -(-len(pictures) // rows)
    figure = Figure(figsize=(min(9, 2.6 * columns), 2.5 * rows), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(rows, columns, squeeze=False).flat, pictures.items(), strict=True):
        values = np.asarray(values).reshape(28, 28)
        limit = signed or float(np.abs(values).max())
        colours = {"cmap": "gray_r"} if signed is None else {"cmap": SIGNED, "vmin": -limit, "vmax": limit}
        axes.imshow(values, **colours)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    return figure


def pixels(image: npt.ArrayLike, title: str) -> Figure:
    """Draw an image, and its middle once more with its numbers."""
    page = np.asarray(image).reshape(28, 28)
    figure = Figure(figsize=(8.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(page, cmap="gray_r")
    left.plot([9.5, 18.5, 18.5, 9.5, 9.5], [4.5, 4.5, 13.5, 13.5, 4.5], color=ORANGE, linewidth=2)
    left.set_title(title)
    _write_values(right, page[5:14, 10:19], "{:.1f}", "gray_r", (0, 1))
    right.set(title="the orange square, in numbers", xticks=[], yticks=[])
    return figure


def layers(values: Mapping[str, npt.ArrayLike], title: str, form: str = "{:.2f}", signed: bool = False) -> Figure:
    """Draw a row of numbers for each layer: activations from 0 to 1, or signed values, each row on its own scale."""
    figure = Figure(figsize=(8.5, 0.6 + len(values)), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(len(values), 1)
    for axes, (name, row) in zip(panels, values.items(), strict=True):
        row = np.asarray(row)[None]
        limit = float(np.abs(row).max())
        _write_values(axes, row, form, SIGNED if signed else "gray_r", (-limit, limit) if signed else (0, 1))
        axes.set(xticks=range(row.size), yticks=[], xlim=(-0.5, 15.5))
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    panels[-1].set_xlabel("neuron; in the last layer the digit that it stands for")
    return figure


def heatmaps(
    panels: Mapping[str, npt.ArrayLike], xlabel: str, ylabel: str, signed: bool = False, stacked: bool = False
) -> Figure:
    """Draw matrices on one scale, beside or above each other: from 0 in blue, or signed in orange and blue."""
    matrices = [np.asarray(matrix) for matrix in panels.values()]
    limit = max(float(np.abs(matrix).max()) for matrix in matrices)
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    shape = (len(matrices), 1) if stacked else (1, len(matrices))
    heights = [len(matrix) + 0.4 for matrix in matrices] if stacked else None
    boxes = figure.subplots(*shape, squeeze=False, height_ratios=heights).ravel().tolist()
    for axes, title, matrix in zip(boxes, panels, matrices, strict=True):
        low, colours = (-limit, SIGNED) if signed else (0, AMOUNT)
        drawn = axes.imshow(matrix, cmap=colours, vmin=low, vmax=limit, aspect="auto")
        axes.set(xticks=range(matrix.shape[1]), yticks=range(len(matrix)) if len(matrix) > 1 else [])
        axes.set_title(title, fontsize=10)
    boxes[-1].set_xlabel(xlabel)
    boxes[0].set_ylabel(ylabel)
    figure.colorbar(drawn, ax=boxes)
    return figure


def ledger(panels: Mapping[str, npt.ArrayLike], label: int) -> Figure:
    """Draw the ten terms of squared-error costs, that of the right digit in orange."""
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    boxes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, terms) in zip(boxes, panels.items(), strict=True):
        axes.bar(range(10), terms, color=[ORANGE if digit == label else BLUE for digit in range(10)])
        axes.set(xticks=range(10), xlabel="output", title=f"{title}: C = {np.sum(terms):.2f}")
        axes.spines[["top", "right"]].set_visible(False)
    boxes[0].set_ylabel("(a − y)²; orange should be 1")
    return figure


def histogram(values: npt.ArrayLike, xlabel: str) -> Figure:
    """Draw how often values occur, and their mean."""
    figure = Figure(figsize=(7.5, 2.9), layout="constrained")
    axes, mean = figure.subplots(), float(np.asarray(values).mean())
    axes.hist(np.asarray(values), bins=40, color=SKY)
    axes.axvline(mean, color=ORANGE)
    axes.annotate(f" the mean: {mean:.3f}", (mean, 0.9), xycoords=("data", "axes fraction"), color=ORANGE)
    axes.set(xlabel=xlabel, ylabel=f"how many of {np.size(values):,}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def angles(degrees: Mapping[int, npt.ArrayLike], title: str) -> Figure:
    """Draw the angles between minibatches' gradients and the full one, by the size of the minibatch."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, values in enumerate(degrees.values()):
        spread = np.linspace(-0.18, 0.18, np.size(values))
        axes.plot(place + spread, values, ".", color=COLOURS["sgd"], alpha=0.5)
        axes.hlines(np.median(np.asarray(values)), place - 0.3, place + 0.3, color="black")
    axes.axhline(90, color="0.5", linestyle="--")
    axes.annotate("beyond a right angle a step leads uphill", (len(degrees) - 0.5, 92), ha="right", color="0.4")
    axes.set(xticks=range(len(degrees)), xticklabels=list(degrees), xlabel="examples in the minibatch", title=title)
    axes.set(ylabel="angle to the full gradient (degrees)", ylim=(0, 120))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def ravine(paths: Mapping[str, Float[np.ndarray, "points 2"]], titles: Sequence[str], steepness: float) -> Figure:
    """Draw the paths of some methods down ½ (x² + steepness · y²), one above the other."""
    figure = Figure(figsize=(8, 1.6 * len(paths)), layout="constrained")
    x, y = np.meshgrid(np.linspace(-4.5, 1.5, 80), np.linspace(-1.7, 1.7, 80))
    panels = figure.subplots(len(paths), 1, sharex=True)
    for axes, title, (name, path) in zip(panels, titles, paths.items(), strict=True):
        axes.contour(x, y, x**2 + steepness * y**2, levels=np.geomspace(0.1, 30, 9), colors="0.75", linewidths=0.8)
        axes.plot(*path.T, "o-", color=COLOURS[name], markersize=3.5, linewidth=1.2)
        axes.set_title(title, fontsize=10)
        axes.set_ylabel("across")
    panels[-1].set_xlabel("along the ravine")
    return figure


def walk(
    rates: npt.ArrayLike, momenta: npt.ArrayLike, costs: npt.ArrayLike, way: Sequence[tuple[float, float]], best: int
) -> Figure:
    """Draw a walk through learning rates and momenta over the final costs of a grid of runs, black from 2.5."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    shading = axes.contourf(rates, momenta, np.minimum(costs, 2.5), levels=np.linspace(0, 2.5, 26), cmap="Greys")
    figure.colorbar(shading, label="validation cost after training")
    axes.plot(*np.transpose(way), "o-", color=ORANGE, markersize=4)
    axes.plot(*way[0], "s", color=BLUE, markersize=9, label="start")
    axes.plot(*way[best], "*", color=GREEN, markersize=15, label="best")
    axes.set(xscale="log", xlabel="learning rate η", ylabel="momentum μ", title="every point a whole training run")
    axes.legend(loc="lower left")
    return figure


def _write_values(axes: Axes, matrix: Float[np.ndarray, "r c"], form: str, colours: Any, limits: Any) -> None:
    """Draw a matrix with its numbers written into it, white on dark."""
    axes.imshow(matrix, cmap=colours, vmin=limits[0], vmax=limits[1])
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if abs(value) > 0.55 * limits[1] else "black"
        axes.text(column, row, form.format(value), ha="center", va="center", color=colour, size=8)
