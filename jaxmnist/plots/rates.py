"""The figures of the measured rates, one a problem."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmnist.plots.race import DASHED
from jaxmnist.plots.style import COLOURS
from jaxmnist.studies import rates_problems as problems
from jaxmnist.studies.rates import NAMES, PERIOD, Result, cycles, lower_bound
from jaxmnist.studies.rates_problems import KINKED_CONDITION, MOMENTUM, kinked_slope

EXACT = {"sgd": COLOURS["gd"], "momentum": COLOURS["momentum"], "nesterov": COLOURS["nesterov"]}
"""Colours where gradients are exact; with noisy ones, SGD has its own."""


def figures(result: Result) -> dict[str, Figure]:
    """All figures, by name."""
    return {
        "quadratics.png": draw_quadratics(result),
        "convex.png": draw_convex(result),
        "noise.png": draw_spread(result),
        "cycle.png": draw_cycle(result),
    }


def draw_quadratics(result: Result) -> Figure:
    """Draw the errors of one quadratic by steps, and the steps that all of them need."""
    steps = problems.FIRST_EVERY * np.arange(problems.READINGS + 1)
    figure = _captioned(
        10.5,
        "Quadratics: each method with its best constants",
        "Dots and solid lines: measured. Dashed: the theory; in the end the errors run parallel to it. "
        "At first momentum takes the steepest directions far out.",
    )
    errors, needed = figure.subplots(1, 2)
    for name, found in result.quadratics.items():
        factor = problems.best_constants(name, problems.FIRST_CONDITION)[2]
        errors.plot(steps, [1, *found.first], color=EXACT[name], label=NAMES[name])
        errors.plot(steps, factor**steps, color=EXACT[name], linestyle=DASHED, linewidth=1.2)
        needed.plot(problems.CONDITIONS, np.log(10) / found.rates, "o", color=EXACT[name], label=NAMES[name])
        needed.plot(problems.CONDITIONS, np.log(10) / found.theory, color=EXACT[name], linestyle=DASHED, linewidth=1.2)
    errors.set(yscale="log", xlabel="steps", ylabel="largest coordinate's distance from the minimum", ylim=(1e-7, 200))
    errors.set_title(f"the first steps at κ = {problems.FIRST_CONDITION:,.0f}", fontsize="medium")
    errors.legend(frameon=False)
    needed.set(xscale="log", yscale="log", xlabel="condition κ", ylabel="steps to a tenth of the error")
    needed.set_title("every further digit, past the first steps", fontsize="medium")
    needed.legend(frameon=False)
    return figure


def draw_convex(result: Result) -> Figure:
    """Draw the largest error on Nesterov's worst functions, between the bounds."""
    figure = _captioned(
        7.6,
        "Convex, but not strongly: Nesterov's worst functions",
        f"Dots: the largest error after k steps among functions of 3 to {2 * problems.CHAIN_STEPS + 1:,} variables.\n"
        "Dashed: what is proven of each method, of Nesterov's before it looks ahead. Grey: out of reach of any.",
        5.4,
    )
    axes = figure.subplots()
    steps = result.convex["sgd"].steps
    proven = {"sgd": (1 / (4 * steps + 2), "1/(4k+2)"), "nesterov": (2 / (steps + 1.0) ** 2, "2/(k+1)²")}
    labels = {"sgd": "gradient descent", "nesterov": "Nesterov, μₖ = (k−1)/(k+2)"}
    for name, found in result.convex.items():
        axes.plot(steps, found.worst, "o", color=EXACT[name], label=labels[name])
        bound, formula = proven[name]
        axes.plot(steps, bound, color=EXACT[name], linestyle=DASHED, linewidth=1.2, label=f"at most {formula}")
    least = lower_bound(steps)
    axes.fill_between(steps, 1e-9, least, color="0.88", linewidth=0)
    axes.plot(steps, least, color="0.35", label="at least 3/32(k+1)²")
    axes.set(xscale="log", yscale="log", xlim=(0.85, 1.2 * steps[-1]), ylim=(3e-8, 1), xlabel="steps k")
    axes.set_ylabel("error relative to L‖x₀−x*‖²")
    axes.legend(frameon=False, loc="lower left")
    return figure


