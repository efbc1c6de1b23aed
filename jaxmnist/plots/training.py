"""The figures of a training run: how it went, what the network responds to, where it errs."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxmnist.network import Params
from jaxmnist.plots.style import AMOUNT, SIGNED, TEST, TRAIN, draw_images
from jaxmnist.runs.results import METRICS, Run
from jaxmnist.studies.evaluation import confusion_matrix, worst_mistakes
from jaxmnist.training import History

MAPS = 16
"""Most neurons whose weights are drawn."""
MAX_EPOCHS_MARKED = 60
"""Epochs up to which each is a dot on its curve; more dots would hide the curve."""


def figures(
    run: Run, history: Sequence[History], before: Params, after: Params, outputs: Float[np.ndarray, "n 10"]
) -> dict[str, Figure]:
    """Draw the figures that a run leaves in its folder, by file name; `outputs` are for the images of the test set."""
    name, config, (images, labels) = run.splits.name, run.config, map(np.asarray, run.splits.test)
    matrix, worst = confusion_matrix(labels, outputs.argmax(axis=1)), worst_mistakes(outputs, labels, most=18)
    right, examples = int(matrix.trace()), len(labels)
    columns = {column: np.array([value(entry) for entry in history]) for column, value in METRICS.items()}
    momentum = "" if config.optimizer == "sgd" else f", μ = {config.momentum:g}"
    recipe = (
        f"{name}: {'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}\n{config.optimizer}, "
        f"η = {config.learning_rate:g}{momentum}, {config.schedule} schedule, minibatches of {config.batch_size}"
    )
    read = f"{right:,} of {examples:,} test images of {name} read correctly"
    surest = f"{name}: the {len(worst)} most confident of {examples - right:,} mistakes on the test set"
    return {
        "curves.png": learning_curves(columns, recipe),
        "weights.png": weight_maps(np.asarray(before[0].weights), np.asarray(after[0].weights)),
        "confusion.png": confusion(matrix, read),
        "mistakes.png": mistakes(images[worst], labels[worst], outputs[worst], surest),
    }


def learning_curves(history: Mapping[str, Float[np.ndarray, "epochs"]], title: str) -> Figure:
    """Draw mean cost and accuracy by epoch, training and test side by side.

    The history is train_cost, test_cost, train_accuracy and test_accuracy (shares, 0 to 1). Entry e is after epoch e;
    entry 0, the random start, is only written, as it would flatten the curves.
    """
    figure = Figure(figsize=(10, 4.6))
    figure.suptitle(title)
    edges = {"left": 0.07, "right": 0.99, "bottom": 0.11, "top": 0.81, "wspace": 0.17}
    epochs = np.arange(1, len(history["train_cost"]))
    style = {"marker": "o", "markersize": 3} if len(epochs) <= MAX_EPOCHS_MARKED else {"linewidth": 0.9}
    panels = ("cost", "mean cost per example", 1, "{:.3f}"), ("accuracy", "accuracy (%)", 100, "{:.1f} %")
    for axes, (measure, label, unit, form) in zip(figure.subplots(1, 2, gridspec_kw=edges), panels, strict=True):
        for part, name, colour in (("train", "training", TRAIN), ("test", "test", TEST)):
            values = unit * history[f"{part}_{measure}"]
            axes.plot(epochs, values[1:], color=colour, label=f"{name}, {form.format(values[-1])} at the end", **style)
        start = form.format(unit * history[f"test_{measure}"][0])
        axes.set_title(f"before training: {start} on the test set", fontsize="medium", color="0.35")
        axes.set(xlabel="epoch", ylabel=label, xlim=(0, epochs[-1] + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def weight_maps(before: Float[np.ndarray, "neurons 784"], after: Float[np.ndarray, "neurons 784"]) -> Figure:
    """Draw the weights into the first sixteen neurons of the first hidden layer, before and after training.

    Each map is a row of the first weight matrix laid out as 28×28: blue pixels raise the neuron, orange ones lower it.
    """
    rows, limits = -(-min(MAPS, len(after)) // 4), [float(np.quantile(np.abs(w), 0.995)) for w in (before, after)]
    height = 1.75 + 1.16 * rows  # inches: titles and colour bars, and square maps
    figure = Figure(figsize=(10, height))
    figure.suptitle(f"Weights from the 28×28 pixels into {min(MAPS, len(after))} neurons of the first hidden layer")
    space = {"left": 0.01, "right": 0.99, "bottom": 0.6 / height, "top": 1 - 0.8 / height, "wspace": 0.06}
    maps, bars = figure.subplots(2, 2, height_ratios=(1.16 * rows, 0.18), gridspec_kw={**space, "hspace": 0.1})
    titles = "before training: random", f"after training{_scale(*limits)}"
    for axes, bar, weights, limit, title in zip(maps, bars, (before, after), limits, titles, strict=True):
        mosaic = axes.imshow(_mosaic(weights[:MAPS]), cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
        label = "weight: orange lowers the neuron, blue raises it"
        figure.colorbar(
            mosaic, cax=bar, location="bottom", extend="both", ticks=MaxNLocator(5, steps=[1, 2, 5, 10]), label=label
        )
    return figure


def _scale(first: float, second: float) -> str:
    """Say how the second panel's colours differ from the first's, unless they mean nearly the same."""
    low, high = sorted((first, second))
    if high < 1.25 * low or not low:
        return ""
    return f": the scale is {high / low:.2g} times {'larger' if second > first else 'smaller'}"


def confusion(matrix: Int[np.ndarray, "10 10"], title: str) -> Figure:
    """Draw how often each digit (row) was read as each digit (column): counts; colour is the share of the row."""
    figure = Figure(figsize=(7.6, 6.8))
    edges = {"left": 0.08, "right": 0.885, "bottom": 0.08, "top": 0.91, "wspace": 0.06}
    axes, bar = figure.subplots(1, 2, width_ratios=(25, 1), gridspec_kw=edges)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shades = axes.imshow(100 * share, cmap=AMOUNT, norm=PowerNorm(0.35, 0, 100))
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            colour = "white" if share[row, column] > 0.1 else "black"
            axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
    digits = range(10)
    axes.set(xticks=digits, yticks=digits, xlabel="digit read by the network", ylabel="digit written", title=title)
    axes.tick_params(length=0)
    label = "share of its row (%), on an uneven scale that shows rare mistakes"
    figure.colorbar(shades, cax=bar, ticks=(0, 1, 5, 20, 50, 100), format="{x:g}", label=label)
    return figure


def mistakes(
    images: UInt8[np.ndarray, "n 784"], labels: UInt8[np.ndarray, "n"], outputs: Float[np.ndarray, "n 10"], title: str
) -> Figure:
    """Draw up to 18 misread digits, each with its label, the network's answer, and the outputs for both."""
    figure = Figure(figsize=(10, 5.6))
    figure.suptitle(title)
    texts = [
        f"{label} read as {read}\n{row[read]:.2f} for {read}, {row[label]:.2f} for {label}"
        for label, row, read in zip(labels, outputs, outputs.argmax(axis=1), strict=True)
    ]
    draw_images(figure.add_axes((0.01, 0.01, 0.98, 0.9)), images, texts, rows=3)
    return figure


def _mosaic(maps: Float[np.ndarray, "n 784"]) -> Float[np.ndarray, "height width"]:
    """Arrange up to sixteen 28×28 maps in rows of four, two empty pixels between them."""
    tiles = np.full((-(-len(maps) // 4), 4, 30, 30), np.nan)
    tiles.reshape(-1, 30, 30)[: len(maps), :28, :28] = maps.reshape(-1, 28, 28)
    return tiles.swapaxes(1, 2).reshape(-1, 120)[:-2, :-2]
