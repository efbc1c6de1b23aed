import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import gradient

from jaxmnist.cost import COSTS, Cost, cross_entropy, mean_cost, squared_error
from jaxmnist.network import ACTIVATIONS, init


def test_squared_error_of_the_table_for_a_2():
    output = jnp.array([0.32, 0.76, 0.16, 0.32, 0.35, 0.32, 0.76, 0.56, 0.32, 0.65])
    terms = [0.32, 0.76, 0.16 - 1, 0.32, 0.35, 0.32, 0.76, 0.56, 0.32, 0.65]
    # ten float32 terms of order 1, each rounded to 6e-8
    assert squared_error(output, jnp.eye(10)[2]) == pytest.approx(sum(term**2 for term in terms), abs=1e-6)
    assert squared_error(jnp.eye(10)[2], jnp.eye(10)[2]) == 0


def test_cross_entropy_is_the_negative_log_of_the_right_output():
    z = jnp.arange(10.0)
    assert cross_entropy(z, jnp.eye(10)[4]) == pytest.approx(-np.log(float(jax.nn.softmax(z)[4])), rel=1e-6)  # float32


@pytest.mark.parametrize("margin", [80.0, 88.0, 95.0, 200.0, 1e6])
def test_cross_entropy_pulls_at_the_worst_mistakes(margin):
    z = jnp.zeros(10).at[1].set(margin)
    value, slope = jax.value_and_grad(cross_entropy)(z, jnp.eye(10)[0])
    assert value == pytest.approx(margin, rel=1e-6)  # ln(1 + 9 e^-margin) is below 1e-33; float32
    np.testing.assert_allclose(slope, jnp.eye(10)[1] - jnp.eye(10)[0], atol=1e-6)  # softmax(z) − y


@pytest.mark.parametrize("cost", COSTS)
def test_a_record_is_consistent(cost):
    with jax.enable_x64(True):
        record = COSTS[cost]
        for scale in (1.0, 30.0):
            z, target = scale * jax.random.normal(jax.random.key(0), (10,)), jnp.eye(10)[3]
            slope = jax.grad(lambda z: jnp.sum(record.terms(z, target)))(z)  # noqa: B023
            np.testing.assert_allclose(record.delta(z, target), slope, rtol=1e-12, atol=1e-15)  # float64
        terms = {"squared_error": lambda a, y: (a - y) ** 2, "cross_entropy": lambda a, y: -y * np.log(a)}[cost]
        small = jax.random.normal(jax.random.key(1), (10,))
        expected = terms(np.asarray(record.outputs(small)), np.asarray(target))
        np.testing.assert_allclose(record.terms(small, target), expected, rtol=1e-12, atol=1e-15)  # float64


def test_a_new_cost_is_one_record(monkeypatch):
    monkeypatch.setitem(
        COSTS,
        "absolute",
        Cost(lambda z: z, lambda z, y: jnp.abs(z - y), lambda z, y: jnp.sign(z - y), "|a − y|"),
    )
    params, images = init(jax.random.key(0)), jnp.zeros((2, 784))
    value = mean_cost(params, images, jnp.zeros((2, 10)), "sigmoid", "absolute")
    hidden = jax.nn.sigmoid(params[1].weights @ jax.nn.sigmoid(params[0].biases) + params[1].biases)
    expected = jnp.sum(jnp.abs(params[2].weights @ hidden + params[2].biases))
    assert value == pytest.approx(float(expected), rel=1e-6)  # float32


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return generator.random((7, 784)), np.eye(10)[generator.integers(0, 10, 7)]


def test_mean_cost_is_the_mean_over_the_examples(batch):
    params = init(jax.random.key(0))
    images, targets = map(jnp.asarray, batch)
    each = [mean_cost(params, images[i : i + 1], targets[i : i + 1]) for i in range(7)]
    assert mean_cost(params, images, targets) == pytest.approx(np.mean(each), rel=1e-6)  # float32


@pytest.mark.parametrize(
    ("activation", "cost"),
    # each activation once and each cost twice at once, the rest with the slow ones
    [
        pytest.param(*kind, marks=[] if index in (0, 3, 5, 6) else pytest.mark.slow)
        for index, kind in enumerate(itertools.product(ACTIVATIONS, COSTS))
    ],
)
def test_gradient_is_the_central_difference(activation, cost, batch):
    with jax.enable_x64(True):
        params = init(jax.random.key(5), (784, 6, 5, 10))
        images, targets = map(jnp.asarray, batch)
        leaves, structure = jax.tree.flatten(params)
        gradients = jax.tree.leaves(jax.grad(mean_cost)(params, images, targets, activation, cost))
        generator = np.random.default_rng(1)
        for number, leaf in enumerate(leaves):
            assert gradients[number].dtype == jnp.float64
            for _ in range(6):
                index = tuple(generator.integers(0, side) for side in leaf.shape)
                h = 1e-6

                def nudged(change, number=number, index=index):
                    moved = [*leaves[:number], leaves[number].at[index].add(change), *leaves[number + 1 :]]
                    return mean_cost(structure.unflatten(moved), images, targets, activation, cost)

                difference = (nudged(h) - nudged(-h)) / (2 * h)
                # rounding of the cost, 1e-16, over 2h, and a third derivative of order 1 times h² : below 1e-9
                assert gradients[number][index] == pytest.approx(float(difference), rel=1e-6, abs=1e-9)


def test_gradient_is_back_propagation_by_hand(batch):
    with jax.enable_x64(True):
        params = init(jax.random.key(2))
        cost, gradients = jax.value_and_grad(mean_cost)(params, *map(jnp.asarray, batch))
        expected_cost, expected = gradient([tuple(map(np.asarray, layer)) for layer in params], *batch)
        assert cost == pytest.approx(expected_cost, rel=1e-13)  # float64 sums of 784 terms
        for ours, theirs in zip(jax.tree.leaves(gradients), [g for layer in expected for g in layer], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
