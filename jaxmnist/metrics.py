"""How good a network is on a set of examples: its cost, its accuracy, and its outputs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from jaxmnist.cost import COSTS
from jaxmnist.dataset import Dataset, check, one_hot, scale
from jaxmnist.network import Params, forward, weighted_sums

CHUNK = 1_000
"""Images scaled to floats at a time: the fastest of 250, 1,000 and 4,000 on a CPU, and 3 MB instead of 190."""


class Metrics(NamedTuple):
    """How good a network is."""

    cost: Float[Array, "*epochs"]  # mean cost per example
    accuracy: Float[Array, "*epochs"]  # share of the examples whose largest output is the right digit, 0 to 1


@partial(jax.jit, static_argnames=("activation", "cost"))
def evaluate(params: Params, dataset: Dataset, activation: str = "sigmoid", cost: str = "squared_error") -> Metrics:
    """Measure a network on all examples of a set.

    Args:
        params: the network.
        dataset: n examples, at least one.
        activation: σ of the hidden layers.
        cost: C.

    Returns:
        The mean cost and the accuracy.

    Raises:
        ValueError: if the set breaks a rule of `dataset.check`.
    """
    check(dataset)

    def evaluate_example(example: Dataset) -> tuple[Float[Array, ""], Bool[Array, ""]]:
        z = weighted_sums(params, scale(example.images), activation)[-1]
        predicted = jnp.argmax(COSTS[cost].outputs(z))
        return jnp.sum(COSTS[cost].terms(z, one_hot(example.labels))), predicted == example.labels.astype(
            predicted.dtype
        )

    costs, correct = jax.lax.map(evaluate_example, dataset, batch_size=CHUNK)
    return Metrics(jnp.mean(costs), jnp.mean(correct))


@partial(jax.jit, static_argnames=("activation", "cost"))
def outputs(
    params: Params, images: UInt8[Array, "n 784"], activation: str = "sigmoid", cost: str = "squared_error"
) -> Float[Array, "n 10"]:
    """The ten outputs for every image of a set. Arguments as `evaluate`."""

    def outputs_of(image: UInt8[Array, "784"]) -> Float[Array, "10"]:
        return forward(params, scale(image), activation, COSTS[cost].outputs)

    each: Float[Array, "n 10"] = jax.lax.map(outputs_of, images, batch_size=CHUNK)
    return each


@partial(jax.jit, static_argnames=("activation", "cost"))
def predict(
    params: Params, image: UInt8[Array, "784"], activation: str = "sigmoid", cost: str = "squared_error"
) -> Int[Array, ""]:
    """The digit that a network reads in one image, as `handwriting.read` makes it. Arguments as `evaluate`."""
    return jnp.argmax(outputs(params, image[None], activation, cost))
