"""What all pictures share: colours and the way to a file."""

import io

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
"""Okabe and Ito's colours, which colour-blind readers can tell apart too."""

TRAIN, TEST = BLUE, ORANGE
DOTS_PER_INCH = 120


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content, whatever names its texts hold: only an axis writes formulas."""
    for text in figure.findobj(Text):
        text.set_text(text.get_text().encode(errors="backslashreplace").decode())  # a name needn't be UTF-8,
        text.set_parse_math(False)  # and its $ begins no formula
    for axis in figure.findobj(Axis):
        for text in axis.findobj(Text):
            text.set_parse_math(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
