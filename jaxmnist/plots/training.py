"""The pictures of a training run: how it went, what the network looks for, where it errs."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from jaxmnist.plots.style import TEST, TRAIN

MARKED = 60
"""Epochs up to which each is a dot on its curve; of more, dots hide the curve."""


def learning_curves(history: Mapping[str, Float[np.ndarray, "epochs"]], title: str) -> Figure:
    """Mean cost and accuracy by epoch, training and test side by side.

    Args:
        history: train_cost, test_cost, train_accuracy and test_accuracy (shares, 0 to 1). Entry e is after epoch e;
            entry 0, the random start, is told in words, as it would flatten the rest.
        title: what was trained.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
    epochs = np.arange(1, len(history["train_cost"]))
    drawn = {"marker": "o", "markersize": 3} if len(epochs) <= MARKED else {"linewidth": 0.9}
    panels = (
        ("cost", "mean cost per example", 1, "{:.3f}"),
        ("accuracy", "accuracy (%)", 100, "{:.1f} %"),
    )
    for axes, (measure, label, unit, form) in zip(figure.subplots(1, 2), panels, strict=True):
        for part, name, colour in (("train", "training", TRAIN), ("test", "test", TEST)):
            values = unit * history[f"{part}_{measure}"]
            axes.plot(epochs, values[1:], color=colour, label=f"{name}, {form.format(values[-1])} at the end", **drawn)
        axes.set(xlabel="epoch", ylabel=label)
        axes.set_title(
            f"before training: {form.format(unit * history[f'test_{measure}'][0])} on the test set",
            fontsize="medium",
            color="0.35",
        )
        axes.set_xlim(0, epochs[-1] + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def weight_maps(before: Float[np.ndarray, "neurons 784"], after: Float[np.ndarray, "neurons 784"]) -> Figure:
    """What the first sixteen neurons of the first hidden layer look for, before and after training.

    Each map is a row of the first weight matrix laid out as 28×28: blue pixels raise the neuron, red ones lower it.
    """
    figure = Figure(figsize=(10, 6.4), layout=ConstrainedLayoutEngine(wspace=0.08))
    shown = min(16, len(after))
    figure.suptitle(f"Weights from the 28×28 pixels into {shown} neurons of the first hidden layer")
    panels = zip(figure.subplots(1, 2), (before, after), ("before training: random", "after training"), strict=True)
    for axes, weights, title in panels:
        limit = float(np.quantile(np.abs(weights), 0.995))
        drawn = axes.imshow(_mosaic(weights[:16]), cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
        label = "weight: red lowers the neuron, blue raises it"
        figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.7, pad=0.02, label=label, extend="both")
    return figure


def confusion(matrix: Int[np.ndarray, "10 10"], title: str) -> Figure:
    """How often each digit (row) was read as each digit (column); counts written, colour by share of the row."""
    figure = Figure(figsize=(6.6, 6.2), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.35, 0, 1))
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            colour = "white" if share[row, column] > 0.1 else "black"
            axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set(
        xticks=range(10),
        yticks=range(10),
        xlabel="digit read by the network",
        ylabel="digit written",
        title=title,
    )
    axes.tick_params(length=0)
    return figure


def mistakes(
    images: UInt8[np.ndarray, "n 784"],
    labels: UInt8[np.ndarray, "n"],
    outputs: Float[np.ndarray, "n 10"],
    title: str,
) -> Figure:
    """Digits that were read wrong, each with what it is, what it was read as, and both outputs."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(3, 6).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, image, label, output in zip(panels, images, labels, outputs, strict=False):
        read = int(np.argmax(output))
        axes.imshow(image.reshape(28, 28), cmap="gray_r", interpolation="nearest")
        axes.set_title(
            f"{label} read as {read}\n{output[read]:.2f} for {read}, {output[label]:.2f} for {label}",
            fontsize=9,
        )
    return figure


def _mosaic(maps: Float[np.ndarray, "n 784"]) -> Float[np.ndarray, "height width"]:
    """Up to sixteen 28×28 maps in rows of four, two empty pixels between them."""
    rows = -(-len(maps) // 4)
    page = np.full((30 * rows - 2, 118), np.nan)
    for place, values in enumerate(maps):
        top, left = 30 * (place // 4), 30 * (place % 4)
        page[top : top + 28, left : left + 28] = values.reshape(28, 28)
    return page
