"""The data in memory: pure functions from images and labels to the minibatches that the network learns from."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, Integer, Key, UInt8, UInt32

TURN, STRETCH, SHIFT = 0.12, 0.1, 1.0
"""The largest change `jitter` makes: radians, natural logarithm of the factor, pixels."""


class Dataset(NamedTuple):
    """Images with their labels, as MNIST stores them; a pytree.

    A set has one leading axis of n examples; one example has none, and the minibatches of an epoch have two.
    """

    images: UInt8[Array, "*n 784"]  # one byte a pixel, 0 paper to 255 ink, rows of 28 from the top
    labels: UInt8[Array, "*n"]  # the digits 0 to 9


def as_dataset(images: npt.ArrayLike, labels: npt.ArrayLike) -> Dataset:
    """Make a data set of anyone's arrays.

    Args:
        images: n images of 784 or 28×28 pixels: integers in [0, 255], or any numbers in [0, 1]; 0 is paper.
        labels: n integers from 0 to 9.

    Raises:
        ValueError: if an array is anything else.

    Example:
        >>> as_dataset(np.full((2, 28, 28), 0.2), [7, 1]).images[0, :3].tolist()
        [51, 51, 51]
    """
    pixels, digits = _as_bytes(np.asarray(images)), np.asarray(labels)
    check(Dataset(pixels, digits))  # type: ignore[arg-type]  # before JAX narrows 64-bit labels
    return Dataset(jnp.asarray(pixels), jnp.asarray(digits.astype(np.uint8)))


def check(dataset: Dataset, prefix: str = "") -> None:
    """Reject a set that a network would silently learn the wrong thing from, or nothing.

    While JAX traces, only types and shapes are known; the labels' values are then not checked.

    Args:
        dataset: n examples, at least one.
        prefix: what the message puts before the array's name, such as "test_set.".

    Raises:
        ValueError: naming the array, what it is, what was expected and the remedy.
    """
    images, labels = dataset
    remedy = "dataset.as_dataset converts other arrays"
    if images.dtype != jnp.uint8 or images.ndim != 2 or images.shape[1] != 784 or not images.shape[0]:
        found = f"{prefix}images: {images.dtype} of shape {images.shape}"
        raise ValueError(f"{found}, expected uint8 of shape (n, 784) with n at least 1; {remedy}")
    if not jnp.issubdtype(labels.dtype, jnp.integer) or labels.shape != images.shape[:1]:
        found = f"{prefix}labels: {labels.dtype} of shape {labels.shape}"
        raise ValueError(f"{found}, expected integers of shape {images.shape[:1]}, a digit for each image")
    if not isinstance(labels, jax.core.Tracer):
        known = jax.device_get(labels)
        if known.min() < 0 or known.max() > 9:
            raise ValueError(f"{prefix}labels: from {known.min()} to {known.max()}, expected digits from 0 to 9")


def _as_bytes(images: np.ndarray) -> np.ndarray:
    """Convert pixels of any type in [0, 1], or integers in [0, 255], to bytes, and 28×28 pixels to a row of 784."""
    if images.shape[1:] in ((28, 28), (28, 28, 1), (1, 28, 28)):
        images = images.reshape(-1, 784)
    found, expected = f"images: {images.dtype}", "expected integers from 0 to 255, or floats from 0 to 1"
    integer = jnp.issubdtype(images.dtype, jnp.integer)
    if not (integer or jnp.issubdtype(images.dtype, jnp.floating) or images.dtype == bool):
        raise ValueError(f"{found}, {expected}")
    least, largest = images.min(initial=0), images.max(initial=0)
    if least >= 0 and largest <= 1:
        return np.round(images.astype(np.float32) * 255).astype(np.uint8)
    if integer and least >= 0 and largest <= 255:
        return images.astype(np.uint8)
    raise ValueError(f"{found} from {least} to {largest}, {expected}")


def scale(images: UInt8[Array, "*n 784"]) -> Float[Array, "*n 784"]:
    """Bytes 0–255 to pixels in [0, 1], in JAX's default float; raises ValueError for anything but bytes."""
    if images.dtype != jnp.uint8:
        raise ValueError(f"images: {images.dtype}, expected uint8 from 0 to 255; dataset.as_dataset converts others")
    return images.astype(jnp.result_type(float)) / 255


