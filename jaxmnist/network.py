"""The network: layers of neurons, each a weighted sum plus a bias through an activation function.

Everything here is for one image; `jax.vmap` makes the batch.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

SIZES = (784, 16, 16, 10)
"""3Blue1Brown's network: 28×28 pixels, two hidden layers of 16, one output per digit; 13,002 parameters."""


class Layer(NamedTuple):
    """The connections from one layer of neurons to the next, and the biases of the next."""

    weights: Float[Array, "out in"]  # row j holds the strengths of all connections into neuron j
    biases: Float[Array, "out"]  # what each neuron adds to its weighted sum


Params: TypeAlias = tuple[Layer, ...]
"""All weights and biases, first layer first: a pytree, so `jax.tree.map` and `jax.grad` go through it."""

Elementwise: TypeAlias = Callable[[Float[Array, "n"]], Float[Array, "n"]]
"""A function from a layer's n weighted sums to n numbers."""


class Activation(NamedTuple):
    """An activation function of the hidden layers."""

    value: Elementwise  # σ(z), from weighted sums to activations
    slope: Elementwise  # σ'(z), for back-propagation by hand


def _sigmoid_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jax.nn.sigmoid(z)
    return a * (1 - a)


def _tanh_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jnp.tanh(z)
    return (1 - a) * (1 + a)


def _relu_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    """The slope at the kink, z = 0, is that of the left side: 0."""
    return (z > 0).astype(z.dtype)


def _silu_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jax.nn.sigmoid(z)
    return a + z * a * (1 - a)


ACTIVATIONS = {
    "sigmoid": Activation(jax.nn.sigmoid, _sigmoid_slope),
    "tanh": Activation(jnp.tanh, _tanh_slope),
    "relu": Activation(jax.nn.relu, _relu_slope),
    "silu": Activation(jax.nn.silu, _silu_slope),
}
"""The activation functions by name. A new one is one record here."""

OUTPUTS: dict[str, Elementwise] = {"squared_error": jax.nn.sigmoid, "cross_entropy": jax.nn.softmax}
"""The output layer's function goes with the cost; both give ten values in [0, 1]."""


def init(key: Key[Array, ""], sizes: Sequence[int] = SIZES) -> Params:
    """A random start: weights and biases drawn from a normal distribution with standard deviation 1/√(inputs).

    With this scale a neuron's weighted sum is of order 1 however many inputs it has, so no sigmoid starts saturated.

    Args:
        key: a `jax.random.key`.
        sizes: neurons per layer, the inputs first.

    Source:
        3Blue1Brown, Neural networks, chapter 2 (a random start); LeCun et al., Efficient BackProp (1998), §4.6.

    Example:
        >>> params = init(jax.random.key(0))
        >>> [layer.weights.shape for layer in params]
        [(16, 784), (16, 16), (10, 16)]
        >>> count_parameters(params)
        13002
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


def weighted_sums(
    params: Params, image: Float[Array, "inputs"], activation: str = "sigmoid"
) -> tuple[Float[Array, "_"], ...]:
    """The weighted sums z of every layer: zˡ = Wˡ aˡ⁻¹ + bˡ, where a⁰ is the image and aˡ = σ(zˡ).

    Args:
        params: the network.
        image: one image, pixels in [0, 1].
        activation: σ of the hidden layers, a name in `ACTIVATIONS`.

    Returns:
        One array for each layer of `params`; the last one holds the ten from which a cost makes the outputs.

    Source:
        3Blue1Brown, Neural networks, chapter 1: a¹ = σ(W a⁰ + b).
    """
    first, *later = params
    z = [first.weights @ image + first.biases]
    for weights, biases in later:
        z.append(weights @ ACTIVATIONS[activation].value(z[-1]) + biases)
    return tuple(z)


def activations(
    params: Params,
    image: Float[Array, "inputs"],
    activation: str = "sigmoid",
    cost: str | Elementwise = "squared_error",
) -> tuple[Float[Array, "_"], ...]:
    """The activations a of every layer: the image first, then aˡ = σ(zˡ), the ten outputs in [0, 1] last.

    Args:
        params: the network.
        image: one image, pixels in [0, 1].
        activation: σ of the hidden layers, a name in `ACTIVATIONS`.
        cost: decides the output layer's σ: a name in `OUTPUTS`, or the function itself, as `cost.COSTS` has it.
    """
    *hidden, last = weighted_sums(params, image, activation)
    output = OUTPUTS[cost] if isinstance(cost, str) else cost
    return (image, *map(ACTIVATIONS[activation].value, hidden), output(last))


def forward(
    params: Params,
    image: Float[Array, "inputs"],
    activation: str = "sigmoid",
    cost: str | Elementwise = "squared_error",
) -> Float[Array, "outputs"]:
    """The ten outputs for one image; the predicted digit is the index of the largest. Arguments as `activations`."""
    return activations(params, image, activation, cost)[-1]


def count_parameters(params: Params) -> int:
    """The number of weights and biases: 13,002 for the sizes 784-16-16-10."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
