"""Find the four IDX files in a user's folder, under the names that the world gives them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxmnist.sources.idx import LABELS, QMNIST_LABELS, Kind

SUBFOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "raw"),
    "fashion_mnist": ("fashion_mnist", "FashionMNIST/raw", "raw"),
    "kmnist": ("kmnist", "KMNIST/raw", "raw"),
    "qmnist": ("qmnist", "QMNIST/raw", "raw"),
}
"""Where in the folder a data set may be, besides the folder itself: by its own name, or as torchvision puts it."""


class Layout(NamedTuple):
    """How a data set's files are named, and its labels kept."""

    files: tuple[str, str, str, str]  # training images and labels, test images and labels
    labels: Kind


MNIST_LAYOUT = Layout(
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), LABELS
)
"""Also that of Fashion-MNIST and KMNIST."""
QMNIST_LAYOUT = Layout(
    (
        "qmnist-train-images-idx3-ubyte",
        "qmnist-train-labels-idx2-int",
        "qmnist-test-images-idx3-ubyte",
        "qmnist-test-labels-idx2-int",
    ),
    QMNIST_LABELS,
)
KNOWN_FILES = {*MNIST_LAYOUT.files, *QMNIST_LAYOUT.files}


class Found(NamedTuple):
    """Four files."""

    folder: Path  # the one that they are in
    layout: Layout
    paths: tuple[Path, ...]  # in the layout's order


def find_files(data_dir: Path, name: str, argument: str) -> Found:
    """Find the files of a data set in a folder.

    Args:
        data_dir: the folder, or one above it as in SUBFOLDERS.
        name: the data set; any other word than SUBFOLDERS' means any of them, MNIST first.
        argument: what named the folder, for errors.

    Raises:
        ValueError: if there is no such folder, or no four files in it.
    """
    try:
        if not data_dir.is_dir():
            file, none = "is a file, expected the folder that it is in", "no such folder, expected one"
            problem = f"{file if data_dir.exists() else none} with the four IDX files"
            raise ValueError(f"{argument}={data_dir}: {problem}; leave {argument}=… out to download MNIST")
        return _find(data_dir, name, argument)
    except OSError as problem:
        raise ValueError(f"{argument}={data_dir}: can't be read ({problem.strerror}), expected a folder") from problem


def _find(data_dir: Path, name: str, argument: str) -> Found:
    layouts = (QMNIST_LAYOUT, MNIST_LAYOUT) if name == "qmnist" else (MNIST_LAYOUT, QMNIST_LAYOUT)
    below = SUBFOLDERS[name] if name in SUBFOLDERS else [sub for subs in SUBFOLDERS.values() for sub in subs]
    fewest: tuple[str, ...] = layouts[0].files
    others = set[str]()
    for folder in (*filter(Path.is_dir, (data_dir / sub for sub in below)), data_dir):
        paths = _by_name(folder)
        others |= paths.keys()
        for layout in layouts:
            missing = tuple(file for file in layout.files if file not in paths)
            if not missing:
                return Found(folder, layout, tuple(paths[file] for file in layout.files))
            fewest = min(fewest, missing, key=len)
    emnist, nor = any(file.startswith("emnist-") for file in others), ", nor ".join(["", *fewest[1:]])
    raise ValueError(
        f"{argument}={data_dir}: no {fewest[0]} there{nor}, expected the four IDX files, gzipped or plain; "
        + ("EMNIST, which is there, turns its images and has letters: it can't be read as MNIST; " if emnist else "")
        + f"leave {argument}=… out to download MNIST"
    )


def _by_name(folder: Path) -> dict[str, Path]:
    """Map published names to the files that have them, but for case, dots for dashes and .gz, which comes first."""
    paths: dict[str, Path] = {}
    for path in _listed(folder):
        if path.is_file():
            paths.setdefault(_published(path), path)
        elif _published(path) in KNOWN_FILES and path.is_dir():  # a folder for each file, as Kaggle makes
            for inner in _listed(path):
                paths.setdefault(_published(inner), inner)
    return paths


def _listed(folder: Path) -> Iterator[Path]:
    paths = sorted(folder.iterdir(), key=lambda path: (path.suffix.lower() != ".gz", path.name))
    return (path for path in paths if _published(path) in KNOWN_FILES or _published(path).startswith("emnist-"))


def _published(path: Path) -> str:
    return re.sub("[._ ]", "-", path.name.lower().removesuffix(".gz"))
