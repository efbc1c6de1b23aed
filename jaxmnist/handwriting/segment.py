"""A picture into paper and ink: steps 1 to 5 of `jaxmnist.handwriting`."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from jaxmnist.handwriting.light import paper, shrink
from jaxmnist.handwriting.printed import without_printed

LONGEST_SIDE, MOST_PIXELS = 400, 200 * 200  # of a shrunken picture
LEAST_CONTRAST, INK_SHARE, SPECK_SHARE, MOST_DIGITS = 0.05, 0.3, 0.05, 20
FAINT_SHARE = 0.2  # instead of INK_SHARE where print is looked for, which so is less broken
LEAST_SIGNAL, NOISE_LIMIT = 5, 4  # × the noise: the least contrast of a picture, and the least ink of a stroke's pixel
# At 0.5, most skewed noise of 28×28 pixels would pass for strokes; at 1, a fifth of the 8×8 digits for noise.

STEP_SHARE = 0.7


class Segmented(NamedTuple):
    """A picture of at most 40,000 pixels, with paper and ink separated."""

    ink: Float[np.ndarray, "height width"]  # share of the paper's light that is missing; about 0 where there is no ink
    groups: Int[np.ndarray, "height width"]  # each pixel's group of strokes, from 1, left to right; 0 for none
    printed: Bool[np.ndarray, "height width"]  # the strokes that were dropped, such as a box
    paper_spread: float  # standard deviation of the ink where there is no stroke
    block: int  # k; a pixel here covers k×k pixels of the picture
    dark_on_light: bool  # whether the ink is darker than the paper


def segment(grey: np.ndarray) -> Segmented:
    """Find paper, ink and strokes in a picture's brightness, bytes of shape (height, width).

    Raises:
        ValueError: if it is blank, all noise, or no such array.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or grey.size == 0:
        raise ValueError(
            f"picture: {grey.dtype} of shape {grey.shape}, expected bytes (uint8) of shape (height, width), not empty"
        )
    block = max(-(-max(grey.shape) // LONGEST_SIDE), math.isqrt((grey.size - 1) // MOST_PIXELS) + 1)
    while math.prod(-(-side // block) for side in grey.shape) > MOST_PIXELS:  # parts of blocks count as whole
        block += 1
    light = shrink(grey, block) / 255
    surface, dark_on_light = paper(light)
    ink = (surface - (light if dark_on_light else 1 - light)) / np.maximum(surface, 0.05)
    contrast = float(ndimage.convolve(ink, np.ones((3, 3)), mode="nearest").max() / 9)
    quiet = ink <= STEP_SHARE * contrast
    steps = np.abs(np.diff(ink, axis=1))[quiet[:, 1:] & quiet[:, :-1]]
    noise = 1.048 * float(np.median(steps)) if steps.size else 0.0
    if contrast < LEAST_CONTRAST:
        raise ValueError(
            f"blank: its strongest strokes differ from the paper by {max(contrast, 0):.1%}, expected at least "
            f"{LEAST_CONTRAST:.0%}; write with more contrast"
        )
    if contrast < LEAST_SIGNAL * noise:
        raise ValueError(
            f"all noise: its strongest strokes are {contrast / noise:.1f} times as strong as the noise, expected at "
            f"least {LEAST_SIGNAL} times; use a cleaner picture"
        )
    inked = ink > max(INK_SHARE * contrast, NOISE_LIMIT * noise)
    digits = inked & without_printed(ink > max(FAINT_SHARE * contrast, NOISE_LIMIT * noise))
    digits = digits if digits.any() else inked
    ink = np.where(inked & ~digits, 0, ink)
    strokes, _ = ndimage.label(digits, np.ones((3, 3)))
    groups = _side_by_side(strokes)
    if groups.max() > MOST_DIGITS:
        raise ValueError(
            f"all noise: {groups.max()} strokes stand side by side, expected at most {MOST_DIGITS} digits; "
            "use a cleaner picture"
        )
    rest = ink[~inked]
    spread = 1.4826 * float(np.median(np.abs(rest))) if rest.size else 0.0
    return Segmented(ink, groups, inked & ~digits, spread, block, dark_on_light)


def _side_by_side(strokes: Int[np.ndarray, "height width"]) -> Int[np.ndarray, "height width"]:
    """Drop the specks, join strokes of which one lies above the other, and number the groups from left to right."""
    sizes = np.bincount(strokes.ravel())
    spans = [
        (columns.start, columns.stop, stroke)
        for stroke, (_, columns) in enumerate(ndimage.find_objects(strokes), start=1)
        if sizes[stroke] >= SPECK_SHARE * sizes[1:].max()
    ]
    group_of = np.zeros(len(sizes), int)
    left = right = group = 0
    for first, end, stroke in sorted(spans):
        if group == 0 or 2 * (min(end, right) - first) < min(end - first, right - left):
            group += 1
            left, right = first, end
        right = max(right, end)
        group_of[stroke] = group
    return np.asarray(group_of[strokes])
