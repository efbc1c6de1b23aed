"""A grid of settings: each is trained from several random starts, and measured on held-out training examples.

A sweep holds out one fold of the training set; k-fold cross-validation holds out each of k folds in turn.
"""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, product
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, UInt8

from jaxmnist.config import Config, parameters_of, validate
from jaxmnist.dataset import Dataset, stratified_folds, take
from jaxmnist.network import Params
from jaxmnist.population import GROUP_SIZE, Members, Population, even_size, train_group

FAIR_LENGTHS = (0.25, 1.0, 4.0)
"""The η/(1−μ) of fair learning rates: the length to which steps in one direction add up. In five epochs of MNIST
μ = 0.5 and 0.9 do best near 4, 0.95 near 1 and 0.99 near 0.2."""

MAX_NETWORKS = 1_000_000
"""Most networks of a grid; each takes about 450 bytes until the end."""
MAX_PARAMETERS = 1_000_000_000
"""Most parameters of the networks that are trained at once: they, their velocities and gradients take 12 GB."""


class Grid(NamedTuple):
    """Which networks to train."""

    configs: tuple[Config, ...]  # the settings, as from `combine`; epochs are passes over the other folds
    seeds: int  # random starts of each setting
    folds: int  # equal parts of the training set; see `dataset.stratified_folds`
    held_out: int  # how many of the folds are held out, one after the other
    metric: Literal["cost", "accuracy"] = "cost"  # which ranks the settings: lowest mean cost, or highest mean accuracy
    group_size: int = GROUP_SIZE  # most networks to train at once
    first_seed: int = 0  # the seeds are `first_seed`, `first_seed` + 1, …


class Group(NamedTuple):
    """Networks of a grid that are trained together: those of one fold, optimizer and batch size, or a part of them."""

    fold: int  # the fold that is held out
    size: int  # how many networks the program is compiled for; the last group may have fewer
    settings: tuple[int, ...]  # each network's setting, an index into the grid's configs
    starts: tuple[int, ...]  # each network's random start, an index into the grid's seeds


class Measured(NamedTuple):
    """What is kept of a group's networks at their end; entry n is network n."""

    cost: Float[np.ndarray, "networks"]  # mean cost per held-out example
    accuracy: Float[np.ndarray, "networks"]  # share of the held-out examples, 0 to 1
    training_cost: Float[np.ndarray, "networks"]  # mean cost of the last epoch's minibatches
    diverged_at: Int[np.ndarray, "networks"]  # the step from 1, as in `population.Population`; 0 if never
    weights_sha256: UInt8[np.ndarray, "networks 32"]  # see `weights_sha256`


class Result(NamedTuple):
    """What was measured of every network at its end; arrays have shape (settings, folds held out, seeds)."""

    grid: Grid  # what was trained, resolved
    fold_size: int  # examples in a fold
    cost: Float[np.ndarray, "settings folds seeds"]  # as in `Measured`, as are the others
    accuracy: Float[np.ndarray, "settings folds seeds"]
    training_cost: Float[np.ndarray, "settings folds seeds"]
    diverged_at: Int[np.ndarray, "settings folds seeds"]
    weights_sha256: UInt8[np.ndarray, "settings folds seeds 32"]


def combine(
    config: Config,
    optimizers: Sequence[Literal["sgd", "momentum", "nesterov"]],
    batch_sizes: Sequence[int | Literal["full"]],
    momenta: Sequence[float],
    learning_rates: Sequence[float] | Literal["fair"],
) -> tuple[Config, ...]:
    """Combine every optimizer, batch size, μ and η, which changes fastest; fair η are `FAIR_LENGTHS` · (1 − μ)."""
    lists = {"optimizer": optimizers, "batch_size": batch_sizes, "momentum": momenta, "learning_rate": learning_rates}
    for name, values in lists.items():
        if not values:
            raise ValueError(f"{name}=(none): expected at least one value; for example {name}={getattr(Config, name)}")
        if values != "fair" and len(set(values)) < len(values):
            raise ValueError(f"{name}={' '.join(map(str, values))}: expected each value once")
    configs = []
    for optimizer, batch_size, momentum in product(optimizers, batch_sizes, momenta):
        shared = dataclasses.replace(config, optimizer=optimizer, batch_size=batch_size, momentum=momentum)
        validate(shared)
        fair = [float(f"{length * (1 - momentum):.6g}") for length in FAIR_LENGTHS]
        for rate in fair if learning_rates == "fair" else learning_rates:
            configs.append(dataclasses.replace(shared, learning_rate=rate))
            validate(configs[-1])
    return tuple(configs)