def draw_spread(result: Result) -> Figure:
    """Draw the variance at rest by the step size, measured and in closed form."""
    figure = _captioned(
        7.6,
        f"Noisy gradients: how far SGD, momentum and Nesterov scatter, μ = {MOMENTUM}",
        f"Dots: variance of {problems.CHAINS:,} runs on ½x² with standard normal noise in the slope; their errors are "
        "smaller than they.\nLines: the closed forms of the AR(1), AR(2) and ARMA(2,1) processes.",
        5.2,
    )
    axes = figure.subplots()
    for name, found in result.noise.items():
        label, kept = ("SGD", 0.0) if name == "sgd" else (NAMES[name], MOMENTUM)
        colour = COLOURS["sgd"] if name == "sgd" else EXACT[name]
        sizes = np.geomspace(found.step_sizes[0], found.step_sizes[-1] * 1.04, 400)
        closed = [problems.stationary_variance(name, size * (1 - kept), MOMENTUM) for size in sizes]
        axes.plot(sizes, closed, color=colour, linewidth=1.4)
        axes.plot(found.step_sizes, found.variance, "o", color=colour, label=label)
    axes.annotate(
        "small steps: all three are\nSGD at η/(1−μ)", (0.03, 0.015), (0.0105, 0.4), arrowprops={"arrowstyle": "->"}
    )
    axes.set(xscale="log", yscale="log", xlabel="η/(1−μ)", ylabel="variance at rest")
    axes.legend(frameon=False, loc="lower right")
    return figure


def draw_cycle(result: Result) -> Figure:
    """Draw momentum's cycle on the function with kinks, and both methods' first steps from one start."""
    figure = _captioned(
        10.5,
        "Beyond quadratics, with the constants that are best on them",
        f"The function is smooth and strongly convex, κ = {KINKED_CONDITION:g}: where it is grey, its curvature is "
        "1/25 of that elsewhere.\nTicks: starts from which momentum goes round three points for ever.",
    )
    bowl, first = figure.subplots(1, 2)
    momentum = result.kinked["momentum"]
    cycling = np.flatnonzero(cycles(momentum))
    start = int(cycling[-1]) if cycling.size else 0
    _draw_bowl(bowl, momentum[-PERIOD - 1 :, start])
    bowl.plot(problems.STARTS[cycling], np.full(cycling.size, -0.45), "|", color=EXACT["momentum"], markersize=9)
    for name, path in result.kinked.items():
        first.plot(path[:31, start], "o-", color=EXACT[name], label=NAMES[name], markersize=5)
    first.axhline(0, color="0.35", linewidth=0.8, zorder=0)
    first.set(xlabel="steps", ylabel="x")
    first.set_title(f"the first 30 steps from {problems.STARTS[start]:g}", fontsize="medium")
    first.legend(frameon=False, loc="upper right")
    return figure


def _draw_bowl(axes: Axes, corners: Float[np.ndarray, "corners"]) -> None:
    x = np.linspace(-4, 4, 801)
    slope = np.asarray(kinked_slope(x), float)
    height = np.cumsum(slope) * (x[1] - x[0])
    height -= height.min()
    heights = np.interp(corners, x, height)
    axes.axvspan(1, 2, color="0.92", linewidth=0)
    axes.plot(x, height, color="0.35")
    for here in range(PERIOD):
        arrow = {"arrowstyle": "-|>", "color": EXACT["momentum"], "connectionstyle": "arc3,rad=-0.25", "linewidth": 1.5}
        begin, end = ((corners[at], heights[at]) for at in (here, here + 1))
        axes.annotate("", end, begin, arrowprops=arrow)
    axes.plot(corners, heights, "o", color=EXACT["momentum"], markersize=8)
    axes.plot(0, 0, "*", color="black", markersize=12)
    axes.set(xlabel="x", ylabel="f(x)", ylim=(-0.8, 5))
    axes.set_title("the function, and momentum's last steps", fontsize="medium")


def _captioned(width: float, title: str, caption: str, height: float = 4.6) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    return figure
