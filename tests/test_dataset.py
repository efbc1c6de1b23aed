import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import dataset as module
from jaxmnist.dataset import Dataset, as_dataset, check, jitter, minibatches, one_hot, permutation, scale


def numbered(examples):
    """A set in which every image carries its own number, and its label goes with it."""
    number = np.arange(examples)
    images = np.zeros((examples, 784), np.uint8)
    images[:, 0], images[:, 1] = number // 256, number % 256
    return Dataset(jnp.asarray(images), jnp.asarray(number % 10, jnp.uint8))


@pytest.mark.parametrize(("examples", "batch_size"), [(1, 1), (10, 3), (1_000, 32)])
def test_a_pass_visits_each_example_at_most_once_and_drops_only_the_remainder(examples, batch_size):
    images, labels = minibatches(jax.random.key(0), numbered(examples), batch_size)
    steps = examples // batch_size
    assert images.shape == (steps, batch_size, 784)
    assert labels.shape == (steps, batch_size)
    numbers = np.asarray(images[..., 0], int) * 256 + np.asarray(images[..., 1])
    assert len(np.unique(numbers)) == steps * batch_size
    assert np.array_equal(numbers % 10, labels)
    assert images.dtype == labels.dtype == jnp.uint8


def test_the_key_decides_the_order_and_no_position_is_favoured():
    dataset = numbered(40)
    first, again = (minibatches(jax.random.key(1), dataset, 4) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    keys = jax.random.split(jax.random.key(0), 2_000)
    orders = jax.vmap(lambda key: minibatches(key, dataset, 1).images[:, 0, 1])(keys)
    # the mean place of an example over 2,000 shuffles deviates by 40/√12/√2000 = 0.26; five times that
    assert np.all(np.abs(np.mean(orders, axis=0) - 19.5) < 1.3)


@pytest.mark.parametrize("n", [1, 2, 1_437, 65_536, 65_537])
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


BYTES = np.random.default_rng(0).integers(0, 256, (3, 784)).astype(np.uint8)
DIGITS = np.array([7, 0, 9])


@pytest.mark.parametrize(
    "images",
    [
        BYTES,
        jnp.asarray(BYTES),
        BYTES.astype(np.int64),
        BYTES.tolist(),
        BYTES.reshape(3, 28, 28),
        BYTES.reshape(3, 28, 28, 1),
        *((BYTES / 255).astype(dtype) for dtype in (np.float64, np.float32, np.float16)),
    ],
)
def test_all_arrays_that_mean_the_same_become_the_same_bytes(images):
    for labels in (DIGITS, DIGITS.astype(np.uint8), DIGITS.tolist(), jnp.asarray(DIGITS)):
        dataset = as_dataset(images, labels)
        assert [leaf.dtype for leaf in dataset] == [jnp.uint8, jnp.uint8]
        np.testing.assert_array_equal(dataset.images, BYTES)
        np.testing.assert_array_equal(dataset.labels, DIGITS)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float32])
def test_ink_of_1_is_black_whatever_its_type(dtype):
    np.testing.assert_array_equal(as_dataset((BYTES > 99).astype(dtype), DIGITS).images, 255 * (BYTES > 99))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (BYTES / 2.0, DIGITS, r"images: float64 from 0.0 to 127.5, expected integers from 0 to 255, or floats from"),
        (BYTES / 128 - 1, DIGITS, "images: float64 from -1.0"),
        (np.full((3, 784), np.nan), DIGITS, "images: float64 from nan"),
        (BYTES.astype(int) * 2, DIGITS, "images: int64 from 0 to 510"),
        (BYTES.astype(int) - 1, DIGITS, "images: int64 from -1"),
        (BYTES.astype(str), DIGITS, "images: <U"),
        (BYTES[:, :64], DIGITS, r"images: uint8 of shape \(3, 64\), expected uint8 of shape \(n, 784\)"),
        (BYTES[0], DIGITS[:1], r"images: uint8 of shape \(784,\)"),
        (BYTES[:0], DIGITS[:0], r"images: uint8 of shape \(0, 784\), .* with n at least 1"),
        (BYTES, DIGITS[:2], r"labels: int64 of shape \(2,\), expected integers of shape \(3,\)"),
        (BYTES, np.eye(10)[DIGITS], r"labels: float64 of shape \(3, 10\)"),
        (BYTES, DIGITS / 1.0, "labels: float64"),
        (BYTES, DIGITS + 1, "labels: from 1 to 10, expected digits from 0 to 9"),
        (BYTES, DIGITS - 1, "labels: from -1 to 8"),
        (BYTES, DIGITS + 2**32, "labels: from 4294967296"),  # what 32 bits would wrap
    ],
)
def test_arrays_that_could_be_learnt_wrongly_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        as_dataset(images, labels)


def test_while_jax_traces_types_and_shapes_are_checked():
    jax.eval_shape(check, Dataset(BYTES, DIGITS + 1))  # the values of labels aren't known
    with pytest.raises(ValueError, match=r"train_set\.images: float32"):
        jax.eval_shape(lambda dataset: check(dataset, "train_set."), Dataset(BYTES / np.float32(255), DIGITS))


