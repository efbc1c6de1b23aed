"""The finished groups of a grid, each a file: what it goes on from, and what its shards have in common.

A folder may hold the groups of several shards, or of several folders copied together.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxmnist.network import Params
from jaxmnist.runs import checkpoint

FOLDER = "groups"
"""The files' folder, in a run's folder."""


def save_group(
    folder: Path, index: int, measured: Mapping[str, np.ndarray], seconds: float, best: Params, grid_sha256: str
) -> dict[str, np.ndarray]:
    """Write a finished group into a run's folder, the whole file or nothing; return what `read_groups` would.

    Args:
        folder: the run's.
        index: the group's, in its grid.
        measured: arrays by their names, of any shapes.
        seconds: that the group took.
        best: the weights of the network that is kept.
        grid_sha256: which grid the group belongs to.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    arrays = {**measured, "seconds": np.array(seconds)}
    checkpoint.save(_path(folder, index), {"group": arrays, "best": best}, {"grid": grid_sha256, "group": index})
    return arrays


def read_groups(folder: Path, count: int, grid_sha256: str) -> tuple[dict[int, Mapping[str, np.ndarray]], list[str]]:
    """Read those of the `count` groups of a grid that are finished, by their indices.

    Returns:
        The groups' arrays by their names, and a warning about each damaged file, whose group is left out.

    Raises:
        ValueError: if a file belongs to another grid.
    """
    finished, warnings = dict[int, Mapping[str, np.ndarray]](), list[str]()
    for index in range(count):
        path = _path(folder, index)
        if not path.exists():
            continue
        try:
            tensors, about = checkpoint.read(path)
        except ValueError as problem:
            warnings.append(f"{problem}; its group is trained again")
            continue
        if about != {"grid": grid_sha256, "group": index}:
            raise ValueError(
                f"{path}: is a group of another grid, expected only those of one grid: the same options and data; move "
                "it away"
            )
        finished[index] = {name[6:]: array for name, array in tensors.items() if name.startswith("group.")}
    return finished, warnings


def read_best(folder: Path, index: int, sizes: Sequence[int]) -> Params:
    """Read the weights that a group has kept, of a network of these sizes."""
    path = _path(folder, index)
    tensors, _ = checkpoint.read(path)
    kept = {name: array for name, array in tensors.items() if name.startswith("best.")}
    params: Params = checkpoint.restore(path, kept, {"best": checkpoint.shapes(sizes)})["best"]
    return params


def _path(folder: Path, index: int) -> Path:
    return folder / FOLDER / f"{index:06}.safetensors"
