"""What is on the paper but no digit: step 5 of `jaxmnist.handwriting`."""

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

AROUND = np.ones((3, 3), bool)  # eight neighbours
SLOPES = np.linspace(-0.08, 0.08, 17)  # of a printed line, in pixels a pixel
RECTANGLE, HOLLOW = 0.9, 0.6  # least share of its rectangle that a box fills, and most ink in one
LEAST_DIGIT = 0.15  # a digit's least height in heights of its box


def without_printed(strokes: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Drop boxes, frames, rules and what lies along the picture's edges, if other strokes are left."""
    kept = strokes.copy()
    for drop in (_boxes, _edges, _rules, _rules):
        labels, _ = ndimage.label(kept, AROUND)
        dropped = drop(kept, labels)
        if (kept & ~dropped).any():
            kept &= ~dropped
    return kept


def _crop(box: tuple[slice, slice], room: int) -> tuple[slice, slice]:
    rows, columns = (slice(max(side.start - room, 0), side.stop + room) for side in box)
    return rows, columns


def _boxes(kept: Bool[np.ndarray, "height width"], labels: Int[np.ndarray, "height width"]) -> np.ndarray:
    """The outlines of rectangles that have other strokes inside."""
    dropped = np.zeros_like(kept)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = box
        if min(rows.stop - rows.start, columns.stop - columns.start) < 8:
            continue
        own = labels[box] == label
        touched = [rows.start == 0, rows.stop == kept.shape[0], columns.start == 0, columns.stop == kept.shape[1]]
        walls = np.pad(own, 1)
        for at, touches in zip(([0], [-1]) * 2, touched, strict=True):
            pass
        if touched[0]:
            walls[0] = True
        if touched[1]:
            walls[-1] = True
        if touched[2]:
            walls[:, 0] = True
        if touched[3]:
            walls[:, -1] = True
        filled = ndimage.binary_fill_holes(walls)[1:-1, 1:-1]
        window = max(3, int(0.25 * min(own.shape)))
        filled = _opened(filled, window, touched)
        if filled.sum() < 0.3 * own.size or (own & filled).sum() > HOLLOW * filled.sum() or not _rectangular(filled):
            continue
        edge = [np.mean(own[0]), np.mean(own[-1]), np.mean(own[:, 0]), np.mean(own[:, -1])]
        free = sum(not touches for touches in touched)
        if free < 2 and not all(share > 0.9 for share in edge):
            continue
        depth = _thickness(own, filled, touched)
        inner = _eroded(filled, depth + 1, touched)
        inside = kept[box] & inner
        parts, _ = ndimage.label(inside, AROUND)
        heights = [one.stop - one.start for one, _ in ndimage.find_objects(parts)]
        if not heights or max(heights) < LEAST_DIGIT * own.shape[0]:
            continue
        dropped[box] |= own & ~inner
    return dropped


def _opened(filled: np.ndarray, window: int, touched: list[bool]) -> np.ndarray:
    room = window
    padded = np.pad(filled, room)
    padded[:room] = padded[room] if touched[0] else False
    padded[-room:] = padded[-room - 1] if touched[1] else False
    padded[:, :room] = padded[:, [room]] if touched[2] else False
    padded[:, -room:] = padded[:, [-room - 1]] if touched[3] else False
    opened = ndimage.minimum_filter(padded, window)
    opened = ndimage.maximum_filter(opened, window, origin=-1 if window % 2 == 0 else 0)
    return opened[room:-room, room:-room]


def _eroded(filled: np.ndarray, depth: int, touched: list[bool]) -> np.ndarray:
    return ndimage.minimum_filter(np.pad(filled, 1), 2 * depth + 1, mode="nearest")[1:-1, 1:-1]


def _thickness(own: np.ndarray, filled: np.ndarray, touched: list[bool]) -> int:
    """Of the outline: the median over its free sides of the run of ink from the outside inwards."""
    runs = []
    for turn in range(4):
        ink, region = np.rot90(own, turn), np.rot90(filled, turn)
        first = region.argmax(axis=0)
        inked = ~ink & (np.arange(len(ink))[:, None] >= first)
        run = inked.argmax(axis=0) - first
        run = run[region.any(axis=0) & inked.any(axis=0)]
        if run.size and np.median(run) > 0:
            runs.append(np.percentile(run, 75))
    return int(np.ceil(max(runs))) if runs else 1


def _rectangular(filled: np.ndarray) -> bool:
    """Whether a region fills its rectangle, which may be tilted a little."""
    y, x = np.nonzero(filled & ~ndimage.binary_erosion(filled))
    least = np.inf
    for slope in SLOPES:
        least = min(least, (np.ptp(y + slope * x) + 1) * (np.ptp(x - slope * y) + 1) / (1 + slope**2))
    return bool(filled.sum() >= RECTANGLE * least)


def _edges(kept: Bool[np.ndarray, "height width"], labels: Int[np.ndarray, "height width"]) -> np.ndarray:
    """Strokes that run along an edge of the picture, if there are others that don't touch it."""
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    touching = np.unique(np.concatenate(sides))
    sizes = np.bincount(labels.ravel())
    free = np.ones(len(sizes), bool)
    free[0] = False
    free[touching] = False
    if not free.any() or sizes[free].max() < 12:
        return np.zeros_like(kept)
    along = np.zeros(len(sizes), bool)
    boxes = ndimage.find_objects(labels)
    for label in touching[touching > 0]:
        runs = [np.mean(side == label) for side in sides]
        corner = label in (labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1])
        along[label] = max(runs) > 0.5 or (corner and sum(run > 0.03 for run in runs) >= 2)
    return along[labels]


