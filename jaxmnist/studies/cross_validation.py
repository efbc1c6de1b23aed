"""k-fold cross-validation: how well settings do on examples that they have not learnt from."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, stratified_folds, take
from jaxmnist.metrics import Metrics
from jaxmnist.population import MEMORY_BUDGET, Members, train_population


class CrossValidation(NamedTuple):
    """What k-fold cross-validation measured, on the host; entry f is the fold held out, m the member.

    Attributes:
        measured: shape (k, members, epochs + 1), cost and accuracy on the fold; entry 0 before training.
        diverged_at: shape (k, members), as in `Population`.
    """

    measured: Metrics
    diverged_at: Int[np.ndarray, "k members"]


def cross_validate(
    key: Key[Array, ""],
    members: Members,
    folds: int,
    train_set: Dataset,
    config: Config,
    memory_budget: int = MEMORY_BUDGET,
    show: Callable[[int], object] = lambda epochs: None,
) -> CrossValidation:
    """How well each member's setting does on examples that it has not learnt from, by stratified k-fold.

    For each fold, all members are trained on the others, sharing their minibatches, and measured on it. So settings
    are compared on the same folds, random starts and shuffles, and differ in nothing else.

    Args:
        key: decides the folds and the shuffles.
        members: settings and seeds.
        folds: k.
        train_set: what is divided; see `dataset.stratified_folds`.
        config: the recipe; its epochs are passes over k - 1 folds.
        memory_budget: as `train_population`.
        show: as `train_population`.

    Returns:
        What was measured on each fold.

    Raises:
        ValueError: when k isn't from 2 to the number of examples that the rarest class has, and as `train_population`.
    """
    check_folds(folds, train_set)
    folds_key, order_key = jax.random.split(key)
    places = stratified_folds(folds_key, train_set.labels, folds)
    trained = []
    for fold, fold_order in enumerate(jax.random.split(order_key, folds)):
        held_out = take(train_set, places[fold])
        learnt = take(train_set, jnp.delete(places, fold, axis=0).ravel())
        fold_trained = train_population(members, fold_order, learnt, held_out, config, memory_budget, show)
        trained.append(CrossValidation(fold_trained.measured, fold_trained.diverged_at))
    validation: CrossValidation = jax.tree.map(lambda *parts: np.stack(parts), *trained)
    return validation


def check_folds(folds: int, train_set: Dataset) -> None:
    """Refuse a number of folds of which some would lack a digit.

    Raises:
        ValueError: when it isn't from 2 to the number of examples that the rarest digit has.
    """
    labels, counts = np.unique(train_set.labels, return_counts=True)
    if not 2 <= folds <= counts.min():
        raise ValueError(
            f"folds {folds}: expected from 2 to {counts.min():,}, as that many examples there are of the rarest digit, "
            f"{labels[counts.argmin()]}, and each fold needs one; try --folds 5"
        )
