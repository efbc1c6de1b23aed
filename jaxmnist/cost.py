"""The cost: how wrong the outputs are, for one example and on average; a pure function under `jax.grad`.

A cost starts from the last layer's weighted sums z rather than from the outputs: there its logarithm and its slope are
exact, however sure the network is.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmnist.network import OUTPUTS, Elementwise, Params, weighted_sums

Compared: TypeAlias = Callable[[Float[Array, "n"], Float[Array, "n"]], Float[Array, "n"]]
"""A function of the last layer's weighted sums z and the one-hot label y that gives one number an output."""


class Cost(NamedTuple):
    """The cost C of one example."""

    outputs: Elementwise  # the outputs a, in [0, 1], from z
    terms: Compared  # what each output adds to C, which is their sum
    delta: Compared  # δ = ∂C/∂z, where back-propagation starts
    formula: str  # how a term is written


def squared_error(output: Float[Array, "n"], target: Float[Array, "n"]) -> Float[Array, ""]:
    """The cost of one example: Σⱼ (aⱼ − yⱼ)², ten terms, no ½.

    Args:
        output: the ten activations a of the last layer.
        target: the label y, one-hot: 1 for the right digit, 0 for the others.

    Source:
        3Blue1Brown, Neural networks, chapter 2.

    Example:
        >>> float(squared_error(jnp.array([0.5, 0.25]), jnp.array([1.0, 0.0])))
        0.3125
    """
    return jnp.sum((output - target) ** 2)


def cross_entropy(z: Float[Array, "n"], target: Float[Array, "n"]) -> Float[Array, ""]:
    """The cost of one example in nats: −Σⱼ yⱼ ln aⱼ, where the outputs a are the softmax of z.

    Args:
        z: the last layer's weighted sums.
        target: the label y, one-hot.

    Source:
        Nielsen, Neural Networks and Deep Learning, chapter 3 (the log-likelihood cost).

    Example:
        >>> print(f"{cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1.0, 0.0])):.1f}")
        100.0
    """
    return -jnp.sum(target * jax.nn.log_softmax(z))


def _squared_error_delta(z: Float[Array, "n"], target: Float[Array, "n"]) -> Float[Array, "n"]:
    a = jax.nn.sigmoid(z)
    return 2 * (a - target) * a * (1 - a)


COSTS = {
    "squared_error": Cost(
        outputs=OUTPUTS["squared_error"],
        terms=lambda z, target: (jax.nn.sigmoid(z) - target) ** 2,
        delta=_squared_error_delta,
        formula="(a − y)²",
    ),
    "cross_entropy": Cost(
        outputs=OUTPUTS["cross_entropy"],
        terms=lambda z, target: -target * jax.nn.log_softmax(z),
        delta=lambda z, target: jax.nn.softmax(z) - target,
        formula="−y ln a",
    ),
}
"""The costs by name. A new one is one record here."""


def example_cost(
    params: Params,
    image: Float[Array, "inputs"],
    target: Float[Array, "outputs"],
    activation: str = "sigmoid",
    cost: str = "squared_error",
) -> Float[Array, ""]:
    """The cost C of one example, as a function of the parameters. Arguments as `mean_cost`, for one example."""
    z = weighted_sums(params, image, activation)[-1]
    return jnp.sum(COSTS[cost].terms(z, target))


def mean_cost(
    params: Params,
    images: Float[Array, "batch inputs"],
    targets: Float[Array, "batch outputs"],
    activation: str = "sigmoid",
    cost: str = "squared_error",
) -> Float[Array, ""]:
    """The mean cost over a batch: one number that says how bad the network is, a function of all its parameters.

    `jax.grad(mean_cost)(params, images, targets)` is the direction of steepest ascent, as a pytree like `params`.

    Args:
        params: the network.
        images: pixels in [0, 1].
        targets: one-hot labels.
        activation: σ of the hidden layers, a name in `network.ACTIVATIONS`.
        cost: C, a name in `COSTS`.

    Source:
        3Blue1Brown, Neural networks, chapter 2.
    """
    costs = jax.vmap(lambda image, target: example_cost(params, image, target, activation, cost))(images, targets)
    return jnp.mean(costs)