def one_hot(labels: Integer[Array, "*n"]) -> Float[Array, "*n 10"]:
    """Digits to targets: 1 for the digit, 0 for the nine others.

    Example:
        >>> one_hot(jnp.array(2)).tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return jax.nn.one_hot(labels, 10)


def permutation(key: Key[Array, ""], n: int) -> UInt32[Array, "n"]:
    """The numbers 0 to n − 1 in random order: each gets a random sort key of at least 32 bits.

    It replaces `jax.random.permutation`, which sorts pairs: on a CPU, sorting plain numbers is several times as fast.
    So each word holds as many random bits as fit beside the number itself, and several rounds of sorting follow each
    other, as in a radix sort. One pair in 2³² has equal sort keys, and keeps its order.

    Args:
        key: decides the order.
        n: at most 2³¹.
    """
    number_bits = (n - 1).bit_length()
    random_bits = 32 - number_bits
    numbers = jnp.arange(n, dtype=jnp.uint32)
    order = numbers
    for round_key in jax.random.split(key, -(-32 // random_bits)):
        sort_keys = jax.random.bits(round_key, (n,), jnp.uint32) >> number_bits << number_bits
        order = order[jnp.sort(sort_keys | numbers) & ((1 << number_bits) - 1)]
    return order


def minibatch_order(key: Key[Array, ""], examples: int, batch_size: int) -> UInt32[Array, "steps batch"]:
    """Decide which examples make up each minibatch of a shuffled pass.

    Every example comes at most once; the remainder that doesn't fill a minibatch is left out of this pass.

    Args:
        key: decides the order.
        examples: n.
        batch_size: b, at most n.

    Returns:
        n // b rows of b indices into the data.
    """
    steps = examples // batch_size
    return permutation(key, examples)[: steps * batch_size].reshape(steps, batch_size)


def minibatches(key: Key[Array, ""], dataset: Dataset, batch_size: int) -> Dataset:
    """Gather the minibatches of `minibatch_order`, all at once: images (n // b, b, 784), labels (n // b, b)."""
    return take(dataset, minibatch_order(key, dataset.labels.shape[0], batch_size))


def take(dataset: Dataset, indices: Integer[Array, "*n"]) -> Dataset:
    """Gather the examples with these indices."""
    return Dataset(dataset.images[indices], dataset.labels[indices])


def jitter(key: Key[Array, ""], dataset: Dataset) -> Dataset:
    """Turn, stretch and shift every digit a little at random, as if it were written once more.

    Pixels are resampled to the nearest one; outside the image is paper. (Interpolation would blur the strokes in a way
    that real digits are not.)

    Args:
        key: decides every image's turn, stretch across and along, and shift, uniform within ± TURN, STRETCH and SHIFT.
        dataset: n examples.

    Returns:
        The same labels with new images.

    Source:
        Simard, Steinkraus and Platt, Best practices for convolutional neural networks (2003), §2.
    """
    moves = jax.random.uniform(key, (dataset.labels.shape[0], 5), minval=-1, maxval=1)

    def move(image_and_moves: tuple[UInt8[Array, "784"], Float[Array, "5"]]) -> UInt8[Array, "784"]:
        image, (turn, across, along, right, down) = image_and_moves
        cos, sin = jnp.cos(TURN * turn), jnp.sin(TURN * turn)
        x = (jnp.arange(28, dtype=moves.dtype) - 13.5)[None, :]
        y = x.T
        column = (cos * x - sin * y) * jnp.exp(STRETCH * across) + SHIFT * right + 15
        row = (sin * x + cos * y) * jnp.exp(STRETCH * along) + SHIFT * down + 15
        inside = (row >= 1) & (row < 29) & (column >= 1) & (column < 29)
        source = 28 * row.astype(jnp.int32) + column.astype(jnp.int32) - 29
        moved: Array = _pick(image, jnp.where(inside, source, 784).ravel())
        return moved

    return dataset._replace(images=jax.lax.map(move, (dataset.images, moves), batch_size=1_000))


@jax.custom_batching.custom_vmap
def _pick(image: UInt8[Array, "784"], source: Int[Array, "784"]) -> UInt8[Array, "784"]:
    """Pick an image's pixels by their indices; 784, outside, is paper."""
    return image[:, None].at[source].get(mode="fill", fill_value=0)[:, 0]  # of rows: so XLA gathers faster on a CPU


@_pick.def_vmap
def _pick_each(count: int, batched: list[bool], *arrays: Array) -> tuple[Array, bool]:
    """Pick the pixels of many images: on a CPU, and only there, one image after the other is much faster."""
    each = (array if own else jnp.broadcast_to(array, (count, 784)) for array, own in zip(arrays, batched, strict=True))
    one_by_one = partial(jax.lax.map, lambda pair: _pick(*pair))
    picked = jax.lax.platform_dependent(*each, cpu=lambda *pair: one_by_one(pair), default=jax.vmap(_pick.fun))
    return picked, True


def stratified_folds(key: Key[Array, ""], labels: UInt8[Array, "n"], folds: int) -> UInt32[Array, "folds size"]:
    """Which examples are in which fold, at random, with an equal share of every class in each.

    The examples, shuffled, are sorted by class and dealt out like cards. So each class's counts in two folds differ by
    one at the most, just as in scikit-learn's `StratifiedKFold`. Unlike there, the fewer than `folds` examples at the
    end that would make some folds larger are left out: folds of one size make one compilation serve them all.

    Args:
        key: decides who is in which fold.
        labels: n digits.
        folds: k, at most n.

    Returns:
        Indices, shape (k, n // k); no example is in two folds.
    """
    order = permutation(key, labels.shape[0])
    by_class = order[jnp.argsort(labels[order], stable=True)]
    size = labels.shape[0] // folds
    return by_class[: folds * size].reshape(size, folds).T
