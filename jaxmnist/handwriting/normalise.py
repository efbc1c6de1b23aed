"""Anybody's picture of a digit to the 28×28 that MNIST would have made of it.

MNIST's makers took a scan in black and white, fitted the digit into 20×20 pixels with its aspect kept, which by
averaging left shades of grey, and put its centre of mass at the centre of 28×28. A picture from elsewhere must first
be told apart into paper and ink. The steps, in plain arithmetic that is the same in any language (⌊x⌋ rounds down,
and the median of an even number of values is the mean of the middle two):

1. **Shrink.** With k the smallest whole number for which no side is longer than 200 k, average blocks of k×k pixels.
   A side that k doesn't divide is first continued with copies of its last pixels. Brightness g is in [0, 1].
2. **Paper.** Shrink g once more, to cells, at most 32 on a side, with centres (y, x) measured from the middle in units
   of the longer side. Fit a plane through the cells by least squares. If the cubes of the residuals sum to less than
   0, the few cells that stand out are dark: dark ink on light paper, and p = g. Else p = 1 − g. The cells along the
   edge are left out of the sum where there are others, as even in a picture cut to its ink they are mostly paper. The
   paper's brightness is then the surface a + b y + c x + d y² + e y x + f x² through the cells of p that minimises
   Σ w |p − surface|, with w = 0.6 for cells above it and 0.4 below, by 12 rounds of weighted least squares: from
   weights of 1, then w / max(|residual of the round before|, 1/255). Ink bends it no more than outliers bend a
   median, and a lamp's uneven light, which is smooth, goes into it. Where ink fills the picture it would follow the
   ink. So if the light may be even it is taken to be: with e the ⌈¾ n⌉-th smallest of the n cells of p, the paper's
   brightness is e everywhere unless the ⌈¼ n⌉-th smallest of |p − surface| is less than that of |p − e|.
3. **Ink** is the share of the paper's light that is missing: (surface − p) / max(surface, 0.05).
4. **Noise.** The contrast is the largest mean of 3×3 pixels, the edge continued by copies; σ = 1.048 × the median of
   |difference| of neighbours in a row (for normal noise its deviation) of which neither has more ink than 0.7 ×
   contrast, so that the strokes' edges, of which small pictures are full, are no noise. The page is blank when the
   contrast is below 0.05, and all noise when it is below 5 σ.
5. **Strokes.** A pixel is a stroke's where its ink is above max(0.3 × contrast, 4 σ). Of the connected strokes (eight
   neighbours) those with less than 1/20 of the largest one's pixels are specks, and dropped. For `split`, go
   through the strokes by their left ends; one that shares with the group so far at least half the columns of the
   narrower of the two joins it, another starts the next group. More than 20 groups are all noise.
6. **Crop** to the strokes' box. From every pixel take 2 × 1.4826 × the median of |i| over all pixels i that are in
   no stroke or speck, which is what is left of the paper; what falls below 0 becomes 0. The strokes' length is π/8 ×
   the edges between pixels of a stroke and of none; above 6 × the box's longer side it is all noise.
7. **Fit** into 20×20: the longer side 20, the shorter ⌊20 short/long + ½⌋ but at least 1, each pixel the mean over
   the area that it covers. A pen finer than MNIST's, less than 1.5 pixels of these 20 wide (the strokes' area /
   length), is fitted into 18×18 instead and softened to 20×20 by weights of ¼, ½, ¼ along both axes; that makes it
   about 2 pixels wide.
8. **Contrast.** Scale so that the median of the pixels above half of the largest becomes 1, cut off there, and make
   bytes, ⌊255 v + ½⌋.
9. **Centre.** Move by whole pixels until the centre of mass is within half a pixel of row 14 and column 14, counted
   from 0: with S the sum of all bytes and M that of row × byte, the top row goes to ⌊(29 S − 2 M) / 2 S⌋, cut off
   so that the digit stays inside; the left column likewise.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from jaxmnist.handwriting.segment import Page, read_page

SIDE, BOX = 28, 20
"""MNIST's images, and the box that their digits fit into."""
FINE_PEN = 1.5
"""Strokes narrower than this, in pixels of 28×28, are widened; MNIST's own have 1.5 to 9.3, and half below 2.9."""
LONGEST_STROKES = 6
"""Strokes longer than this, in units of their box, are no digit: MNIST's are 0.9 to 3.6 of them long."""


class Normalised(NamedTuple):
    """A digit as MNIST would have it, and what was found on the way.

    Attributes:
        image: one byte a pixel, 0 paper to 255 ink, rows of 28 from the top, as in a `Dataset`.
        dark_on_light: whether the picture had dark ink on light paper, and so was inverted.
        box: top, left, bottom and right of the digit in the picture, in its pixels; bottom and right just outside.
        pen: the strokes' width in pixels of 28×28, before a fine pen was widened.
        digits: groups of strokes side by side in the picture; more than one looks like more than one digit.
    """

    image: UInt8[np.ndarray, "784"]
    dark_on_light: bool
    box: tuple[int, int, int, int]
    pen: float
    digits: int


