"""Back-propagation by hand: the gradient of one example's cost by the chain rule, layer by layer.

For study, and as an oracle for `jax.grad`, which nothing here uses. A layer l takes the activations aˡ⁻¹ before it to
weighted sums zˡ = Wˡ aˡ⁻¹ + bˡ and on to aˡ = σ(zˡ). With δˡ = ∂C/∂zˡ, and ⊙ the product number by number:

    (1)  δᴸ   = (∂aᴸ/∂zᴸ)ᵀ ∂C/∂aᴸ       where the error starts, at the outputs
    (2)  δˡ⁻¹ = (Wˡ)ᵀ δˡ ⊙ σ'(zˡ⁻¹)     how it goes back by a layer; (Wˡ)ᵀ δˡ is the sensitivity ∂C/∂aˡ⁻¹
    (3)  ∂C/∂bˡ = δˡ                    a bias moves z by as much as itself
    (4)  ∂C/∂Wˡ = δˡ (aˡ⁻¹)ᵀ            a weight moves z by its input

Source:
    3Blue1Brown, Neural networks, chapter 4; Nielsen, Neural Networks and Deep Learning, equations BP1 to BP4.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from jaxmnist.config import Activation, Cost
from jaxmnist.cost import COSTS
from jaxmnist.network import Layer, Params, activations


class Backpropagation(NamedTuple):
    """One example's cost and all its derivatives.

    Attributes:
        cost: C.
        gradient: ∂C/∂W and ∂C/∂b of every layer: the same pytree as the network's parameters.
        deltas: δ = ∂C/∂z, one array for each layer of the parameters.
        sensitivities: ∂C/∂a of every layer of neurons, the pixels first and the outputs last, as in
            `network.activations`.
    """

    cost: Float[Array, ""]
    gradient: Params
    deltas: tuple[Float[Array, "_"], ...]
    sensitivities: tuple[Float[Array, "_"], ...]


class Lever(NamedTuple):
    """One way to raise a neuron, tried out: n numbers, nudged by a small step of a given length.

    Attributes:
        slopes: ∂C/∂ each of the numbers, shape (n,).
        nudges: the step, shape (n,): the direction in which the neuron's weighted sum rises fastest.
        raised: by how much the neuron's activation rose.
        predicted: by how much the cost should change: slopes · nudges.
        measured: by how much it did.
    """

    slopes: Float[Array, "n"]
    nudges: Float[Array, "n"]
    raised: Float[Array, ""]
    predicted: Float[Array, ""]
    measured: Float[Array, ""]


class Levers(NamedTuple):
    """The three ways to raise a neuron's activation σ(w · x + b).

    Attributes:
        bias: change b; the weighted sum follows with slope 1.
        weights: change the weights w in proportion to their inputs: the slope for a weight is its input x.
        inputs: change the activations x before it in proportion to their weights: the slope for an input is w.
    """

    bias: Lever
    weights: Lever
    inputs: Lever


def _sigmoid_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jax.nn.sigmoid(z)
    return a * (1 - a)


def _tanh_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jnp.tanh(z)
    return (1 - a) * (1 + a)


def _relu_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    """At the kink, z = 0, the slope of the left side: 0."""
    return (z > 0).astype(z.dtype)


def _silu_slope(z: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jax.nn.sigmoid(z)
    return a + z * a * (1 - a)


SLOPES = {"sigmoid": _sigmoid_slope, "tanh": _tanh_slope, "relu": _relu_slope, "silu": _silu_slope}
"""σ'(z) of the hidden layers' activation functions, whose values are in `network.ACTIVATIONS`."""


def _squared_error_slope(output: Float[Array, "10"], target: Float[Array, "10"]) -> Float[Array, "10"]:
    return 2 * (output - target)


def _cross_entropy_slope(output: Float[Array, "10"], target: Float[Array, "10"]) -> Float[Array, "10"]:
    """−y/a; under the floor that `cost.cross_entropy` puts below a the slope is 0, and half of −y/a on its edge."""
    smallest = jnp.finfo(output.dtype).tiny  # type: ignore[no-untyped-call]
    above_floor = jnp.where(output == smallest, 0.5, output > smallest)
    return -target / jnp.maximum(output, smallest) * above_floor


COST_SLOPES = {"squared_error": _squared_error_slope, "cross_entropy": _cross_entropy_slope}
"""∂C/∂a at the outputs, of the costs in `cost.COSTS`."""


def _through_sigmoid(output: Float[Array, "10"], sensitivity: Float[Array, "10"]) -> Float[Array, "10"]:
    """Each output depends on its own z alone, so ∂a/∂z is diagonal: a (1 − a)."""
    return sensitivity * output * (1 - output)


def _through_softmax(output: Float[Array, "10"], sensitivity: Float[Array, "10"]) -> Float[Array, "10"]:
    """Every output depends on every z: ∂aᵢ/∂zⱼ = aᵢ (1 if i = j, else 0) − aᵢ aⱼ. With cross_entropy it gives a − y."""
    weighted = output * sensitivity
    return weighted - output * jnp.sum(weighted)


OUTPUT_DELTAS = {"squared_error": _through_sigmoid, "cross_entropy": _through_softmax}
"""Equation 1 for the output functions in `network.OUTPUTS`: from a and ∂C/∂a to δ."""


def backpropagate(
    params: Params,
    image: Float[Array, "784"],
    target: Float[Array, "10"],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> Backpropagation:
    """The cost of one example and its gradient, from the outputs back to the pixels.

    `jax.vmap` over images and targets, then a mean over the first axis, gives the gradient of the mean cost.

    Args:
        params: the network.
        image: pixels in [0, 1].
        target: one-hot label.
        activation: σ of the hidden layers.
        cost: C, and with it the output layer's σ.
    """
    a = activations(params, image, activation, cost)
    z = [weights @ before + biases for (weights, biases), before in zip(params, a[:-1], strict=True)]

    sensitivities = [COST_SLOPES[cost](a[-1], target)]
    deltas = [OUTPUT_DELTAS[cost](a[-1], sensitivities[0])]  # (1)
    for layer in range(len(params) - 1, 0, -1):
        sensitivities.insert(0, params[layer].weights.T @ deltas[0])
        deltas.insert(0, sensitivities[0] * SLOPES[activation](z[layer - 1]))  # (2)
    sensitivities.insert(0, params[0].weights.T @ deltas[0])

    gradient = tuple(
        Layer(biases=delta, weights=jnp.outer(delta, before))  # (3), (4)
        for delta, before in zip(deltas, a[:-1], strict=True)
    )
    return Backpropagation(COSTS[cost](a[-1], target), gradient, tuple(deltas), tuple(sensitivities))


def pull_levers(
    params: Params,
    image: Float[Array, "784"],
    target: Float[Array, "10"],
    layer: int,
    neuron: int | Int[Array, ""],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
    length: ArrayLike = 0.01,
) -> Levers:
    """Try the three ways to raise one neuron, and see what each does to the cost: as predicted, and as measured.

    The layers from `layer` on are a network of their own, whose image is the activations before them: so a nudge of
    these is one more argument to change.

    Args:
        params: the network.
        image: pixels in [0, 1].
        target: one-hot label.
        layer: 1 for the first hidden layer, `len(params)` for the outputs.
        neuron: which of its neurons, from 0; may be traced.
        activation: σ of the hidden layers.
        cost: C, and with it the output layer's σ.
        length: how far each lever is moved: the length of `Lever.nudges`.

    Raises:
        ValueError: when there is no such layer or neuron.
    """
    if not 1 <= layer <= len(params):
        raise ValueError(f"layer {layer}: expected 1 to {len(params)}, the outputs' layer")
    if isinstance(neuron, int) and not 0 <= neuron < params[layer - 1].biases.shape[0]:
        raise ValueError(f"neuron {neuron}: expected 0 to {params[layer - 1].biases.shape[0] - 1} in layer {layer}")
    (weights, biases), *later = params[layer - 1 :]
    inputs = activations(params, image, activation, cost)[layer - 1]
    at_rest = backpropagate(params[layer - 1 :], inputs, target, activation, cost)

    def neuron_and_cost(
        biases: Float[Array, "out"], weights: Float[Array, "out in"], inputs: Float[Array, "in"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        a = activations((Layer(weights, biases), *later), inputs, activation, cost)
        return a[1][neuron], COSTS[cost](a[-1], target)

    before = neuron_and_cost(biases, weights, inputs)

    def lever(slopes: Float[Array, "n"], nudges: Float[Array, "n"], *nudged: Float[Array, "..."]) -> Lever:
        raised, measured = (new - old for new, old in zip(neuron_and_cost(*nudged), before, strict=True))
        return Lever(slopes, nudges, raised, slopes @ nudges, measured)

    by_bias = _of_length(length, jnp.ones_like(biases[:1]))
    by_weights, by_inputs = _of_length(length, inputs), _of_length(length, weights[neuron])
    here = jax.nn.one_hot(neuron, biases.size, dtype=biases.dtype)
    gradient = at_rest.gradient[0]
    return Levers(
        lever(gradient.biases[neuron][None], by_bias, biases + here * by_bias, weights, inputs),
        lever(gradient.weights[neuron], by_weights, biases, weights + jnp.outer(here, by_weights), inputs),
        lever(at_rest.sensitivities[0], by_inputs, biases, weights, inputs + by_inputs),
    )


def central_differences(
    cost_of: Callable[[Params], Float[Array, ""]],
    params: Params,
    chosen: Int[Array, "chosen"],
    step: ArrayLike | None = None,
) -> Float[Array, "chosen"]:
    """Numerical differentiation: (C(θ + h) − C(θ − h)) / 2h for each of the chosen parameters, two costs a slope.

    Args:
        cost_of: a cost as a function of the parameters alone.
        params: where the slope is wanted.
        chosen: places in the flat list of all parameters that `jax.flatten_util.ravel_pytree` makes.
        step: h; by default the cube root of the float's precision, where rounding, which grows as 1/h, and the
            formula's own error, which grows as h², balance.

    Returns:
        One slope for each chosen parameter.
    """
    flat, as_params = ravel_pytree(params)
    balanced = float(jnp.finfo(flat.dtype).eps) ** (1 / 3)  # type: ignore[no-untyped-call]
    places = jnp.arange(flat.size)
    h = jnp.asarray(balanced if step is None else step, flat.dtype)

    def slope(place: Int[Array, ""]) -> Float[Array, ""]:
        changes = jnp.stack([h, -h])
        costs = jax.vmap(lambda change: cost_of(as_params(flat + change * (places == place))))(changes)
        return (costs[0] - costs[1]) / (2 * h)

    return cast(Array, jax.lax.map(slope, chosen))


def agreement(found: PyTree[Array], expected: PyTree[Array]) -> Float[Array, ""]:
    """To how many decimal digits two gradients agree: −log₁₀ of ‖found − expected‖ / ‖expected‖.

    At least 0, and at most what a float holds: 6.9 digits in float32, 15.7 in float64.
    """
    ours, theirs = ravel_pytree(found)[0], ravel_pytree(expected)[0]
    precision = jnp.finfo(theirs.dtype)  # type: ignore[no-untyped-call]
    relative = jnp.linalg.norm(ours - theirs) / jnp.maximum(jnp.linalg.norm(theirs), precision.tiny)
    return -jnp.log10(jnp.clip(relative, precision.eps, 1))


def _of_length(length: ArrayLike, direction: Float[Array, "n"]) -> Float[Array, "n"]:
    """The direction, made to that length; a direction that is zero stays so."""
    norm = jnp.linalg.norm(direction)
    return jnp.asarray(length * direction / jnp.where(norm > 0, norm, 1))
