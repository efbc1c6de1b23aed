"""The cost: how wrong the outputs are, for one example and on average; a pure function under `jax.grad`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmnist.config import Activation, Cost
from jaxmnist.network import Params, forward


def squared_error(output: Float[Array, "10"], target: Float[Array, "10"]) -> Float[Array, ""]:
    """The cost of one example: Σⱼ (aⱼ − yⱼ)², ten terms, no ½.

    Args:
        output: the ten activations a of the last layer.
        target: the label y, one-hot: 1 for the right digit, 0 for the others.

    Source:
        3Blue1Brown, Neural networks, chapter 2.
    """
    return jnp.sum((output - target) ** 2)


def cross_entropy(output: Float[Array, "10"], target: Float[Array, "10"]) -> Float[Array, ""]:
    """The cost of one example in nats: −Σⱼ yⱼ ln aⱼ, for outputs that are a softmax.

    An output that underflows to 0 counts as the smallest normal number, so that the cost stays finite.

    Args:
        output: the ten probabilities a of the last layer.
        target: the label y, one-hot.

    Source:
        Nielsen, Neural Networks and Deep Learning, chapter 3 (the log-likelihood cost).
    """
    smallest = jnp.finfo(output.dtype).tiny  # type: ignore[no-untyped-call]
    return -jnp.sum(target * jnp.log(jnp.maximum(output, smallest)))


COSTS = {"squared_error": squared_error, "cross_entropy": cross_entropy}


def mean_cost(
    params: Params,
    images: Float[Array, "batch 784"],
    targets: Float[Array, "batch 10"],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> Float[Array, ""]:
    """The mean cost over a batch: one number that says how bad the network is, a function of all its parameters.

    `jax.grad(mean_cost)(params, images, targets)` is the direction of steepest ascent, as a pytree like `params`.

    Args:
        params: the network.
        images: pixels in [0, 1].
        targets: one-hot labels.
        activation: σ of the hidden layers.
        cost: the cost of one example.

    Source:
        3Blue1Brown, Neural networks, chapter 2.
    """

    def example_cost(image: Float[Array, "784"], target: Float[Array, "10"]) -> Float[Array, ""]:
        return COSTS[cost](forward(params, image, activation, cost), target)

    return jnp.mean(jax.vmap(example_cost)(images, targets))
