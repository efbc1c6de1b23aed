"""What all figures share: colours, and how a figure becomes a file."""

import io

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

BLUE, ORANGE, GREEN, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
"""Colours by Okabe and Ito, which colour-blind readers can tell apart."""
TRAIN, TEST = BLUE, ORANGE
DOTS_PER_INCH = 120


def png(figure: Figure) -> bytes:
    """Return the content of a PNG file; file names in titles and labels are drawn as they are, not as formulas."""
    for text in figure.findobj(Text):
        text.set_text(text.get_text().encode(errors="backslashreplace").decode())  # a file name needn't be UTF-8,
        text.set_parse_math(False)  # and its $ starts no formula
    for axis in figure.findobj(Axis):
        for text in axis.findobj(Text):  # powers of ten are formulas
            text.set_parse_math(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
