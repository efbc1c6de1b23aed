import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from comparing import member, relative_distance

from jaxmnist.config import Config
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.metrics import evaluate
from jaxmnist.population import make_members
from jaxmnist.sources import load
from jaxmnist.studies import methods
from jaxmnist.studies.methods import DIVISION, SHUFFLES, Settings, divide, minibatch_chunks, trajectory
from jaxmnist.training import TrainState, make_optimizer, start, train_step

KEY = jax.random.key(1)
SETTINGS = Settings(batch_size=10, examples=100, steps=12, full_batch_steps=12)


@pytest.fixture(scope="module")
def data():
    return divide(jax.random.key(0), load("digits").train, SETTINGS)


def last(iterator):
    *_, (states, costs) = iterator
    return states, costs


@pytest.mark.parametrize(("method", "optimizer"), [("gd", "sgd"), ("nesterov", "nesterov")])
def test_each_member_makes_plain_train_steps(method, optimizer, data):
    momenta_and_rates = [(0.5, 0.1), (0.9, 0.3), (0.9, 0.8)]
    members = make_members(momenta_and_rates, [4, 5])
    states, costs = last(trajectory(KEY, method, members, data, SETTINGS))
    config = Config(optimizer=optimizer, schedule="constant", learning_rate=0.3, momentum=0.9)
    optimizer = make_optimizer(config, 1)
    first = start(jax.random.key(5), Config()).params
    state = TrainState(first, optimizer.init(first), KEY, jnp.array(0))
    step = jax.jit(lambda state, batch: train_step(state, batch, config, optimizer)[0])
    for batches in minibatch_chunks(KEY, method, data.train, SETTINGS, 1):
        state = step(state, member(batches, 0))
    assert relative_distance(first, state.params) > 0.1
    # vmap sums its products in another order: float32 rounding over 12 steps
    assert relative_distance(member(states.params, 3), state.params) <= 1e-5
    assert costs[3] == pytest.approx(float(evaluate(state.params, data.probe).cost), rel=1e-5)


def test_gradient_descent_agrees_with_numpy_and_optax(data):
    images, targets = np.asarray(scale(data.train.images)), np.asarray(one_hot(data.train.labels))
    members = make_members([(0.9, 2.0)], range(6))
    settings = dataclasses.replace(SETTINGS, full_batch_steps=6)
    states, _costs = last(trajectory(KEY, "gd", members, data, settings))
    ours = member(states.params, 1)
    params = start(jax.random.key(1), Config()).params
    by_hand = [(np.array(layer.weights, float), np.array(layer.biases, float)) for layer in params]
    optimizer, slope = optax.sgd(2.0), jax.jit(jax.grad(mean_cost))
    state = optimizer.init(params)
    for _ in range(6):
        _cost, gradient = oracle.gradient(by_hand, images, targets)
        by_hand = [
            (weights - 2 * weight_slopes, biases - 2 * bias_slopes)
            for (weights, biases), (weight_slopes, bias_slopes) in zip(by_hand, gradient, strict=True)
        ]
        updates, state = optimizer.update(slope(params, images, targets), state)
        params = optax.apply_updates(params, updates)
    # six float32 steps, against float64 and against another order of the sums
    assert relative_distance(ours, by_hand) <= 1e-5
    assert relative_distance(ours, params) <= 1e-5


def test_networks_start_as_in_training(data):
    members = make_members([(0.9, 0.1)], [3, 9, 4, 5, 6, 7])
    states, _costs = next(trajectory(KEY, "nesterov", members, data, SETTINGS))
    alone = start(jax.random.key(9), Config())
    jax.tree.map(lambda many, single: np.testing.assert_array_equal(many[1], single), states.params, alone.params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(states.optimizer_state))


def test_costs_are_measured_before_the_first_chunk_and_after_each(data):
    seen = list(trajectory(KEY, "nesterov", make_members([(0.9, 0.5)], range(6)), data, SETTINGS))
    assert len(seen) == 1 + 12
    for states, costs in seen[::4]:
        expected = evaluate(member(states.params, 0), data.probe).cost
        assert costs[0] == pytest.approx(float(expected), rel=1e-5)  # another order of float32 sums


