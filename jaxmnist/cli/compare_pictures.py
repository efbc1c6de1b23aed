"""The compare command's pictures. Paths are walked once more, by one network and step by step, to be drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxmnist.cli.compare_race import LAPS_SEED, THRESHOLDS, Entry, Options, Results
from jaxmnist.network import Params
from jaxmnist.plots.compare import CloseUp, Curve, Track, curves, look_ahead, paths
from jaxmnist.plots.style import png
from jaxmnist.runs.files import write_atomically
from jaxmnist.studies.landscape import Plane, flatten, principal_plane, project, survey
from jaxmnist.studies.race import METHODS, Field, Method, make_lane, run, starts, textbook
from jaxmnist.training import TrainState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxmnist.sources import Splits

ARRIVED = 0.2
"""Training cost at which a pictured path ends."""

POINTS = 500
"""Of a pictured path, about, if it takes the whole race."""

DOTS = 20
"""Points from one dot on a path to the next."""

FIRST, CLOSE = 120, 6
"""Steps of the look-ahead picture, down the first slope and out onto the plain, and of its close-up."""


class Walk(NamedTuple):
    """The way of one network, from random start 0.

    Attributes:
        method: who went.
        learning_rate: η.
        lap: steps from one point to the next.
        states: the start and all that came.
        costs: the mean training cost there.
    """

    method: Method
    learning_rate: float
    lap: int
    states: list[TrainState]
    costs: list[float]

    @property
    def points(self) -> Float[np.ndarray, "n parameters"]:
        """Where it was, all parameters in a row."""
        return np.stack([flatten(state.params) for state in self.states])


def draw(folder: Path, options: Options, splits: "Splits", field: Field, results: Results) -> None:
    """Write the pictures."""
    racing, probe, _validation = (part.labels.shape[0] for part in field)
    to_the_end: tuple[tuple[Method, int], ...] = (
        ("gd", options.full_batch_steps),
        ("sgd", options.steps),
        ("momentum", options.steps),
    )
    full, single, heavy = (_walk(method, results.best[method], field, steps, ARRIVED) for method, steps in to_the_end)
    first = min(FIRST, options.steps)
    slow, ahead = (_walk(method, results.same[method], field, first, 0) for method in ("momentum", "nesterov"))
    figures = {
        "curves.png": curves(
            [
                Curve(
                    method,
                    entry.learning_rate,
                    entry.lane.steps,
                    entry.lane.steps * entry.lane.examples_per_step,
                    entry.costs,
                )
                for method, entry in results.best.items()
            ],
            THRESHOLDS,
            f"{splits.name}: {options.seeds} random starts, each method at its own best learning rate η",
            f"Line: median; band: quartiles. Cost measured on {probe:,} of the {racing:,} training examples that race. "
            f"Minibatches of {options.batch_size}, μ = {options.momentum:g}.",
        ),
        "path_gd_sgd.png": _pair(full, single, field, splits.name),
        "path_sgd_momentum.png": _pair(single, heavy, field, splits.name),
        "path_momentum_nesterov.png": _look_ahead(slow, ahead, options.momentum, field, splits.name),
    }
    for name, figure in figures.items():
        write_atomically(folder / name, png(figure))


def _walk(method: Method, entry: Entry, field: Field, steps: int, until: float) -> Walk:
    """Walk until the training cost is down, or the steps are made."""
    lane = make_lane(jax.random.key(LAPS_SEED), field.race, entry.lane.config, steps, 1)
    walk = Walk(method, entry.learning_rate, max(1, steps // POINTS), [], [])
    for step, (state, cost) in enumerate(run(starts([0]), [entry.learning_rate], lane, field.probe)):
        if step % walk.lap == 0:
            walk.states.append(state)
            walk.costs.append(float(cost[0]))
            if cost[0] <= until:
                break
    return walk


def _like(walk: Walk) -> Params:
    """Parameters of one network, for their shapes."""
    one: Params = jax.tree.map(lambda leaf: leaf[0], walk.states[0].params)
    return one


def _pair(one: Walk, other: Walk, field: Field, name: str) -> "Figure":
    plane = principal_plane([one.points, other.points])
    tracks = [
        Track(
            walk.method,
            f"{METHODS[walk.method]}, η = {walk.learning_rate:g}: cost {walk.costs[-1]:.2f} after "
            f"{walk.lap * (len(walk.states) - 1):,} steps, a dot every {DOTS * walk.lap}",
            project(plane, walk.points),
        )
        for walk in (one, other)
    ]
    terrain = survey(plane, np.concatenate([track.points for track in tracks]), _like(one), field.probe)
    title = f"{name}: {METHODS[one.method]} and {METHODS[other.method]} from one random start"
    return paths(terrain, tracks, plane.explained, DOTS, title, _where(field))


def _look_ahead(momentum: Walk, nesterov: Walk, coefficient: float, field: Field, name: str) -> "Figure":
    """Momentum's θ against the textbook's θ' of Nesterov's method, which takes its gradients ahead of it."""
    rate = nesterov.learning_rate
    behind = np.stack(
        [
            flatten(textbook(state.params, state.optimizer_state.velocity, rate, coefficient))
            for state in nesterov.states
        ]
    )

    def shadows(end: int) -> tuple[Plane, list[Float[np.ndarray, "steps 2"]]]:
        ways = [momentum.points[:end], behind[:end], nesterov.points[:end]]
        plane = principal_plane(ways[:2])
        return plane, [project(plane, way) for way in ways]

    like = _like(momentum)
    plane, (heavy, light, _ahead) = shadows(len(behind))
    close, way = shadows(CLOSE + 1)
    return look_ahead(
        survey(plane, np.concatenate([heavy, light]), like, field.probe),
        [
            Track("momentum", f"momentum: cost {momentum.costs[-1]:.3f} at the end", heavy),
            Track("nesterov", f"Nesterov, its θ': cost {nesterov.costs[-1]:.3f} looking ahead from the end", light),
        ],
        plane.explained,
        CloseUp(survey(close, np.concatenate(way), like, field.probe, slimmest=0), close.explained, *way),
        f"{name}: momentum and Nesterov from one random start, both at η = {rate:g}, μ = {coefficient:g}",
        _where(field),
    )


def _where(field: Field) -> str:
    return (
        f"Each plane: through the mean of the paths, along their first two principal components. Contours: mean cost\n"
        f"on {len(field.probe.labels):,} training examples in that plane; the paths also leave it, so theirs is not "
        f"quite this cost."
    )
