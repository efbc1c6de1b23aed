import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr
from small_data import small_splits

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.plots.influence import figures
from jaxmnist.plots.style import own_settings
from jaxmnist.studies import influence
from jaxmnist.studies.influence import agreement, costs_by_weights, rank_correlation, report
from jaxmnist.training import train

SMALL = Config(sizes=(784, 3, 10), activation="tanh", learning_rate=0.1, momentum=0.5, batch_size=4, epochs=2)
QUICK = Config(
    activation="tanh", cost="cross_entropy", learning_rate=0.05, momentum=0.5, schedule="constant", batch_size=20
)
KEY = jax.random.key(0)


def some(dataset, count):
    return jax.tree.map(lambda leaf: leaf[:count], dataset)


TRAIN_SET, TESTS = some(small_splits().train, 12), some(small_splits().test, 2)


@pytest.fixture(autouse=True, scope="module")
def exact():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def result(exact):
    return influence.run(jax.random.split(KEY, 2), TRAIN_SET, TESTS, SMALL)


def test_slopes_through_the_run_are_those_of_central_differences(result):
    key, h = jax.random.split(KEY, 2)[1], 1e-5
    up, down = (
        influence._costs_of_many(1 + step * jnp.eye(12), key, TRAIN_SET, TESTS, SMALL.resolved(12)) for step in (h, -h)
    )
    assert np.abs(result.predicted).min() > 1e-5  # every example was in both epochs' minibatches
    # float64: rounding leaves 1e-16 / h = 1e-11, and the curve's bend h² = 1e-10, of slopes above 1e-5
    np.testing.assert_allclose(np.moveaxis(down - up, 0, -1) / (2 * h), result.predicted[1], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        dataclasses.replace(SMALL, cost="cross_entropy", optimizer="sgd", schedule="constant", batch_size=5),
        dataclasses.replace(SMALL, augmentation="jitter", batch_size="full"),
    ],
)
def test_with_all_weights_one_it_is_train(config):
    costs = costs_by_weights(jnp.ones(12), KEY, TRAIN_SET, TESTS, config.resolved(12))
    history = train(KEY, TRAIN_SET, TESTS, config)[1]
    np.testing.assert_allclose(costs.mean(axis=1), history.test.cost[1:], rtol=1e-12)  # sums in another order


@pytest.mark.slow
def test_a_weight_of_zero_leaves_an_example_out():
    without = jnp.ones(12).at[7].set(0)
    other = Dataset(TRAIN_SET.images.at[7].set(99), TRAIN_SET.labels.at[7].set(9))
    one, same = (costs_by_weights(without, KEY, examples, TESTS, SMALL.resolved(12)) for examples in (TRAIN_SET, other))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - costs_by_weights(jnp.ones(12), KEY, TRAIN_SET, TESTS, SMALL.resolved(12))).max() > 1e-4


@pytest.mark.slow
def test_what_it_measures_is_a_run_without_the_example(result):
    key = jax.random.split(KEY, 2)[1]
    for index, share in enumerate(influence.SHARES):
        less = costs_by_weights(jnp.ones(12).at[3].set(1 - share), key, TRAIN_SET, TESTS, SMALL.resolved(12))
        # sums in another order; the difference of nearly equal costs is divided by the share
        np.testing.assert_allclose(result.measured[1, index, :, :, 3], (less - result.costs[1]) / share, atol=1e-12)
    assert result.measured.shape == (2, 2, 2, 2, 12)
    assert np.abs(result.measured[1, 0, :, :, 3]).max() > 1e-3


def test_a_tenth_of_the_weight_agrees_better_with_the_slope_than_all_of_it(result):
    without, less = np.swapaxes(result.measured, 0, 1)
    assert np.abs(less - result.predicted).sum() < 0.3 * np.abs(without - result.predicted).sum()
    assert np.median(agreement(result).tenth) > 0.98


def test_rank_correlations_are_scipy_s():
    one, other = np.random.default_rng(0).integers(9, size=(2, 3, 4, 30))  # with ties
    expected = [
        [spearmanr(*rows).statistic for rows in zip(*pair, strict=True)] for pair in zip(one, other, strict=True)
    ]
    np.testing.assert_allclose(rank_correlation(one.astype(float), other.astype(float)), expected, rtol=1e-12)


def test_the_report_and_the_figures_say_what_was_found(result):
    said, compared = report(result), agreement(result)
    assert max(map(len, said.splitlines())) <= 112
    assert f"{np.median(compared.left_out[:, -1]):.3f} (" in said
    assert [len(values) for values in compared] == [4, 4, 2]
    with own_settings():
        drawn = figures(result, "title")
    assert list(drawn) == ["influence.png", "influence_measured.png"]
    texts = [axes.get_title() for axes in drawn["influence.png"].axes]
    change = result.measured[0, 0, -1, 0]
    assert f"cost {result.costs[0, -1, 0]:.3f}" in texts
    assert f"{change.max():+.3f}" in texts
    assert f"{change.min():+.3f}".replace("-", "−") in texts


def test_one_run_has_no_other_to_compare_with(result):
    alone = result._replace(**{name: getattr(result, name)[:1] for name in ("costs", "predicted", "measured")})
    assert agreement(alone).other_run.size == 0
    assert "of two runs" not in report(alone)


@pytest.mark.parametrize(("train_set", "tests"), [("x", 2), (12, "x")])
def test_it_refuses_what_is_no_data_set(train_set, tests):
    bad = Dataset(TRAIN_SET.images[:0], TRAIN_SET.labels[:0])
    sets = (bad, TESTS) if train_set == "x" else (TRAIN_SET, bad)
    with pytest.raises(ValueError, match=r"train_set\.images" if train_set == "x" else r"tests\.images"):
        influence.run(jax.random.split(KEY, 1), *sets, SMALL)


@pytest.mark.slow
def test_slopes_rank_what_training_without_each_example_changes(digits):
    train_set, tests = some(digits.train, 150), some(digits.test, 5)
    config = dataclasses.replace(QUICK, epochs=8)
    with jax.enable_x64(False):  # as a user runs it
        found = influence.run(jax.random.split(KEY, 2), train_set, tests, config)
    print(report(found))
    assert found.costs[:, -1].mean() < 0.75 * found.costs[:, 0].mean()  # it learns
    compared = agreement(found)
    # the ten rank correlations vary by 0.02: see the report's standard error
    assert np.median(compared.left_out[:, -1]) > 0.9
    assert np.median(compared.tenth[:, -1]) > 0.99
    assert np.median(compared.other_run[:, -1]) < 0.7 * np.median(compared.left_out[:, -1])