def test_a_diverging_member_leaves_the_others_alone(data):
    healthy = make_members([(0.9, 0.5)], range(6))
    ill = healthy._replace(learning_rates=healthy.learning_rates.at[1].set(jnp.inf))
    expected, costs = (
        np.stack([cost for _, cost in trajectory(KEY, "nesterov", members, data, SETTINGS)])
        for members in (healthy, ill)
    )
    np.testing.assert_array_equal(np.delete(costs, 1, axis=1), np.delete(expected, 1, axis=1))
    assert np.isnan(costs[1:, 1]).all()
    assert np.isfinite(expected).all()


def test_one_compilation_serves_every_rate_and_momentum(data, monkeypatch):
    traces = []  # chunks of 4 steps, as in no other test: nothing is compiled yet
    monkeypatch.setattr(
        methods,
        "train_steps",
        lambda *arguments, original=methods.train_steps: traces.append(1) or original(*arguments),
    )
    jax.clear_caches()
    for rate, momentum, seeds in ((0.1, 0.9, range(6)), (5.0, 0.5, range(5, 11)), (1e-3, 0.0, range(6))):
        last(trajectory(KEY, "nesterov", make_members([(momentum, rate)], seeds), data, SETTINGS, 4))
        assert len(traces) == 1


def numbered(examples):
    """A set whose images tell them apart."""
    images = np.zeros((examples, 784), np.uint8)
    images[:, 0], images[:, 1] = np.divmod(np.arange(examples), 256)
    return Dataset(jnp.asarray(images), jnp.asarray(np.arange(examples) % 10, jnp.uint8))


def numbers(dataset):
    images = np.asarray(dataset.images, int)
    return (256 * images[..., 0] + images[..., 1]).ravel()


@pytest.mark.parametrize(("total", "asked", "racing", "held_out"), [(9_000, 3_000, 3_000, 1_000), (50, 99, 40, 10)])
def test_validation_examples_do_not_race(total, asked, racing, held_out):
    data = divide(jax.random.key(3), numbered(total), Settings(examples=asked))
    train, probe, validation = map(numbers, data)
    assert (len(train), len(validation)) == (racing, held_out)
    assert len({*train, *validation}) == racing + held_out
    np.testing.assert_array_equal(probe, train[: methods.PROBE])
    np.testing.assert_array_equal(data.train.labels, train % 10)


def test_methods_share_minibatches_and_take_each_example_once_an_epoch():
    train = numbered(47)
    short, other, long = (
        list(minibatch_chunks(KEY, method, train, Settings(batch_size=10, steps=steps, full_batch_steps=4), 2))
        for method, steps in (("sgd", 9), ("nesterov", 9), ("momentum", 16))
    )
    for ours, theirs, longer in zip(short, other, long, strict=False):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.images, longer.images)
        assert ours.labels.shape == (2, 10)
    assert len(short) == 4  # the ninth step doesn't fill a chunk
    epochs = np.concatenate([numbers(chunk) for chunk in long]).reshape(4, 40)
    assert all(len(set(epoch)) == 40 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    whole = minibatch_chunks(KEY, "gd", train, Settings(full_batch_steps=4), 2)
    assert [numbers(chunk).tolist() for chunk in whole] == [2 * list(range(47))] * 2


def test_no_key_of_the_race_is_a_network_s():
    raced = [jax.random.fold_in(jax.random.key(0), purpose) for purpose in (DIVISION, SHUFFLES)]
    networks = [key for seed in range(20) for key in (jax.random.key(seed), *jax.random.split(jax.random.key(seed)))]
    keys = {tuple(jax.random.key_data(key).tolist()) for key in (*raced, *networks)}
    assert len(keys) == 62


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rates": ()}, "learning_rates=none: expected one or more numbers above 0"),
        ({"learning_rates": (0.4, 0.0)}, "learning_rates=0.0: expected"),
        ({"learning_rates": (1e39,)}, "at most 1e+38"),
        ({"thresholds": (float("nan"),)}, "thresholds=nan: expected"),
        ({"momentum": 1.0}, "momentum=1.0: expected"),
        ({"seeds": 1}, "seeds=1: expected a whole number from 2 to 1,000; for example seeds=16"),
        ({"steps": 0}, "steps=0: expected a whole number from 1"),
    ],
)
def test_settings_without_a_race_are_refused(settings, message):
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        methods.check_settings(Settings(**settings))


def test_a_minibatch_larger_than_the_race_is_refused():
    with pytest.raises(ValueError, match="batch_size=32: expected at most the 20 examples that race"):
        divide(KEY, numbered(50), Settings(examples=20))
