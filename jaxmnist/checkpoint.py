"""Parameters to one safetensors file and back: no pickle, nothing that can execute."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxmnist.config import Config, validate
from jaxmnist.files import write_atomically
from jaxmnist.network import Layer, Params

FORMAT = "jaxmnist-weights-1"
"""The one metadata key; safetensors writes several in an order that changes from one process to the next."""


class SavedNetwork(NamedTuple):
    """A trained network as a run left it.

    Attributes:
        params: its weights and biases.
        config: the recipe that made it; activation and cost say how to run it.
        about: all that its file says, such as dataset and seed.
    """

    params: Params
    config: Config
    about: dict[str, Any]


def save_params(path: Path, params: Params, about: dict[str, Any]) -> None:
    """Write a network, whole or not at all. The same parameters and `about` give the same bytes.

    Args:
        path: the file, by custom `weights.safetensors`.
        params: the network.
        about: what a reader needs beside the numbers, such as the activation; anything JSON can hold.

    Raises:
        OSError: when it can't be written; what stood there stays.
    """
    tensors = {
        f"layers.{number}.{name}": np.asarray(value)
        for number, layer in enumerate(params)
        for name, value in layer._asdict().items()
    }
    write_atomically(path, safetensors.numpy.save(tensors, {FORMAT: json.dumps(about, sort_keys=True)}))


def load_params(path: Path) -> tuple[Params, dict[str, Any]]:
    """Read what `save_params` wrote.

    Returns:
        The network, and what was said about it.

    Raises:
        ValueError: when the file is not such a file.
        OSError: when it can't be read.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except safetensors.SafetensorError as damage:
        raise ValueError(f"{path}: {damage}, expected a safetensors file") from damage
    if FORMAT not in metadata:
        raise ValueError(f"{path}: metadata {sorted(metadata)}, expected {FORMAT!r}")
    layers = range(len(tensors) // len(Layer._fields))
    params = tuple(
        Layer(*(jnp.asarray(tensors[f"layers.{number}.{name}"]) for name in Layer._fields)) for number in layers
    )
    return params, json.loads(metadata[FORMAT])


def load_network(run: Path) -> SavedNetwork:
    """Read the network of a run, from its folder or its weights file.

    Raises:
        ValueError: when there is no such run, or it holds no network with a recipe that fits it.
        OSError: when it can't be read.
    """
    path = run / "weights.safetensors" if run.is_dir() else run
    if not path.is_file():
        found = f"no {path.name} in it" if run.is_dir() else "no such folder or file"
        raise ValueError(f"run {run}: {found}, expected the folder of a run that jaxmnist train finished")
    try:
        params, about = load_params(path)
        recipe = {**about["config"], "sizes": tuple(about["config"]["sizes"])}
        config = Config(**recipe)
    except (KeyError, TypeError) as problem:
        raise ValueError(
            f"{path}: holds no network and recipe ({problem}), expected what jaxmnist train wrote"
        ) from problem
    validate(config)
    shapes = [layer.weights.shape[::-1] + layer.biases.shape for layer in params]
    if shapes != [(inputs, outputs, outputs) for inputs, outputs in itertools.pairwise(config.sizes)]:
        raise ValueError(
            f"{path}: layers of {shapes} inputs, outputs and biases, expected those of sizes {config.sizes}"
        )
    return SavedNetwork(params, config, about)
