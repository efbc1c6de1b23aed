import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest

from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.metrics import evaluate
from jaxmnist.sources import load
from jaxmnist.studies import race as comparison
from jaxmnist.studies.race import (
    METHODS,
    advance,
    divide,
    first_at_or_below,
    make_lane,
    prepare,
    recipe,
    record,
    run,
    starts,
    textbook,
    tune,
    with_rates,
)
from jaxmnist.training import make_optimizer, start, train_step


@pytest.fixture(scope="module")
def field():
    return divide(jax.random.key(0), load("digits").train, 200)


def lane_of(method, field, steps=30, lap=5, momentum=0.9):
    return make_lane(jax.random.key(1), field.race, recipe(method, 20, momentum), steps, lap)


def last(iterator):
    *_, (states, costs) = iterator
    return states, costs


def member(states, number):
    return jax.tree.map(lambda leaf: leaf[number], states)


def distance(ours, theirs):
    """The largest difference, relative to the largest entry of each leaf."""
    return max(
        float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_member_of_the_race_is_a_plain_loop_of_steps(method, field):
    lane = lane_of(method, field)
    rates = [0.1, 0.3, 0.8]
    states, costs = last(run(starts([4, 5, 6]), rates, lane, field.probe))
    config = with_rates(lane.config, 0.3, 0.9)
    optimizer = make_optimizer(config, 200)
    state = member(prepare(starts([5]), config), 0)
    first = state.params
    step = jax.jit(lambda state, batch: train_step(state, batch, config, optimizer)[0])
    for batches in lane.laps:
        for number in range(5):
            state = step(state, Dataset(batches.images[number], batches.labels[number]))
    assert distance(first, state.params) > 0.1  # it has gone somewhere
    # vmap sums its products in another order: float32 rounding over 30 steps
    assert distance(member(states.params, 1), state.params) <= 1e-5
    assert costs[1] == pytest.approx(float(evaluate(state.params, field.probe).cost), rel=1e-5)


def test_gradient_descent_is_numpy_s_and_optax_s(field):
    lane = lane_of("gd", field, steps=6, lap=2)
    assert lane.examples_per_step == 200
    images, targets = np.asarray(scale(field.race.images)), np.asarray(one_hot(field.race.labels))
    ours = member(last(run(starts([0, 1]), [0.5, 2.0], lane, field.probe))[0].params, 1)
    params = starts([1]).params
    by_hand = [(np.array(layer.weights[0], float), np.array(layer.biases[0], float)) for layer in params]
    theirs = member(params, 0)
    optimizer, slope = optax.sgd(2.0), jax.jit(jax.grad(mean_cost))
    state = optimizer.init(theirs)
    for _ in range(6):
        _cost, gradient = oracle.gradient(by_hand, images, targets)
        by_hand = [
            (weights - 2 * of_weights, biases - 2 * of_biases)
            for (weights, biases), (of_weights, of_biases) in zip(by_hand, gradient, strict=True)
        ]
        updates, state = optimizer.update(slope(theirs, images, targets), state)
        theirs = optax.apply_updates(theirs, updates)
    # six float32 steps, against float64 and against another order of the sums
    assert distance(ours, by_hand) <= 1e-5
    assert distance(ours, theirs) <= 1e-5


def test_the_starts_are_those_of_the_train_command(field):
    config = recipe("momentum", 20, 0.9)
    states = prepare(starts([3, 9]), config)
    one = start(jax.random.key(9), config, 200)
    for many, single in zip(jax.tree.leaves(states.params), jax.tree.leaves(one.params), strict=True):
        np.testing.assert_array_equal(many[1], single)
    assert jax.tree.structure(states.optimizer_state) == jax.tree.structure(one.optimizer_state)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(states.optimizer_state))


def test_a_race_looks_before_its_first_lap_and_after_each(field):
    lane = lane_of("sgd", field, steps=32)
    assert lane.steps.tolist() == [0, 5, 10, 15, 20, 25, 30]
    told = []
    costs = record(starts([0, 1]), [0.5, 0.5], lane, field.probe, told.append)
    assert costs.shape == (2, 7)
    assert told == [0] + 6 * [2 * 5 * 20]
    for number, (states, seen) in enumerate(run(starts([0, 1]), [0.5, 0.5], lane, field.probe)):
        np.testing.assert_array_equal(seen, costs[:, number])
        expected = evaluate(member(states.params, 0), field.probe).cost
        assert seen[0] == pytest.approx(float(expected), rel=1e-5)  # another order of float32 sums


