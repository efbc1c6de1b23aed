"""A pytree of arrays to one safetensors file and back: no pickle, nothing that can execute, nothing half believed.

The file is a plain safetensors file that any reader of the format opens. In its metadata it carries one entry,
`jaxmnist`: a JSON object with the format's version, what the arrays are (`about`), and a sha256 of every part of
the file: of each array's bytes, and of all that comes before them, in which its own place counts as 64 zeros.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxmnist.config import Config, config_from
from jaxmnist.network import Params, init
from jaxmnist.runs.files import write_atomically

FORMAT = 1
"""Version of the format; every later version of this module reads every earlier one."""
ENTRY = "jaxmnist"
"""The one metadata entry; safetensors writes several in an order that changes from one process to the next."""
MOST_BYTES = 1 << 30
"""Size above which a file is refused unread: a network of 784-4096-4096-10 with its velocity has a tenth of it."""

PRETRAINED = Path(__file__).parent.parent / "pretrained"
"""Networks that come with this package, each a file named as the network; its `about` has the command that made it."""

Tree = TypeVar("Tree")
_HEADER = "header"
_UNKNOWN = "0" * 64


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


def save(path: Path, tree: Any, about: Mapping[str, Any], keep_previous: bool = False) -> None:
    """Write a pytree, whole or not at all. The same arrays and `about` give the same bytes.

    Args:
        path: the file, by custom `….safetensors`.
        tree: arrays in a pytree; keys of `jax.random` are stored as their data.
        about: what a reader needs beside the numbers; anything that JSON can hold.
        keep_previous: whether what stood there stays, beside it and named `….previous`.

    Raises:
        OSError: when it can't be written; what stood there stays.
    """
    tensors = {name: np.asarray(_as_data(leaf)) for name, leaf in _named(tree).items()}
    digests = {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in tensors.items()}
    entry = {"about": about, "format": FORMAT, "sha256": {**digests, _HEADER: _UNKNOWN}}
    content = safetensors.numpy.save(tensors, {ENTRY: json.dumps(entry, sort_keys=True)})
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[:end].replace(_UNKNOWN.encode(), hashlib.sha256(content[:end]).hexdigest().encode())
    write_atomically(path, header + content[end:], keep_previous)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save` wrote and believe nothing: sizes, digests, names and numbers are checked.

    Returns:
        The arrays by name, and what was said about them.

    Raises:
        ValueError: when the file is not, byte for byte, what `save` wrote; says what it is, or where it is damaged.
        OSError: when it can't be read.
    """
    content = _read_bounded(path)
    entry, tensors = _header(path, content)
    end = 8 + int.from_bytes(content[:8], "little")
    digests = entry["sha256"]
    plain = content[:end].replace(str(digests.get(_HEADER)).encode(), _UNKNOWN.encode())
    if hashlib.sha256(plain).hexdigest() != digests.get(_HEADER):
        raise ValueError(f"{path}: damaged, the header (bytes 0 to {end - 1:,}) has another sha256 than it should")
    ranges = {name: (end + field["data_offsets"][0], end + field["data_offsets"][1]) for name, field in tensors.items()}
    size = max((last for _first, last in ranges.values()), default=end)
    if len(content) != size:
        lost = "truncated" if len(content) < size else "more bytes follow"
        raise ValueError(f"{path}: damaged, {lost}: {len(content):,} bytes, expected {size:,}")
    damaged = [
        f"{name} (bytes {first:,} to {last - 1:,})"
        for name, (first, last) in ranges.items()
        if hashlib.sha256(content[first:last]).hexdigest() != digests.get(name)
    ]
    if damaged:
        raise ValueError(f"{path}: damaged, another sha256 than expected in {', '.join(damaged)}")
    return safetensors.numpy.load(content), entry["about"]


def restore(path: Path, tensors: Mapping[str, np.ndarray], template: Tree) -> Tree:
    """Put arrays that were read back into a pytree.

    Args:
        path: where they were read, for the error's text.
        tensors: arrays by name.
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s, as `jax.eval_shape` gives them, which says what
            there must be.

    Raises:
        ValueError: when a name, shape or dtype differs, or a number is not finite.
    """
    expected = _named(template)
    missing, surplus = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or surplus:
        raise ValueError(f"{path}: lacks {_listed(missing)} and has {_listed(surplus)} beyond what its recipe asks for")
    leaves = []
    for name, leaf in expected.items():
        found, wanted = tensors[name], jax.eval_shape(_as_data, leaf)
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ValueError(
                f"{path}: {name} is {found.dtype}{list(found.shape)}, expected {wanted.dtype}{list(wanted.shape)}"
            )
        if not np.all(np.isfinite(found)):
            raise ValueError(f"{path}: {name} holds numbers that are not finite")
        leaves.append(jax.random.wrap_key_data(jnp.asarray(found)) if _is_key(leaf) else jnp.asarray(found))
    tree: Tree = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return tree


