"""A picture of a digit to MNIST's 28×28: steps 6 to 9 of `jaxmnist.handwriting`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from jaxmnist.handwriting.centre import centre
from jaxmnist.handwriting.segment import Segmented, segment

BOX = 20  # pixels on a side of the box that MNIST's digits fit into
FINE_PEN = 1.5  # finer strokes, in pixels of 28×28, are widened; MNIST's own have 1.5 to 9.3, and half below 2.9
LONGEST_STROKES = 6  # most length of a digit's strokes, in units of its box's longer side: MNIST's have 0.9 to 3.6


class Normalised(NamedTuple):
    """A digit as MNIST would have it, and what was measured on the way."""

    image: UInt8[np.ndarray, "784"]  # one byte a pixel, 0 paper to 255 ink, rows of 28 from the top, as in a `Dataset`
    dark_on_light: bool  # whether the picture had dark ink on light paper, and so was inverted
    box: tuple[int, int, int, int]  # top, left, bottom and right of the digit, in the picture's pixels
    pen: float  # the strokes' width in pixels of 28×28, before a fine pen was widened
    digits: int  # groups of strokes side by side in the picture; if more than one, it may have several digits
    touches: bool = False  # whether it touched something printed that was cut off, such as a box
    barred: bool = False  # whether one of its strokes is a level line above or below all others, as wide as they are


def normalise(grey: UInt8[np.ndarray, "height width"]) -> Normalised:
    """Make of a picture of one digit, dark on light or light on dark, in bytes, what MNIST would have made of it.

    Raises:
        ValueError: if it is blank or all noise.
    """
    segmented = segment(grey)
    return _normalised(segmented, segmented.groups > 0, grey.shape)


def split(grey: UInt8[np.ndarray, "height width"]) -> list[Normalised | ValueError]:
    """Normalise every digit of a picture, from left to right; for strokes that are none, the reason.

    Digits must not touch; strokes of which one lies above another are one digit. Otherwise as `normalise`.
    """
    segmented = segment(grey)
    digits: list[Normalised | ValueError] = []
    for group in range(1, segmented.groups.max() + 1):
        try:
            digits.append(_normalised(segmented, segmented.groups == group, grey.shape))
        except ValueError as problem:
            digits.append(problem)
    problems = [digit for digit in digits if isinstance(digit, ValueError)]
    if len(problems) == len(digits):
        raise problems[0]
    return digits


def _normalised(segmented: Segmented, strokes: Bool[np.ndarray, "height width"], shape: tuple[int, ...]) -> Normalised:
    """Steps 6 to 9 for some of the strokes; the others in their box are left out."""
    (crop,) = ndimage.find_objects(strokes.astype(np.int8))
    own, others = strokes[crop], (segmented.groups[crop] > 0) & ~strokes[crop]
    digit = np.where(others, 0, np.maximum(segmented.ink[crop] - 2 * segmented.paper_spread, 0))
    if not digit.any():
        raise ValueError("all noise: its strokes are no stronger than the paper's own spots; use a cleaner picture")
    edges = sum(int(np.abs(np.diff(np.pad(own, 1).astype(np.int8), axis=axis)).sum()) for axis in (0, 1))
    length, side, block = np.pi / 8 * edges, max(own.shape), segmented.block
    if length > LONGEST_STROKES * side:
        raise ValueError(
            f"all noise: its strokes are {length / side:.1f} times as long as their box, expected at most "
            f"{LONGEST_STROKES} times, as in a digit; use a cleaner picture"
        )
    pen = int(own.sum()) / length * BOX / side
    bottom, right = (min(line.stop * block, size) for line, size in zip(crop, shape, strict=True))
    box = (crop[0].start * block, crop[1].start * block, bottom, right)
    image = centre(_fit(digit, pen < FINE_PEN))
    printed = segmented.printed
    touches = bool(printed.any() and (ndimage.maximum_filter(printed, 3) & strokes).any())
    groups = int(segmented.groups.max())
    return Normalised(image, segmented.dark_on_light, box, pen, groups, touches, _barred(own))


def _barred(own: Bool[np.ndarray, "height width"]) -> bool:
    """Whether a flat stroke lies above or below all others, at least four fifths as wide as they are."""
    labels, count = ndimage.label(own, np.ones((3, 3)))
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels) if count > 1 else [], start=1):
        others = np.flatnonzero(((labels != label) & own).any(axis=0))
        width = columns.stop - columns.start
        aside = rows.start == 0 or rows.stop == len(own)
        if aside and 5 * (rows.stop - rows.start) <= width >= 0.8 * (np.ptp(others) + 1):
            return True
    return False


def _fit(digit: Float[np.ndarray, "height width"], fine_pen: bool) -> UInt8[np.ndarray, "rows columns"]:
    """Steps 7 and 8: a digit cropped to its ink, in any unit, as bytes and with a longer side of 20."""
    box = BOX - 2 if fine_pen else BOX
    height, width = (max(1, int(box * side / max(digit.shape) + 0.5)) for side in digit.shape)
    fitted = _averaged(_averaged(digit, height).T, width).T
    if fine_pen:
        fitted = np.pad(fitted, 2)
        fitted = (fitted[:-2] + 2 * fitted[1:-1] + fitted[2:]) / 4
        fitted = (fitted[:, :-2] + 2 * fitted[:, 1:-1] + fitted[:, 2:]) / 4
    full = np.median(fitted[fitted > fitted.max() / 2])
    return np.asarray(np.floor(255 * np.minimum(fitted / full, 1) + 0.5).astype(np.uint8))


def _averaged(values: Float[np.ndarray, "old width"], rows: int) -> Float[np.ndarray, "new width"]:
    """So many rows, each the mean over the old rows that it covers, added in their order: the page does the same."""
    step = len(values) / rows
    ends = np.arange(rows + 1) * step
    means = np.zeros((rows, values.shape[1]))
    for offset in range(int(np.ceil(step)) + 1):
        old = np.floor(ends[:-1]).astype(int) + offset
        covered = np.maximum(np.minimum(ends[1:], old + 1) - np.maximum(ends[:-1], old), 0)
        means += (covered * (rows / len(values)))[:, None] * values[np.minimum(old, len(values) - 1)]
    return means
