"""Strokes of a picture, and straight printed lines among them, which may be broken and tilted a little."""

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

AROUND = np.ones((3, 3), bool)  # eight neighbours
STEEPEST = 0.08  # pixels a pixel, 5 degrees: of printed lines
DRIFT = 3  # pixels by which a line may leave the nearest slope: long lines need finer slopes
SHORTEST = 6  # pixels; what is shorter is no line
GAP = 9  # pixels between the dashes of a line, at most

Mask = Bool[np.ndarray, "height width"]


def labelled(mask: Mask) -> tuple[Int[np.ndarray, "height width"], list[tuple[slice, slice]]]:
    """Number the strokes from 1, and the rectangle of each."""
    labels, _ = ndimage.label(mask, AROUND)
    return labels, ndimage.find_objects(labels)


def longer(box: tuple[slice, slice]) -> int:
    """The longer side of a rectangle."""
    return int(max(side.stop - side.start for side in box))


def level_lines(mask: Mask, length: int) -> Mask:
    """The pixels on nearly level straight lines of at least this length."""
    width = mask.shape[1]
    if not SHORTEST <= length <= width or not _may_have_line(mask, length):
        return np.zeros_like(mask)
    at = np.arange(width)
    room = int(np.ceil(STEEPEST * width / 2)) + 1
    padded = np.pad(mask, ((room, room), (0, 0)))
    slopes = np.linspace(-STEEPEST, STEEPEST, 2 * max(4, round(STEEPEST * length / DRIFT)) + 1)
    shifts = np.round(slopes[:, None] * (at - width / 2)).astype(int)
    rows = np.arange(room, len(padded) - room)[:, None] + shifts[:, None]  # of every slope's every line
    sheared = padded[rows, at]
    long = np.count_nonzero(sheared, axis=2) >= length
    found = np.zeros_like(padded)
    if long.any():
        runs = ndimage.minimum_filter1d(sheared[long], length | 1, axis=1, mode="constant")
        runs = ndimage.maximum_filter1d(runs, length | 1, axis=1, mode="constant")
        found[rows[long][runs], np.broadcast_to(at, runs.shape)[runs]] = True
    return np.asarray(found[room:-room] & mask)


def _may_have_line(mask: Mask, length: int) -> bool:
    """Whether some rows, as many as a line crosses, have ink in enough columns: quickly asked, and seldom true."""
    rows = int(STEEPEST * mask.shape[1]) + 2
    above = np.zeros((len(mask) + rows, mask.shape[1]), np.int32)
    np.cumsum(np.pad(mask, ((1, rows - 1), (0, 0))), axis=0, out=above)
    return bool((np.count_nonzero(above[rows:] > above[:-rows], axis=1) >= length).any())


def closed(mask: Mask, gap: int, axis: int) -> Mask:
    """Gaps filled that are shorter than so many pixels, along an axis."""
    room = [(gap, gap) if side == axis else (0, 0) for side in (0, 1)]
    wide = ndimage.maximum_filter1d(np.pad(mask, room), gap, axis=axis)
    filled = ndimage.minimum_filter1d(wide, gap, axis=axis, origin=gap % 2 - 1)  # an even window has no middle
    return np.asarray(filled[:, gap:-gap] if axis else filled[gap:-gap])


def bridged(mask: Mask, gap: int, axis: int = 1) -> Mask:
    """Thicker by a pixel all around, and gaps along an axis filled."""
    thick = ndimage.maximum_filter(mask, 3)
    return closed(thick, gap, axis) if gap > 1 else np.asarray(thick)


def crossed(rest: Mask, line: Mask) -> Mask:
    """Pixels of a level line where a stroke goes on at its other side."""
    reach = int(line.sum() / max(1, np.count_nonzero(line.any(axis=0)))) + 3
    return np.asarray(line & closed(rest, reach + 1, 0))
