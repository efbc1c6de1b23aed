"""Straight printed lines in a picture's strokes, which may be broken and tilted a little."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

AROUND = np.ones((3, 3), bool)  # eight neighbours
SLOPES = tuple(step / 100 for step in range(-8, 9, 2))  # of printed lines, up to 5 degrees: pixels a pixel

Mask = Bool[np.ndarray, "height width"]


def level_lines(mask: Mask, length: int) -> Mask:
    """The pixels on nearly level straight lines of at least this length."""
    width = mask.shape[1]
    found = np.zeros_like(mask)
    size = length | 1
    if size > width + 1 or length < 6:
        return found
    at = np.arange(width)
    room = int(np.ceil(max(SLOPES) * width / 2)) + 1
    padded = np.pad(mask, ((room, room), (0, 0)))
    back = np.zeros_like(padded)
    for slope in SLOPES:
        shift = np.round(slope * (at - width / 2)).astype(int)
        index = np.clip(np.arange(len(padded))[:, None] + shift, 0, len(padded) - 1)
        sheared = padded[index, at]
        candidates = np.flatnonzero(np.count_nonzero(sheared, axis=1) >= length)
        if not candidates.size:
            continue
        runs = ndimage.minimum_filter1d(sheared[candidates], size, axis=1, mode="constant")
        runs = ndimage.maximum_filter1d(runs, size, axis=1, mode="constant")
        back[index[candidates][runs], np.broadcast_to(at, runs.shape)[runs]] = True
    return np.asarray(back[room:-room] & mask)


def bridged(mask: Mask, reach: int, gap: int) -> Mask:
    """Thicker by some pixels all around, and gaps in rows filled."""
    thick = np.pad(ndimage.maximum_filter(mask, 2 * reach + 1), ((0, 0), (gap, gap)))
    filled = ndimage.minimum_filter1d(ndimage.maximum_filter1d(thick, gap, axis=1), gap, axis=1)
    return np.asarray(filled[:, gap:-gap])


def crossed(rest: Mask, line: Mask) -> Mask:
    """Pixels of a level line where a stroke goes on at its other side."""
    reach = int(line.sum() / max(1, np.count_nonzero(line.any(axis=0)))) + 3
    padded = np.pad(rest, reach)
    closed = ndimage.binary_closing(padded, np.ones((reach + 1, 1)))[reach:-reach, reach:-reach]
    return np.asarray(line & closed)
