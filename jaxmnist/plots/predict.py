"""The figure of what was read: the original, the digit as MNIST would have it, and the ten outputs."""

import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from jaxmnist.handwriting.normalise import Normalised
from jaxmnist.plots.style import BLUE, ORANGE

MOST_SIDE = 600  # pixels on a side of a drawn original; a larger one is thinned out
TITLE_WIDTH = 36  # Latin letters in a line of a title, twice as many as of wider characters
ACROSS = 4  # digits in a row


Shown = tuple[UInt8[np.ndarray, "_ _"], Normalised, Float[np.ndarray, "10"], str, Sequence[str]]
"""A picture's brightness, a digit in it, a network's outputs for it, a title, and why the outputs may be wrong."""


def figures(shown: Sequence[Shown], heading: str) -> dict[str, Figure]:
    """Draw each digit, four in a row: the picture with the digit's box, its 28×28 pixels, the ten outputs."""
    across, down = min(ACROSS, len(shown)), -(-len(shown) // ACROSS)
    figure = Figure(figsize=(max(5.0, 3.2 * across), 0.5 + 3.7 * down), layout="constrained")
    figure.suptitle(heading)
    parts = figure.subfigures(down, across, squeeze=False)
    for place, (part, one) in enumerate(zip(parts.ravel(), shown, strict=False)):
        bars = _draw_digit(part, *one)
        bars.set_xlabel("digit" if place + across >= len(shown) else "")
        bars.set_ylabel("output" if place % across == 0 else "")
    return {"predict.png": figure}


def _draw_digit(
    part: SubFigure,
    grey: UInt8[np.ndarray, "_ _"],
    digit: Normalised,
    output: Float[np.ndarray, "10"],
    title: str,
    reasons: Sequence[str],
) -> Axes:
    """Draw one digit; return the panel of its outputs."""
    panels = part.subplot_mosaic([["picture", "pixels"], ["outputs", "outputs"]], height_ratios=(1.2, 1))
    part.suptitle(textwrap.fill(title, TITLE_WIDTH if title.isascii() else TITLE_WIDTH // 2), fontsize=10)
    (height, width), step = grey.shape, -(-max(grey.shape) // MOST_SIDE)
    panels["picture"].imshow(grey[::step, ::step], cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    top, left, bottom, right = digit.box
    box = Rectangle((left, top), right - left, bottom - top, fill=False, color=ORANGE, linewidth=1.5)
    panels["picture"].add_patch(box)
    panels["pixels"].imshow(digit.image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    for name, what in (("picture", "the picture"), ("pixels", "as MNIST would have it")):
        panels[name].set_title(what, fontsize=8, color="0.35")
        panels[name].set(xticks=[], yticks=[])
    bars, read = panels["outputs"], int(output.argmax())
    bars.bar(range(10), output, color=[ORANGE if index == read else BLUE for index in range(10)])
    bars.set(xticks=range(10), yticks=(0, 0.5, 1), ylim=(0, 1))
    bars.tick_params(labelsize=8)
    lines = [f"reads {read}, confidence {output[read]:.2f}", *(textwrap.fill(why, TITLE_WIDTH) for why in reasons)]
    bars.set_title("\n".join(lines), fontsize=10)
    bars.spines[["top", "right"]].set_visible(False)
    return bars
