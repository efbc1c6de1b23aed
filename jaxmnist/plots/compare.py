"""The pictures of the race: how fast each method learns, and which way it takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from jaxmnist.plots.style import BLUE, GREEN, ORANGE, PINK
from jaxmnist.studies.claims import quartiles
from jaxmnist.studies.landscape import Terrain
from jaxmnist.studies.race import METHODS, Method

COLOURS: dict[Method, str] = {"gd": BLUE, "sgd": ORANGE, "momentum": GREEN, "nesterov": PINK}

DASHED = {"linestyle": (0, (4, 2))}


class Curve(NamedTuple):
    """How one method's networks learned.

    Attributes:
        method: which.
        learning_rate: η.
        steps: made at each look.
        examples: seen at each look.
        costs: of every seed's network, at each look.
    """

    method: Method
    learning_rate: float
    steps: Float[np.ndarray, "looks"]
    examples: Float[np.ndarray, "looks"]
    costs: Float[np.ndarray, "seeds looks"]


class Track(NamedTuple):
    """A path's shadow on a plane.

    Attributes:
        method: who went there.
        label: what the legend says.
        points: from the start, a point a step.
    """

    method: Method
    label: str
    points: Float[np.ndarray, "steps 2"]


def curves(race: Sequence[Curve], thresholds: Sequence[float], title: str, caption: str) -> Figure:
    """Mean training cost by examples seen and by steps: a line at the median, a band from quartile to quartile.

    Args:
        race: the methods.
        thresholds: costs at which steps are counted.
        title: what was raced.
        caption: how it was measured.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    figure.suptitle(title)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    by_examples, by_steps = figure.subplots(1, 2, sharey=True)
    for curve in race:
        low, middle, high = quartiles(curve.costs)
        for axes, reached in ((by_examples, curve.examples), (by_steps, curve.steps)):
            shown = slice(1, None)  # the start has no place on a logarithmic axis
            axes.fill_between(
                reached[shown], low[shown], high[shown], color=COLOURS[curve.method], alpha=0.25, linewidth=0
            )
            axes.plot(
                reached[shown],
                middle[shown],
                color=COLOURS[curve.method],
                label=f"{METHODS[curve.method]}, η = {curve.learning_rate:g}",
            )
    for axes in (by_examples, by_steps):
        axes.set_yscale("log")
        axes.set_ylim(0.7 * min(thresholds), 1.2)
        axes.yaxis.set_major_locator(FixedLocator([*thresholds, 1]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    by_examples.set(xscale="log", xlabel="training examples seen (gradient evaluations)", ylabel="mean training cost")
    by_steps.set(xlabel="steps")
    by_steps.set_xlim(left=0)
    by_steps.legend(frameon=False)
    return figure


def paths(
    terrain: Terrain, tracks: Sequence[Track], explained: Float[np.ndarray, "2"], every: int, title: str, caption: str
) -> Figure:
    """Paths from a common start over contours of the cost, all in one plane.

    Args:
        terrain: the cost in the plane.
        tracks: the paths' shadows on it.
        explained: the share of the paths' variance along each axis.
        every: steps from one dot to the next.
        title: whose paths.
        caption: what plane it is, and what of the paths it does not show.
    """
    figure = Figure(figsize=(8, 1.4 + 7.3 * _height_to_width(terrain)), layout="constrained")
    figure.suptitle(title)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    axes = figure.subplots()
    _contours(axes, terrain)
    for track, width in zip(tracks, (3.0, 1.3), strict=True):
        _path(axes, track, width, every)
    _principal_axes(axes, explained)
    axes.set_aspect("equal")
    axes.legend(loc="best")
    return figure


class CloseUp(NamedTuple):
    """The first steps of momentum and Nesterov's method, in a plane of their own.

    Attributes:
        terrain: the cost in the plane.
        explained: the share of the paths' variance along each axis.
        momentum: the parameters θ, a point a step.
        nesterov: the textbook's parameters θ', a point a step.
        ahead: the points θ' + μ v where Nesterov's method takes its gradients, one for each of its points.
    """

    terrain: Terrain
    explained: Float[np.ndarray, "2"]
    momentum: Float[np.ndarray, "steps 2"]
    nesterov: Float[np.ndarray, "steps 2"]
    ahead: Float[np.ndarray, "steps 2"]


def look_ahead(
    terrain: Terrain,
    tracks: Sequence[Track],
    explained: Float[np.ndarray, "2"],
    close: CloseUp,
    title: str,
    caption: str,
) -> Figure:
    """Momentum against Nesterov's method: above the way down, below its first steps with what each is made of.

    Args:
        terrain: the cost in the plane of the way down.
        tracks: both paths there.
        explained: the share of the paths' variance along each axis.
        close: the first steps.
        title: what is compared.
        caption: what planes they are.
    """
    ratio = _height_to_width(terrain)
    figure = Figure(figsize=(8, 6.5 + 7.2 * ratio), layout="constrained")
    figure.suptitle(title)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    above, below = figure.subplots(2, 1, height_ratios=(7.2 * ratio, 4.4))
    _contours(above, terrain)
    for track in tracks:
        _path(above, track, 1, 1)
    above.set_title(f"the first {len(tracks[0].points) - 1} steps, a dot each", fontsize="medium")
    _principal_axes(above, explained)
    above.set_aspect("equal")
    above.legend(loc="best")

    _contours(below, close.terrain)
    _path(below, Track("momentum", "momentum: θ", close.momentum), 1.6, 1)
    _path(below, Track("nesterov", "Nesterov: θ'", close.nesterov), 1.6, 1)
    steps = range(1, len(close.nesterov) - 1)
    for step in steps:
        _arrow(below, close.nesterov[step], close.ahead[step], "0.15", dashed=True)
        _arrow(below, close.ahead[step], close.nesterov[step + 1], BLUE, dashed=False)
    below.plot(*close.ahead[list(steps)].T, "D", color="white", markeredgecolor="0.15", label="looked ahead: θ' + μ v")
    below.plot([], [], color="0.15", **DASHED, label="what momentum carries on: μ v")
    below.plot([], [], color=BLUE, label="the gradient there: −η ∇C(θ' + μ v)")
    below.set_title(f"the first {len(close.nesterov) - 1} steps, close up: axes not to one scale", fontsize="medium")
    _principal_axes(below, close.explained)
    below.legend(loc="best", fontsize=8)
    return figure


def _height_to_width(terrain: Terrain) -> float:
    return float(np.ptp(terrain.across) / np.ptp(terrain.along))


def _contours(axes: Axes, terrain: Terrain) -> None:
    low, high = float(terrain.cost.min()), float(terrain.cost.max())
    levels = np.geomspace(low, max(high, 1.01 * low), 16)
    axes.contourf(terrain.along, terrain.across, terrain.cost, levels, cmap="Greys", alpha=0.45)
    lines = axes.contour(terrain.along, terrain.across, terrain.cost, levels, colors="0.45", linewidths=0.6)
    axes.clabel(lines, fontsize=7, fmt="%.2f")


def _path(axes: Axes, track: Track, width: float, every: int) -> None:
    axes.plot(
        *track.points.T,
        color=COLOURS[track.method],
        linewidth=width,
        marker="o",
        markersize=2 + 1.5 * width,
        markevery=every,
        label=track.label,
    )


def _arrow(
    axes: Axes, begin: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"], colour: str, *, dashed: bool
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.3}
    axes.annotate("", tuple(end), tuple(begin), arrowprops={**style, **(DASHED if dashed else {})})


def _principal_axes(axes: Axes, explained: Float[np.ndarray, "2"]) -> None:
    first, second = (f"{share:.0%}" if 0.01 <= share < 0.99 else f"{share:.1%}" for share in explained)
    axes.set(
        xlabel=f"first principal direction ({first} of the paths' variance)",
        ylabel=f"second principal direction ({second})",
    )
