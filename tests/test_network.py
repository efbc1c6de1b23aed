import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.network import ACTIVATIONS, SIZES, Activation, activations, count_parameters, forward, init, weighted_sums


def test_seed_network_has_13002_parameters():
    params = init(jax.random.key(0))
    assert count_parameters(params) == 13_002 == 784 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10
    assert [layer.weights.shape for layer in params] == [(16, 784), (16, 16), (10, 16)]
    assert [layer.biases.shape for layer in params] == [(16,), (16,), (10,)]


@pytest.mark.parametrize("sizes", [(784, 10), (784, 3, 10), (784, 32, 1, 7, 10)])
def test_any_list_of_sizes(sizes):
    params = init(jax.random.key(0), sizes)
    assert count_parameters(params) == sum(a * b + b for a, b in itertools.pairwise(sizes))
    assert forward(params, jnp.ones(784)).shape == (10,)


def test_start_is_random_and_scaled_by_fan_in():
    params = init(jax.random.key(0), (784, 400, 10))
    for layer, inputs in zip(params, (784, 400), strict=True):
        # the standard deviation of n normal draws is known to within 1/√(2n): 0.13 % and 1.1 % here; five times that
        draws = layer.weights.size
        assert jnp.std(layer.weights) * inputs**0.5 == pytest.approx(1, abs=5 / (2 * draws) ** 0.5)
        assert abs(jnp.mean(layer.weights)) * inputs**0.5 < 5 / draws**0.5
    assert jnp.all(params[1].biases != 0)
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(init(jax.random.key(1)))])
    # 13,002 draws of 24 bits collide now and then; a key that is used twice would repeat a whole leaf
    assert jnp.unique(flat).size > 12_900


def test_same_key_same_network_other_key_another():
    first, again, other = (init(jax.random.key(seed)) for seed in (3, 3, 4))
    assert all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(again)))
    assert not any(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(other)))


ORACLES = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("activation", ORACLES)
@pytest.mark.parametrize("cost", ["squared_error", "cross_entropy"])
def test_activations_are_weighted_sums_through_the_activation_function(activation, cost):
    params = init(jax.random.key(0), (784, 5, 4, 10))
    image = np.random.default_rng(0).random(784, np.float32)
    result = activations(params, jnp.asarray(image), activation, cost)
    sums = weighted_sums(params, jnp.asarray(image), activation)
    expected = [image.astype(float)]
    for number, (weights, biases) in enumerate(params):
        z = [
            sum(w * a for w, a in zip(row, expected[-1], strict=True)) + b
            for row, b in zip(np.asarray(weights, float), np.asarray(biases, float), strict=True)
        ]
        z = np.array(z)
        np.testing.assert_allclose(sums[number], z, atol=1e-5)  # as below
        if number < 2:
            expected.append(ORACLES[activation](z))
        else:
            expected.append(ORACLES["sigmoid"](z) if cost == "squared_error" else np.exp(z) / np.exp(z).sum())
    assert [len(layer) for layer in result] == [784, 5, 4, 10]
    for ours, theirs in zip(result, expected, strict=True):
        # sums of up to 784 float32 terms of order 1/28: their rounding stays below 1e-5
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(forward(params, jnp.asarray(image), activation, cost), result[-1])


def test_an_untrained_network_is_wrong():
    images = jax.random.uniform(jax.random.key(1), (200, 784))
    outputs = jax.vmap(lambda image: forward(init(jax.random.key(0), SIZES), image))(images)
    assert jnp.all((outputs > 0) & (outputs < 1))
    assert jnp.max(jnp.sum((outputs - jnp.eye(10)[:1]) ** 2, axis=1)) > 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_jax_s_even_far_out(activation):
    z = jnp.array([-1e30, -1e4, -100.0, -20.0, -1.0, 0.5, 20.0, 100.0, 1e4, 1e30])
    value, slope = ACTIVATIONS[activation]
    # float32, and slopes that end at 0 or 1
    np.testing.assert_allclose(slope(z), jax.vmap(jax.grad(value))(z), rtol=1e-6, atol=1e-30)


def test_relu_has_jax_s_slope_at_the_kink():
    z = jnp.array([-1.0, -0.0, 0.0, 1e-38, 2.0])
    value, slope = ACTIVATIONS["relu"]
    np.testing.assert_array_equal(slope(z), jax.vmap(jax.grad(value))(z))


def test_a_new_activation_is_one_record(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "identity", Activation(lambda z: z, jnp.ones_like))
    params = init(jax.random.key(0), (784, 3, 10))
    z = weighted_sums(params, jnp.ones(784), "identity")
    # sums of three float32 terms of order 1
    np.testing.assert_allclose(z[1], params[1].weights @ z[0] + params[1].biases, atol=1e-6)
