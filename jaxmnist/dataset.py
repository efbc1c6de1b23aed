"""The data, once it is in memory: pure functions from images and labels to what the network is fed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8, UInt32

TURN, STRETCH, SHIFT = 0.12, 0.1, 1.0
"""How far `jitter` goes: radians, natural logarithm of the factor, pixels."""


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


def minibatch_order(key: Key[Array, ""], examples: int, batch_size: int) -> UInt32[Array, "steps batch"]:
    """Which examples make up each minibatch of a shuffled pass.

    Every example comes at most once; what does not fill a last minibatch is left out of this pass.

    Args:
        key: decides the order.
        examples: n.
        batch_size: b, at most n.

    Returns:
        n // b rows of b places in the data.
    """
    steps = examples // batch_size
    return permutation(key, examples)[: steps * batch_size].reshape(steps, batch_size)


def minibatches(key: Key[Array, ""], dataset: Dataset, batch_size: int) -> Dataset:
    """The minibatches of a shuffled pass, all at once.

    Returns:
        A `Dataset` with a leading axis of n // b steps: images (n // b, b, 784), labels (n // b, b), in the order of
        `minibatch_order` with the same key.
    """
    return take(dataset, minibatch_order(key, dataset.labels.shape[0], batch_size))


def take(dataset: Dataset, places: UInt32[Array, "*n"]) -> Dataset:
    """The examples at these places."""
    return Dataset(dataset.images[places], dataset.labels[places])


def jitter(key: Key[Array, ""], dataset: Dataset) -> Dataset:
    """The same digits, each turned, stretched and shifted a little at random, as if written once more.

    Every pixel is the one nearest to the place that it comes from; beyond the edge there is paper. (To interpolate
    would blur the ink, as no digit is that the network will have to read.)

    Args:
        key: decides every image's turn, stretch across and along, and shift: uniform up to TURN, STRETCH and SHIFT
            either way.
        dataset: n examples.
    """
    moves = jax.random.uniform(key, (dataset.labels.shape[0], 5), minval=-1, maxval=1)

    def one(example: tuple[UInt8[Array, "784"], Float[Array, "5"]]) -> UInt8[Array, "784"]:
        image, (turn, across, along, right, down) = example
        cos, sin = jnp.cos(TURN * turn), jnp.sin(TURN * turn)
        place = jnp.arange(28) - 13.5
        column = (cos * place - sin * place[:, None]) * jnp.exp(STRETCH * across) + SHIFT * right + 15
        row = (sin * place + cos * place[:, None]) * jnp.exp(STRETCH * along) + SHIFT * down + 15
        edged = jnp.pad(image.reshape(28, 28), 1).ravel()
        at = 30 * jnp.clip(row, 0, 29).astype(jnp.int32) + jnp.clip(column, 0, 29).astype(jnp.int32)
        return edged[at].ravel()

    return dataset._replace(images=jax.lax.map(one, (dataset.images, moves), batch_size=1_000))


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
