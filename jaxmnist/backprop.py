"""Back-propagation by hand: the gradient of one example's cost by the chain rule, layer by layer.

For study, and as an oracle for `jax.grad`, which nothing here uses. A layer l takes the activations aˡ⁻¹ before it to
weighted sums zˡ = Wˡ aˡ⁻¹ + bˡ and on to aˡ = σ(zˡ). With δˡ = ∂C/∂zˡ, and ⊙ the product number by number:

    (1)  δᴸ   = ∂C/∂zᴸ                  where the error starts, at the outputs: each cost has its own
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

from jaxmnist.cost import COSTS, example_cost
from jaxmnist.network import ACTIVATIONS, Layer, Params, activations, weighted_sums


class Backpropagation(NamedTuple):
    """One example's cost C and all its derivatives."""

    cost: Float[Array, ""]  # C
    gradient: Params  # ∂C/∂W and ∂C/∂b of every layer: a pytree like the network's parameters
    deltas: tuple[Float[Array, "_"], ...]  # δ = ∂C/∂z of every layer
    sensitivities: tuple[Float[Array, "_"], ...]  # ∂C/∂a of the activations before every layer, the pixels first


class Lever(NamedTuple):
    """One way to raise a neuron: nudge n numbers by a small step."""

    slopes: Float[Array, "n"]  # the slope of C for each of the numbers
    nudges: Float[Array, "n"]  # the step, in the direction in which the neuron's weighted sum rises fastest
    raised: Float[Array, ""]  # change of the neuron's activation
    predicted: Float[Array, ""]  # change of the cost by its slopes: slopes · nudges
    measured: Float[Array, ""]  # change of the cost


class Levers(NamedTuple):
    """The three ways to raise a neuron's activation σ(w · x + b)."""

    bias: Lever  # change b; the weighted sum follows with slope 1
    weights: Lever  # change the weights w in proportion to their inputs: the slope for a weight is its input x
    inputs: Lever  # change the activations x before it in proportion to their weights: the slope for an input is w


