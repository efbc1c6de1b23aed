import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.dataset import Dataset, minibatches, one_hot, permutation, scale


def numbered(examples):
    """A set in which every image carries its own number, and its label goes with it."""
    number = np.arange(examples)
    images = np.zeros((examples, 784), np.uint8)
    images[:, 0], images[:, 1] = number // 256, number % 256
    return Dataset(jnp.asarray(images), jnp.asarray(number % 10, jnp.uint8))


@pytest.mark.parametrize(("examples", "batch_size"), [(1, 1), (10, 3), (64, 64), (1_000, 32), (999, 1)])
def test_a_pass_visits_each_example_at_most_once_and_drops_only_the_remainder(examples, batch_size):
    images, labels = minibatches(jax.random.key(0), numbered(examples), batch_size)
    steps = examples // batch_size
    assert images.shape == (steps, batch_size, 784)
    assert labels.shape == (steps, batch_size)
    numbers = np.asarray(images[..., 0], int) * 256 + np.asarray(images[..., 1])
    assert len(np.unique(numbers)) == steps * batch_size
    assert np.array_equal(numbers % 10, labels)
    assert images.dtype == labels.dtype == jnp.uint8


def test_the_key_decides_the_order_and_no_place_is_favoured():
    dataset = numbered(40)
    first, again = (minibatches(jax.random.key(1), dataset, 4) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    keys = jax.random.split(jax.random.key(0), 2_000)
    orders = jax.vmap(lambda key: minibatches(key, dataset, 1).images[:, 0, 1])(keys)
    # the mean place of an example over 2,000 shuffles deviates by 40/√12/√2000 = 0.26; five times that
    assert np.all(np.abs(np.mean(orders, axis=0) - 19.5) < 1.3)


@pytest.mark.parametrize("n", [1, 2, 3, 1_437, 60_000, 65_536, 65_537, 1_000_000])
def test_a_permutation_holds_each_number_once(n):
    np.testing.assert_array_equal(np.sort(permutation(jax.random.key(0), n)), np.arange(n))


def test_every_order_is_as_likely_as_any_other():
    keys = jax.random.split(jax.random.key(0), 24_000)
    orders = jax.vmap(lambda key: permutation(key, 4))(keys)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    # chi-squared with 23 degrees of freedom: mean 23, deviation 6.8; its 1 - 1e-6 quantile is 71
    assert np.sum((counts - 1_000) ** 2 / 1_000) < 71


def test_neighbours_in_a_large_order_have_nothing_to_do_with_each_other():
    order = np.asarray(permutation(jax.random.key(3), 60_000), float)
    for shift in (1, 2, 100):
        # the correlation of independent numbers deviates by 1/√60000 = 0.004; five times that
        assert abs(np.corrcoef(order[:-shift], order[shift:])[0, 1]) < 0.0205
    assert abs(np.corrcoef(order, np.arange(60_000))[0, 1]) < 0.0205


def test_scale_maps_bytes_to_0_1():
    found = scale(jnp.array([0, 51, 255], jnp.uint8))
    np.testing.assert_allclose(found, [0, 0.2, 1], rtol=1e-7)  # float32
    assert found.dtype == jnp.float32


def test_one_hot():
    np.testing.assert_array_equal(one_hot(jnp.array([3, 0], jnp.uint8)), np.eye(10)[[3, 0]])
