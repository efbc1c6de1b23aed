"""What is on the paper but is no digit: printed boxes and rules, and what lies along the picture's edges."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

AROUND = np.ones((3, 3), bool)  # eight neighbours
SLOPES = np.linspace(-0.09, 0.09, 19)  # of printed lines: up to 5 degrees
GAP = 9  # most pixels between the dashes of a printed line
RECTANGLE = 0.9  # least share of its rectangle that the region inside a box fills
HOLLOW = 0.6  # most ink in a box
LEAST_DIGIT = 0.15  # least height of what is in a box, by the box's
OVERHANG = 0.3
LEAST_SIDE = 8  # pixels on the longer side of what can be a digit

Mask = Bool[np.ndarray, "height width"]


class Stroke(NamedTuple):
    """Connected pixels."""

    label: int
    box: tuple[slice, slice]
    pixels: Mask  # in its box
    straight: bool
    height: int
    width: int


def without_printed(strokes: Mask) -> Mask:
    """Drop boxes, rules and what runs along the picture's edges, as far as other strokes are left."""
    kept = strokes
    for printed in (_boxes, _along_edges, _rules, _marks):
        left = kept & ~printed(kept)
        if left.any():
            kept = left
    return kept


def _strokes(kept: Mask) -> tuple[Int[np.ndarray, "height width"], list[Stroke]]:
    labels, _ = ndimage.label(kept, AROUND)
    found = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        pixels = labels[box] == label
        height, width = pixels.shape
        longer, shorter = max(pixels.shape), min(pixels.shape)
        straight = longer >= 6 and shorter <= 0.3 * longer and _is_line(pixels)
        found.append(Stroke(label, box, pixels, straight, height, width))
    return labels, found


def _is_line(pixels: Mask) -> bool:
    """Whether all of it lies on one straight line, much longer than thick."""
    pixels = pixels if pixels.shape[1] >= pixels.shape[0] else pixels.T
    rows, columns = np.nonzero(pixels)
    middles = np.array([rows[columns == column].mean() for column in range(pixels.shape[1]) if (columns == column).any()])
    at = np.unique(columns)
    thickness = pixels.sum() / len(at)
    bent = middles - np.polyval(np.polyfit(at, middles, 1), at)
    return bool(np.abs(bent).max() <= max(1.5, 0.5 * thickness) and thickness <= 0.2 * pixels.shape[1])


def _boxes(kept: Mask) -> Mask:
    """The outlines, and what is outside and touches them, of boxes with strokes inside."""
    thick = ndimage.maximum_filter(kept, 3)
    across = ndimage.binary_closing(np.pad(thick, GAP), np.ones((1, GAP)))
    down = ndimage.binary_closing(np.pad(thick, GAP), np.ones((GAP, 1)))
    walls = thick | (across | down)[GAP:-GAP, GAP:-GAP]
    labels, _ = ndimage.label(walls, AROUND)
    printed = np.zeros_like(kept)
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if min(size) >= 2 * LEAST_SIDE:
            printed |= _outline(kept, labels == label)
    return printed


def _outline(kept: Mask, wall: Mask) -> Mask:
    """The printed pixels of one box, or of several that touch; none if it is no box."""
    nothing = np.zeros_like(kept)
    closed = np.pad(wall, 1)
    sides = (closed[0, 1:-1], wall[0]), (closed[-1, 1:-1], wall[-1]), (closed[1:-1, 0], wall[:, 0]), (closed[1:-1, -1], wall[:, -1])
    free = 4
    for outside, side in sides:
        if side.any():
            outside[:] = True
            free -= 1
    if free < 2:
        return nothing
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
    inside = ndimage.minimum_filter(filled, 2 * _thickness(ink, filled) + 3, mode="nearest")
    ink &= inside
    height, width = (int(np.count_nonzero(inside.any(axis=axis))) for axis in (1, 0))
    ink &= ~_lines(ink, int(0.92 * width)) & ~_lines(ink.T, int(0.92 * height)).T
    labels, _ = ndimage.label(ink, AROUND)
    tallest = max((rows.stop - rows.start for rows, _ in ndimage.find_objects(labels)), default=0)
    if tallest < max(LEAST_SIDE, LEAST_DIGIT * height):
        return nothing
    return kept & wall & ~ink


def _thickness(ink: Mask, filled: Mask) -> int:
    """The outline's: along its sides, the run of ink from the outside inwards that three quarters don't exceed."""
    thickest = 1
    for turn in range(4):
        own, region = np.rot90(ink, turn), np.rot90(filled, turn)
        first = region.argmax(axis=0)
        paper = ~own & (np.arange(len(own))[:, None] >= first + 2)
        used = region.any(axis=0) & paper.any(axis=0) & (first > 0)
        if used.any():
            thickest = max(thickest, int(np.quantile((paper.argmax(axis=0) - first)[used], 0.75)))
    return thickest


