"""What is on the paper but is no digit: printed boxes and rules, and what lies along the picture's edges."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from jaxmnist.handwriting.boxes import boxes
from jaxmnist.handwriting.lines import AROUND, Mask, bridged, crossed, level_lines

GAP = 9  # pixels between the dashes of a rule, at most
LEAST_PICTURE = 32  # pixels on the longer side of a picture with more in it than a digit
ROOM = 12  # pixels around all strokes that are looked at; more than gaps are bridged by
LEAST_SIDE = 8  # pixels on the longer side of what can be a digit


def without_printed(strokes: Mask) -> Mask:
    """Drop boxes, rules and what runs along the picture's edges, as far as other strokes are left."""
    kept = strokes
    if not kept.any() or max(kept.shape) < LEAST_PICTURE:
        return kept
    for printed in (boxes, _along_edges, _rules, _marks):
        left = kept & ~_found(kept, printed)
        if left.any():
            kept = left
    return kept


def _found(kept: Mask, printed: Callable[[Mask], Mask]) -> Mask:
    """What a function finds to be printed; most of a picture is empty, so only around the strokes if it may."""
    if printed in (_along_edges, _marks):  # they measure the picture
        return printed(kept)
    ((rows, columns),) = ndimage.find_objects(kept.astype(int))
    crop = tuple(slice(max(side.start - ROOM, 0), side.stop + ROOM) for side in (rows, columns))
    found = np.zeros_like(kept)
    found[crop] = printed(kept[crop])
    return found


def _along_edges(kept: Mask) -> Mask:
    """Strokes that run along an edge of the picture or lie in its corner, if there are others that touch no edge."""
    labels, _ = ndimage.label(kept, AROUND)
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    touching = np.unique(np.concatenate(sides))
    outlines = ndimage.find_objects(labels)
    inside = [box for label, box in enumerate(outlines, start=1) if label not in touching]
    along = np.zeros(len(outlines) + 1, bool)
    if any(max(side.stop - side.start for side in box) >= LEAST_SIDE for box in inside):
        corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
        for label in touching[touching > 0]:
            along[label] = label in corners or max(np.mean(side == label) for side in sides) > 0.4
    return np.asarray(along[labels])


def _rules(kept: Mask) -> Mask:
    """Straight lines through the whole picture, or under or over everything and longer."""
    through = _through(kept) | _through(kept.T).T
    left = kept & ~through
    return np.asarray(through | _floating(left)) if left.any() else through


def _through(kept: Mask) -> Mask:
    """Level lines from edge to edge, if there are other strokes away from the edges."""
    nothing = np.zeros_like(kept)
    if not (kept[:, :3].any() and kept[:, -3:].any()):
        return nothing
    line = level_lines(bridged(kept, 1, max(GAP, kept.shape[1] // 8 | 1)), int(0.95 * kept.shape[1])) & kept
    rest = kept & ~ndimage.maximum_filter(line, 3)
    aside = kept[[0, -1]].any() and not _inside(rest)
    if aside or max(_sizes(rest), default=0) < LEAST_SIDE:
        return nothing
    return np.asarray(line & ~crossed(kept & ~line, line))


def _sizes(mask: Mask) -> list[int]:
    """The longer side of every stroke."""
    labels, _ = ndimage.label(mask, AROUND)
    return [max(side.stop - side.start for side in box) for box in ndimage.find_objects(labels)]


def _inside(rest: Mask) -> bool:
    """Whether a stroke touches no edge of the picture."""
    labels, _ = ndimage.label(rest, AROUND)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    sizes = [max(side.stop - side.start for side in box) for box in ndimage.find_objects(labels)]
    return any(size >= LEAST_SIDE for label, size in enumerate(sizes, start=1) if label not in touching)


def _floating(kept: Mask) -> Mask:
    """Level lines that end on the paper, longer than what else there is, on both sides if they touch it."""
    printed = np.zeros_like(kept)
    labels, _ = ndimage.label(bridged(kept, 1, GAP), AROUND)
    outlines = ndimage.find_objects(labels)
    lines = []
    for label, box in enumerate(outlines, start=1):
        own = labels[box] == label
        line = level_lines(own, int(0.75 * own.shape[1])) & kept[box]
        if line.sum() > 0.15 * np.count_nonzero(line.any(axis=0)) ** 2:  # as thick as a digit's blobs
            line = np.zeros_like(line)
        rest = kept[box] & own & ~ndimage.maximum_filter(line, (5, 3))
        thickness = line.sum() / max(1, np.count_nonzero(line.any(axis=0)))
        lines.append((own, line, _tall(rest, 1.5 * thickness + 2), thickness))
    tallest = max(
        (max(np.ptp(np.flatnonzero(kept[box].any(axis=axis))) + 1 for axis in (0, 1))
         for box, (_own, line, rest, _thickness) in zip(outlines, lines, strict=True) if not line.any() or rest.any()),
        default=0,
    )  # fmt: skip
    for box, (own, line, rest, thickness) in zip(outlines, lines, strict=True):
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
            printed[box] |= line & ~crossed(kept[box] & ~line, line)
    return printed


def _tall(mask: Mask, least: float) -> Mask:
    """The strokes that are higher than some pixels."""
    labels, count = ndimage.label(mask, AROUND)
    tall = np.zeros(count + 1, bool)
    tall[1:] = [rows.stop - rows.start > least for rows, _ in ndimage.find_objects(labels)]
    return np.asarray(tall[labels])


def _pen(pixels: Mask) -> float:
    """The width of strokes."""
    edges = sum(int(np.abs(np.diff(np.pad(pixels, 1).astype(np.int8), axis=axis)).sum()) for axis in (0, 1))
    return float(pixels.sum()) / (np.pi / 8 * edges)


def _marks(kept: Mask) -> Mask:
    """Small strokes near an edge and far from the largest one, such as punched holes and staples."""
    labels, count = ndimage.label(kept, AROUND)
    outlines = ndimage.find_objects(labels)
    sizes = [max(side.stop - side.start for side in box) for box in outlines]
    marks = np.zeros(count + 1, bool)
    main = outlines[int(np.argmax(sizes))]
    for label, (box, size) in enumerate(zip(outlines, sizes, strict=True), start=1):
        gap = max(max(one.start - other.stop, other.start - one.stop) for one, other in zip(box, main, strict=True))
        margins = [min(side.start, length - side.stop) / length for side, length in zip(box, kept.shape, strict=True)]
        marks[label] = size < 0.4 * max(sizes) < 2 * gap and min(margins) < 0.15
    return np.asarray(marks[labels])
