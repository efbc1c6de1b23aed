"""A picture into paper and ink: steps 1 to 5 of `jaxmnist.handwriting`."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import ndimage

LONGEST_SIDE, MOST_CELLS = 200, 32  # most pixels on a side of a shrunken picture, and most cells on a side
SURFACE_ROUNDS, ABOVE = 12, 0.6  # for the paper's surface; cells below it weigh 1 − ABOVE
EVEN_SHARE = 0.75  # under even light, the paper's brightness is this quantile of the cells
LEAST_CONTRAST, INK_SHARE, SPECK_SHARE, MOST_DIGITS = 0.05, 0.3, 0.05, 20
LEAST_SIGNAL, NOISE_LIMIT = 5, 4  # × the noise: the least contrast of a picture, and the least ink of a stroke's pixel
# At 0.5, most skewed noise of 28×28 pixels would pass for strokes; at 1, a fifth of the 8×8 digits for noise.
STEP_SHARE = 0.7


class Segmented(NamedTuple):
    """A picture, at most 200×200, with paper and ink separated."""

    ink: Float[np.ndarray, "height width"]  # share of the paper's light that is missing; about 0 where there is no ink
    groups: Int[np.ndarray, "height width"]  # each pixel's group of strokes, from 1, left to right; 0 for none
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
    block = -(-max(grey.shape) // LONGEST_SIDE)
    light = _shrink(grey, block) / 255
    surface, dark_on_light = _paper(light)
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
    strokes, _ = ndimage.label(ink > max(INK_SHARE * contrast, NOISE_LIMIT * noise), np.ones((3, 3)))
    groups = _side_by_side(strokes)
    if groups.max() > MOST_DIGITS:
        raise ValueError(
            f"all noise: {groups.max()} strokes stand side by side, expected at most {MOST_DIGITS} digits; "
            "use a cleaner picture"
        )
    paper = ink[strokes == 0]
    spread = 1.4826 * float(np.median(np.abs(paper))) if paper.size else 0.0
    return Segmented(ink, groups, spread, block, dark_on_light)


def _shrink(values: Shaped[np.ndarray, "height width"], block: int) -> Float[np.ndarray, "rows columns"]:
    """Means of blocks of block×block values; a side that isn't a multiple is extended by copies of its last."""
    padded = np.pad(values, [(0, -side % block) for side in values.shape], mode="edge")
    blocks = padded.reshape(len(padded) // block, block, -1, block)
    return np.asarray(blocks.sum(axis=1, dtype=float).sum(axis=2) / block**2)


def _paper(light: Float[np.ndarray, "height width"]) -> tuple[Float[np.ndarray, "height width"], bool]:
    """Step 2: the brightness of the paper everywhere, and whether it is lighter than the ink; if not, of 1 − light."""
    block = -(-max(light.shape) // MOST_CELLS)
    cells = _shrink(light, block)
    basis = np.stack([term.ravel() for term in np.broadcast_arrays(*_terms(cells.shape, 1, cells.shape))], axis=1)
    values = cells.ravel()
    residuals = values - basis[:, :3] @ _least_squares(basis[:, :3], values, np.ones_like(values))
    cubes = (residuals**3).reshape(cells.shape)
    inside = cubes[1:-1, 1:-1] if min(cells.shape) > 2 else cubes
    dark_on_light = bool(inside.sum() < 0)
    if not dark_on_light:
        values = 1 - values
    weights = np.ones_like(values)
    for _ in range(SURFACE_ROUNDS):
        coefficients = _least_squares(basis, values, weights)
        residuals = values - basis @ coefficients
        weights = np.where(residuals > 0, ABOVE, 1 - ABOVE) / np.maximum(np.abs(residuals), 1 / 255)
    quantile = partial(np.quantile, method="inverted_cdf")  # the smallest value that this share doesn't exceed
    even = quantile(values, EVEN_SHARE)
    if quantile(np.abs(values - even), 1 - EVEN_SHARE) <= quantile(np.abs(residuals), 1 - EVEN_SHARE):
        return np.full(light.shape, even), dark_on_light
    terms = zip(coefficients, _terms(light.shape, block, cells.shape), strict=True)
    return sum(coefficient * term for coefficient, term in terms), dark_on_light


def _terms(shape: tuple[int, ...], block: int, cells: tuple[int, ...]) -> tuple[Float[np.ndarray, "_ _"], ...]:
    """1, y, x, y², y x and x² of every pixel, of which block×block are a cell; the middle is 0, the longer side 1."""
    y, x = (
        ((np.arange(side) + 0.5) / block - count / 2) / max(cells) for side, count in zip(shape, cells, strict=True)
    )
    y, x = y[:, None], x[None, :]
    return np.ones((1, 1)), y, x, y * y, y * x, x * x


def _least_squares(
    basis: Float[np.ndarray, "n terms"], values: Float[np.ndarray, "n"], weights: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "terms"]:
    """Coefficients c that minimise Σ w (value − basis · c)²; slight damping helps if there are few cells."""
    weighted = basis.T * weights
    normal = weighted @ basis
    return np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(len(normal)), weighted @ values)


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
