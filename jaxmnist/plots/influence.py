"""The figures of influence: which digits taught the network another one, and whether slopes predict what they do."""

import numpy as np
from jaxtyping import Array, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmnist.plots.style import BLUE, GREEN, ORANGE
from jaxmnist.studies.influence import Result, agreement

SHOWN = 5
"""Most test digits, and examples on each side of one, in the figure."""


def figures(result: Result, title: str = "") -> dict[str, Figure]:
    """Draw who taught and who misled after the first key's run, and the predictions beside the measurements."""
    return {"influence.png": _draw_digits(result, title), "influence_measured.png": _draw_measured(result, title)}


def _draw_digits(result: Result, title: str) -> Figure:
    """Draw a row for each test digit: itself, those that taught it, and those that misled."""
    tests = min(SHOWN, len(result.tests.labels))
    figure = Figure(figsize=(11, 1.3 + 1.15 * tests))
    gap = 0.35
    columns = (1.25, gap, *[1] * SHOWN, gap, *[1] * SHOWN)
    panels = figure.subplots(tests, len(columns), squeeze=False, width_ratios=columns)
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 1.02 / figure.get_figheight(), bottom=0.02, hspace=0.35)
    for test, row in enumerate(panels):
        for axes in row:
            axes.set_axis_off()
        change = result.measured[0, 0, -1, test]
        order = np.argsort(change)
        _draw_digit(row[0], result.tests.images[test], f"cost {result.costs[0, -1, test]:.3f}", "0.3")
        for axes, example in zip(row[2 : 2 + SHOWN], order[::-1][:SHOWN], strict=True):
            _draw_digit(axes, result.train_set.images[example], f"{change[example]:+.3f}", BLUE)
        for axes, example in zip(row[3 + SHOWN :], order[:SHOWN], strict=True):
            _draw_digit(axes, result.train_set.images[example], f"{change[example]:+.3f}", ORANGE)
    for column, text, colour in (
        (0, "the test\ndigit", "0.3"),
        (2 + SHOWN // 2, "taught it: leaving one of these\nout raises its cost by", BLUE),
        (3 + SHOWN + SHOWN // 2, "misled it: leaving one of these\nout lowers its cost by", ORANGE),
    ):
        box = panels[0, column].get_position()
        figure.text((box.x0 + box.x1) / 2, box.y1 + 0.3 / figure.get_figheight(), text, ha="center", color=colour)
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_digit(axes: Axes, image: UInt8[Array, "784"] | UInt8[np.ndarray, "784"], text: str, colour: str) -> None:
    axes.imshow(np.asarray(image).reshape(28, 28), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(text.replace("-", "−"), fontsize=9, color=colour, pad=3)
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=colour, linewidth=2)


def _draw_measured(result: Result, title: str) -> Figure:
    """Draw predictions beside measurements after the last epoch, and how far they agree after each."""
    figure = Figure(figsize=(10.5, 4.3), layout="constrained")
    figure.suptitle(title, fontsize=11)
    points, curves = figure.subplots(1, 2)
    predicted, (without, less) = result.predicted[0, -1].ravel(), result.measured[0, :, -1].reshape(2, -1)
    points.plot(predicted, without, ".", color=BLUE, markersize=4, label="training without the example")
    points.plot(predicted, less, ".", color=GREEN, markersize=2, label="with a tenth less of it, times 10")
    points.axline((0, 0), slope=1, color="0.3", linewidth=0.8)
    points.set(xlabel="predicted by the slope", ylabel="measured", title="change of a test digit's cost")
    points.legend(frameon=False, fontsize=9)
    epochs = np.arange(1, int(result.config.epochs) + 1)
    names = ("slope, and training without the example", "slope, and a tenth less of it", "the measured, of two runs")
    for values, name, colour in zip(agreement(result), names, (BLUE, GREEN, ORANGE), strict=True):
        if len(values):
            curves.plot(epochs, np.median(values, axis=0), color=colour, label=name)
            curves.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    curves.axhline(0, color="0.3", linewidth=0.8)
    curves.set(xlabel="epoch", ylabel="rank correlation", ylim=(-0.2, 1.05), title="do they agree? medians and ranges")
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.legend(frameon=False, fontsize=9, loc=(0.03, 0.6))
    for axes in (points, curves):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
