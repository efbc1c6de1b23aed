"""What is on the paper but is no digit: printed boxes and rules, and what lies along the picture's edges."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

AROUND = np.ones((3, 3), bool)  # eight neighbours
SLOPES = np.linspace(-0.09, 0.09, 19)  # of printed lines: up to 5 degrees
GAP = 9  # most pixels between the dashes of a printed line
RECTANGLE = 0.9  # least share of its rectangle that the region inside a box fills
HOLLOW = 0.6  # most ink in a box
LEAST_DIGIT = 0.15  # least height of what is in a box, by the box's
LEAST_PICTURE = 32  # pixels on the longer side of a picture with more in it than a digit
LEAST_SIDE = 8  # pixels on the longer side of what can be a digit

Mask = Bool[np.ndarray, "height width"]


def without_printed(strokes: Mask) -> Mask:
    """Drop boxes, rules and what runs along the picture's edges, as far as other strokes are left."""
    kept = strokes
    if not kept.any() or max(kept.shape) < LEAST_PICTURE:
        return kept
    for printed in (_boxes, _along_edges, _rules, _marks):
        left = kept & ~printed(kept)
        if left.any():
            kept = left
    return kept


def _boxes(kept: Mask) -> Mask:
    """The outlines, and what is outside and touches them, of boxes with strokes inside."""
    printed = np.zeros_like(kept)
    for reach, gap in ((1, 1), (1, GAP), (3, 1)):  # unbroken lines, dashes, and what is broken at corners
        walls = _bridged(kept & ~printed, reach, gap)
        if gap > 1:
            walls |= _bridged((kept & ~printed).T, reach, gap).T
        labels, _ = ndimage.label(walls, AROUND)
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if min(rows.stop - rows.start, columns.stop - columns.start) >= 2 * LEAST_SIDE:
                printed |= _outline(kept & ~printed, labels == label, reach)
    return printed


def _bridged(mask: Mask, reach: int, gap: int) -> Mask:
    """Thicker by some pixels all around, and gaps in rows filled."""
    thick = np.pad(ndimage.maximum_filter(mask, 2 * reach + 1), ((0, 0), (gap, gap)))
    filled = ndimage.minimum_filter1d(ndimage.maximum_filter1d(thick, gap, axis=1), gap, axis=1)
    return np.asarray(filled[:, gap:-gap])


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
    ink &= ~_lines(ink, int(0.92 * width)) & ~_lines(ink.T, int(0.92 * height)).T
    labels, _ = ndimage.label(ink, AROUND)
    tallest = max((rows.stop - rows.start for rows, _ in ndimage.find_objects(labels)), default=0)
    if tallest < max(LEAST_SIDE, LEAST_DIGIT * height):
        return nothing
    return kept & wall & ~_repaired(ink, kept & wall & ~ink, int(0.8 * tallest))


def _repaired(ink: Mask, lines: Mask, most: int) -> Mask:
    """Strokes, with the parts of lines between two places where they touch: a digit's side that lies on a line."""
    touching = ndimage.maximum_filter(ink, 5) & lines
    for size in ((1, most), (most, 1)):
        padded = np.pad(touching, most)
        closed = ndimage.binary_closing(padded, np.ones(size))[most:-most, most:-most]
        ink = ink | (closed & lines & ~touching) | (touching & ndimage.maximum_filter(closed & lines & ~touching, 3))
    return ink


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
    """Straight lines through the whole picture, or under or over everything and longer."""
    through = _through(kept) | _through(kept.T).T
    left = kept & ~through
    return through | _floating(left) if left.any() else through


