"""The race as an animation: four methods walk over the landscape of the cost, from one start, step by step."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from jaxmnist.plots.style import COLOURS
from jaxmnist.studies.landscape import Path, Terrain
from jaxmnist.studies.methods import METHODS, Method

FRAMES = 80  # at most
START, WALK, END = 800, 7_000, 2_500  # milliseconds for the first frame, for all between, and for the last
CAPTION = "Left: the cost in the plane where the paths spread most; dark is high. They run beside it, at other costs."
SMALL = {"fontsize": 8.5, "color": "0.35"}

Advance: TypeAlias = Callable[[int], Sequence[Artist]]  # moves artists to the paths' points of an index


def race_webp(terrain: Terrain, title: str, examples_per_step: Mapping[Method, int]) -> bytes:
    """Draw paths with points at the same steps, and return an animated WebP file that repeats for ever."""
    figure = Figure(figsize=(9.0, 5.4), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    figure.text(0.02, 0.94, title, fontsize=14, fontweight="bold")
    figure.text(0.02, 0.025, CAPTION, SMALL)
    advances = (
        _draw_landscape(figure.add_axes((0.02, 0.08, 0.5, 0.835)), terrain),
        _draw_costs(figure.add_axes((0.6, 0.155, 0.38, 0.26)), terrain.paths),
        _write_rows(figure, terrain.paths, examples_per_step),
    )
    canvas.draw()
    background, frames = canvas.copy_from_bbox(figure.bbox), []
    count = len(terrain.paths[0].points)
    for index in np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int).tolist():
        canvas.restore_region(background)
        for artist in (artist for advance in advances for artist in advance(index)):
            figure.draw_artist(artist)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    durations = [START, *[WALK // len(frames)] * (len(frames) - 2), END][-len(frames) :]
    options = {"lossless": True, "quality": 20, "method": 1}  # smaller than lossy: little changes from frame to frame
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return buffer.getvalue()


def _draw_landscape(axes: Axes, terrain: Terrain) -> Advance:
    levels = np.unique(np.quantile(terrain.cost, np.linspace(0, 1, 14)))  # each grey covers as much of the plane
    if len(levels) > 1:
        greys = [str(grey) for grey in np.linspace(1, 0.65, len(levels) - 1)]
        axes.contourf(terrain.along, terrain.across, terrain.cost, levels, colors=greys)
        axes.contour(terrain.along, terrain.across, terrain.cost, levels, colors="0.5", linewidths=0.5)
    axes.set(aspect="equal", xticks=[], yticks=[], anchor="W")
    x, y = terrain.paths[0].points[0]
    axes.plot(x, y, "o", color="black", markersize=7)
    axes.annotate("start", (x, y), (0, -17), textcoords="offset points", ha="center", fontsize=11, fontweight="bold")
    return _grow(axes, [(path.method, *path.points.T) for path in terrain.paths], 12.0)


def _draw_costs(axes: Axes, paths: Sequence[Path]) -> Advance:
    steps, costs = paths[0].every * np.arange(len(paths[0].costs)), np.stack([path.costs for path in paths])
    low, high = 0.8 * costs.min(), 1.1 * costs.max()
    axes.set(yscale="log", xlim=(0, 1.06 * steps[-1]), ylim=(low, high), xlabel="steps", title="mean training cost")
    axes.minorticks_off()
    axes.set_yticks([tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5) if low < tick < high])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return _grow(axes, [(path.method, steps, path.costs) for path in paths], 9.0)


def _grow(axes: Axes, trails: Sequence[tuple[Method, np.ndarray, np.ndarray]], size: float) -> Advance:
    """Let lines grow, each with its method's disc at the head."""
    lines = [axes.plot([], [], color=COLOURS[method], linewidth=size / 5, animated=True)[0] for method, *_ in trails]
    heads = [_disc(axes.text(0, 0, "", animated=True), method, size) for method, *_ in trails]

    def advance(index: int) -> Sequence[Artist]:
        for line, head, (_method, x, y) in zip(lines, heads, trails, strict=True):
            line.set_data(x[: index + 1], y[: index + 1])
            head.set_position((x[index], y[index]))
        return [*lines, *reversed(heads)]

    return advance


def _write_rows(figure: Figure, paths: Sequence[Path], examples_per_step: Mapping[Method, int]) -> Advance:
    """Write a row for each method: what it is, its cost, and how many examples it has seen."""
    strong: dict[str, Any] = {"fontsize": 11, "fontweight": "bold", "va": "center"}
    for x, heading in ((0.835, "cost"), (0.98, "examples seen")):
        figure.text(x, 0.865, heading, SMALL, ha="right")
    counter, cells = figure.text(0.98, 0.94, "", fontsize=14, fontweight="bold", ha="right"), []
    for path, y in zip(paths, np.linspace(0.805, 0.535, len(paths)), strict=True):
        batch = f"{'all ' * (path.method == 'gd')}{examples_per_step[path.method]:,} examples a step"
        _disc(figure.text(0.572, y, ""), path.method, 11.0)
        figure.text(0.592, y, METHODS[path.method], strong, color=COLOURS[path.method])
        figure.text(0.592, y - 0.036, f"η = {path.learning_rate:g}, {batch}", SMALL, va="center")
        cells.append([figure.text(x, y, "", strong, ha="right") for x in (0.835, 0.98)])

    def advance(index: int) -> Sequence[Artist]:
        step = index * paths[0].every
        counter.set_text(f"step {step:,}")
        for path, (cost, seen) in zip(paths, cells, strict=True):
            cost.set_text(f"{path.costs[index]:.2f}")
            seen.set_text(f"{step * examples_per_step[path.method]:,}")
        return [counter, *(cell for row in cells for cell in row)]

    return advance


def _disc(text: Text, method: Method, size: float) -> Text:
    """Make a text the method's initial, white in a disc of its colour."""
    text.set(text=METHODS[method][0].upper(), fontsize=0.8 * size, fontweight="bold", color="white")
    text.set(ha="center", va="center", bbox={"boxstyle": "circle", "facecolor": COLOURS[method], "edgecolor": "white"})
    return text
