"""What is on the paper but is no digit: printed boxes and rules, and what lies along the picture's edges."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from jaxmnist.handwriting.boxes import boxes
from jaxmnist.handwriting.lines import GAP, Mask, bridged, crossed, labelled, level_lines, longer

LEAST_PICTURE = 32  # pixels on the longer side of a picture with more in it than a digit
ACROSS = 0.95  # least share of the picture's side that a line from edge to edge covers
ROOM = 12  # pixels around all strokes that are looked at; more than gaps are bridged by
MOST = 0.9  # least share of a stroke's width that a level line in it covers
LEAST_SIDE = 8  # pixels on the longer side of what can be a digit
MARGIN = 0.15  # of the picture's side: holes and staples are nearer to an edge


def without_printed(strokes: Mask) -> Mask:
    """Drop boxes, rules and what runs along the picture's edges, as far as other strokes are left."""
    kept = strokes
    if not kept.any() or max(kept.shape) < LEAST_PICTURE:
        return kept
    for printed in (boxes, _along_edges, _rules, _marks):
        found = _found(kept, printed)
        if found.any() and (kept & ~found).any():
            kept = kept & ~found
    return kept


def _found(kept: Mask, printed: Callable[[Mask], Mask]) -> Mask:
    """What a function finds to be printed; most of a picture is empty, so only around the strokes if it may."""
    if printed in (_along_edges, _marks):  # they measure the picture
        return printed(kept)
    ((rows, columns),) = ndimage.find_objects(kept.astype(np.int8))
    crop = tuple(slice(max(side.start - ROOM, 0), side.stop + ROOM) for side in (rows, columns))
    found = np.zeros_like(kept)
    found[crop] = printed(kept[crop])
    return found


def _along_edges(kept: Mask) -> Mask:
    """Strokes that run along an edge of the picture or lie in its corner, if there are others that touch no edge."""
    if not any(edge.any() for edge in _edges(kept)) or not _anything_inside(kept):
        return np.zeros_like(kept)
    labels, outlines = labelled(kept)
    edges = _edges(labels)
    along = np.zeros(len(outlines) + 1, bool)
    along[labels[[0, 0, -1, -1], [0, -1, 0, -1]]] = True
    for label in np.unique(np.concatenate(edges)):
        along[label] |= max(np.mean(edge == label) for edge in edges) > 0.4
    along[0] = False
    return np.asarray(along[labels])


