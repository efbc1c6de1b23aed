"""What all figures share: settings, colours, and how a figure becomes a file."""

import contextlib
import io
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from jaxmnist.plots import quiet

BLUE, ORANGE, GREEN, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
"""Colours by Okabe and Ito, which colour-blind readers can tell apart; blue and orange are the page's, too."""
TRAIN, TEST = BLUE, ORANGE
COLOURS = {"gd": BLUE, "sgd": ORANGE, "momentum": GREEN, "nesterov": PINK}
"""The four methods' colours."""
SIGNED = LinearSegmentedColormap.from_list("orange, white, blue", [ORANGE, "white", BLUE])
"""For signed values about 0: blue raises, orange lowers."""
AMOUNT = LinearSegmentedColormap.from_list("white, blue, dark blue", ["white", BLUE, "#003a5c"])
"""For values from 0."""
DOTS_PER_INCH = 200
FONT = "DejaVu Sans"  # comes with matplotlib

SUPERSCRIPTS = str.maketrans("-−0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Figures: TypeAlias = Mapping[str, Figure | Callable[[], bytes]]
"""Figures, or functions that draw the content of a file, by the names of the files."""


class PowerOfTen(ScalarFormatter):
    """Tick labels with one power of ten for all, as in ×10⁻³, in plain text: formulas are slow to parse."""

    def __init__(self) -> None:
        """Make one that never leaves a common number out of the labels: there is no place to say which."""
        super().__init__(useOffset=False)

    def get_offset(self) -> str:
        """The power of ten; empty if there is none."""
        power = super().get_offset().removeprefix("1e")
        return power and f"×10{power.translate(SUPERSCRIPTS)}"


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's defaults, whatever the user has configured, and without its log."""
    with quiet(), matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def png(figure: Figure) -> Callable[[], bytes]:
    """Draw a figure, and return a function that packs it as the content of a PNG file; any thread may call that.

    File names in titles and labels are drawn as they are, not as formulas.
    """
    texts = figure.findobj(Text)
    for text in texts:
        text.set_text(unicodedata.normalize("NFC", text.get_text()))  # macOS takes the characters of names apart
        text.set_parse_math(False)  # a $ in a file name starts no formula
    for axis in figure.findobj(Axis):
        for text in axis.findobj(Text):  # powers of ten are formulas
            text.set_parse_math(True)
    _draw_all_characters(texts)
    figure.set_dpi(DOTS_PER_INCH)
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()))

    def pack() -> bytes:
        buffer = io.BytesIO()  # level 3 is twice as fast as 6, and the file a tenth larger
        image.convert("RGB").save(buffer, "PNG", compress_level=3, dpi=(DOTS_PER_INCH,) * 2)
        return buffer.getvalue()

    return pack


def draw_images(axes: Axes, images: UInt8[np.ndarray, "n 784"], texts: Sequence[str], rows: int) -> None:
    """Draw up to six digits a row, each below a text of two lines: in one panel, as panels take long to draw."""
    wide, high = 1.2, 1.36  # from one digit to the next, in sides of a digit
    for index, (image, text) in enumerate(zip(images, texts, strict=True)):
        left, top = wide * (index % 6 + 0.5) - 0.5, high * (index // 6 + 1) - 1
        pixels, place = image.reshape(28, 28), (left, left + 1, top + 1, top)
        axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", extent=place)
        axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor="0.85"))
        axes.text(left + 0.5, top - 0.03, text, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(0, 6 * wide), ylim=(high * rows, 0), xticks=(), yticks=())
    axes.set_axis_off()


def _draw_all_characters(texts: Sequence[Text]) -> None:
    """Draw characters that the usual font lacks, such as Hangul, in an installed font that has most of them."""
    lacking = _lacking(FT2Font(findfont(FONT)), {character for text in texts for character in text.get_text()} - {"\n"})
    if not lacking:
        return
    family, still_lacking = _font_with(lacking)
    for text in texts:
        text.set_text("".join(_instead(one) if one in still_lacking else one for one in text.get_text()))
        text.set_fontfamily([FONT, *family])


def _instead(character: str) -> str:
    """What is drawn for a character that no font has: ?, or an escape if it isn't one to be seen."""
    return "?" if character.isprintable() else ascii(character)[1:-1]


def _font_with(characters: set[str]) -> tuple[list[str], set[str]]:
    """Find the installed font that has most of some characters; return its family, if any, and those that it lacks."""
    best: tuple[list[str], set[str]] = [], characters
    for path in sorted(findSystemFonts()):
        with contextlib.suppress(RuntimeError, OSError):  # no font
            font = FT2Font(path)
            lacking = _lacking(font, characters)
            if font.scalable and len(lacking) < len(best[1]) and "LastResort" not in path:  # of boxes for everything
                fontManager.addfont(path)
                best = [font.family_name], lacking
    return best


def _lacking(font: FT2Font, characters: set[str]) -> set[str]:
    return {character for character in characters if not font.get_char_index(ord(character))}
