"""Networks that compute the same: hidden neurons in another order, and sigmoid neurons with their sign flipped.

As σ(−z) = 1 − σ(z), a neuron whose incoming weights, bias and outgoing weights change their sign is the same one if the
next biases grow by the outgoing weights. So n hidden sigmoid neurons of a layer have n! · 2ⁿ equal forms.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from jaxmnist.network import Layer, Params

ROUNDS = 50
"""Most passes over the hidden layers; it ends when a pass changes nothing."""


def distance(params: Params, other: Params) -> float:
    """The length of the straight line between two networks in the space of all parameters."""
    return float(jnp.linalg.norm(ravel_pytree(params)[0] - ravel_pytree(other)[0]))


def rearranged(params: Params, hidden: int, order: Int[np.ndarray, "n"], signs: Float[np.ndarray, "n"]) -> Params:
    """Reorder a hidden layer's neurons, and flip those with sign −1; a sigmoid network's outputs stay.

    Neuron i becomes what neuron `order[i]` was; hidden layer 0 is the first.
    """
    into, out = params[hidden], params[hidden + 1]
    signs_in = jnp.asarray(signs, into.biases.dtype)
    outgoing = out.weights[:, order]
    flipped = outgoing @ (signs_in < 0).astype(outgoing.dtype)
    changed = (
        Layer(into.weights[order] * signs_in[:, None], into.biases[order] * signs_in),
        Layer(outgoing * signs_in[None], out.biases + flipped),
    )
    return (*params[:hidden], *changed, *params[hidden + 2 :])


def matched(params: Params, other: Params) -> Params:
    """Rearrange another sigmoid network, whose outputs stay, to be as close to `params` as its neurons let it.

    Layer by layer, neurons are paired so that the products of their weights are the largest, up to their sign, until
    nothing changes: a good pairing, not provably the best.

    Source:
        Ainsworth, Hayase, Srinivasa, Git Re-Basin (2023), §3.2; signs are added.
    """
    for _ in range(ROUNDS):
        before = other
        for hidden in range(len(params) - 1):
            products = _incoming(params, hidden) @ _incoming(other, hidden).T
            products += np.asarray(params[hidden + 1].weights).T @ np.asarray(other[hidden + 1].weights)
            rows, order = linear_sum_assignment(-np.abs(products))
            other = rearranged(other, hidden, order, np.where(products[rows, order] < 0, -1.0, 1.0))
        if all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(other))):
            break
    return other


def _incoming(params: Params, hidden: int) -> Float[np.ndarray, "n inputs"]:
    """Each neuron's incoming weights and bias, as if its inputs went from −½ to ½: flips before it leave that bias."""
    weights, biases = map(np.asarray, params[hidden])
    if hidden:
        biases = biases + weights.sum(axis=1) / 2
    return np.column_stack([weights, biases])