def _rules(kept: Bool[np.ndarray, "height width"], labels: Int[np.ndarray, "height width"]) -> np.ndarray:
    """Straight lines longer than what else there is, cut from it where they touch."""
    dropped = np.zeros_like(kept)
    boxes = ndimage.find_objects(labels)
    for label, box in enumerate(boxes, start=1):
        own = labels[box] == label
        for upright in (False, True):
            mask = own.T if upright else own
            height, width = mask.shape
            span = kept.shape[0 if upright else 1]
            if width < 12:
                continue
            line = _line(mask, int(0.75 * width))
            if not line.any():
                continue
            rest = mask & ~ndimage.maximum_filter(line, (3, 1))
            rest = _speckless(rest, line)
            columns = np.flatnonzero(line.any(axis=0))
            others = np.delete(np.arange(1, len(boxes) + 1), label - 1)
            tall = [boxes[o - 1][1 if upright else 0] for o in others]
            heights = [max(s.stop - s.start for s in boxes[o - 1]) for o in others]
            if rest.any():
                ys, xs = np.nonzero(rest)
                left, right = xs.min() - columns[0], columns[-1] - xs.max()
                room = 0.15 * (np.ptp(ys) + 1)
                whole = width >= 0.95 * span
                if np.ptp(ys) + 1 >= 8 and ((min(left, right) >= room and not upright) or whole):
                    dropped_here = line & ~_joined(rest, line)
                    (dropped[box].T if upright else dropped[box])[dropped_here] = True
                    break
            else:
                most = max(heights, default=0)
                whole = width >= 0.95 * span
                if most >= 8 and (width >= (1.5 if upright else 1.2) * most or (whole and most < 0.8 * span)):
                    dropped[box] |= own
                    break
    return dropped


def _speckless(rest: np.ndarray, line: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(rest, AROUND)
    if not count:
        return rest
    thick = line.sum() / max(1, np.count_nonzero(line.any(axis=0)))
    keep = np.zeros(count + 1, bool)
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        keep[index] = rows.stop - rows.start > 1.5 * thick + 2
    return keep[labels]


def _joined(rest: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Pixels of the line where the digit goes on at its other side."""
    thick = int(np.ceil(line.sum() / max(1, np.count_nonzero(line.any(axis=0))))) + 3
    padded = np.pad(rest, thick)
    closed = ndimage.binary_closing(padded, np.ones((thick, 1), bool))
    return closed[thick:-thick, thick:-thick] & line


def _line(mask: np.ndarray, length: int) -> np.ndarray:
    """Pixels on nearly level straight lines of at least this length."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    at = np.arange(width)
    for slope in SLOPES:
        shift = np.round(slope * (at - width / 2)).astype(int)
        room = int(np.abs(shift).max()) + 1
        padded = np.pad(mask, ((room, room), (0, 0)))
        rows = np.arange(height + 2 * room)[:, None]
        index = np.clip(rows + shift, 0, len(padded) - 1)
        sheared = padded[index, at]
        size = length | 1
        run = ndimage.maximum_filter1d(
            ndimage.minimum_filter1d(sheared, size, axis=1, mode="constant"), size, axis=1, mode="constant"
        )
        if run.any():
            back = np.zeros_like(padded)
            back[index[run], np.broadcast_to(at, index.shape)[run]] = True
            found |= back[room:-room]
    return found & mask
