"""A real browser for the page that `jaxmnist page` makes. Run as a program, it takes the README's picture of one:

jaxmnist page --output runs/page.html && python tests/browser.py runs/page.html notebooks/pictures/page.png
"""

import contextlib
import io
import math
import shutil
import sys
from pathlib import Path

from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).parents[1]

THREE = [(60, 45), (95, 28), (135, 38), (140, 70), (118, 92), (92, 98), (125, 102), (148, 128), (135, 162), (98, 174),
         (58, 158)]  # fmt: skip
SEVEN = [(50, 40), (80, 40), (110, 40), (150, 38), (132, 75), (115, 115), (100, 165)]
EIGHT = [(100 + wide * math.sin(turn), middle + side * high * math.cos(turn))
         for side, wide, middle, high in ((1, 30, 63, 30), (-1, 42, 129, 36))
         for turn in (math.tau * step / 20 for step in range(21))]  # fmt: skip
"""Strokes on the board, in units of a two-hundredth of its side."""


def executable():
    """Chromium's path, or None if it isn't installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def launched():
    """A running Chromium, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def draw(page, points):
    """Draw a stroke on the board by moving the mouse with its button down."""
    board = page.locator("#board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    points_on_page = [(box["x"] + x / 200 * box["width"], box["y"] + y / 200 * box["height"]) for x, y in points]
    page.mouse.move(*points_on_page[0])
    page.mouse.down()
    for point in points_on_page[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def resize(page, width, height=800):
    """Make the page `width` by `height` pixels and wait until it is laid out: drawings follow a frame later."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def picture(page):
    """A screenshot of the whole page, in 128 colours to keep the file small."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    buffer = io.BytesIO()
    shot.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(html, png):
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="light")
        page.goto(Path(html).resolve().as_uri())
        draw(page, EIGHT)
        page.locator('#ledger input[value="8"]').click()
        Path(png).write_bytes(picture(page))


if __name__ == "__main__":
    main(*sys.argv[1:])