def resolved(grid: Grid, train_set: Dataset) -> Grid:
    """Check a grid against its data, and resolve its recipes."""
    labels, counts = np.unique(train_set.labels, return_counts=True)
    if not 2 <= grid.folds <= counts.min():
        raise ValueError(
            f"folds={grid.folds}: expected from 2 to {counts.min():,}, as each fold needs an example of the rarest "
            f"digit, {labels[counts.argmin()]}; for example folds=5"
        )
    networks = len(grid.configs) * grid.held_out
    if not 1 <= grid.seeds <= MAX_NETWORKS // networks:
        raise ValueError(
            f"seeds={grid.seeds}: expected from 1 to {MAX_NETWORKS // networks:,}, as each seed is {networks:,} "
            f"networks and a grid has at most {MAX_NETWORKS:,}; for example seeds=3"
        )
    if not 0 <= grid.first_seed <= 2**32 - grid.seeds:
        raise ValueError(
            f"first_seed={grid.first_seed}: expected a whole number from 0 to {2**32 - grid.seeds:,}, as seeds end at "
            f"{2**32 - 1:,}; for example first_seed=0"
        )
    group_of(networks * grid.seeds, grid.group_size, 1, grid.configs[0].sizes)
    examples = train_set.labels.shape[0] // grid.folds * (grid.folds - 1)
    return grid._replace(configs=tuple(config.resolved(examples) for config in grid.configs))


def group_of(networks: int, group_size: int, devices: int, sizes: tuple[int, ...]) -> int:
    """The size of the groups that so many networks are divided into; checks that one fits into memory."""
    parameters = parameters_of(sizes)
    size, most = even_size(networks, group_size * devices), MAX_PARAMETERS // parameters // devices
    if size * parameters > MAX_PARAMETERS:
        raise ValueError(
            f"group_size={group_size}: {size:,} networks of {parameters:,} parameters at once, expected at most "
            f"{MAX_PARAMETERS:,} parameters in all; for example group_size={max(1, most)}"
        )
    return size


def groups(grid: Grid) -> list[Group]:
    """Divide a resolved grid into groups: by its settings, seeds and group size alone, so always in the same way."""
    programs = defaultdict[tuple[str, Any], list[int]](list)
    for index, config in enumerate(grid.configs):
        programs[config.optimizer, config.batch_size].append(index)
    divided = []
    for fold, settings in product(range(grid.held_out), programs.values()):
        networks = list(product(settings, range(grid.seeds)))
        size = even_size(len(networks), grid.group_size)
        for first in range(0, len(networks), size):
            divided.append(Group(fold, size, *zip(*networks[first : first + size], strict=True)))
    return divided


