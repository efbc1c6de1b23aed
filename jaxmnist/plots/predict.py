"""The picture of what was read: original, as MNIST would have it, and the ten outputs."""

import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxmnist.handwriting.normalise import Normalised
from jaxmnist.plots.style import BLUE, ORANGE

MOST_SIDE = 600
"""Pixels of an original's longer side that are drawn; a large one is thinned out."""
TITLE_WIDTH = 48
"""Characters of a line above the outputs: longer ones would cover the title beside it."""


def picture(
    originals: Sequence[UInt8[np.ndarray, "height width"]],
    digits: Sequence[Normalised],
    outputs: Float[np.ndarray, "n 10"],
    names: Sequence[str],
    doubts: Sequence[Sequence[str]],
    title: str,
) -> Figure:
    """A row for each digit: the picture with the digit's box, the 28×28 pixels made of it, the ten outputs.

    Args:
        originals: brightness of the pictures, one for each digit.
        digits: as MNIST would have them.
        outputs: of the network.
        names: of the pictures.
        doubts: the reasons why each reading may be wrong, if there are any.
        title: whose network it is.
    """
    figure = Figure(figsize=(9, 0.6 + 2.6 * len(digits)), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(digits), 3, squeeze=False, width_ratios=(1.2, 1, 1.4))
    table = zip(rows, originals, digits, outputs, names, doubts, strict=True)
    for (original, pixels, bars), grey, digit, output, name, doubt in table:
        step = -(-max(grey.shape) // MOST_SIDE)
        original.imshow(
            grey[::step, ::step], cmap="gray", vmin=0, vmax=255, extent=(0, grey.shape[1], grey.shape[0], 0)
        )
        top, left, bottom, right = digit.box
        original.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=ORANGE, linewidth=1.5))
        original.set_title(name, fontsize=10)
        pixels.imshow(digit.image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        pixels.set_title("as MNIST would have it", fontsize=10)
        for axes in (original, pixels):
            axes.set(xticks=[], yticks=[])
        read = int(output.argmax())
        bars.barh(range(10), output, color=[ORANGE if number == read else BLUE for number in range(10)])
        bars.set(xlim=(0, 1), ylim=(9.6, -0.6), yticks=range(10), ylabel="digit", xlabel="output")
        lines = [f"reads {read}, confidence {output[read]:.2f}", *(textwrap.fill(why, TITLE_WIDTH) for why in doubt)]
        bars.set_title("\n".join(lines), fontsize=10)
        bars.spines[["top", "right"]].set_visible(False)
    return figure
