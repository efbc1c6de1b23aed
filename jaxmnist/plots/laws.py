"""The figure of a law: two ways from one thing to another, and how far apart they end."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxmnist.plots.style import BLUE, GREEN, ORANGE


def two_ways(start: str, end: str, upper: Sequence[str], lower: Sequence[str], distance: float) -> Figure:
    """Draw a law as a diagram.

    Args:
        start: where both ways begin.
        end: where both arrive.
        upper: the functions on the upper way, in order.
        lower: those on the lower way.
        distance: how far apart both ends are, relative to their size; 0 says that they are the same bit for bit.
    """
    figure = Figure(figsize=(7.5, 1.9), layout="constrained")
    axes = figure.subplots()
    for names, height, colour in ((upper, 0.5, BLUE), (lower, -0.5, ORANGE)):
        stops = [(0.0, 0.0), *((x, height) for x in np.linspace(0.12, 0.88, len(names) + 1)), (1.0, 0.0)]
        axes.plot(*zip(*stops[:2], strict=True), color=colour)
        arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 3}
        for name, before, after in zip(names, stops[1:-2], stops[2:-1], strict=True):
            axes.annotate("", after, before, arrowprops=arrow)
            middle = ((before[0] + after[0]) / 2, height + (0.13 if height > 0 else -0.13))
            axes.text(*middle, name, ha="center", va="bottom" if height > 0 else "top", color=colour)
        axes.annotate("", stops[-1], stops[-2], arrowprops=arrow)
    for x, name in ((0, start), (1, end)):
        axes.text(x, 0, name, ha="right" if x == 0 else "left", va="center", fontweight="bold")
    verdict = "the same, bit for bit" if distance == 0 else f"the same up to rounding: {distance:.0e}"
    axes.text(0.5, 0, verdict.replace("-", "−"), ha="center", va="center", color=GREEN, fontweight="bold")
    axes.set(xlim=(-0.3, 1.3), ylim=(-1, 1))
    axes.set_axis_off()
    return figure