def test_scale_rejects_pixels_that_it_would_divide_once_more():
    with pytest.raises(ValueError, match="images: float32, expected uint8"):
        inspect.unwrap(scale)(jnp.ones(784))  # as outside these tests, where nothing checks annotations


def test_scale_maps_bytes_to_0_1():
    pixels = scale(jnp.zeros(784, jnp.uint8).at[1:3].set(jnp.array([51, 255], jnp.uint8)))
    np.testing.assert_allclose(pixels[:3], [0, 0.2, 1], rtol=1e-7)  # float32
    assert pixels.dtype == jnp.float32


def test_one_hot():
    np.testing.assert_array_equal(one_hot(jnp.array([3, 0], jnp.uint8)), np.eye(10)[[3, 0]])


def test_jitter_without_moves_changes_nothing(monkeypatch):
    for name in ("TURN", "STRETCH", "SHIFT"):
        monkeypatch.setattr(module, name, 0.0)
    dataset = Dataset(
        jnp.asarray(np.random.default_rng(0).integers(0, 256, (500, 784)), jnp.uint8), jnp.zeros(500, jnp.uint8)
    )
    np.testing.assert_array_equal(jitter(jax.random.key(0), dataset).images, dataset.images)


def test_jitter_moves_each_image_by_its_key_within_the_bounds(monkeypatch):
    monkeypatch.setattr(module, "TURN", 0.0)
    monkeypatch.setattr(module, "STRETCH", 0.0)
    spot = np.zeros((2_000, 28, 28), np.uint8)
    spot[:, 10, 17] = 200
    dataset = Dataset(jnp.asarray(spot.reshape(-1, 784)), jnp.asarray(np.arange(2_000) % 10, jnp.uint8))
    moved, again, other = (jitter(jax.random.key(seed), dataset) for seed in (0, 0, 1))
    np.testing.assert_array_equal(moved.images, again.images)
    assert not np.array_equal(moved.images, other.images)
    np.testing.assert_array_equal(moved.labels, dataset.labels)
    _, rows, columns = np.nonzero(np.asarray(moved.images).reshape(-1, 28, 28))
    assert len(rows) == 2_000
    # a shift, uniform up to 1 pixel, is rounded: a quarter of the images go each way, give or take 5 × 0.97 %
    for places, middle in ((rows, 10), (columns, 17)):
        _, counts = np.unique(places - middle, return_counts=True)
        np.testing.assert_allclose(counts / 2_000, [0.25, 0.5, 0.25], atol=0.06)


def test_jitter_turns_and_stretches_about_the_middle(monkeypatch):
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 13:15] = 255
    dataset = Dataset(jnp.tile(jnp.asarray(bar.ravel()), (500, 1)), jnp.zeros(500, jnp.uint8))
    monkeypatch.setattr(module, "SHIFT", 0.0)
    images = np.asarray(jitter(jax.random.key(0), dataset).images, float).reshape(-1, 28, 28)
    row, column = np.mgrid[:28, :28] - 13.5
    ink = images.sum(axis=(1, 2))
    for place in (row, column):
        assert np.abs((images * place).sum(axis=(1, 2)) / ink).max() < 0.5  # the middle stays
    lean = (images * row * column).sum(axis=(1, 2)) / (images * row**2).sum(axis=(1, 2))
    # the tangent of the turn: uniform up to 0.12, of mean 0 and deviation 0.12/√3, give or take rounding to pixels
    assert abs(lean.mean()) < 0.02
    assert np.std(lean) == pytest.approx(module.TURN / 3**0.5, rel=0.25)
    height = np.sqrt((images * row**2).sum(axis=(1, 2)) / ink)
    # uniform too, but a height is rounded to one of 18, 20 and 22 pixels
    assert np.std(np.log(height)) == pytest.approx(module.STRETCH / 3**0.5, rel=0.5)


def test_jitter_works_without_pixels_at_the_edge():
    full = Dataset(jnp.full((500, 784), 255, jnp.uint8), jnp.zeros(500, jnp.uint8))
    assert np.asarray(jitter(jax.random.key(0), full).images).reshape(500, 28, 28)[:, 4:-4, 4:-4].min() == 255


def test_many_sets_jitter_as_each_does_alone():
    random = np.random.default_rng(0)
    images = jnp.asarray(random.integers(0, 256, (2, 1_100, 784), dtype=np.uint8))  # the last chunk is shorter
    datasets, keys = Dataset(images, jnp.zeros((2, 1_100), jnp.uint8)), jax.random.split(jax.random.key(0), 2)
    together = jax.vmap(jitter)(keys, datasets).images
    first = Dataset(images[0], datasets.labels[0])
    of_first = jax.vmap(jitter, (0, None))(keys, first).images
    np.testing.assert_array_equal(together[0], jitter(keys[0], first).images)
    np.testing.assert_array_equal(of_first, jnp.stack([jitter(key, first).images for key in keys]))
    assert (of_first[1] != of_first[0]).any()
