"""The paper's light in a picture: step 2 of `jaxmnist.handwriting`."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

MOST_CELLS, FINE_CELLS = 32, 100  # most cells on a side
SURFACE_ROUNDS, ABOVE = 12, 0.6  # for the paper's surface; cells below it weigh 1 − ABOVE
EVEN_SHARE = 0.75  # under even light, the paper's brightness is this quantile of the cells
WIDEST_STROKE = 0.3  # of the picture's longer side; what is wider and dark is a shadow
SMOOTH = 0.28  # least share of the cells' variance that is smooth where the light is uneven
LEAST_LIT = 32  # pixels on the longer side; a smaller picture is a digit that fills it
BLACK = 12  # least such ratio that isn't light, but ink
UNEVEN = 1.12  # least ratio of the brightest and the darkest paper that is levelled locally


def shrink(values: Shaped[np.ndarray, "height width"], block: int) -> Float[np.ndarray, "rows columns"]:
    """Means of blocks of block×block values; a side that isn't a multiple is extended by copies of its last."""
    if block == 1:
        return values.astype(float)
    padded = np.pad(values, [(0, -side % block) for side in values.shape], mode="edge")
    rows = padded[::block].astype(float)
    for first in range(1, block):
        rows += padded[first::block]
    means = rows[:, ::block].copy()
    for first in range(1, block):
        means += rows[:, first::block]
    return means / block**2


