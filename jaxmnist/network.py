"""The network: layers of neurons, each a weighted sum plus a bias through an activation function.

Everything here is for one image; `jax.vmap` makes the batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmnist.config import SIZES as SIZES
from jaxmnist.config import Activation, Cost


class Layer(NamedTuple):
    """The connections from one layer of neurons to the next, and the biases of the next.

    Attributes:
        weights: shape (out, in); row j holds the strengths of all connections into neuron j.
        biases: shape (out,); what each neuron adds to its weighted sum.
    """

    weights: Float[Array, "out in"]
    biases: Float[Array, "out"]


Params = tuple[Layer, ...]
"""All weights and biases, first layer first: a pytree, so `jax.tree.map` and `jax.grad` go through it."""

ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu, "silu": jax.nn.silu}

OUTPUTS = {"squared_error": jax.nn.sigmoid, "cross_entropy": jax.nn.softmax}
"""The output layer's activation function goes with the cost: both give ten values in [0, 1]."""


def init(key: Key[Array, ""], sizes: Sequence[int] = SIZES) -> Params:
    """A random start: all weights and biases drawn from a normal distribution of deviation 1/√(inputs).

    With this scale a neuron's weighted sum is of order 1 however many inputs it has, so no sigmoid starts saturated.

    Args:
        key: a `jax.random.key`.
        sizes: neurons per layer, the inputs first.

    Returns:
        One `Layer` for each pair of neighbours in `sizes`.

    Source:
        3Blue1Brown, Neural networks, chapter 2 (a random start); LeCun et al., Efficient BackProp (1998), §4.6.
    """
    layers = []
    for layer_key, inputs, outputs in zip(jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True):
        weights_key, biases_key = jax.random.split(layer_key)
        scale = inputs**-0.5
        layers.append(
            Layer(
                weights=scale * jax.random.normal(weights_key, (outputs, inputs)),
                biases=scale * jax.random.normal(biases_key, (outputs,)),
            )
        )
    return tuple(layers)


def activations(
    params: Params,
    image: Float[Array, "784"],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> tuple[Float[Array, "_"], ...]:
    """The activations a of every layer: a⁰ is the image, and aˡ = σ(Wˡ aˡ⁻¹ + bˡ).

    Args:
        params: the network.
        image: one image, pixels in [0, 1].
        activation: σ of the hidden layers.
        cost: decides the output layer's σ: sigmoid for squared_error, softmax for cross_entropy.

    Returns:
        One array for each layer, the input first, the ten outputs in [0, 1] last.

    Source:
        3Blue1Brown, Neural networks, chapter 1: a¹ = σ(W a⁰ + b).
    """
    *hidden, output = params
    a = [image]
    for weights, biases in hidden:
        a.append(ACTIVATIONS[activation](weights @ a[-1] + biases))
    a.append(OUTPUTS[cost](output.weights @ a[-1] + output.biases))
    return tuple(a)


def forward(
    params: Params,
    image: Float[Array, "784"],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> Float[Array, "10"]:
    """The ten outputs for one image; the digit read is the index of the largest. Arguments as `activations`."""
    return activations(params, image, activation, cost)[-1]


def count_parameters(params: Params) -> int:
    """How many weights and biases there are: 13,002 for the sizes 784-16-16-10."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
