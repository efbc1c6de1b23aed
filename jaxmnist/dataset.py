"""The data, once it is in memory: pure functions from images and labels to what the network is fed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8, UInt32


class Dataset(NamedTuple):
    """Images with their labels, as MNIST stores them; a pytree.

    Attributes:
        images: shape (n, 784), one byte a pixel, 0 paper to 255 ink, rows of 28 from the top.
        labels: shape (n,), the digits 0 to 9.
    """

    images: UInt8[Array, "n 784"]
    labels: UInt8[Array, "n"]


def scale(images: UInt8[Array, "*n 784"]) -> Float[Array, "*n 784"]:
    """Bytes 0–255 to pixels in [0, 1], in JAX's default float."""
    return images.astype(jnp.result_type(float)) / 255


def one_hot(labels: UInt8[Array, "*n"]) -> Float[Array, "*n 10"]:
    """Digits to targets: 1 at the digit's place, 0 at the nine others."""
    return jax.nn.one_hot(labels, 10)


def permutation(key: Key[Array, ""], n: int) -> UInt32[Array, "n"]:
    """The numbers 0 to n − 1 in random order: each gets a random key of at least 32 bits, and they are sorted by it.

    Sorting alone, without a second array to carry along, is four times as fast on a CPU. So the random bits share
    a word with the place that they are drawn for, and as only a part of them fits, rounds of sorting follow each
    other, as in a radix sort. Of all pairs one in 2³² has equal keys, and keeps its order.

    Args:
        key: decides the order.
        n: at most 2³¹.
    """
    place_bits = (n - 1).bit_length()
    random_bits = 32 - place_bits
    places = jnp.arange(n, dtype=jnp.uint32)
    order = places
    for round_key in jax.random.split(key, -(-32 // random_bits)):
        sort_keys = jax.random.bits(round_key, (n,)) >> place_bits << place_bits
        order = order[jnp.sort(sort_keys | places) & ((1 << place_bits) - 1)]
    return order


def minibatches(key: Key[Array, ""], dataset: Dataset, batch_size: int) -> Dataset:
    """A shuffled pass over the data, cut into minibatches.

    Every example comes at most once; what does not fill a last minibatch is left out of this pass. The
    bytes are gathered for the whole pass at once: on a CPU that is twice as fast as picking rows at every step.

    Args:
        key: decides the order.
        dataset: n examples.
        batch_size: b, at most n.

    Returns:
        A `Dataset` with a leading axis of n // b steps: images (n // b, b, 784), labels (n // b, b).
    """
    examples = dataset.labels.shape[0]
    steps = examples // batch_size
    order = permutation(key, examples)[: steps * batch_size].reshape(steps, batch_size)
    return Dataset(dataset.images[order], dataset.labels[order])


def stratified_folds(key: Key[Array, ""], labels: UInt8[Array, "n"], folds: int) -> Int[Array, "folds size"]:
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