def train_groups(
    key: Key[Array, ""],
    grid: Grid,
    train_set: Dataset,
    chosen: Sequence[Group],
    on_progress: Callable[[int], object] = lambda epochs: None,
    mesh: Mesh | None = None,
) -> Iterator[Population]:
    """Train some groups of a resolved grid, one after the other.

    A group's networks don't depend on which others are trained, nor in which order: the same, bit for bit.

    Args:
        key: decides the folds and the shuffles.
        grid: the whole grid.
        train_set: what is divided into folds.
        chosen: the groups to train, some of `groups`.
        on_progress: called with the number of networks that have made an epoch.
        mesh: as in `train_population`.
    """
    folds_key, shuffles_key = jax.random.split(key)
    indices = stratified_folds(folds_key, train_set.labels, grid.folds)
    shuffle_keys = jax.random.split(shuffles_key, grid.held_out)
    for fold, part in groupby(chosen, attrgetter("fold")):
        held_out = take(train_set, indices[fold])
        learnt = take(train_set, jnp.delete(indices, fold, axis=0).ravel())
        for group in part:
            configs = [grid.configs[setting] for setting in group.settings]
            rates = jnp.array([config.learning_rate for config in configs], float)
            momenta = jnp.array([config.momentum for config in configs], float)
            seeds = np.array([grid.first_seed + start for start in group.starts], np.uint32)
            members = Members(jax.vmap(jax.random.key)(seeds), rates, momenta)
            yield train_group(members, group.size, shuffle_keys[fold], learnt, held_out, configs[0], on_progress, mesh)


def measured(trained: Population) -> Measured:
    """Keep what a grid needs to know of a trained group."""
    cost, accuracy = (np.asarray(values)[:, -1] for values in trained.held_out)
    return Measured(cost, accuracy, trained.running_cost[:, -1], trained.diverged_at, weights_sha256(trained.params))


def best_of(grid: Grid, group: Group, measured: Measured) -> int:
    """Select the network whose weights are kept of a group: the best one of its best setting, by means."""
    scores = np.asarray(-measured.accuracy if grid.metric == "accuracy" else measured.cost, float)
    scores = np.where((measured.diverged_at > 0) | ~np.isfinite(scores), np.inf, scores)
    _settings, positions = np.unique(group.settings, return_inverse=True)
    means = np.bincount(positions, scores) / np.bincount(positions)
    best = means.argmin()
    return int(np.where(positions == best, scores, np.inf).argmin()) if np.isfinite(means[best]) else 0


def weights_sha256(params: Params) -> UInt8[np.ndarray, "networks 32"]:
    """Compute the sha256 of each network of a population: that of its weights' and biases' bytes, layer by layer."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    digests = [hashlib.sha256(b"".join(leaf[row].tobytes() for leaf in leaves)) for row in range(len(leaves[0]))]
    return np.stack([np.frombuffer(digest.digest(), np.uint8) for digest in digests])


def sha256(grid: Grid, data_sha256: str) -> str:
    """Compute the sha256 of all that decides the numbers of a resolved grid: itself and its data."""
    content = {**grid._asdict(), "configs": [config.to_json() for config in grid.configs], "data": data_sha256}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def assemble(grid: Grid, train_set: Dataset, finished: Iterable[tuple[Group, Measured]]) -> Result:
    """Put what was measured of the groups of a resolved grid together; zeros stand for those that aren't finished."""
    shape = len(grid.configs), grid.held_out, grid.seeds
    cost, accuracy, training_cost = np.zeros((3, *shape))
    result = Result(
        grid,
        train_set.labels.shape[0] // grid.folds,
        cost,
        accuracy,
        training_cost,
        np.zeros(shape, int),
        np.zeros((*shape, 32), np.uint8),
    )
    for group, values in finished:
        for name, column in values._asdict().items():
            getattr(result, name)[group.settings, group.fold, group.starts] = column
    return result


def of_group(result: Result, group: Group) -> Measured:
    """Take a group's networks out of a result again."""
    return Measured(*(getattr(result, name)[group.settings, group.fold, group.starts] for name in Measured._fields))


def run(
    key: Key[Array, ""], grid: Grid, train_set: Dataset, on_progress: Callable[[int], object] = lambda epochs: None
) -> Result:
    """Train and measure all networks of a grid; the arguments are those of `train_groups`.

    For each fold that is held out, every setting is trained on the other folds, from the same random starts and on the
    same minibatches. So settings can be compared fold by fold and seed by seed.
    """
    grid = resolved(grid, train_set)
    divided = groups(grid)
    trained = map(measured, train_groups(key, grid, train_set, divided, on_progress))
    return assemble(grid, train_set, zip(divided, trained, strict=True))
