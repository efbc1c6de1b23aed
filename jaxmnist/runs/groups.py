"""The finished groups of a long command, each a file: what it goes on from, and what its shards have in common.

A folder may hold the groups of several shards, or of several folders copied together.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxmnist.runs import checkpoint

FOLDER = "groups"
"""The files' folder, in a run's folder."""


def save(folder: Path, index: int, arrays: Mapping[str, np.ndarray], grid_sha256: str) -> None:
    """Write a finished group into a run's folder: the whole file or nothing."""
    (folder / FOLDER).mkdir(exist_ok=True)
    checkpoint.save(_path(folder, index), dict(arrays), {"grid": grid_sha256, "group": index})


def read(folder: Path, count: int, grid_sha256: str) -> tuple[dict[int, dict[str, np.ndarray]], list[str]]:
    """Read those of the `count` groups of a grid that are finished, by their indices.

    Returns:
        The groups, and a warning about each damaged file; its group is left out, so that it is trained again.

    Raises:
        ValueError: if a file belongs to another grid.
    """
    finished, warnings = dict[int, dict[str, np.ndarray]](), list[str]()
    for index in range(count):
        path = _path(folder, index)
        if not path.exists():
            continue
        try:
            arrays, about = checkpoint.read(path)
        except ValueError as problem:
            warnings.append(f"{problem}; its group is trained again")
            continue
        if about != {"grid": grid_sha256, "group": index}:
            raise ValueError(
                f"{path}: is a group of another grid, expected only those of one grid: the same options and data; move "
                "it away"
            )
        finished[index] = arrays
    return finished, warnings


def _path(folder: Path, index: int) -> Path:
    return folder / FOLDER / f"{index:06}.safetensors"