def save_network(path: Path, params: Params, config: Config, about: Mapping[str, Any]) -> None:
    """Write a network with the recipe that made it. Errors as `save`."""
    save(path, {"params": params}, {**about, "config": config.to_json()})


def load_network(run: str | Path) -> SavedNetwork:
    """Read the network of a run.

    Args:
        run: the run's folder, or its weights file; or, as a string, the name of a network that comes with this
            package: "best" or "source". (A folder of that name is "./source", or a `Path`.)

    Raises:
        ValueError: when there is no such file, or it is not what `save_network` wrote.
        OSError: when it can't be read.
    """
    if run == "":  # which as a path would be this folder
        raise ValueError(
            "run '': an empty name (an unset shell variable?), expected a run's; leave it out for the default"
        )
    packaged = {path.stem: path for path in sorted(PRETRAINED.glob("*.safetensors"))}
    place = packaged.get(run, Path(run)) if isinstance(run, str) else run
    path = place / "weights.safetensors" if place.is_dir() else place
    if not path.exists():
        found = f"no {path.name} in it" if place.is_dir() else "no such folder or file"
        raise ValueError(
            f"run {run}: {found}, expected the folder of a run that jaxmnist train finished, or one of the networks "
            f"that come with jaxmnist: {', '.join(packaged)}"
        )
    tensors, about = read(path)
    config = config_from(about.get("config"))
    template = jax.eval_shape(lambda: {"params": init(jax.random.key(0), config.sizes)})
    return SavedNetwork(restore(path, tensors, template)["params"], config, about)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by their path, as `params.0.weights`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _as_data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _read_bounded(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file, expected a safetensors file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path}: {size:,} bytes, expected at most {MOST_BYTES:,}")
    with path.open("rb") as file:
        return file.read(size)


def _header(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our metadata entry, and the fields of the arrays; a file that has none is named for what it is."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        kind = _looks_like(content)
        raise ValueError(f"{path}: {kind}, expected a safetensors file with a header of {size:,} bytes after byte 8")
    try:
        header = json.loads(content[8 : 8 + size], object_pairs_hook=_without_duplicates)
        entry = json.loads(header.pop("__metadata__")[ENTRY], object_pairs_hook=_without_duplicates)
        version, digests = entry["format"], entry["sha256"]
        well_formed = isinstance(digests, dict) and isinstance(entry["about"], dict)
        well_formed = well_formed and all(_is_range(field["data_offsets"]) for field in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        what = f"{type(problem).__name__} {problem}"
        raise ValueError(f"{path}: {_looks_like(content)}; its header (bytes 8 to {7 + size:,}): {what}") from problem
    if version != FORMAT:
        raise ValueError(f"{path}: format {version!r}, expected {FORMAT}; is it from a newer jaxmnist?")
    if not well_formed:
        raise ValueError(f"{path}: damaged, the header (bytes 8 to {7 + size:,}) lacks digests or places")
    return entry, header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        raise ValueError(f"duplicate key {next(name for name in names if names.count(name) > 1)!r}")
    return found


def _is_range(offsets: Any) -> bool:
    return isinstance(offsets, list) and [type(offset) for offset in offsets] == [int, int]


def _looks_like(content: bytes) -> str:
    """What a file is that is not ours, by its first bytes."""
    start = content[:512].lstrip().lower()
    if not content:
        return "an empty file"
    if content.startswith(b"\x93NUMPY"):
        return "a NumPy .npy file"
    if content.startswith(b"PK\x03\x04"):
        return "a zip archive, such as .npz or PyTorch's .pt"
    if content.startswith(b"\x1f\x8b"):
        return "a gzip archive"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    if content[0] == 0x80 and len(content) > 1 and 2 <= content[1] <= 5:
        return "a Python pickle, which is never loaded as it could run code"
    return f"damaged, truncated or of another kind ({len(content):,} bytes)"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
