"""Printed boxes around strokes: a part of step 5 of `jaxmnist.handwriting`."""

import numpy as np
from scipy import ndimage

from jaxmnist.handwriting.lines import AROUND, SLOPES, Mask, bridged, level_lines

GAP = 9  # pixels between the dashes of a box's line, at most
RECTANGLE = 0.9  # least share of its rectangle that the region inside a box fills
COVERED = 0.8  # least share of each side that a box's walls cover
HOLLOW = 0.6  # most ink in a box
LEAST_DIGIT, LEAST_HEIGHT = 0.15, 8  # least height of what is in a box: by the box's, and in pixels


def boxes(kept: Mask) -> Mask:
    """The outlines, and what is outside and touches them, of boxes with strokes inside."""
    printed = np.zeros_like(kept)
    for reach, gap in ((1, 1), (1, GAP), (3, 1)):  # unbroken lines, dashes, and what is broken at corners
        walls = bridged(kept & ~printed, reach, gap)
        if gap > 1:
            walls |= bridged((kept & ~printed).T, reach, gap).T
        labels, _ = ndimage.label(walls, AROUND)
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if _four_sided(labels[rows, columns] == label, rows, columns, kept.shape):
                printed |= _outline(kept & ~printed, labels == label, reach)
    return printed


def _four_sided(own: Mask, rows: slice, columns: slice, shape: tuple[int, ...]) -> bool:
    """Whether the outer fifths of a wall cover its whole length, on every side that isn't at the picture's edge."""
    if min(own.shape) < 2 * LEAST_HEIGHT:
        return False
    height, width = (max(1, side // 5) for side in own.shape)
    sides = [
        (rows.start > 0, own[:height].any(axis=0)),
        (rows.stop < shape[0], own[-height:].any(axis=0)),
        (columns.start > 0, own[:, :width].any(axis=1)),
        (columns.stop < shape[1], own[:, -width:].any(axis=1)),
    ]
    return all(side.mean() >= COVERED for free, side in sides if free)


def _outline(kept: Mask, wall: Mask, reach: int) -> Mask:
    """The printed pixels of one box, or of several that touch; none if it is no box."""
    nothing = np.zeros_like(kept)
    closed = np.pad(wall, 1)
    touched = [bool(side.any()) for side in (wall[0], wall[-1], wall[:, 0], wall[:, -1])]
    if sum(touched) > 2:
        return nothing
    closed[0] |= touched[0]
    closed[-1] |= touched[1]
    closed[:, 0] |= touched[2]
    closed[:, -1] |= touched[3]
    filled = ndimage.binary_fill_holes(closed)[1:-1, 1:-1]
    if (kept & filled).sum() > HOLLOW * filled.sum():
        return nothing
    rows, columns = (np.flatnonzero(filled.any(axis=axis)) for axis in (1, 0))
    window = max(3, int(0.25 * min(np.ptp(rows), np.ptp(columns))) | 1)
    extended = np.pad(filled, window, mode="edge")
    filled = ndimage.maximum_filter(ndimage.minimum_filter(extended, window), window)[window:-window, window:-window]
    if not filled.any() or not _rectangular(filled):
        return nothing
    ink = kept & filled
    inside = ndimage.minimum_filter(filled, 2 * _thickness(ink, filled, reach) + 3, mode="nearest")
    ink &= inside
    height, width = (int(np.count_nonzero(inside.any(axis=axis))) for axis in (1, 0))
    ink &= ~level_lines(ink, int(0.92 * width)) & ~level_lines(ink.T, int(0.92 * height)).T
    labels, _ = ndimage.label(ink, AROUND)
    tallest = max((rows.stop - rows.start for rows, _ in ndimage.find_objects(labels)), default=0)
    if tallest < max(LEAST_HEIGHT, LEAST_DIGIT * height):
        return nothing
    return np.asarray(kept & wall & ~_repaired(ink, kept & wall & ~ink, int(0.8 * tallest)))


def _repaired(ink: Mask, lines: Mask, most: int) -> Mask:
    """Strokes, with the parts of lines between two places where they touch: a digit's side that lies on a line."""
    touching = ndimage.maximum_filter(ink, 5) & lines
    for size in ((1, most), (most, 1)):
        padded = np.pad(touching, most)
        closed = ndimage.binary_closing(padded, np.ones(size))[most:-most, most:-most]
        ink = ink | (closed & lines & ~touching) | (touching & ndimage.maximum_filter(closed & lines & ~touching, 3))
    return np.asarray(ink)


def _thickness(ink: Mask, filled: Mask, reach: int) -> int:
    """The outline's: along its sides, the run of ink from the outside inwards that three quarters don't exceed."""
    thickest = 1
    for turn in range(4):
        own, region = np.rot90(ink, turn), np.rot90(filled, turn)
        first = region.argmax(axis=0)
        paper = ~own & (np.arange(len(own))[:, None] >= first + reach + 1)
        used = region.any(axis=0) & paper.any(axis=0) & (first > 0)
        if used.any():
            thickest = max(thickest, int(np.quantile((paper.argmax(axis=0) - first)[used], 0.75)))
    return thickest


def _rectangular(filled: Mask) -> bool:
    """Whether a region fills a rectangle, which may be tilted a little."""
    y, x = np.nonzero(filled & ~ndimage.minimum_filter(filled, 3))
    areas = [(np.ptp(y + s * x) + 1) * (np.ptp(x - s * y) + 1) / (1 + s * s) for s in SLOPES] if y.size else [np.inf]
    return bool(filled.sum() >= RECTANGLE * min(areas))
