import dataclasses
import math

import jax
import numpy as np
import pytest

from jaxmnist.population import make_members
from jaxmnist.sources import load
from jaxmnist.studies import race
from jaxmnist.studies.methods import METHODS, Settings, divide, trajectory
from jaxmnist.studies.race import TUNING_SEEDS, count_gradients, first_at_or_below, tune

KEY = jax.random.key(0)
SETTINGS = Settings(
    learning_rates=(3.2, 0.4, 0.4, 1e30),
    batch_size=10,
    examples=100,
    steps=30,
    full_batch_steps=8,
    seeds=6,
    thresholds=(1.2, 0.8, 1e-9),
)


@pytest.fixture(scope="module")
def data():
    return divide(KEY, load("digits").train, SETTINGS)


@pytest.fixture(scope="module")
def raced(data):
    """A small race, and the gradient evaluations that were reported."""
    counts = []
    return race.run(KEY, data, SETTINGS, {"sgd": 0.5}, counts.append), counts


def test_each_method_races_at_the_rate_with_the_least_validation_cost(raced):
    result, _counts = raced
    assert list(result.best) == list(METHODS)
    for method, outcome in result.best.items():
        scores = result.scores[method]
        assert list(scores) == [0.4, 3.2, 1e30]
        assert outcome.learning_rate == min(scores, key=scores.get) != 1e30
        assert outcome.costs.shape == (6, len(outcome.steps))
    rate = result.best["momentum"].learning_rate
    assert {method: outcome.learning_rate for method, outcome in result.same.items()} == {
        "sgd": rate,
        "momentum": rate,
        "nesterov": rate,
    }
    assert result.examples == {"racing": 100, "measured": 100, "validation": 287}


def test_an_outcome_is_that_of_the_trajectory(raced, data):
    outcome = raced[0].best["nesterov"]
    members = make_members([(SETTINGS.momentum, outcome.learning_rate)], range(6))
    costs = np.stack([cost for _states, cost in trajectory(KEY, "nesterov", members, data, SETTINGS)], axis=1)
    np.testing.assert_array_equal(outcome.costs, costs)
    np.testing.assert_array_equal(outcome.reached, first_at_or_below(costs, outcome.steps, SETTINGS.thresholds))


def test_what_is_needed_is_counted_in_steps_examples_and_seconds(raced):
    result, _counts = raced
    sgd, full = result.best["sgd"].needed(), result.best["gd"].needed()
    np.testing.assert_array_equal(sgd["examples"], 10 * sgd["steps"])
    np.testing.assert_array_equal(sgd["seconds"], 0.5 * sgd["steps"])
    np.testing.assert_array_equal(full["examples"], 100 * full["steps"])
    assert np.isnan(full["seconds"]).all()
    assert np.isfinite(sgd["steps"][:, 0]).all()
    assert np.isinf(sgd["steps"][:, 2]).all()


def test_progress_counts_gradient_evaluations(raced, data):
    result, counts = raced
    skipped = [m for m in ("sgd", "nesterov") if result.best[m] is result.same[m]]
    assert sum(counts) == count_gradients(data, SETTINGS) - len(skipped) * 6 * 30 * 10


def test_tuning_averages_the_cost_over_the_course_from_every_start(data):
    settings = dataclasses.replace(
        SETTINGS, steps=8, learning_rates=(0.2, 3.0, math.inf, 0.1)
    )  # 16 members in groups of 6
    scores = tune(KEY, "sgd", data, settings, lambda gradients: None)
    assert list(scores) == [0.1, 0.2, 3.0, math.inf]
    starts = range(6, 6 + TUNING_SEEDS)
    for rate in (0.1, 3.0):
        members = make_members([(0.9, rate)], [*starts, 0, 1])  # as many as are compiled for already
        costs = [
            cost[:4] for _, cost in trajectory(KEY, "sgd", members, data._replace(probe=data.validation), settings)
        ]
        expected = np.median(np.mean(costs, axis=0))
        assert scores[rate] == pytest.approx(expected, rel=1e-5)  # another order of float32 sums
    assert scores[math.inf] == math.inf


def naive_first(costs, steps, threshold):
    for cost, step in zip(costs, steps, strict=True):
        if cost <= threshold:
            return float(step)
    return np.inf


def test_first_at_or_below_is_a_plain_search():
    generator = np.random.default_rng(0)
    costs = np.round(generator.random((50, 12)), 2)  # rounded, so that some equal a threshold
    costs[generator.random(costs.shape) < 0.1] = np.nan
    costs[3] = np.nan
    costs[4] = 2
    costs[5] = np.inf
    steps = 7 * np.arange(12)
    thresholds = [0.9, 0.5, 0.25, 0.01, -1.0]
    reached = first_at_or_below(costs, steps, thresholds)
    expected = [[naive_first(row, steps, threshold) for threshold in thresholds] for row in costs]
    np.testing.assert_array_equal(reached, expected)
    assert np.isinf(reached[3:6]).all()
    assert (reached == 0).any()
