"""The figures of the race: how fast each method learns, and which way it takes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmnist.plots.animation import race_webp
from jaxmnist.plots.style import BLUE, COLOURS, Figures
from jaxmnist.studies.claims import quartiles
from jaxmnist.studies.landscape import Terrain
from jaxmnist.studies.methods import METHODS, Method
from jaxmnist.studies.race import Outcome, Result

DASHED = (0, (4, 2))


def figures(result: Result, terrains: Mapping[str, Terrain], dataset: str) -> Figures:
    """All figures of a race on a dataset, and its animation, by name; the terrains are from `landscape.run`."""
    settings, racing, measured = result.settings, result.examples["racing"], result.examples["measured"]
    drawn = {
        "curves.png": draw_curves(
            result.best,
            settings.thresholds,
            f"{dataset}: {settings.seeds} random starts, each method at its own best learning rate η",
            f"Line: median, its last step a dot; band: quartiles. Cost measured on {measured:,} of the {racing:,} "
            f"training examples that race. Minibatches of {settings.batch_size}, μ = {settings.momentum:g}.",
        )
    }
    caption = (
        "Each plane: through the mean of the paths, along their first two principal components. Contours: mean cost\n"
        f"in the plane, on {measured:,} training examples. The paths run beside it, so their own cost is another."
    )
    for name in ("gd_sgd", "sgd_momentum"):
        first, second = (METHODS[path.method] for path in terrains[name].paths)
        title = f"{dataset}: {first} and {second} from one random start"
        drawn[f"path_{name}.png"] = draw_paths(terrains[name], title, caption)
    terrain, rate = terrains["momentum_nesterov"], result.best["momentum"].learning_rate
    title = f"{dataset}: momentum and Nesterov from one random start, both at η = {rate:g}, μ = {settings.momentum:g}"
    drawn["path_momentum_nesterov.png"] = draw_look_ahead(terrain, terrains["close_up"], title, caption)
    title = f"{dataset}: four methods walk downhill from one start"
    each = {method: outcome.examples_per_step for method, outcome in result.best.items()}
    return {**drawn, "race.webp": partial(race_webp, terrains["race"], title, each)}


def draw_curves(outcomes: Mapping[Method, Outcome], thresholds: Sequence[float], title: str, caption: str) -> Figure:
    """Draw the mean training cost by examples seen and by steps: a line at the median, a band between the quartiles."""
    figure = _figure(10.0, 5.0, title, caption)
    by_examples, by_steps = figure.subplots(1, 2, sharey=True)
    for method, outcome in outcomes.items():
        low, middle, high = quartiles(outcome.costs[:, 1:])  # the start has no place on a logarithmic axis
        label = f"{METHODS[method]}, η = {outcome.learning_rate:g}"
        for axes, each in ((by_examples, outcome.examples_per_step), (by_steps, 1)):
            x = each * outcome.steps[1:]
            axes.fill_between(x, low, high, color=COLOURS[method], alpha=0.25, linewidth=0)
            axes.plot(x, middle, "o-", color=COLOURS[method], markevery=[-1], label=label)
    for axes in (by_examples, by_steps):
        axes.set(yscale="log", yticks=[*thresholds, 1], ylim=(0.7 * min(thresholds), 1.2 * max(1.0, *thresholds)))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    by_examples.set(xscale="log", xlabel="training examples seen (gradient evaluations)", ylabel="mean training cost")
    by_steps.set(xlabel="steps", xlim=(0, None))
    by_steps.legend(frameon=False)
    return figure


def draw_paths(terrain: Terrain, title: str, caption: str, dot_every: int = 20) -> Figure:
    """Draw two paths from a common start over contours of the cost, with a dot every so many points."""
    figure = _figure(8.0, 1.2 + 7.3 * _height_to_width(terrain), title, caption, "compressed")
    labels = [
        f"{METHODS[path.method]}, η = {path.learning_rate:g}: cost {path.costs[-1]:.2f} after "
        f"{path.every * (len(path.points) - 1):,} steps\n(in the plane "
        f"{_cost_in_plane(terrain, path.points[-1]):.2f}); a dot every {dot_every * path.every} steps"
        for path in terrain.paths
    ]
    axes = figure.subplots()
    _draw_terrain(axes, terrain, labels, (3.0, 1.3), dot_every)
    axes.set_aspect("equal")
    axes.legend(fontsize=9)
    return figure


def draw_look_ahead(terrain: Terrain, close_up: Terrain, title: str, caption: str) -> Figure:
    """Draw momentum and Nesterov's method: above the way down, below its first steps with what each is made of.

    The close-up has a third path, of the points that Nesterov's method looks ahead to.
    """
    ratio = _height_to_width(terrain)
    figure = _figure(7.4, 6.0 + 6.6 * ratio, title, caption)
    above, below = figure.subplots(2, 1, height_ratios=(6.6 * ratio, 4.0))
    heavy, light = terrain.paths
    labels = (
        f"momentum: cost {heavy.costs[-1]:.3f} at the end",
        f"Nesterov, its θ': cost {light.costs[-1]:.3f} looking ahead from the end",
    )
    _draw_terrain(above, terrain, labels, (1.0, 1.0))
    above.set_title(f"the first {len(heavy.points) - 1} steps, a dot each", fontsize="medium")
    above.set_aspect("equal")
    above.legend()

    _momentum, nesterov, ahead = (path.points for path in close_up.paths)
    _draw_terrain(below, close_up, ("momentum: θ", "Nesterov: θ'"), (1.6, 1.6))
    _draw_steps(below, nesterov, ahead)
    below.set_title(f"the first {len(nesterov) - 1} steps, close up: axes not to one scale", fontsize="medium")
    below.legend(fontsize=8)
    return figure


def _figure(
    width: float, height: float, title: str, caption: str, layout: Literal["constrained", "compressed"] = "constrained"
) -> Figure:
    figure = Figure(figsize=(width, height), layout=layout)
    figure.suptitle(title)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    return figure


def _cost_in_plane(terrain: Terrain, point: Float[np.ndarray, "2"]) -> float:
    """The cost at the point of the grid that is nearest to a point."""
    column, row = (np.abs(axis - at).argmin() for axis, at in zip((terrain.along, terrain.across), point, strict=True))
    return float(terrain.cost[row, column])


def _height_to_width(terrain: Terrain) -> float:
    return float(np.ptp(terrain.across) / np.ptp(terrain.along))


def _draw_terrain(
    axes: Axes, terrain: Terrain, labels: Sequence[str], widths: Sequence[float], dot_every: int = 1
) -> None:
    """Draw contours of the cost, and a path for each label."""
    low, high = float(terrain.cost.min()), float(terrain.cost.max())
    levels = np.geomspace(low, max(high, 1.01 * low), 16)
    axes.contourf(terrain.along, terrain.across, terrain.cost, levels, cmap="Greys", alpha=0.45)
    lines = axes.contour(terrain.along, terrain.across, terrain.cost, levels, colors="0.45", linewidths=0.6)
    axes.clabel(lines, fontsize=7, fmt="%.2f", colors="0.2")
    first, second = (f"{share:.0%}" if 0.01 <= share < 0.99 else f"{share:.1%}" for share in terrain.explained)
    axes.set_xlabel(f"first principal direction ({first} of the paths' variance)")
    axes.set_ylabel(f"second principal direction ({second})")
    x, y = terrain.paths[0].points[0]
    axes.text(x, y, "start  ", ha="right", va="center", fontsize=9, fontweight="bold")
    for path, label, width in zip(terrain.paths, labels, widths, strict=False):
        (line,) = axes.plot(*path.points.T, "o-", markevery=dot_every, label=label)
        line.set(color=COLOURS[path.method], linewidth=width, markersize=2 + 1.5 * width)


def _draw_steps(axes: Axes, points: Float[np.ndarray, "steps 2"], ahead: Float[np.ndarray, "steps 2"]) -> None:
    """Draw what each step is made of: μ v to the point looked ahead to, then the gradient taken there."""
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "linewidth": 1.3}
    steps = range(1, len(points) - 1)  # the first step has nothing to look ahead with
    for step in steps:
        carried = {**arrow, "color": "0.15", "linestyle": DASHED}
        axes.annotate("", tuple(ahead[step]), tuple(points[step]), arrowprops=carried)
        axes.annotate("", tuple(points[step + 1]), tuple(ahead[step]), arrowprops={**arrow, "color": BLUE})
    axes.plot(*ahead[list(steps)].T, "D", color="white", markeredgecolor="0.15", label="looked ahead: θ' + μ v")
    axes.plot([], [], color="0.15", linestyle=DASHED, label="what momentum carries on: μ v")
    axes.plot([], [], color=BLUE, label="the gradient there: −η ∇C(θ' + μ v)")
