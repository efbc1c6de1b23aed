"""The figure of what was read: the original, the digit as MNIST would have it, and the ten outputs."""

import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxmnist.handwriting.normalise import Normalised
from jaxmnist.plots.style import BLUE, ORANGE

MOST_SIDE = 600  # pixels on a side of a drawn original; a larger one is thinned out
TITLE_WIDTH = 48  # characters in a line above the outputs; a longer one would cover the title beside it


Shown = tuple[UInt8[np.ndarray, "_ _"], Normalised, Float[np.ndarray, "10"], str, Sequence[str]]
"""A picture's brightness, a digit in it, a network's outputs for it, a title, and why the outputs may be wrong."""


def figures(shown: Sequence[Shown], heading: str) -> dict[str, Figure]:
    """Draw a row for each digit: the picture with the digit's box, its 28×28 pixels, the ten outputs."""
    figure = Figure(figsize=(9, 0.6 + 2.6 * len(shown)), layout="constrained")
    figure.suptitle(heading)
    rows = figure.subplots(len(shown), 3, squeeze=False, width_ratios=(1.2, 1, 1.4))
    for (original, pixels, bars), (grey, digit, output, title, reasons) in zip(rows, shown, strict=True):
        (height, width), step = grey.shape, -(-max(grey.shape) // MOST_SIDE)
        original.imshow(grey[::step, ::step], cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        top, left, bottom, right = digit.box
        original.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=ORANGE, linewidth=1.5))
        original.set_title(title, fontsize=10)
        pixels.imshow(digit.image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        pixels.set_title("as MNIST would have it", fontsize=10)
        for axes in (original, pixels):
            axes.set(xticks=[], yticks=[])
        read = int(output.argmax())
        bars.barh(range(10), output, color=[ORANGE if index == read else BLUE for index in range(10)])
        bars.set(xlim=(0, 1), ylim=(9.6, -0.6), yticks=range(10), ylabel="digit", xlabel="output")
        lines = [f"reads {read}, confidence {output[read]:.2f}", *(textwrap.fill(why, TITLE_WIDTH) for why in reasons)]
        bars.set_title("\n".join(lines), fontsize=10)
        bars.spines[["top", "right"]].set_visible(False)
    return {"predict": figure}
