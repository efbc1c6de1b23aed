"""A grid of settings: each is trained from several random starts, and measured on held-out training examples.

A sweep holds out one fold of the training set; k-fold cross-validation holds out each of k folds in turn.
"""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.config import Config, parameters_of, validate
from jaxmnist.dataset import Dataset, stratified_folds, take
from jaxmnist.population import GROUP_SIZE, make_members, train_population

FAIR_LENGTHS = (0.25, 1.0, 4.0)
"""The η/(1−μ) of fair learning rates: the length to which steps in one direction add up. In five epochs of MNIST
μ = 0.5 and 0.9 do best near 4, 0.95 near 1 and 0.99 near 0.2."""

MAX_PARAMETERS = 1_300_200_000
"""Most parameters of a grid, those of 100,000 networks of 784-16-16-10: they take 5 GB."""


class Grid(NamedTuple):
    """Which networks to train."""

    configs: tuple[Config, ...]  # the settings, as from `combine`; epochs are passes over the other folds
    seeds: int  # random starts of each setting: the seeds 0 to `seeds` − 1
    folds: int  # equal parts of the training set; see `dataset.stratified_folds`
    held_out: int  # how many of the folds are held out, one after the other
    metric: Literal["cost", "accuracy"] = "cost"  # which ranks the settings: lowest mean cost, or highest mean accuracy
    group_size: int = GROUP_SIZE  # most networks to train at once


class Result(NamedTuple):
    """What was measured of every network at its end; arrays have shape (settings, folds held out, seeds)."""

    grid: Grid  # what was trained, resolved
    fold_size: int  # examples in a fold
    cost: Float[np.ndarray, "settings folds seeds"]  # mean cost per held-out example
    accuracy: Float[np.ndarray, "settings folds seeds"]  # share of the held-out examples, 0 to 1
    training_cost: Float[np.ndarray, "settings folds seeds"]  # mean cost of the last epoch's minibatches
    diverged_at: Int[np.ndarray, "settings folds seeds"]  # the step from 1, as in `population.Population`; 0 if never


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
    networks, parameters = len(grid.configs) * grid.held_out, parameters_of(grid.configs[0].sizes)
    most = MAX_PARAMETERS // (parameters * networks)
    if not 1 <= grid.seeds <= most:
        raise ValueError(
            f"seeds={grid.seeds}: expected from 1 to {most:,}, as each seed is {networks:,} networks of {parameters:,} "
            f"parameters and a grid has at most {MAX_PARAMETERS:,} in all; for example seeds=3"
        )
    examples = train_set.labels.shape[0] // grid.folds * (grid.folds - 1)
    return grid._replace(configs=tuple(config.resolved(examples) for config in grid.configs))


def run(
    key: Key[Array, ""], grid: Grid, train_set: Dataset, on_progress: Callable[[int], object] = lambda epochs: None
) -> Result:
    """Train and measure all networks of a grid.

    For each fold that is held out, every setting is trained on the other folds, from the same random starts and on the
    same minibatches. So settings can be compared fold by fold and seed by seed.

    Args:
        key: decides the folds and the shuffles.
        grid: which networks.
        train_set: what is divided into folds.
        on_progress: called with the number of networks that have made an epoch.
    """
    grid = resolved(grid, train_set)
    folds_key, shuffles_key = jax.random.split(key)
    indices = stratified_folds(folds_key, train_set.labels, grid.folds)
    measured = np.zeros((4, len(grid.configs), grid.held_out, grid.seeds))
    settings = np.array([(config.momentum, config.learning_rate) for config in grid.configs], float).tolist()
    programs = [(config.optimizer, config.batch_size) for config in grid.configs]
    for fold, shuffle_key in enumerate(jax.random.split(shuffles_key, grid.held_out)):
        held_out = take(train_set, indices[fold])
        learnt = take(train_set, jnp.delete(indices, fold, axis=0).ravel())
        for program in dict.fromkeys(programs):
            rows = [row for row, other in enumerate(programs) if other == program]
            members = make_members([tuple(settings[row]) for row in rows], range(grid.seeds))
            config, size = grid.configs[rows[0]], grid.group_size
            trained = train_population(members, shuffle_key, learnt, held_out, config, size, on_progress)
            last = (trained.held_out.cost[:, -1], trained.held_out.accuracy[:, -1], trained.running_cost[:, -1])
            measured[:, rows, fold] = np.reshape([*last, trained.diverged_at], (4, len(rows), grid.seeds))
    cost, accuracy, training_cost, diverged_at = measured
    return Result(grid, indices.shape[1], cost, accuracy, training_cost, diverged_at.astype(int))
