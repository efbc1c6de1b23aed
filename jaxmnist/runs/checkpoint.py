"""A pytree of arrays to one safetensors file and back, without pickle: nothing in the file can run.

Any reader of safetensors opens the file. Its metadata entry, `jaxmnist`, is a JSON object with the format's version,
what the arrays are (`about`), and the sha256 of each array's bytes and of the header with 64 zeros for its own.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxmnist.config import Config
from jaxmnist.network import Layer, Params
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.records import recipe

FORMAT = 1
"""Version of the format; every later version of this module reads every earlier one."""
MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_LAYERS = 1 << 30, 1 << 20, 1_000
"""Larger files are refused; a network of 784-4096-4096-10 with its velocity takes a tenth of MAX_FILE_BYTES."""
PRETRAINED = Path(__file__).parent.parent / "pretrained"
"""Folder of the packaged networks, each in a file of its name; `about` has the command that made it."""
_ZEROS = "0" * 64


class SavedNetwork(NamedTuple):
    """A network, the recipe that made it, and all that its file says `about` it, such as dataset and seed."""

    params: Params
    config: Config
    about: dict[str, Any]


def save(path: str | Path, tree: Any, about: Mapping[str, Any], keep_previous: bool = False) -> None:
    """Write a pytree of arrays and `jax.random` keys, and `about`, which JSON can hold; always as the same bytes."""
    tensors = {name: np.asarray(_as_data(leaf), order="C") for name, leaf in _named(tree).items()}
    entry = {"about": about, "format": FORMAT, "sha256": {**_digests(tensors), "header": _ZEROS}}
    content = safetensors.numpy.save(tensors, {"jaxmnist": json.dumps(entry, sort_keys=True)})
    end = 8 + int.from_bytes(content[:8], "little")
    header = hashlib.sha256(content[:end]).hexdigest().encode().join(content[:end].rsplit(_ZEROS.encode(), 1))
    write_atomically(Path(path), header + content[end:], keep_previous)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays, by name, and `about` from a file; raises ValueError unless `save` wrote each of its bytes."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path}: expected a regular file of at most {MAX_FILE_BYTES:,} bytes")
    try:
        return _verified(path.read_bytes())
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        expected = "expected a safetensors file that jaxmnist wrote; copy it again, or train again"
        raise ValueError(f"{path}: damaged, or not from jaxmnist ({problem!r:.500}), {expected}") from problem


def restore(path: Path, tensors: Mapping[str, np.ndarray], template: Any) -> Any:
    """Put the arrays that `read` returned for `path` into a pytree like `template`.

    Raises:
        ValueError: if a name, shape or dtype differs, or a number isn't finite.
    """
    leaves = _named(template)
    expected = {name: jax.eval_shape(_as_data, leaf) for name, leaf in leaves.items()}
    read_as, needed = ({name: f"{x.dtype}{list(x.shape)}" for name, x in xs.items()} for xs in (tensors, expected))
    for name in sorted(read_as.keys() | needed.keys()):
        was, should_be = read_as.get(name, "missing"), needed.get(name, "no such array")
        if was != should_be:
            raise ValueError(f"{path}: {name} is {was}, expected {should_be}")
        if not np.all(np.isfinite(tensors[name])):
            raise ValueError(f"{path}: {name} has infinite numbers or NaN, expected finite numbers")
    data = jax.tree.unflatten(jax.tree.structure(template), [jax.device_put(tensors[name]) for name in leaves])
    return jax.tree.map(lambda leaf, x: jax.random.wrap_key_data(x) if _is_key(leaf) else x, template, data)


def save_network(path: str | Path, params: Params, config: Config, about: Mapping[str, Any] | None = None) -> None:
    """Write a network with the recipe that made it."""
    save(path, {"params": params}, {**(about or {}), "config": config.to_json()})


def load_network(run: str | Path) -> SavedNetwork:
    """Read a network that `save_network` wrote, in JAX's current float type; raises ValueError for any other file.

    Args:
        run: a run's folder, or its weights file; or, as a string, the name of a packaged network: "best" or
            "source". (A folder of that name is "./source", or a `Path`.)
    """
    packaged = {path.stem: path for path in sorted(PRETRAINED.glob("*.safetensors"))}
    given = packaged.get(run, Path(run)) if isinstance(run, str) else run
    path = given / "weights.safetensors" if given.is_dir() else given
    if run == "" or not path.exists():  # as a path, "" would be the current folder
        problem = f"no {path.name} in it" if run and given.is_dir() else "no such folder or file"
        networks = f"the networks that come with jaxmnist: {', '.join(packaged)}"
        expected = f"expected the folder of a finished run, or one of {networks}"
        raise ValueError(f"run {str(run) or repr(run)}: {problem}, {expected}")
    tensors, about = read(path)
    config = recipe(path, about)
    if len(config.sizes) > MAX_LAYERS:
        raise ValueError(f"{path}: {len(config.sizes):,} layers, expected at most {MAX_LAYERS:,}")
    dtype = jnp.result_type(float)
    with np.errstate(over="ignore"):  # restore refuses what becomes infinite
        tensors = {name: x.astype(dtype) if x.dtype in (np.float32, np.float64) else x for name, x in tensors.items()}
    return SavedNetwork(restore(path, tensors, {"params": shapes(config.sizes)})["params"], config, about)


def shapes(sizes: Sequence[int]) -> Any:
    """Describe a network of these sizes in JAX's current float type, without its numbers: a template for `restore`."""
    shape: Any = jax.ShapeDtypeStruct
    dtype = jnp.result_type(float)
    return tuple(Layer(shape((n, inputs), dtype), shape((n,), dtype)) for inputs, n in pairwise(sizes))


def _verified(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and `about`, if every digest is right; else any of the errors that `read` converts."""
    end = 8 + int.from_bytes(content[:8], "little")
    if end > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {end:,} bytes, expected at most {MAX_HEADER_BYTES:,}")
    entry = json.loads(json.loads(content[8:end])["__metadata__"]["jaxmnist"])
    about, digests = dict(entry["about"]), dict(entry["sha256"])
    if entry["format"] != FORMAT:
        raise ValueError(f"format {entry['format']!r}, expected {FORMAT}; is it from a newer jaxmnist?")
    if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values()):
        raise ValueError("a sha256 that isn't 64 hexadecimal digits")
    header = content[:end].replace(digests["header"].encode(), _ZEROS.encode())
    tensors = safetensors.numpy.load(content)
    if digests != {**_digests(tensors), "header": hashlib.sha256(header).hexdigest()}:
        raise ValueError("another sha256 than its header says")
    return tensors, about


def _digests(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in tensors.items()}


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by their path, such as `params.0.weights`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _as_data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf
