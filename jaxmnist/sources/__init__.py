"""Where the data comes from: IDX files in a folder, the cache, a download, or the embedded digits.

This module looks at the environment, since that is where a machine says where its data is.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxmnist.dataset import Dataset
from jaxmnist.handwriting.normalise import centre
from jaxmnist.sources.download import DownloadError, RemoteFile, download, matches
from jaxmnist.sources.idx import read_images, read_labels

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""MNIST's four files; Fashion-MNIST and Kuzushiji-MNIST use the same names."""

HOW_TO_GET_MNIST = (
    "put its four IDX files (train-images-idx3-ubyte.gz, …) into a folder and name it with --data-dir or "
    "JAXMNIST_DATA_DIR, or connect this machine to the network"
)

DatasetName = Literal["auto", "mnist", "fashion_mnist", "kmnist", "digits"]
DownloadedName = Literal["mnist", "fashion_mnist", "kmnist"]
Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are expected and the bytes that have arrived."""


class Splits(NamedTuple):
    """A data set in two parts: what a network learns from, and what it is judged by.

    Attributes:
        name: mnist, fashion_mnist, kmnist or digits.
        origin: where it came from: a folder, or scikit-learn.
        train: the training set.
        test: the test set.
        notice: what the user must know, if it is not what they would expect; else empty.
    """

    name: str
    origin: str
    train: Dataset
    test: Dataset
    notice: str = ""


def load(
    name: DatasetName = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = lambda file, expected, arrived: None,
) -> Splits:
    """Load a data set onto JAX's default device.

    Args:
        name: mnist, fashion_mnist and kmnist come from the data folder if there is one, else from the cache,
            else from the network into the cache. digits is scikit-learn's, 8×8 made like MNIST. auto is
            mnist, and digits with a `notice` where MNIST can't be had.
        data_dir: a folder with the four IDX files, gzipped or plain, or with such a folder named as the data
            set; without it, the environment variable JAXMNIST_DATA_DIR counts. With digits it is a contradiction.
        progress: is told of a download's progress.

    Raises:
        ValueError: for an unknown name, for a folder of digits, and for a file that is not what it should be.
        OSError: for a folder or file that can't be read, and (`DownloadError`) for data that can't be had.
    """
    if name not in get_args(DatasetName):
        raise ValueError(f"dataset {name!r}: expected one of {', '.join(get_args(DatasetName))}")
    if name == "digits" and data_dir is not None:
        raise ValueError(
            f"data dir {data_dir}: contradicts the data set digits, which comes with scikit-learn; name the folder's "
            f"data set too, as --dataset mnist, or leave --data-dir out"
        )
    if name == "digits":
        return _digits()
    data_dir = data_dir or os.environ.get("JAXMNIST_DATA_DIR")
    if data_dir:
        return _from_folder(name, Path(data_dir))
    if name != "auto":
        return _from_network(name, progress)
    try:
        return _from_network("mnist", progress)
    except OSError as problem:
        notice = (
            "this is NOT MNIST but scikit-learn's 1,797 small digits, since MNIST could not be had "
            f"({problem}). For MNIST, {HOW_TO_GET_MNIST}."
        )
        return _digits()._replace(notice=notice)


def cache_dir() -> Path:
    """This user's folder for downloads: `jaxmnist` in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxmnist"


def catalogue(name: DownloadedName) -> dict[str, RemoteFile]:
    """What tensorflow-datasets records of a data set's files: name → URL, size, sha256."""
    import tensorflow_datasets as tfds

    return {
        url.rsplit("/", 1)[1]: RemoteFile(url, int(info.size), info.checksum)
        for url, info in tfds.builder_cls(name).url_infos.items()
    }


def _from_folder(name: DatasetName, folder: Path) -> Splits:
    """The data set in a folder that the user named."""
    named = name if name != "auto" else "mnist"
    here = folder / named if (folder / named).is_dir() else folder
    found = {file: _either(here, file) for files in FILES.values() for file in files}
    paths = {file: path for file, path in found.items() if path}
    missing = [file for file in found if file not in paths]
    if missing:
        problem = "no such folder" if not folder.is_dir() else f"no {', no '.join(missing)} there"
        raise ValueError(
            f"data dir {folder}: {problem}; expected {named}'s four IDX files, gzipped or plain; leave --data-dir "
            f"and JAXMNIST_DATA_DIR out to download them"
        )
    if name != "auto":
        _refuse_another(name, paths)
    return _read(named, str(here), paths)


def _refuse_another(name: str, paths: dict[str, Path]) -> None:
    """Refuse a folder that holds, under the same file names, another data set than the one asked for."""
    labels = "train-labels-idx1-ubyte"
    for other in get_args(DownloadedName):
        if other != name and matches(paths[labels], catalogue(other)[f"{labels}.gz"]):
            raise ValueError(f"{paths[labels]}: is {other}'s, expected {name}'s; try --dataset {other}")


def _from_network(name: DownloadedName, progress: Progress) -> Splits:
    """The data set from the cache, after what is missing or damaged there has been downloaded."""
    folder = cache_dir() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = {}
    for file, remote in catalogue(name).items():
        path = folder / file
        if not (path.is_file() and matches(path, remote)):
            damaged = path.exists()
            try:
                download(remote, path, partial(progress, file, remote.size))
            except OSError as problem:
                why = f"; the copy in the cache, {path}, is damaged (another sha256)" if damaged else ""
                raise DownloadError(f"{problem}{why}") from problem
        paths[file.removesuffix(".gz")] = path
    return _read(name, f"{folder} (downloaded)", paths)


def _read(name: str, origin: str, paths: dict[str, Path]) -> Splits:
    parts = {}
    for part, (images_file, labels_file) in FILES.items():
        images, labels = read_images(paths[images_file]), read_labels(paths[labels_file])
        if len(images) != len(labels):
            raise ValueError(
                f"{paths[labels_file]}: {len(labels):,} labels, expected one for each of the {len(images):,} "
                f"images in {paths[images_file]}"
            )
        parts[part] = Dataset(jnp.asarray(images), jnp.asarray(labels))
    return Splits(name, origin, parts["train"], parts["test"])


def _digits() -> Splits:
    """scikit-learn's 1,797 digits made like MNIST, 80 % for training, the same for everybody."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.stack([_like_mnist(image) for image in digits.images])
    split = train_test_split(
        images, digits.target.astype(np.uint8), test_size=0.2, random_state=0, stratify=digits.target
    )
    train_images, test_images, train_labels, test_labels = map(jnp.asarray, split)
    origin = "scikit-learn's load_digits"
    return Splits("digits", origin, Dataset(train_images, train_labels), Dataset(test_images, test_labels))


def _like_mnist(image: Float[np.ndarray, "8 8"]) -> UInt8[np.ndarray, "784"]:
    """An 8×8 digit of ink 0 to 16, fitted into 20×20 and put with its centre of mass at the centre of 28×28.

    So much enlarged it is smoother by Pillow's cubic curves than by the means over areas that `images` takes.

    Source:
        LeCun, Cortes and Burges, The MNIST database of handwritten digits (how MNIST was made).
    """
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(20 * side / max(ink.shape))) for side in ink.shape)
    grey = Image.fromarray(np.round(ink * (255 / 16)).astype(np.uint8))
    return centre(np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC)))


def _either(folder: Path, file: str) -> Path | None:
    """The file, gzipped as MNIST is distributed, or unpacked."""
    return next((path for path in (folder / f"{file}.gz", folder / file) if path.is_file()), None)