def _rectangular(filled: Mask) -> bool:
    """Whether a region fills a rectangle, which may be tilted a little."""
    y, x = np.nonzero(filled & ~ndimage.minimum_filter(filled, 3))
    areas = [(np.ptp(y + s * x) + 1) * (np.ptp(x - s * y) + 1) / (1 + s * s) for s in SLOPES] if y.size else [np.inf]
    return bool(filled.sum() >= RECTANGLE * min(areas))


def _along_edges(kept: Mask) -> Mask:
    """Strokes that run along an edge of the picture or lie in its corner, if there are others that touch no edge."""
    labels, _ = ndimage.label(kept, AROUND)
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    touching = np.unique(np.concatenate(sides))
    boxes = ndimage.find_objects(labels)
    inside = [box for label, box in enumerate(boxes, start=1) if label not in touching]
    along = np.zeros(len(boxes) + 1, bool)
    if any(max(side.stop - side.start for side in box) >= LEAST_SIDE for box in inside):
        corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
        for label in touching[touching > 0]:
            along[label] = label in corners or max(np.mean(side == label) for side in sides) > 0.4
    return along[labels]


def _rules(kept: Mask) -> Mask:
    """Straight lines that are longer than everything else is high, cut from it where they touch."""
    printed = np.zeros_like(kept)
    _, strokes = _strokes(kept)
    for stroke in strokes:
        for upright in (False, True):
            pixels = stroke.pixels.T if upright else stroke.pixels
            length, span = pixels.shape[1], kept.shape[0 if upright else 1]
            others = [one for one in strokes if one is not stroke and not (one.straight and (one.height > one.width) == upright)]
            tallest = max((max(one.height, one.width) for one in others), default=0)
            if length < LEAST_SIDE:
                continue
            part = printed[stroke.box].T if upright else printed[stroke.box]
            level = pixels.shape[0] <= 0.12 * length + pixels.sum() / length
            if stroke.straight and pixels.shape[0] < length:
                if not level:
                    continue
                touches = _touches(stroke.box[0 if upright else 1], span)
                if tallest >= LEAST_SIDE and (
                    (not upright and length >= 1.2 * tallest)
                    or (upright and touches == 1 and length >= 1.5 * tallest)
                    or (touches == 2 and tallest < 0.85 * span)
                ):
                    part |= pixels
            elif not stroke.straight:
                part |= _cut(pixels, span, upright, _touches(stroke.box[1 if upright else 0], kept.shape[1 if upright else 0]))
    return printed


def _touches(side: slice, span: int) -> int:
    """How many of two opposite edges of the picture a stroke touches."""
    return (side.start == 0) + (side.stop == span)


def _cut(pixels: Mask, span: int, upright: bool, aside: int) -> Mask:
    """The pixels of a rule that a stroke touches: a line that is longer than the rest on both sides."""
    length = pixels.shape[1]
    nothing = np.zeros_like(pixels)
    line = _lines(pixels, int(0.75 * length))
    if not line.any():
        return nothing
    columns = np.flatnonzero(line.any(axis=0))
    thickness = line.sum() / len(columns)
    labels, count = ndimage.label(pixels & ~ndimage.maximum_filter(line, (3, 1)), AROUND)
    parts = [(rows, across) for rows, across in ndimage.find_objects(labels) if rows.stop - rows.start > 1.5 * thickness + 2]
    if not parts:
        return nothing
    top, bottom = min(rows.start for rows, _ in parts), max(rows.stop for rows, _ in parts)
    left, right = min(across.start for _, across in parts), max(across.stop for _, across in parts)
    overhang = min(left - columns[0], columns[-1] + 1 - right)
    whole = length >= 0.95 * span and not aside
    if bottom - top < LEAST_SIDE or not (whole or (overhang >= OVERHANG * (bottom - top) and not upright)):
        return nothing
    reach = int(thickness) + 3
    rest = np.pad(pixels & ~line, reach)
    crossed = ndimage.binary_closing(rest, np.ones((reach + 1, 1)))[reach:-reach, reach:-reach]
    return line & ~crossed


def _lines(mask: Mask, length: int) -> Mask:
    """The pixels on nearly level straight lines of at least this length."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    size = length | 1
    if size > width + 1 or length < 6:
        return found
    at = np.arange(width)
    room = int(np.ceil(np.abs(SLOPES).max() * width / 2)) + 1
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
    return back[room:-room] & mask


def _marks(kept: Mask) -> Mask:
    """Small strokes far from the largest one, such as punched holes and staples."""
    _, strokes = _strokes(kept)
    printed = np.zeros_like(kept)
    if len(strokes) < 2:
        return printed
    main = max(strokes, key=lambda one: max(one.height, one.width))
    size = max(main.height, main.width)
    for stroke in strokes:
        gap = max(
            max(one.start - other.stop, other.start - one.stop) for one, other in zip(stroke.box, main.box, strict=True)
        )
        margin = min(min(side.start, length - side.stop) / length for side, length in zip(stroke.box, kept.shape, strict=True))
        if max(stroke.height, stroke.width) < 0.4 * size and gap > 0.2 * size and margin < 0.15:
            printed[stroke.box] |= stroke.pixels
    return printed