def backpropagate(
    params: Params,
    image: Float[Array, "inputs"],
    target: Float[Array, "outputs"],
    activation: str = "sigmoid",
    cost: str = "squared_error",
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
    z = weighted_sums(params, image, activation)
    a = activations(params, image, activation, COSTS[cost].outputs)

    deltas = [COSTS[cost].delta(z[-1], target)]  # (1)
    sensitivities = [params[-1].weights.T @ deltas[0]]
    for layer, weighted in zip(reversed(params[:-1]), reversed(z[:-1]), strict=True):
        deltas.insert(0, sensitivities[0] * ACTIVATIONS[activation].slope(weighted))  # (2)
        sensitivities.insert(0, layer.weights.T @ deltas[0])

    gradient = tuple(
        Layer(biases=delta, weights=jnp.outer(delta, before))  # (3), (4)
        for delta, before in zip(deltas, a[:-1], strict=True)
    )
    total = jnp.sum(COSTS[cost].terms(z[-1], target))
    return Backpropagation(total, gradient, tuple(deltas), tuple(sensitivities))


def pull_levers(
    params: Params,
    image: Float[Array, "inputs"],
    target: Float[Array, "outputs"],
    layer: int,
    neuron: int | Int[Array, ""],
    activation: str = "sigmoid",
    cost: str = "squared_error",
    length: ArrayLike = 0.01,
) -> Levers:
    """Try the three ways to raise one neuron, and compare what the slopes predict for the cost with what happens.

    Args, beside those of `backpropagate`:
        layer: 1 for the first hidden layer, `len(params)` for the outputs.
        neuron: the neuron's index in its layer; may be traced.
        length: the length of `Lever.nudges`.

    Raises:
        ValueError: if there is no such layer or neuron.
    """
    if not 1 <= layer <= len(params):
        raise ValueError(f"layer={layer}: expected 1 to {len(params)}, the outputs' layer")
    if isinstance(neuron, int) and not 0 <= neuron < params[layer - 1].biases.shape[0]:
        raise ValueError(f"neuron={neuron}: expected 0 to {params[layer - 1].biases.shape[0] - 1} in layer {layer}")
    # The layers from `layer` on are a network of their own, whose image x are the activations before them.
    (weights, biases), *later = params[layer - 1 :]
    x = activations(params, image, activation, COSTS[cost].outputs)[layer - 1]
    back = backpropagate(params[layer - 1 :], x, target, activation, cost)

    def neuron_and_cost(weights: Array, biases: Array, x: Array) -> tuple[Array, Array]:
        network = (Layer(weights, biases), *later)
        a = activations(network, x, activation, COSTS[cost].outputs)
        return a[1][neuron], example_cost(network, x, target, activation, cost)

    row = jax.nn.one_hot(neuron, biases.size, dtype=biases.dtype)
    by_bias = _of_length(length, jnp.ones_like(biases[:1]))
    by_weights, by_inputs = _of_length(length, x), _of_length(length, weights[neuron])
    before = neuron_and_cost(weights, biases, x)
    return Levers(
        _lever(back.deltas[0][neuron][None], by_bias, before, neuron_and_cost(weights, biases + row * by_bias, x)),
        _lever(
            back.gradient[0].weights[neuron],
            by_weights,
            before,
            neuron_and_cost(weights + jnp.outer(row, by_weights), biases, x),
        ),
        _lever(back.sensitivities[0], by_inputs, before, neuron_and_cost(weights, biases, x + by_inputs)),
    )


def central_differences(
    cost_of: Callable[[Params], Float[Array, ""]],
    params: Params,
    indices: Int[Array, "chosen"],
    step: ArrayLike | None = None,
) -> Float[Array, "chosen"]:
    """Numerical differentiation: (C(θ + h) − C(θ − h)) / 2h for each of the chosen parameters, two costs a slope.

    Args:
        cost_of: a cost as a function of the parameters alone.
        params: where the slopes are wanted.
        indices: which parameters, in the flat order of `jax.flatten_util.ravel_pytree`.
        step: h; by default the cube root of the float's precision. There the rounding error, which grows as 1/h,
            balances the formula's own error, which grows as h².

    Returns:
        One slope for each chosen parameter.
    """
    flat, as_params = ravel_pytree(params)
    balanced = float(jnp.finfo(flat.dtype).eps) ** (1 / 3)  # type: ignore[no-untyped-call]
    every_index = jnp.arange(flat.size)
    h = jnp.asarray(balanced if step is None else step, flat.dtype)

    def slope(index: Int[Array, ""]) -> Float[Array, ""]:
        changes = jnp.stack([h, -h])
        costs = jax.vmap(lambda change: cost_of(as_params(flat + jnp.where(every_index == index, change, 0))))(changes)
        return (costs[0] - costs[1]) / (2 * h)

    return cast(Array, jax.lax.map(slope, indices))


def agreement(gradient: PyTree[Array], expected: PyTree[Array]) -> Float[Array, ""]:
    """The number of decimal digits to which two gradients agree: −log₁₀ of ‖gradient − expected‖ / ‖expected‖.

    At least 0, and at most what a float holds: 6.9 digits in float32, 15.7 in float64.
    """
    ours, theirs = ravel_pytree(gradient)[0], ravel_pytree(expected)[0]
    precision = jnp.finfo(theirs.dtype)  # type: ignore[no-untyped-call]
    relative = jnp.linalg.norm(ours - theirs) / jnp.maximum(jnp.linalg.norm(theirs), precision.tiny)
    return -jnp.log10(jnp.clip(relative, precision.eps, 1))


def _lever(
    slopes: Float[Array, "n"], nudges: Float[Array, "n"], before: tuple[Array, Array], after: tuple[Array, Array]
) -> Lever:
    """Compare a nudge's effect, on a neuron's activation and on the cost, with what the slopes predict."""
    return Lever(slopes, nudges, after[0] - before[0], slopes @ nudges, after[1] - before[1])


def _of_length(length: ArrayLike, direction: Float[Array, "n"]) -> Float[Array, "n"]:
    """Scale a direction to a length; a zero direction stays zero."""
    norm = jnp.linalg.norm(direction)
    return jnp.asarray(length * direction / jnp.where(norm > 0, norm, 1))