def test_a_member_that_diverges_never_arrives_and_leaves_the_others_alone(field):
    lane = lane_of("momentum", field)
    healthy = record(starts([0, 1, 2]), [0.5, 0.5, 0.5], lane, field.probe)
    ill = record(starts([0, 1, 2]), [0.5, np.inf, 0.5], lane, field.probe)
    assert np.isnan(ill[1, 1:]).all()
    np.testing.assert_array_equal(ill[[0, 2]], healthy[[0, 2]])
    reached = first_at_or_below(ill, lane.steps, [healthy[:, 2].max(), 1e-9])
    assert np.isfinite(reached[[0, 2], 0]).all()
    assert np.isinf(reached[1]).all()
    assert np.isinf(reached[:, 1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_compilation_serves_every_rate_and_momentum(method, field, monkeypatch):
    traces = []

    def counted(*arguments):
        traces.append(1)
        return train_step(*arguments)

    monkeypatch.setattr(comparison, "train_step", counted)
    lane = lane_of(method, field, steps=14, lap=7)  # laps of 7 steps, as in no other test: nothing is compiled yet
    record(starts([0, 1]), [0.1, 0.2], lane, field.probe)
    once = len(traces)
    assert once >= 1
    compiled = advance._cache_size()
    for rate, momentum in ((0.3, 0.9), (5.0, 0.5), (1e-3, 0.0)):
        again = lane._replace(config=with_rates(lane.config, 0.08, momentum))
        record(starts([5, 6]), [rate, 2 * rate], again, field.probe)
        tune(starts([7, 8, 9]), [rate, 3 * rate], again, field.probe, 2)
    assert len(traces) == once
    assert advance._cache_size() == compiled


def naive_first(costs, steps, threshold):
    for cost, step in zip(costs, steps, strict=True):
        if cost <= threshold:
            return float(step)
    return np.inf


def test_first_at_or_below_is_the_naive_search():
    generator = np.random.default_rng(0)
    costs = np.round(generator.random((50, 12)), 2)  # rounded, so that some equal a threshold
    costs[generator.random(costs.shape) < 0.1] = np.nan
    costs[3] = np.nan
    costs[4] = 2
    costs[5] = np.inf
    steps = 7 * np.arange(12)
    thresholds = [0.9, 0.5, 0.25, 0.01, -1]
    found = first_at_or_below(costs, steps, thresholds)
    expected = [[naive_first(row, steps, threshold) for threshold in thresholds] for row in costs]
    np.testing.assert_array_equal(found, expected)
    assert np.isinf(found[3:6]).all()
    assert (found == 0).any()


def numbered(examples):
    """A set whose images tell them apart."""
    images = np.zeros((examples, 784), np.uint8)
    images[:, 0], images[:, 1] = np.divmod(np.arange(examples), 256)
    return Dataset(jnp.asarray(images), jnp.asarray(np.arange(examples) % 10, jnp.uint8))


def numbers(dataset):
    images = np.asarray(dataset.images, int)
    return (256 * images[..., 0] + images[..., 1]).ravel()


@pytest.mark.parametrize(("total", "asked", "racing", "held_out"), [(9_000, 3_000, 3_000, 1_000), (50, 99, 40, 10)])
def test_nobody_who_races_is_among_the_judges_of_the_rates(total, asked, racing, held_out):
    field = divide(jax.random.key(3), numbered(total), asked)
    race, probe, validation = map(numbers, field)
    assert (len(race), len(validation)) == (racing, held_out)
    assert len({*race, *validation}) == racing + held_out
    np.testing.assert_array_equal(probe, race[: comparison.PROBE])
    np.testing.assert_array_equal(field.race.labels, race % 10)


def test_all_take_the_same_minibatches_and_each_example_once_an_epoch():
    race = numbered(47)
    short, other, long = (
        make_lane(jax.random.key(1), race, recipe(method, 10, 0.9), steps, 2)
        for method, steps in (("sgd", 8), ("nesterov", 8), ("momentum", 16))
    )
    for one, another, longer in zip(short.laps, other.laps, long.laps, strict=False):
        np.testing.assert_array_equal(one.images, another.images)
        np.testing.assert_array_equal(one.images, longer.images)
        assert one.labels.shape == (2, 10)
    course = np.concatenate([numbers(lap) for lap in long.laps]).reshape(4, 40)
    assert all(len(set(epoch)) == 40 for epoch in course)
    assert len({tuple(epoch) for epoch in course}) == 4
    whole = make_lane(jax.random.key(1), race, recipe("gd", 10, 0.9), 4, 2)
    assert [numbers(lap).tolist() for lap in whole.laps] == [2 * list(range(47))] * 2


@pytest.mark.parametrize("at_once", [2, 5, 16])
def test_tuning_judges_every_rate_by_its_mean_cost_from_every_start(at_once, field):
    lane = lane_of("sgd", field, steps=20)
    grid = [0.2, 1.0, np.inf, 3.0]
    found = tune(starts([7, 8, 9]), grid, lane, field.validation, at_once)
    assert list(found) == grid
    for rate in grid:
        each = [record(starts([seed]), [rate], lane, field.validation).mean() for seed in (7, 8, 9)]
        if np.isfinite(rate):
            assert found[rate] == pytest.approx(np.median(each), rel=1e-5)  # another order of float32 sums
    assert found[np.inf] == np.inf


@pytest.mark.slow
def test_the_textbook_s_nesterov_looks_ahead_to_our_parameters(field):
    with jax.enable_x64(True):
        rate, momentum = 0.4, 0.9
        lane = lane_of("nesterov", field, steps=12, lap=1)
        behind = member(starts([2]).params, 0)
        velocity = jax.tree.map(jnp.zeros_like, behind)
        race = run(starts([2]), [rate], lane, field.probe)
        for batches, (states, _costs) in zip([*lane.laps, None], race, strict=True):
            state = member(states, 0)
            ours = textbook(state.params, state.optimizer_state.velocity, rate, momentum)
            ahead = jax.tree.map(lambda theta, v: theta + momentum * v, behind, velocity)
            # float64 over 12 steps
            assert distance(ours, behind) <= 1e-12
            assert distance(state.params, ahead) <= 1e-12
            if batches is not None:
                slope = jax.grad(mean_cost)(ahead, scale(batches.images[0]), one_hot(batches.labels[0]))
                velocity = jax.tree.map(lambda v, g: momentum * v - rate * g, velocity, slope)
                behind = jax.tree.map(jnp.add, behind, velocity)
        assert distance(behind, ahead) > 1e-3  # the last look ahead was a look somewhere else