def normalise(grey: UInt8[np.ndarray, "height width"]) -> Normalised:
    """Make of a picture of one digit what MNIST would have made of it.

    Args:
        grey: brightness, 0 black to 255 white, such as `pictures.read_file` gives; light on dark or dark on light.

    Raises:
        ValueError: when it is blank, all noise, or no such array.

    Source:
        LeCun, Cortes and Burges, The MNIST database of handwritten digits (fitting and centring).
    """
    page = read_page(grey)
    return _normalised(page, page.groups > 0, grey.shape)


def split(grey: UInt8[np.ndarray, "height width"]) -> list[Normalised | ValueError]:
    """Make of a picture of several digits, side by side, what MNIST would have made of each, from left to right.

    Digits must not touch each other; strokes of which one lies above another are one digit. Otherwise as `normalise`.

    Returns:
        Each digit, or the reason why strokes are none.

    Raises:
        ValueError: when the picture is blank, all noise, or no such array.
    """
    page = read_page(grey)
    found: list[Normalised | ValueError] = []
    for group in range(1, page.groups.max() + 1):
        try:
            found.append(_normalised(page, page.groups == group, grey.shape))
        except ValueError as problem:
            found.append(problem)
    refused = [one for one in found if isinstance(one, ValueError)]
    if len(refused) == len(found):
        raise refused[0]
    return found


def centre(digit: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "784"]:
    """Put a digit of at most 28×28 bytes where MNIST's makers would have: step 9.

    Args:
        digit: 0 paper to 255 ink; not all 0.
    """
    total = int(digit.sum(dtype=int))
    moments = (int(digit.sum(axis=1 - axis, dtype=int) @ np.arange(side)) for axis, side in enumerate(digit.shape))
    top, left = (
        min(max((29 * total - 2 * moment) // (2 * total), 0), SIDE - side)
        for moment, side in zip(moments, digit.shape, strict=True)
    )
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return image.reshape(-1)


def _fit(digit: Float[np.ndarray, "height width"], fine_pen: bool) -> UInt8[np.ndarray, "rows columns"]:
    """Steps 7 and 8: a digit cropped to its ink, in any unit, as bytes and with a longer side of 20."""
    box = BOX - 2 if fine_pen else BOX
    height, width = (max(1, int(box * side / max(digit.shape) + 0.5)) for side in digit.shape)
    fitted = _overlap(digit.shape[0], height) @ digit @ _overlap(digit.shape[1], width).T
    if fine_pen:
        fitted = np.pad(fitted, 2)
        fitted = (fitted[:-2] + 2 * fitted[1:-1] + fitted[2:]) / 4
        fitted = (fitted[:, :-2] + 2 * fitted[:, 1:-1] + fitted[:, 2:]) / 4
    full = np.median(fitted[fitted > fitted.max() / 2])
    return np.asarray(np.floor(255 * np.minimum(fitted / full, 1) + 0.5).astype(np.uint8))


def _normalised(page: Page, strokes: Bool[np.ndarray, "height width"], shape: tuple[int, ...]) -> Normalised:
    """Steps 6 to 9 for some of a page's strokes; other strokes in their box are left out."""
    lines = [np.flatnonzero(strokes.any(axis=1 - axis)) for axis in (0, 1)]
    (top, bottom), (left, right) = ((int(line[0]), int(line[-1]) + 1) for line in lines)
    crop = np.s_[top:bottom, left:right]
    own, others = strokes[crop], (page.groups[crop] > 0) & ~strokes[crop]
    digit = np.where(others, 0, np.maximum(page.ink[crop] - 2 * page.paper_spread, 0))
    if not digit.any():
        raise ValueError("all noise: the strokes are no stronger than what is left of the paper; use a cleaner picture")
    edges = sum(int(np.abs(np.diff(np.pad(own, 1).astype(np.int8), axis=axis)).sum()) for axis in (0, 1))
    length = np.pi / 8 * edges
    if length > LONGEST_STROKES * max(own.shape):
        raise ValueError(
            f"all noise: its strokes are {length / max(own.shape):.1f} times as long as the box that they are in, "
            f"expected at most {LONGEST_STROKES} times, as of a digit; use a cleaner picture"
        )
    pen = int(own.sum()) / length * BOX / max(own.shape)
    height, width = shape
    box = (
        top * page.block,
        left * page.block,
        min(bottom * page.block, height),
        min(right * page.block, width),
    )
    return Normalised(centre(_fit(digit, pen < FINE_PEN)), page.dark_on_light, box, pen, int(page.groups.max()))


def _overlap(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """How the means over `new` equal parts of a line weigh its `old` pixels: row i the shares of part i."""
    ends = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return np.asarray(np.maximum(covered, 0) * (new / old))
