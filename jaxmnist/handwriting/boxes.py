"""Printed boxes around strokes: a part of step 5 of `jaxmnist.handwriting`."""

import numpy as np
from scipy import ndimage

from jaxmnist.handwriting.lines import GAP, STEEPEST, Mask, bridged, labelled, level_lines

TILTS = np.linspace(-STEEPEST, STEEPEST, 9).tolist()
CELL = 4  # pixels a side of the cells in which boxes are looked for first
RECTANGLE = 0.93  # least share of its rectangle that the region inside a box fills
COVERED = 0.8  # least share of each side that a box's walls cover
HOLLOW = 0.6  # most ink in a box
WALL = 0.92  # least share of a box's side that a line inside covers which is a wall, too
LEAST_DIGIT, LEAST_HEIGHT = 0.15, 8  # least height of what is in a box: by the box's, and in pixels


def boxes(kept: Mask) -> Mask:
    """The outlines, and what is outside and touches them, of boxes with strokes inside."""
    printed = np.zeros_like(kept)
    for gap in (1, GAP):  # unbroken lines, then dashes
        left = kept & ~printed
        if not _may_have_box(left):
            break
        walls = bridged(left, gap) | bridged(left, gap, axis=0)
        labels, outlines = labelled(walls)
        for label, (rows, columns) in enumerate(outlines, start=1):
            wall = labels[rows, columns] == label
            free = (rows.start > 0, rows.stop < len(kept), columns.start > 0, columns.stop < kept.shape[1])
            if sum(free) >= 2 and min(wall.shape) >= 2 * LEAST_HEIGHT and _four_sided(wall, free):
                box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in (rows, columns))
                printed[box] |= _outline(kept[box] & ~printed[box], labels[box] == label, free)
    return printed


def _may_have_box(kept: Mask) -> bool:
    """Whether there are four sides in the picture's cells, gaps filled: quickly asked, and seldom true."""
    height, width = (-(-side // CELL) for side in kept.shape)
    padded = np.pad(kept, [(0, -side % CELL) for side in kept.shape])
    cells = padded.reshape(height, CELL, width, CELL).any(axis=(1, 3))
    labels, outlines = labelled(ndimage.maximum_filter(cells, 3))
    for label, (rows, columns) in enumerate(outlines, start=1):
        free = (rows.start > 0, rows.stop < height, columns.start > 0, columns.stop < width)
        if _four_sided(labels[rows, columns] == label, free):
            return True
    return False


def _four_sided(own: Mask, free: tuple[bool, bool, bool, bool]) -> bool:
    """Whether the outer fifths of a wall cover its whole length, on every side that isn't at the picture's edge."""
    height, width = (max(1, side // 5) for side in own.shape)
    sides = (
        own[:height].any(axis=0),
        own[-height:].any(axis=0),
        own[:, :width].any(axis=1),
        own[:, -width:].any(axis=1),
    )
    return all(side.mean() >= COVERED for inside, side in zip(free, sides, strict=True) if inside)


def _outline(kept: Mask, wall: Mask, free: tuple[bool, bool, bool, bool]) -> Mask:
    """The printed pixels of one box, or of several that touch, in its rectangle; none if it is no box."""
    nothing = np.zeros_like(kept)
    around = np.pad(wall, 1)
    for side, inside in zip((around[0], around[-1], around[:, 0], around[:, -1]), free, strict=True):
        side |= not inside  # what is beyond the picture
    filled = ndimage.binary_fill_holes(around)[1:-1, 1:-1]
    if (kept & filled).sum() > HOLLOW * filled.sum():
        return nothing
    window = max(3, int(0.25 * min(wall.shape)) | 1)
    extended = np.pad(filled, window, mode="edge")
    filled = ndimage.maximum_filter(ndimage.minimum_filter(extended, window), window)[window:-window, window:-window]
    if not filled.any() or not _rectangular(filled):
        return nothing
    ink = kept & filled
    thickness = _wall_thickness(ink, filled)
    inside = ndimage.minimum_filter(filled, 2 * thickness + 3, mode="nearest")
    ink &= inside
    height, width = (int(np.count_nonzero(inside.any(axis=axis))) for axis in (1, 0))
    ink &= ~_walls(ink, int(WALL * width), thickness) & ~_walls(ink.T, int(WALL * height), thickness).T
    _, outlines = labelled(ink)
    tallest = max((rows.stop - rows.start for rows, _ in outlines), default=0)
    if tallest < max(LEAST_HEIGHT, LEAST_DIGIT * height):
        return nothing
    return np.asarray(kept & wall & ~ink)


def _walls(ink: Mask, length: int, thickness: int) -> Mask:
    """Level lines of this length, no thicker than a box's outline."""
    lines = level_lines(ink, length)
    labels, outlines = labelled(lines)
    sizes = np.bincount(labels.ravel(), minlength=len(outlines) + 1)
    thin = [size <= (2 * thickness + 1) * length for size in sizes]
    return np.asarray(lines & np.array(thin)[labels])


def _wall_thickness(ink: Mask, filled: Mask) -> int:
    """The outline's: along its sides, the run of ink from the outside inwards that three quarters don't exceed."""
    runs = []
    for turn in range(4):
        own, region = np.rot90(ink, turn), np.rot90(filled, turn)
        first = region.argmax(axis=0)
        paper = ~own & (np.arange(len(own))[:, None] >= first + 2)
        used = region.any(axis=0) & paper.any(axis=0) & (first > 0)
        if used.any():
            runs.append(np.quantile((paper.argmax(axis=0) - first)[used], 0.75))
    return max(1, int(np.median(runs))) if runs else 1


def _rectangular(filled: Mask) -> bool:
    """Whether a region fills a rectangle, which may be tilted a little."""
    y, x = np.nonzero(filled & ~ndimage.minimum_filter(filled, 3))
    areas = [(np.ptp(y + s * x) + 1) * (np.ptp(x - s * y) + 1) / (1 + s * s) for s in TILTS] if y.size else [np.inf]
    return bool(filled.sum() >= RECTANGLE * min(areas))
