"""How good a network is on a set of examples: cost, accuracy, what it confuses and where it errs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from jaxmnist.config import Activation, Cost
from jaxmnist.cost import COSTS
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.network import Params, forward

CHUNK = 1_000
"""Images scaled to floats at a time: the fastest of 250, 1,000 and 4,000 on a CPU, and 3 MB instead of 190."""


class Metrics(NamedTuple):
    """One look at a network.

    Attributes:
        cost: mean cost per example.
        accuracy: share of the examples whose largest output is the right digit, 0 to 1.
    """

    cost: Float[Array, "*epochs"]
    accuracy: Float[Array, "*epochs"]


@partial(jax.jit, static_argnames=("activation", "cost"))
def evaluate(
    params: Params,
    dataset: Dataset,
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> Metrics:
    """Mean cost and accuracy over all examples of a set."""

    def example(one: Dataset) -> Metrics:
        output = forward(params, scale(one.images), activation, cost)
        return Metrics(COSTS[cost](output, one_hot(one.labels)), jnp.argmax(output) == one.labels)

    each = jax.lax.map(example, dataset, batch_size=CHUNK)
    return Metrics(jnp.mean(each.cost), jnp.mean(each.accuracy))


@partial(jax.jit, static_argnames=("activation", "cost"))
def outputs(
    params: Params,
    images: UInt8[Array, "n 784"],
    activation: Activation = "sigmoid",
    cost: Cost = "squared_error",
) -> Float[Array, "n 10"]:
    """The ten outputs for every image of a set."""

    def one(image: UInt8[Array, "784"]) -> Float[Array, "10"]:
        return forward(params, scale(image), activation, cost)

    read: Float[Array, "n 10"] = jax.lax.map(one, images, batch_size=CHUNK)
    return read


def confusion_matrix(labels: UInt8[np.ndarray, "n"], predictions: Int[np.ndarray, "n"]) -> Int[np.ndarray, "10 10"]:
    """How many examples of each digit (row) were read as each digit (column). On the host: one look, no compiling."""
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def worst_mistakes(
    outputs: Float[np.ndarray, "n 10"], labels: UInt8[np.ndarray, "n"], most: int
) -> Int[np.ndarray, "mistakes"]:
    """Indices of the mistakes that the network was surest of, the surest first.

    Sureness is how far the wrong digit's output lies above the right one's.

    Args:
        outputs: the ten outputs for every example.
        labels: the right digits.
        most: how many to return at the most.
    """
    margin = outputs.max(axis=1) - outputs[np.arange(len(labels)), labels]
    surest_first = np.argsort(-margin, kind="stable")[:most]
    wrong = outputs[surest_first].argmax(axis=1) != labels[surest_first]
    return np.asarray(surest_first[wrong])
