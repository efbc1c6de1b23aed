"""The figure of one example: what the network makes of it, and what would lower its cost."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from jaxmnist.cost import COSTS
from jaxmnist.plots.style import AMOUNT, BLUE, ORANGE, PowerOfTen
from jaxmnist.studies.explanation import SHOWN, Explanation


def figures(result: Explanation, title: str) -> dict[str, Figure]:
    """Draw six panels: the digit, the neurons, the cost; the three levers, the weights' slopes, the pixels' weights."""
    figure = Figure(figsize=(11.5, 8))
    figure.suptitle(title, fontsize=11, y=0.985)
    (digit, neurons, cost), (levers, slopes, pixels) = figure.subplots(2, 3, width_ratios=(1, 1, 1.1))
    figure.subplots_adjust(left=0.08, right=0.95, bottom=0.12, top=0.86, wspace=0.34, hspace=0.45)
    gradient = np.asarray(result.back.gradient[0].weights)
    _draw_pixels(figure, digit, np.asarray(result.activations[0]), "gray_r", "the digit: 0 paper, 1 ink")
    _draw_neurons(neurons, result)
    _draw_cost(cost, result)
    _draw_levers(levers, result)
    _draw_slopes(slopes, result)
    what = f"the gradient: length of the {len(gradient)} slopes\nof each pixel's weights"
    _draw_pixels(figure, pixels, np.linalg.norm(gradient, axis=0), AMOUNT, what)
    digits = f"{result.automatic_digits:.1f} digits, with central differences to {result.numerical_digits:.1f}"
    figure.text(0.5, 0.02, f"The gradient by hand agrees with jax.grad to {digits}.", ha="center", fontsize=10)
    return {"explain.png": figure}


def _draw_pixels(
    figure: Figure, axes: Axes, values: Float[np.ndarray, "784"], colours: str | Colormap, title: str
) -> None:
    drawn = axes.imshow(values.reshape(28, 28), cmap=colours, vmin=0, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85, pad=0.05, format=PowerOfTen())
    bar.ax.yaxis.get_offset_text().set(x=0, horizontalalignment="left")  # a power of ten, off the panel's frame


def _draw_neurons(axes: Axes, result: Explanation) -> None:
    """Draw columns of circles, darker if more active, and the connections into the right output."""
    label, layers = result.label, [np.asarray(a[:SHOWN]) for a in result.activations[1:]]
    heights = [np.arange(len(a))[::-1] + (SHOWN - len(a)) / 2 for a in layers]
    last = len(layers) - 1
    if last:
        flows = np.asarray(result.params[-1].weights)[label, :SHOWN] * layers[-2]
        widths = 4 * np.abs(flows) / (np.abs(flows).max() or 1)
        for height, flow, width in zip(heights[-2], flows, widths, strict=True):
            style = {"color": BLUE if flow > 0 else ORANGE, "linewidth": width, "alpha": 0.8, "zorder": 1}
            axes.plot([last - 1, last], [height, heights[-1][label]], **style)
    for layer, (a, height) in enumerate(zip(layers, heights, strict=True)):
        shades = {"c": np.abs(a), "cmap": "gray_r", "vmin": 0, "vmax": max(1, np.abs(a).max())}
        axes.scatter(np.full(len(a), layer), height, s=80, edgecolors="0.3", zorder=2, **shades)
    for digit, height in enumerate(heights[-1]):
        weight = "bold" if digit == label else "normal"
        axes.text(last + 0.25, height, str(digit), va="center", fontsize=10, fontweight=weight)
    names = [f"layer {number}\n({a.size})" for number, a in enumerate(result.activations[1:], 1)]
    axes.set_xticks(range(len(layers)), names, fontsize=9)
    axes.set(yticks=[], xlim=(-0.5, last + 0.6))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    lines = f";\nw · x raises (blue) or lowers (orange) {label}" if last else ""
    axes.set_title(f"the neurons, darker if more active{lines}", fontsize=10)


def _draw_cost(axes: Axes, result: Explanation) -> None:
    """Draw each output beside its label, with the term that it adds to the cost."""
    digits = np.arange(10)
    axes.barh(digits, result.activations[-1], height=0.6, color=BLUE)
    axes.scatter(digits == result.label, digits, marker="|", s=160, color="black", linewidths=2.5, zorder=3)
    terms = [f"{term:.6f}" for term in result.terms]
    for row, text in enumerate((COSTS[result.config.cost].formula, *terms, f"C = {result.back.cost:.6f}"), -1):
        weight = "normal" if 0 <= row < 10 else "bold"
        axes.text(1.75, row, text, va="center", ha="right", fontsize=9.5, fontweight=weight)
    axes.set(yticks=digits, ylim=(10.6, -1.6), xlim=(0, 1.75), xticks=[0, 0.5, 1], ylabel="digit")
    axes.set_xlabel("activation", x=0.285)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)
    axes.spines["left"].set_bounds(-0.5, 9.5)
    axes.set_title("the ledger: outputs a (bars),\nlabel y (ticks), and their cost", fontsize=10)


def _draw_levers(axes: Axes, result: Explanation) -> None:
    position = np.arange(3)
    axes.bar(position - 0.2, [lever.predicted for lever in result.levers], 0.38, color=BLUE, label="predicted")
    axes.bar(position + 0.2, [lever.measured for lever in result.levers], 0.38, color=ORANGE, label="measured")
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set(xticks=position, xticklabels=("bias", "weights", "activations\nbefore"), ylabel="change of the cost C")
    axes.margins(y=0.4)
    _label(axes, f"three levers that raise the output for {result.label},\neach moved by a length of 0.01")


def _draw_slopes(axes: Axes, result: Explanation) -> None:
    inputs, delta = np.asarray(result.activations[-2]), float(result.levers.bias.slopes[0])
    ends = np.array([min(0.0, inputs.min()), max(1e-3, inputs.max())])
    axes.plot(ends, delta * ends, color=BLUE, label=f"δx, δ = {delta:.3g}".replace("-", "−"))
    axes.scatter(inputs, result.measured, color=ORANGE, s=30, zorder=3, label="measured")
    axes.set(xlabel="input x of the weight", ylabel="slope ∂C/∂w")
    axes.grid(alpha=0.3)
    _label(axes, f"the weights into {result.label}:\na slope is δ times the input")


def _label(axes: Axes, title: str) -> None:
    axes.yaxis.set_major_formatter(PowerOfTen())
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, fontsize=10)
