import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import relative_distance

from jaxmnist.network import forward, init
from jaxmnist.studies.symmetries import distance, matched, rearranged

SIZES = (784, 16, 16, 10)
PARAMS = init(jax.random.key(0), SIZES)
IMAGES = jax.random.uniform(jax.random.key(1), (5, 784))


def outputs(params):
    return jax.vmap(forward, (None, 0))(params, IMAGES)


def in_another_form(params, seed):
    """The same network with all hidden neurons in a random order, about half of them flipped."""
    random = np.random.default_rng(seed)
    for hidden in range(len(params) - 1):
        neurons = len(params[hidden].biases)
        params = rearranged(params, hidden, random.permutation(neurons), random.choice([-1.0, 1.0], neurons))
    return params


@pytest.mark.parametrize("sizes", [(784, 10), SIZES])
def test_another_form_computes_the_same_and_is_brought_back(sizes):
    params = init(jax.random.key(2), sizes)
    other = in_another_form(params, seed=3)
    np.testing.assert_allclose(outputs(other), outputs(params), atol=1e-6)  # float32 sums in another order
    assert len(sizes) == 2 or distance(params, other) > 1
    back = matched(params, other)
    assert relative_distance(back, params) < 1e-6  # biases that were changed and changed back, in float32


def test_a_neuron_becomes_the_one_that_its_order_names():
    order = np.roll(np.arange(16), 1)
    other = rearranged(PARAMS, 1, order, np.ones(16))
    np.testing.assert_array_equal(other[1].weights[0], PARAMS[1].weights[15])
    np.testing.assert_array_equal(other[2].weights[:, 0], PARAMS[2].weights[:, 15])
    np.testing.assert_array_equal(other[0].weights, PARAMS[0].weights)


def test_a_network_that_has_moved_a_little_is_matched_neuron_by_neuron():
    moved = jax.tree.map(lambda leaf: leaf + 0.001 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), PARAMS)
    expected = distance(PARAMS, moved)
    assert distance(PARAMS, matched(PARAMS, in_another_form(moved, seed=4))) == pytest.approx(expected, rel=1e-4)


def test_matching_never_leaves_networks_farther_apart_than_the_forms_do():
    other = init(jax.random.key(5), SIZES)
    near = matched(PARAMS, other)
    np.testing.assert_allclose(outputs(near), outputs(other), atol=1e-6)
    assert distance(PARAMS, near) < min(distance(PARAMS, in_another_form(other, seed)) for seed in range(5))


def test_the_distance_is_that_of_all_parameters_in_a_row():
    other = jax.tree.map(lambda leaf: leaf + 2, PARAMS)
    assert distance(PARAMS, other) == pytest.approx(2 * 13_002**0.5, rel=1e-5)
