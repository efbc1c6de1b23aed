"""Where data comes from: IDX files in a folder, the cache, a download, or scikit-learn's digits.

`load` reads two environment variables: JAXMNIST_DATA_DIR names the data's folder, XDG_CACHE_HOME the cache's.
"""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp

from jaxmnist.dataset import Dataset
from jaxmnist.sources.digits import load_digits_like_mnist
from jaxmnist.sources.download import RemoteFile, fetch
from jaxmnist.sources.idx import read_images, read_labels

DownloadedName = Literal["mnist", "fashion_mnist", "kmnist"]
DatasetName = Literal["auto", DownloadedName, "digits"]
Progress = Callable[[str, int, int], object]
"""Called with a file's name, its size, and the number of its bytes that have arrived."""


class Splits(NamedTuple):
    """A data set in two parts."""

    name: str  # mnist, fashion_mnist, kmnist or digits
    origin: str  # where it came from: a folder, or scikit-learn
    train: Dataset  # the training set
    test: Dataset  # the test set
    notice: str = ""  # what the user should know if this isn't the data set they expect; else empty


def load(
    name: DatasetName = "auto", data_dir: str | os.PathLike[str] | None = None, on_progress: Progress = lambda *_: None
) -> Splits:
    """Load a data set onto JAX's default device.

    Args:
        name: digits is scikit-learn's 8×8 digits, made like MNIST. auto is mnist, or digits with a `notice` if MNIST
            isn't available. All others come from the data folder if one is named, else from the cache.
        data_dir: a folder with the four IDX files, gzipped or plain, or with a subfolder named like the data set; by
            default the environment variable JAXMNIST_DATA_DIR. Not allowed with digits.
        on_progress: called during downloads, which fill the cache.

    Raises:
        ValueError: if the name is unknown, or a file is missing from the folder or isn't what it should be.
        OSError: if a file can't be read or downloaded.
    """
    if name not in get_args(DatasetName):
        raise ValueError(f"dataset={name}: expected one of {', '.join(get_args(DatasetName))}")
    if name == "digits":
        if data_dir is not None:
            problem = f"data_dir={data_dir}: contradicts dataset=digits, which comes with scikit-learn"
            raise ValueError(f"{problem}; name the folder's data set too, as dataset=mnist, or leave data_dir out")
        return Splits("digits", "scikit-learn's load_digits", *load_digits_like_mnist())
    data_dir = data_dir or os.environ.get("JAXMNIST_DATA_DIR")
    if name == "auto" and not data_dir:
        try:
            return load("mnist", None, on_progress)
        except OSError as error:
            notice = (
                f"this is NOT MNIST but scikit-learn's 1,797 small digits, since MNIST isn't available ({error}). "
                f"For MNIST, connect this machine to the network, or put the four IDX files "
                f"(train-images-idx3-ubyte.gz, …) into a folder and name it with data_dir=FOLDER or JAXMNIST_DATA_DIR."
            )
            return load("digits")._replace(notice=notice)
    name = "mnist" if name == "auto" else name
    if data_dir:
        folder = Path(data_dir, name) if Path(data_dir, name).is_dir() else Path(data_dir)
        return Splits(name, str(folder), _read_part(folder, "train"), _read_part(folder, "t10k"))
    folder = _filled_cache(name, on_progress)
    return Splits(name, f"{folder} (downloaded)", _read_part(folder, "train"), _read_part(folder, "t10k"))


def cache_dir() -> Path:
    """This user's folder for downloads: `jaxmnist` in $XDG_CACHE_HOME, if that is an absolute path, or ~/.cache."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "jaxmnist"
    except RuntimeError as problem:
        raise OSError(f"no folder for the cache ({problem}); set XDG_CACHE_HOME to one") from problem


def catalogue(name: DownloadedName) -> dict[str, RemoteFile]:
    """A data set's files by name, with their URLs, sizes and digests as tensorflow-datasets lists them."""
    import tensorflow_datasets as tfds  # here, since the import takes half a second, which other data needn't wait for

    infos = tfds.builder_cls(name).url_infos
    return {url.rsplit("/", 1)[1]: RemoteFile(url, int(info.size), info.checksum) for url, info in infos.items()}


def _filled_cache(name: DownloadedName, on_progress: Progress) -> Path:
    """The data set's folder in the cache, after a download of what is missing or damaged there."""
    folder = cache_dir() / name
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for file, remote in catalogue(name).items():
        path = folder / file
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != remote.sha256:
            fetch(remote, path, partial(on_progress, file, remote.size))
    return folder


def _read_part(folder: Path, part: str) -> Dataset:
    images_path, labels_path = (_find(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise ValueError(f"{labels_path}: {len(labels):,} labels, expected {len(images):,} as images in {images_path}")
    return Dataset(jnp.asarray(images), jnp.asarray(labels))


def _find(folder: Path, file: str) -> Path:
    for path in (folder / f"{file}.gz", folder / file):
        if path.is_file():
            return path
    problem = f"no {file} there" if folder.is_dir() else "no such folder"
    raise ValueError(
        f"data_dir={folder}: {problem}, expected the four IDX files, gzipped or plain; "
        f"leave data_dir and JAXMNIST_DATA_DIR out to download them"
    )