def _edges(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four edges of a picture."""
    return values[0], values[-1], values[:, 0], values[:, -1]


def _anything_inside(kept: Mask) -> bool:
    """Whether a stroke that can be a digit touches no edge of the picture."""
    labels, outlines = labelled(kept)
    touching = np.unique(np.concatenate(_edges(labels)))
    return any(longer(box) >= LEAST_SIDE for label, box in enumerate(outlines, start=1) if label not in touching)


def _rules(kept: Mask) -> Mask:
    """Straight lines through the whole picture, or under or over everything and longer, and ticks on them."""
    level = _through(kept)
    through = level | _through(kept.T).T | _through((kept & ~level).T).T  # a frame's sides, and what crosses rules
    left = kept & ~through
    if level.any():
        through |= _ticks(left, level)
        left &= ~through
    return np.asarray(through | _floating(left)) if left.any() else through


def _through(kept: Mask) -> Mask:
    """Level lines from edge to edge, if there are other strokes away from the edges."""
    nothing = np.zeros_like(kept)
    if not (kept[:, :3].any() and kept[:, -3:].any()):
        return nothing
    line = level_lines(bridged(kept, max(GAP, kept.shape[1] // 8 | 1)), int(ACROSS * kept.shape[1])) & kept
    if not line.any():
        return nothing
    rest = kept & ~ndimage.maximum_filter(line, 3)
    aside = kept[[0, -1]].any() and not _anything_inside(rest)
    if aside or max(map(longer, labelled(rest)[1]), default=0) < LEAST_SIDE:
        return nothing
    return np.asarray(line & ~crossed(kept & ~line, line))


def _ticks(rest: Mask, line: Mask) -> Mask:
    """A comb's ticks: upright strokes on a line, as thin and as high as each other, among digits that are higher."""
    labels, outlines = labelled(rest)
    columns = np.flatnonzero(line.any(axis=0))
    spans = np.array([(0, 0, 0), *((rows.stop - rows.start, one.start, one.stop) for rows, one in outlines)])
    heights, middles = spans[:, 0], spans[:, 1:].mean(axis=1)
    widths = spans[:, 2] - spans[:, 1]
    on_line = np.isin(np.arange(len(spans)), labels[ndimage.maximum_filter(line, 9)])
    ticks = on_line & (widths < heights) & (widths <= 1.5 * _thickness(line) + 0.1 * heights + 2)
    height = np.median(heights[ticks]) if ticks.any() else 0
    ticks &= np.abs(heights - height) <= 0.25 * height + 2
    digits = ~ticks & (heights > height / 0.8) & (middles > columns[0]) & (middles < columns[-1])
    few = ticks.sum() < max(2, digits.sum() - 1) or len(columns) < 3 * height
    if few or max(heights[digits], default=0) < LEAST_SIDE:
        return np.zeros_like(rest)
    ticks |= on_line & (heights > 0) & (heights <= 1.2 * height)  # broken ones, and ends with a piece of the line
    return np.asarray(ticks[labels])


def _thickness(line: Mask) -> float:
    """The mean thickness of a level line."""
    return float(line.sum() / max(1, np.count_nonzero(line.any(axis=0))))


def _floating(kept: Mask) -> Mask:
    """Level lines that end on the paper, longer than what else there is, on both sides if they touch it."""
    printed = np.zeros_like(kept)
    labels, outlines = labelled(bridged(kept, GAP))
    strokes, rectangles = labelled(kept)
    for label, box in enumerate(outlines, start=1):
        if longer(box) < LEAST_SIDE:
            continue
        own = kept[box] & (labels[box] == label)
        line, rest = _line_and_rest(own, labels[box] == label)
        if not line.any():
            continue
        whole = np.zeros_like(kept)
        whole[box] = line
        ticks = _ticks(kept & ~ndimage.maximum_filter(whole, (5, 3)), whole)
        ticks = ndimage.maximum_filter(ticks, (5, 1))[box] & own & ~line  # down to the line
        rest &= ~ticks
        touching = np.unique(strokes[box][line])
        tallest = max(
            (one[0].stop - one[0].start for n, one in enumerate(rectangles, start=1) if n not in touching), default=0
        )
        is_rule = LEAST_SIDE <= tallest <= np.count_nonzero(line.any(axis=0)) / 1.2
        if rest.any():
            is_rule = (is_rule and ticks.any()) or _overhangs(line, rest)
        else:
            is_rule &= (own & ~line & ~ticks).sum() <= 0.25 * line.sum()
        if is_rule:
            printed[box] |= ticks | (line & ~crossed(own & ~line & ~ticks, line))
    return printed


def _line_and_rest(kept: Mask, own: Mask) -> tuple[Mask, Mask]:
    """The level line that a stroke is or has, what else it has that is higher than its line is thick."""
    nothing = np.zeros_like(own)
    line = level_lines(own, int(MOST * own.shape[1])) & kept
    thickness = _thickness(line)
    if not line.any() or thickness > 0.15 * np.count_nonzero(line.any(axis=0)):  # as thick as a digit's blobs
        return nothing, nothing
    labels, outlines = labelled(kept & own & ~ndimage.maximum_filter(line, (5, 3)))
    tall = np.array([False, *(rows.stop - rows.start > 1.5 * thickness + 2 for rows, _ in outlines)])[labels]
    return line, tall


def _overhangs(line: Mask, rest: Mask) -> bool:
    """Whether a level line is longer than what touches it, on both sides."""
    columns = np.flatnonzero(line.any(axis=0))
    ys, xs = np.nonzero(rest)
    overhang = min(xs.min() - columns[0], columns[-1] - xs.max())
    height = np.ptp(ys) + 1
    least = 0.6 if _thickness(line) > 0.75 * _pen(rest) else 0.3
    return bool(height >= LEAST_SIDE and overhang >= least * height)


def _pen(pixels: Mask) -> float:
    """The width of strokes."""
    edges = sum(int(np.abs(np.diff(np.pad(pixels, 1).astype(np.int8), axis=axis)).sum()) for axis in (0, 1))
    return float(pixels.sum()) / (np.pi / 8 * edges)


def _marks(kept: Mask) -> Mask:
    """Small strokes near an edge and far from the largest one, such as punched holes and staples."""
    height, width = (int(np.ceil(MARGIN * side)) for side in kept.shape)
    if np.count_nonzero(kept) == np.count_nonzero(kept[height:-height, width:-width]):
        return np.zeros_like(kept)
    labels, outlines = labelled(kept)
    sizes = [longer(box) for box in outlines]
    marks = np.zeros(len(outlines) + 1, bool)
    main = outlines[int(np.argmax(sizes))]
    for label, (box, size) in enumerate(zip(outlines, sizes, strict=True), start=1):
        gap = max(max(one.start - other.stop, other.start - one.stop) for one, other in zip(box, main, strict=True))
        margins = [min(side.start, length - side.stop) / length for side, length in zip(box, kept.shape, strict=True)]
        marks[label] = size < 0.4 * max(sizes) < 2 * gap and min(margins) < MARGIN
    return np.asarray(marks[labels])
