import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from jaxmnist.config import Config
from jaxmnist.dataset import stratified_folds, take
from jaxmnist.metrics import evaluate
from jaxmnist.studies.grid import Grid, combine, resolved, run
from jaxmnist.training import start, train_epoch

KEY = jax.random.key(7)
ONE_EPOCH = Config(sizes=(784, 10), cost="cross_entropy", epochs=1)


@pytest.fixture(scope="module")
def result(digits):
    """Settings of two optimizers, one of which diverges, on two of three folds, from two seeds."""
    tame = dataclasses.replace(ONE_EPOCH, batch_size=16, learning_rate=0.01)
    other = dataclasses.replace(tame, optimizer="momentum")
    wild = dataclasses.replace(tame, momentum=0.95, learning_rate=1e38)
    return run(KEY, Grid((tame, other, wild, tame), seeds=2, folds=3, held_out=2), digits.train)


@pytest.mark.parametrize("folds", [2, 5, 7, 100])
def test_folds_are_those_of_scikit_learn_without_the_remainder(folds, digits):
    labels = np.asarray(digits.train.labels)
    indices = np.asarray(stratified_folds(KEY, digits.train.labels, folds))
    size = len(labels) // folds
    assert indices.shape == (folds, size)
    assert len(np.unique(indices)) == indices.size
    ours = np.stack([np.bincount(labels[fold], minlength=10) for fold in indices])
    in_order = np.sort(labels)  # scikit-learn numbers the classes in the order in which they come
    parts = StratifiedKFold(folds).split(in_order[:, None], in_order)
    theirs = np.stack([np.bincount(in_order[held_out], minlength=10) for _, held_out in parts])
    missing = theirs - ours
    assert missing.min() >= 0
    assert missing.sum() == len(labels) - folds * size < folds
    assert np.all(np.ptp(ours, axis=0) <= 1)
    other = stratified_folds(jax.random.key(8), digits.train.labels, folds)
    assert not np.array_equal(indices, other)


def test_a_network_of_a_grid_is_the_network_trained_alone_on_the_other_folds(digits, result):
    folds_key, shuffles_key = jax.random.split(KEY)
    indices = stratified_folds(folds_key, digits.train.labels, 3)
    setting, fold, seed = 3, 1, 1
    config = result.grid.configs[setting]
    learnt = take(digits.train, indices[jnp.array([0, 2])].ravel())
    state = start(jax.random.key(seed), config)._replace(key=jax.random.split(shuffles_key, 2)[fold])
    state, costs = train_epoch(state, learnt, config)
    expected = evaluate(state.params, take(digits.train, indices[fold]), cost=config.cost)
    network = setting, fold, seed
    assert result.accuracy[network] > 0.5  # a network that learns
    # float32 sums in another order: about 1e-7, which the 59 steps have not grown past 1e-4
    assert result.cost[network] == pytest.approx(float(expected.cost), rel=1e-4)
    assert result.training_cost[network] == pytest.approx(float(costs.mean()), rel=1e-4)
    assert result.accuracy[network] == pytest.approx(float(expected.accuracy), abs=1.5 / 479)  # one may tip over
    assert result.diverged_at[network] == 0


def test_only_the_setting_that_diverges_is_affected(digits, result):
    assert (result.diverged_at > 0).any(axis=(1, 2)).tolist() == [False, False, True, False]
    tame = result.grid._replace(configs=tuple(result.grid.configs[index] for index in (0, 1, 0, 3)))
    without = run(KEY, tame, digits.train)
    for array, other in zip(result[2:], without[2:], strict=True):
        assert np.array_equal(array[[0, 1, 3]], other[[0, 1, 3]])


def test_no_network_learns_from_the_fold_that_measures_it(digits, result):
    indices = np.asarray(stratified_folds(jax.random.split(KEY)[0], digits.train.labels, 3))
    images = np.array(digits.train.images)
    images[indices[0]] = images[indices[0], ::-1]
    changed = run(KEY, result.grid, digits.train._replace(images=jnp.asarray(images)))
    tame = [0, 1, 3]
    assert np.array_equal(changed.training_cost[tame, 0], result.training_cost[tame, 0])
    assert (changed.cost[tame, 0] != result.cost[tame, 0]).all()
    assert (changed.training_cost[tame, 1] != result.training_cost[tame, 1]).all()


def test_networks_are_trained_in_groups_and_all_epochs_are_reported(digits, result):
    tame, _other, wild, _tame = result.grid.configs
    epochs = []
    grid = result.grid._replace(configs=(tame, wild, tame) * 2, group_size=6)
    run(KEY, grid, digits.train, epochs.append)
    assert epochs == [6] * 4  # for each of two folds, two groups of six networks make one epoch


def test_settings_are_every_combination_and_fair_rates_have_one_length():
    configs = combine(Config(activation="relu"), ["sgd"], [16, "full"], [0.5, 0.9], [0.1, 0.2])
    assert [(config.batch_size, config.momentum, config.learning_rate) for config in configs[:5]] == [
        (16, 0.5, 0.1),
        (16, 0.5, 0.2),
        (16, 0.9, 0.1),
        (16, 0.9, 0.2),
        ("full", 0.5, 0.1),
    ]
    assert {(config.optimizer, config.activation) for config in configs} == {("sgd", "relu")}
    fair = combine(Config(), ["nesterov"], [32], [0.5, 0.99], "fair")
    lengths = [config.learning_rate / (1 - config.momentum) for config in fair]
    assert lengths == pytest.approx([0.25, 1, 4] * 2)


@pytest.mark.parametrize(
    ("lists", "problem"),
    [
        (([], [32], [0.9], [0.1]), r"optimizer=\(none\)"),
        ((["sgd"], [], [0.9], [0.1]), r"batch_size=\(none\)"),
        ((["sgd"], [32], [0.9, 0.9], [0.1]), "momentum=0.9 0.9: expected each value once"),
        ((["sgd"], [32], [1.0], "fair"), "momentum=1.0: expected"),
        ((["sgd"], [32], [0.9], [0.1, -1.0]), "learning_rate=-1.0: expected"),
        ((["sgd"], [32], [0.9], [float("nan")]), "learning_rate=nan: expected"),
    ],
)
def test_bad_lists_are_refused(lists, problem):
    with pytest.raises(ValueError, match=problem):
        combine(Config(), *lists)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"folds": 0}, "folds=0: expected from 2 to 1"),
        ({"folds": 1}, "folds=1: expected from 2 to 1"),
        ({"folds": 142}, "folds=142: expected from 2 to"),
        ({"seeds": 0}, "seeds=0: expected from 1 to 500,000"),
        ({"seeds": 500_001}, "seeds=500001: expected from 1 to 500,000"),
        ({"group_size": 0}, "group_size=0: expected"),
        (
            {"configs": (Config(sizes=(784, 100_000, 10)),), "seeds": 99},
            r"group_size=64: .*; for example group_size=12",
        ),
        ({"configs": (Config(batch_size=719),)}, "batch_size=719: expected at most the 718 examples"),
    ],
)
def test_grids_that_do_not_fit_the_data_are_refused(change, problem, digits):
    with pytest.raises(ValueError, match=problem):
        resolved(Grid((ONE_EPOCH,), seeds=1, folds=2, held_out=2)._replace(**change), digits.train)