def _through(kept: Mask) -> Mask:
    """Level lines from edge to edge, if there are other strokes away from the edges."""
    nothing = np.zeros_like(kept)
    if not (kept[:, :3].any() and kept[:, -3:].any()):
        return nothing
    line = _lines(_bridged(kept, 1, max(GAP, kept.shape[1] // 8 | 1)), int(0.95 * kept.shape[1])) & kept
    rest = kept & ~ndimage.maximum_filter(line, 3)
    aside = kept[[0, -1]].any() and not _inside(rest)
    if aside or not _tall(rest, LEAST_SIDE - 1).any():
        return nothing
    return line & ~_crossed(kept & ~line, line)


def _inside(rest: Mask) -> bool:
    """Whether a stroke touches no edge of the picture."""
    labels, _ = ndimage.label(rest, AROUND)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    sizes = [max(side.stop - side.start for side in box) for box in ndimage.find_objects(labels)]
    return any(size >= LEAST_SIDE for label, size in enumerate(sizes, start=1) if label not in touching)


def _crossed(rest: Mask, line: Mask) -> Mask:
    """Pixels of a level line where a stroke goes on at its other side."""
    reach = int(line.sum() / max(1, np.count_nonzero(line.any(axis=0)))) + 3
    padded = np.pad(rest, reach)
    return line & ndimage.binary_closing(padded, np.ones((reach + 1, 1)))[reach:-reach, reach:-reach]


def _floating(kept: Mask) -> Mask:
    """Level lines that end on the paper, longer than what else there is, on both sides if they touch it."""
    printed = np.zeros_like(kept)
    labels, _ = ndimage.label(_bridged(kept, 1, GAP), AROUND)
    boxes = ndimage.find_objects(labels)
    lines = []
    for label, box in enumerate(boxes, start=1):
        own = labels[box] == label
        line = _lines(own, int(0.75 * own.shape[1])) & kept[box]
        if line.sum() > 0.15 * np.count_nonzero(line.any(axis=0)) ** 2:  # as thick as a digit's blobs
            line = np.zeros_like(line)
        rest = kept[box] & own & ~ndimage.maximum_filter(line, (5, 3))
        thickness = line.sum() / max(1, np.count_nonzero(line.any(axis=0)))
        lines.append((own, line, _tall(rest, 1.5 * thickness + 2), thickness))
    tallest = max(
        (max(np.ptp(np.flatnonzero(kept[box].any(axis=axis))) + 1 for axis in (0, 1))
         for box, (_own, line, rest, _thickness) in zip(boxes, lines, strict=True) if not line.any() or rest.any()),
        default=0,
    )  # fmt: skip
    for box, (own, line, rest, thickness) in zip(boxes, lines, strict=True):
        if not line.any():
            continue
        columns = np.flatnonzero(line.any(axis=0))
        length = np.ptp(columns) + 1
        if not rest.any():
            alone = (kept[box] & own & ~line).sum() <= 0.25 * line.sum()
            if alone and tallest >= LEAST_SIDE and length >= 1.2 * tallest:
                printed[box] |= line
            continue
        ys, xs = np.nonzero(rest)
        overhang = min(xs.min() - columns[0], columns[-1] - xs.max())
        height = np.ptp(ys) + 1
        least = 0.6 if thickness > 0.75 * _pen(rest) else 0.3
        if height >= LEAST_SIDE and overhang >= least * height:
            printed[box] |= line & ~_crossed(kept[box] & ~line, line)
    return printed


def _tall(mask: Mask, least: float) -> Mask:
    """The strokes that are higher than some pixels."""
    labels, count = ndimage.label(mask, AROUND)
    tall = np.zeros(count + 1, bool)
    tall[1:] = [rows.stop - rows.start > least for rows, _ in ndimage.find_objects(labels)]
    return tall[labels]


def _pen(pixels: Mask) -> float:
    """The width of strokes."""
    edges = sum(int(np.abs(np.diff(np.pad(pixels, 1).astype(np.int8), axis=axis)).sum()) for axis in (0, 1))
    return float(pixels.sum()) / (np.pi / 8 * edges)


def _lines(mask: Mask, length: int) -> Mask:
    """The pixels on nearly level straight lines of at least this length."""
    width = mask.shape[1]
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
    """Small strokes near an edge and far from the largest one, such as punched holes and staples."""
    labels, count = ndimage.label(kept, AROUND)
    boxes = ndimage.find_objects(labels)
    sizes = [max(side.stop - side.start for side in box) for box in boxes]
    marks = np.zeros(count + 1, bool)
    main = boxes[int(np.argmax(sizes))]
    for label, (box, size) in enumerate(zip(boxes, sizes, strict=True), start=1):
        gap = max(max(one.start - other.stop, other.start - one.stop) for one, other in zip(box, main, strict=True))
        margins = [min(side.start, length - side.stop) / length for side, length in zip(box, kept.shape, strict=True)]
        marks[label] = size < 0.4 * max(sizes) < 2 * gap and min(margins) < 0.15
    return marks[labels]