def paper(light: Float[np.ndarray, "height width"]) -> tuple[Float[np.ndarray, "height width"], bool]:
    """Step 2: the brightness of the paper everywhere, and whether it is lighter than the ink; if not, of 1 − light."""
    block = -(-max(light.shape) // MOST_CELLS)
    cells = shrink(light, block)
    basis, values = _basis(cells.shape), cells.ravel()
    residuals = values - basis[:, :3] @ _least_squares(basis[:, :3], values, np.ones_like(values))
    cubes = (residuals**3).reshape(cells.shape)
    inside = cubes[1:-1, 1:-1] if min(cells.shape) > 2 else cubes
    dark_on_light = bool(inside.sum() < 0)
    uneven = (
        max(light.shape) >= LEAST_LIT
        and _smooth_share(cells) > SMOOTH
        and _uneven(cells if dark_on_light else 1 - cells)
    )
    if uneven:
        dark_on_light = _small_things_are_dark(shrink(light, -(-max(light.shape) // FINE_CELLS)))
    if not dark_on_light:
        values = 1 - values
    weights = np.ones_like(values)
    for _ in range(SURFACE_ROUNDS):
        coefficients = _least_squares(basis, values, weights)
        residuals = values - basis @ coefficients
        weights = np.where(residuals > 0, ABOVE, 1 - ABOVE) / np.maximum(np.abs(residuals), 1 / 255)
    even = _quantile(values, EVEN_SHARE)
    if _quantile(np.abs(values - even), 1 - EVEN_SHARE) <= _quantile(np.abs(residuals), 1 - EVEN_SHARE):
        surface = np.full(light.shape, even)
    else:
        terms = zip(coefficients, _terms(light.shape, block, cells.shape), strict=True)
        surface = sum(coefficient * term for coefficient, term in terms)
    return _levelled(surface, light if dark_on_light else 1 - light, uneven), dark_on_light


def _uneven(cells: Float[np.ndarray, "rows columns"]) -> bool:
    """Whether the paper's brightness, without strokes, varies by more than noise, and by less than ink does."""
    size = max(3, int(WIDEST_STROKE * max(cells.shape)) | 1)
    paper = ndimage.grey_closing(cells, (size, size), mode="nearest")
    edge = np.concatenate([paper[0], paper[-1], paper[:, 0], paper[:, -1]])  # which a shadow reaches, and ink seldom
    darkest, brightest = np.quantile(edge, 0.15), np.quantile(paper, 0.98)
    return bool(UNEVEN * darkest < brightest < BLACK * darkest)


def _smooth_share(cells: Float[np.ndarray, "rows columns"]) -> float:
    """The share of the variance that is left after smoothing: large in shadows, small among strokes."""
    smooth = ndimage.gaussian_filter(cells, 0.1 * max(cells.shape), mode="nearest")
    return float(smooth.var() / max(cells.var(), 1e-9))


def _small_things_are_dark(cells: Float[np.ndarray, "rows columns"]) -> bool:
    """Whether what stands out, from what is around it and from a smooth surface, is dark, where the light is uneven."""
    basis = _basis(cells.shape)
    surface = (basis @ _least_squares(basis, cells.ravel(), np.ones(cells.size))).reshape(cells.shape)
    edge = max(1, max(cells.shape) // 10)
    skewness = 0.0
    for smooth in (ndimage.gaussian_filter(cells, 0.07 * max(cells.shape), mode="nearest"), surface):
        limited = np.clip(smooth, 0.05, 0.95)
        share = (cells - limited) / (limited * (1 - limited))
        inside = share[edge:-edge, edge:-edge] if min(cells.shape) > 2 * edge + 2 else share
        skewness += float((inside**3).sum() / max((np.abs(inside) ** 3).sum(), 1e-9))
    return skewness < 0


def _levelled(
    surface: Float[np.ndarray, "height width"], light: Float[np.ndarray, "height width"], uneven: bool
) -> Float[np.ndarray, "height width"]:
    """The surface, corrected where shadows and bright spots are left."""
    left = light / np.maximum(surface, 0.05)
    if not uneven or not _uneven(shrink(left, -(-max(left.shape) // MOST_CELLS))):
        return surface
    smooth = ndimage.uniform_filter(left, 3, mode="nearest")
    closed = _closed(smooth, int(WIDEST_STROKE * max(light.shape)) | 1)
    share = light / np.maximum(surface * closed, 0.05)
    return np.asarray(surface * closed * np.median(share))


def _closed(values: Float[np.ndarray, "height width"], window: int) -> Float[np.ndarray, "height width"]:
    """Grey closing by a square and by a diamond, whichever is darker; beyond the edge it may be as dark as it likes."""
    padded = np.pad(values, window, constant_values=-np.inf)
    square = ndimage.minimum_filter(ndimage.maximum_filter(padded, window, mode="nearest"), window, mode="nearest")
    y, x = np.ogrid[: padded.shape[0], : padded.shape[1]]
    turned = np.full((sum(padded.shape),) * 2, -np.inf)
    down, across = y + x, y - x + padded.shape[1]
    turned[down, across] = padded
    side = int(window * 1.2) | 1
    turned = ndimage.maximum_filter(turned, side, mode="nearest")
    turned = ndimage.minimum_filter(turned, side, mode="nearest")
    diamond = turned[down, across]
    return np.asarray(np.minimum(square, diamond)[window:-window, window:-window])


def _terms(shape: tuple[int, ...], block: int, cells: tuple[int, ...]) -> tuple[Float[np.ndarray, "_ _"], ...]:
    """1, y, x, y², y x and x² of every pixel, of which block×block are a cell; the middle is 0, the longer side 1."""
    y, x = (
        ((np.arange(side) + 0.5) / block - count / 2) / max(cells) for side, count in zip(shape, cells, strict=True)
    )
    y, x = y[:, None], x[None, :]
    return np.ones((1, 1)), y, x, y * y, y * x, x * x


@lru_cache(maxsize=8)
def _basis(cells: tuple[int, int]) -> Float[np.ndarray, "n terms"]:
    """The terms of every cell; pictures of one shape, which often come together, share them."""
    return np.stack([term.ravel() for term in np.broadcast_arrays(*_terms(cells, 1, cells))], axis=1)


def _quantile(values: Float[np.ndarray, "n"], share: float) -> float:
    """The smallest value that this share of them doesn't exceed."""
    place = math.ceil(share * len(values)) - 1
    return float(np.partition(values, place)[place])


def _least_squares(
    basis: Float[np.ndarray, "n terms"], values: Float[np.ndarray, "n"], weights: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "terms"]:
    """Coefficients c that minimise Σ w (value − basis · c)²; slight damping helps if there are few cells."""
    weighted = basis.T * weights
    normal = weighted @ basis
    normal.flat[:: len(normal) + 1] += 1e-9 * normal.trace()
    return np.linalg.solve(normal, weighted @ values)
