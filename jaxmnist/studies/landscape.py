"""The cost as a landscape over a plane: how to look at paths through 13,002 dimensions."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxmnist.dataset import Dataset
from jaxmnist.metrics import evaluate
from jaxmnist.network import Params

AT_ONCE = 50
"""Networks measured together: their activations on 1,000 examples then take a few MB."""


class Plane(NamedTuple):
    """A plane in the space of all parameters.

    Attributes:
        origin: a point of it, all parameters in a row.
        directions: two orthonormal rows that span it.
        explained: the share of the paths' variance along each direction.
    """

    origin: Float[np.ndarray, "parameters"]
    directions: Float[np.ndarray, "2 parameters"]
    explained: Float[np.ndarray, "2"]


class Terrain(NamedTuple):
    """The mean cost at a grid of a plane's points.

    Attributes:
        along: coordinates along the first direction.
        across: coordinates along the second.
        cost: mean cost at each pair of them.
    """

    along: Float[np.ndarray, "x"]
    across: Float[np.ndarray, "y"]
    cost: Float[np.ndarray, "y x"]


def flatten(params: Params) -> Float[np.ndarray, "parameters"]:
    """All parameters in a row: a point in parameter space."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def principal_plane(paths: Sequence[Float[np.ndarray, "_ parameters"]]) -> Plane:
    """The plane through the mean of all points of all paths in which they spread the most.

    Its directions are the first two principal components, so the paths' shadows on it lose the least. They point from
    the first path's first point towards the last path's last one.

    Args:
        paths: at least three points together.

    Source:
        Li et al., Visualizing the loss landscape of neural nets (2018), §7.
    """
    points = np.concatenate(paths).astype(float)
    origin = points.mean(axis=0)
    points -= origin
    spread, mixtures = np.linalg.eigh(points @ points.T)  # n × n, far smaller than n × 13,002; ascending
    directions = np.linalg.qr(points.T @ mixtures[:, :-3:-1]).Q.T
    forward = directions @ (points[-1] - points[0]) >= 0
    return Plane(origin, np.where(forward[:, None], directions, -directions), spread[:-3:-1] / spread.sum())


def project(plane: Plane, points: Float[np.ndarray, "*n parameters"]) -> Float[np.ndarray, "*n 2"]:
    """The shadows of points on the plane: coordinates along its two directions from its origin."""
    return np.asarray((points - plane.origin) @ plane.directions.T)


def survey(
    plane: Plane,
    shadows: Float[np.ndarray, "n 2"],
    like: Params,
    judge: Dataset,
    slimmest: float = 0.55,
    points: int = 50,
) -> Terrain:
    """The terrain around some points of the plane.

    Args:
        plane: where.
        shadows: what the terrain must hold, with a margin around.
        like: parameters of the network's shape.
        judge: the set on which the cost is measured.
        slimmest: the terrain's shorter side is at least this share of the longer one.
        points: of the grid, along each direction.
    """
    low, high = shadows.min(axis=0), shadows.max(axis=0)
    half = 0.6 * (high - low)
    half = np.maximum(half, slimmest * half.max())
    along, across = np.linspace((low + high) / 2 - half, (low + high) / 2 + half, points).T
    places = np.stack(np.meshgrid(along, across), axis=-1).reshape(-1, 2)
    cost = _costs(places, plane.origin, plane.directions, like, judge)
    return Terrain(along, across, np.asarray(cost).reshape(points, points))


@jax.jit
def _costs(
    places: Float[Array, "n 2"],
    origin: Float[Array, "parameters"],
    directions: Float[Array, "2 parameters"],
    like: Params,
    judge: Dataset,
) -> Float[Array, "n"]:
    """The mean cost at places of a plane."""
    unflatten = ravel_pytree(like)[1]
    dtype = like[0].weights.dtype

    def cost(place: Float[Array, "2"]) -> Float[Array, ""]:
        measured: Array = evaluate(unflatten((origin + place @ directions).astype(dtype)), judge).cost
        return measured

    costs: Array = jax.lax.map(cost, places, batch_size=AT_ONCE)
    return costs
