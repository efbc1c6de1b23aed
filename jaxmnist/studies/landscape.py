"""The cost as a landscape over a plane: how to look at paths through 13,002 dimensions."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from jaxmnist.dataset import Dataset
from jaxmnist.metrics import evaluate
from jaxmnist.network import Params
from jaxmnist.population import make_members
from jaxmnist.studies.methods import Method, RaceData, Settings, trajectory
from jaxmnist.studies.race import Result
from jaxmnist.training import TrainState

END_COST = 0.2
"""Training cost at which a path through the landscape ends."""

POINTS = 500
"""Points of a path that takes the whole race, about."""

LOOK_AHEAD, CLOSE_UP = 120, 6
"""Steps of Nesterov's path, down the first slope and out onto the plain, and of its close-up."""


class Path(NamedTuple):
    """The way of one network."""

    method: Method  # the method
    learning_rate: float  # η
    every: int  # steps from one point to the next
    costs: Float[np.ndarray, "points"]  # mean training cost at each point
    points: Float[np.ndarray, "points dimensions"]  # in the space of all parameters, or projected onto a plane


class Plane(NamedTuple):
    """A plane in the space of all parameters."""

    origin: Float[np.ndarray, "parameters"]  # a point of it, all parameters in a row
    directions: Float[np.ndarray, "2 parameters"]  # two orthonormal rows that span it
    explained: Float[np.ndarray, "2"]  # the share of the paths' variance along each direction


class Terrain(NamedTuple):
    """The mean cost over a part of a plane, and the paths projected onto it."""

    along: Float[np.ndarray, "x"]  # coordinates along the first direction
    across: Float[np.ndarray, "y"]  # coordinates along the second
    cost: Float[np.ndarray, "y x"]  # mean cost at each pair of them
    explained: Float[np.ndarray, "2"]  # the share of the paths' variance along each direction
    paths: tuple[Path, ...]  # their points are coordinates in the plane


def run(key: Key[Array, ""], data: RaceData, result: Result) -> dict[str, Terrain]:
    """Follow the methods of a race once more, step by step from random start 0, and survey the cost around their paths.

    Returns:
        "gd_sgd" and "sgd_momentum", each method at its own best learning rate; "momentum_nesterov", both at momentum's
        best, with Nesterov's path in the textbook's form θ'; "close_up", the first steps of the latter with a third
        path of the points θ = θ' + μ v where Nesterov's method takes its gradients; and "race", all four in equally
        many steps, each at its own best learning rate, until the first has come down or gradient descent has stopped.
    """
    settings, probe = result.settings, data.probe
    rates = {method: outcome.learning_rate for method, outcome in result.best.items()}
    full, states = follow(key, "gd", rates["gd"], data, settings, END_COST)
    single, _ = follow(key, "sgd", rates["sgd"], data, settings, END_COST)
    heavy, _ = follow(key, "momentum", rates["momentum"], data, settings, END_COST)
    like = jax.tree.map(lambda leaf: leaf[0], states[0].params)
    first = dataclasses.replace(settings, steps=min(LOOK_AHEAD, settings.steps))
    momentum, _ = follow(key, "momentum", rates["momentum"], data, first)
    ahead, states = follow(key, "nesterov", rates["momentum"], data, first)
    nesterov = textbook_path(ahead, states, settings.momentum)
    few = dataclasses.replace(settings, steps=min(settings.steps, settings.full_batch_steps))
    light, _ = follow(key, "nesterov", rates["nesterov"], data, few, END_COST)
    close = [path._replace(points=path.points[: CLOSE_UP + 1]) for path in (momentum, nesterov, ahead)]
    return {
        "gd_sgd": survey([full, single], like, probe),
        "sgd_momentum": survey([single, heavy], like, probe),
        "momentum_nesterov": survey([momentum, nesterov], like, probe),
        "close_up": survey(close, like, probe, min_height=0.0),
        "race": survey(equally_long([full, single, heavy, light]), like, probe, min_height=1.0, spanning=4),
    }


def follow(
    key: Key[Array, ""], method: Method, learning_rate: float, data: RaceData, settings: Settings, end_cost: float = 0.0
) -> tuple[Path, list[TrainState]]:
    """The path of one network from random start 0 until its cost is down or all steps are made, and its states."""
    members = make_members([(settings.momentum, learning_rate)], [0])
    every = max(1, settings.steps_of(method) // POINTS)
    states, costs = [], []
    for state, cost in trajectory(key, method, members, data, settings, every):
        states.append(state)
        costs.append(float(cost[0]))
        if costs[-1] <= end_cost:
            break
    points = np.stack([ravel_pytree(state.params)[0] for state in states])
    return Path(method, learning_rate, every, np.array(costs), points), states


def equally_long(paths: Sequence[Path]) -> list[Path]:
    """Cut paths to the steps that all have made, with points at the same steps.

    A path that has no point there has the one before.
    """
    every = max(path.every for path in paths)
    steps = np.arange(0, 1 + min(path.every * (len(path.points) - 1) for path in paths), every)
    return [
        path._replace(every=every, costs=path.costs[steps // path.every], points=path.points[steps // path.every])
        for path in paths
    ]


def textbook_path(path: Path, states: Sequence[TrainState], momentum: float) -> Path:
    """The path of θ', the parameters in the textbook's form of Nesterov's method.

    Our parameters θ = θ' + μ v look ahead of it, with v = −η m. `optimizers.nesterov` says why both forms make the same
    steps. Path and states are from `follow`.
    """
    velocities = np.stack([ravel_pytree(state.optimizer_state.velocity)[0] for state in states])
    return path._replace(points=path.points + momentum * path.learning_rate * velocities)


def principal_plane(paths: Sequence[Float[np.ndarray, "_ parameters"]]) -> Plane:
    """The plane through the mean of all points of all paths in which they spread the most.

    Its directions are the first two principal components, so projecting the paths onto it loses the least. They point
    from the first path's first point towards the last path's last one.

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


def survey(
    paths: Sequence[Path],
    like: Params,
    probe: Dataset,
    min_height: float = 0.55,
    resolution: int = 50,
    spanning: int = 2,
) -> Terrain:
    """Measure the cost on a grid around paths, in the principal plane of the first so many.

    The grid's shorter side is at least `min_height` times as long as the other; `like` has the network's shape.
    """
    plane = principal_plane([path.points for path in paths[:spanning]])
    projected = tuple(path._replace(points=(path.points - plane.origin) @ plane.directions.T) for path in paths)
    points = np.concatenate([path.points for path in projected])
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.6 * (high - low)
    half = np.maximum(half, min_height * half.max())
    along, across = np.linspace((low + high) / 2 - half, (low + high) / 2 + half, resolution).T
    grid = np.stack(np.meshgrid(along, across), axis=-1).reshape(-1, 2)
    cost = np.asarray(_costs(grid, plane.origin, plane.directions, like, probe)).reshape(resolution, resolution)
    return Terrain(along, across, cost, plane.explained, projected)


@jax.jit
def _costs(
    grid: Float[Array, "n 2"], origin: Float[Array, "p"], directions: Float[Array, "2 p"], like: Params, probe: Dataset
) -> Float[Array, "n"]:
    """The mean cost at points of a plane, evaluated 50 at once: their activations then take a few MB."""
    flat, unflatten = ravel_pytree(like)
    costs: Array = jax.lax.map(
        lambda point: evaluate(unflatten((origin + point @ directions).astype(flat.dtype)), probe).cost,
        grid,
        batch_size=50,
    )
    return costs
