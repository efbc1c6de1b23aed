"""How tests compare pytrees: by their bits, or by relative distances."""

import jax
import numpy as np


def same_bits(tree, expected):
    """Whether two pytrees hold the same numbers, bit for bit; keys count by their data."""
    return all(map(np.array_equal, *(jax.tree.leaves(jax.tree.map(_data, side)) for side in (tree, expected))))


def relative_distances(tree, expected):
    """‖tree − expected‖ / ‖expected‖ for each leaf, in the 2-norm; where `expected` is zero, ‖tree‖."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(expected), strict=True)
    return [float(np.linalg.norm(np.subtract(a, b)) / (np.linalg.norm(b) or 1)) for a, b in pairs]


def relative_distance(tree, expected):
    """The largest of `relative_distances`."""
    return max(relative_distances(tree, expected))


def member(trees, index):
    """One member of a pytree whose leaves have a leading axis of members."""
    return jax.tree.map(lambda leaf: leaf[index], trees)


def _data(leaf):
    return (
        jax.random.key_data(leaf) if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key) else leaf
    )
