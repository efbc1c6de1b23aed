"""Explain one example: every number of its way through the network and back."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, UInt8

from jaxmnist.backprop import Backpropagation, Levers, agreement, backpropagate, central_differences, pull_levers
from jaxmnist.config import Config
from jaxmnist.cost import COSTS, example_cost
from jaxmnist.dataset import one_hot, scale
from jaxmnist.network import Params, activations, count_parameters, weighted_sums

NUMERICAL_WORK = 200_000_000
"""Most slopes by central differences, times the parameters that each takes to compute: all 13,002 of 3Blue1Brown's
network, and a random sample of a wide one's, in less than a second."""

SHOWN = 16
"""Most neurons of a layer in the report and the figure."""


class Explanation(NamedTuple):
    """All numbers of one example, in float64: a pytree."""

    params: Params  # the network
    config: Config  # its recipe
    label: Int[Array, ""]  # the right digit
    activations: tuple[Float[Array, "_"], ...]  # a of every layer, the pixels first
    terms: Float[Array, "10"]  # what each of the ten outputs adds to the cost
    back: Backpropagation  # cost, gradient, deltas and sensitivities, by hand
    levers: Levers  # the three levers of the right digit's output, each moved by a length of 0.01
    measured: Float[Array, "in"]  # slopes of this output's weights, by central differences
    compared: Int[Array, "compared"]  # indices, as in `ravel_pytree`, of all that are measured so; these first
    automatic_digits: Float[Array, ""]  # number of digits to which the gradient by hand agrees with `jax.grad`
    numerical_digits: Float[Array, ""]  # number of digits to which it agrees with the central differences


def run(params: Params, config: Config, image: UInt8[np.ndarray, "784"], label: int) -> Explanation:
    """Explain one example, in float64, where rounding hides little of what the mathematics says.

    Args:
        params: the network.
        config: its recipe; activation and cost count.
        image: one image, in bytes.
        label: the right digit.

    Returns:
        The numbers, as NumPy's arrays.
    """
    parameters = count_parameters(params)
    _, unravel = ravel_pytree(params)
    into_label = np.asarray(unravel(jnp.arange(parameters))[-1].weights[label])
    sample = np.random.default_rng(0).permutation(parameters)[: NUMERICAL_WORK // parameters]
    compared = np.concatenate([into_label, np.setdiff1d(sample, into_label)])
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
        explanation: Explanation = jax.device_get(_explain(exact, config, image, label, compared))
    return explanation


@jax.jit
def _explain(
    params: Params,
    config: Config,
    image: UInt8[Array, "784"],
    label: Int[Array, ""],
    compared: Int[Array, "compared"],
) -> Explanation:
    x, y, activation, cost = scale(image), one_hot(label), config.activation, config.cost

    def cost_of(params: Params) -> Float[Array, ""]:
        return example_cost(params, x, y, activation, cost)

    terms = COSTS[cost].terms(weighted_sums(params, x, activation)[-1], y)
    back = backpropagate(params, x, y, activation, cost)
    numerical = central_differences(cost_of, params, compared)
    return Explanation(
        params=params,
        config=config,
        label=label,
        activations=activations(params, x, activation, COSTS[cost].outputs),
        terms=jnp.where(terms == 0, 0, terms),  # −0 becomes 0
        back=back,
        levers=pull_levers(params, x, y, len(params), label, activation, cost),
        measured=numerical[: params[-1].weights.shape[1]],
        compared=compared,
        automatic_digits=agreement(back.gradient, jax.grad(cost_of)(params)),
        numerical_digits=agreement(ravel_pytree(back.gradient)[0][compared], numerical),
    )
