import unicodedata
from pathlib import Path

import matplotlib
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxmnist.plots import style


def titled(title):
    figure = Figure(figsize=(2, 1))
    figure.suptitle(title)
    return figure


@pytest.fixture
def font(tmp_path):
    """A font file with one character, 한, drawn as a square."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "han"])
    builder.setupCharacterMap({ord("한"): "han"})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "han": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (800, 0), "han": (800, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "OneHangul", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "one.ttf")
    return str(tmp_path / "one.ttf")


def test_characters_without_a_font_are_drawn_as_others(monkeypatch):
    monkeypatch.setattr(style, "findSystemFonts", list)
    figure = titled("7 한\udce9\x1b\t\n$x$")
    style.png(figure)  # a missing glyph would be a warning, and so an error
    assert figure.get_suptitle() == "7 ?\\udce9\\x1b\\t\n$x$"


def test_hangul_is_drawn_in_an_installed_font_that_has_it(monkeypatch, tmp_path, font):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(style, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), font])
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    figure = titled(unicodedata.normalize("NFD", "7 한글"))  # as macOS names files
    drawn = style.png(figure)()
    assert figure.get_suptitle() == "7 한?"
    assert drawn != style.png(titled("7  ?"))()


def test_settings_are_ours_inside_and_the_users_again_outside():
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30}):
        with style.own_settings():
            assert not matplotlib.rcParams["text.usetex"]
            assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
        assert (matplotlib.rcParams["text.usetex"], matplotlib.rcParams["font.size"]) == (True, 30)


def test_signed_values_have_the_pages_two_colours():
    css = (Path(style.__file__).parents[1] / "page" / "page.css").read_text(encoding="utf-8")
    assert f"--positive: {style.BLUE};" in css
    assert f"--negative: {style.ORANGE};" in css
    assert [to_hex(style.SIGNED(end)) for end in (0.0, 1.0)] == [style.ORANGE, style.BLUE]
    assert min(style.SIGNED(0.5)) > 0.99  # white in the middle


@pytest.mark.parametrize(
    ("ends", "offset", "label"),
    [((0, 0.004), "×10⁻³", "4"), ((0, 40_000_000), "×10⁷", "4"), ((0, 40), "", "40"), ((7.0001, 7.0004), "", "7.0004")],
)
def test_a_common_power_of_ten_is_a_text_and_no_label_lacks_a_part(ends, offset, label):
    axes = Figure().subplots()
    axes.set(xlim=ends, xticks=ends)
    axes.xaxis.set_major_formatter(style.PowerOfTen())
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
    axes.figure.draw_without_rendering()
    assert axes.xaxis.get_offset_text().get_text() == offset
    assert [text.get_text() for text in axes.get_xticklabels()][-1] == label
