"""Where data comes from: IDX files in a folder, the cache, a download, or scikit-learn's digits.

`load` reads two environment variables: JAXMNIST_DATA_DIR names the data's folder, XDG_CACHE_HOME the cache's.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jaxmnist.dataset import Dataset
from jaxmnist.sources.download import DownloadError, RemoteFile, fetch
from jaxmnist.sources.folder import MNIST_LAYOUT, QMNIST_LAYOUT, Layout, find_files
from jaxmnist.sources.idx import read_bytes, read_images, read_labels

DownloadedName = Literal["mnist", "fashion_mnist", "kmnist"]
DatasetName = Literal["auto", DownloadedName, "qmnist", "digits", "custom"]
Progress = Callable[[str, int, int], object]
"""Called with a file's name, its size, and the number of its bytes that have arrived."""

MNIST_SHA256 = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
"""Of MNIST's training images and labels and test images and labels, a byte each: a run's data_sha256."""
EXAMPLES = (60_000, 10_000)
"""Training and test examples of the three data sets that are downloaded; another number of them is none of these."""


class Splits(NamedTuple):
    """A data set in two parts."""

    name: str  # mnist, fashion_mnist, kmnist, qmnist or digits by the content; custom if it is none of these
    origin: str  # where it came from: a folder, or scikit-learn
    train: Dataset  # the training set
    test: Dataset  # the test set
    notice: str = ""  # what the user should know if this isn't the data set they expect; else empty


def load(
    name: DatasetName = "auto", data_dir: str | os.PathLike[str] | None = None, on_progress: Progress = lambda *_: None
) -> Splits:
    """Load a data set onto JAX's default device, and warn if it isn't the one that was to be expected.

    Args:
        name: auto is whatever the data folder holds; without a folder it is mnist, or digits if MNIST can't be
            downloaded. digits is scikit-learn's 8×8 digits, made like MNIST. custom is the user's own data. qmnist and
            custom need a folder. All others come from the data folder if one is named, else from the cache.
        data_dir: a folder with the four IDX files, gzipped or plain, or with a subfolder named like the data set; by
            default the environment variable JAXMNIST_DATA_DIR. Not allowed with digits.
        on_progress: called during downloads, which fill the cache.

    Returns:
        The two parts, with the name that the content has: a folder's data is called custom if it isn't known.

    Raises:
        ValueError: if the name is unknown, a file is missing from the folder or isn't what it should be, or the folder
            holds another known data set than the one asked for.
        OSError: if a file can't be read or downloaded.
    """
    splits = load_with_notice(name, data_dir, on_progress)
    if splits.notice:
        warnings.warn(splits.notice, stacklevel=2)
    return splits


def load_with_notice(name: DatasetName, data_dir: str | os.PathLike[str] | None, on_progress: Progress) -> Splits:
    """Do what `load` does, but leave it to the caller to show the result's notice."""
    if name not in get_args(DatasetName):
        raise ValueError(f"dataset={name}: expected one of {', '.join(get_args(DatasetName))}")
    if name == "digits":
        if data_dir is not None:
            problem = f"data_dir={data_dir}: contradicts dataset=digits, which comes with scikit-learn"
            raise ValueError(f"{problem}; leave one of the two out")
        from jaxmnist.sources.digits import load_digits_like_mnist  # here, as what it imports takes a third of a second

        return Splits("digits", "scikit-learn's load_digits", *load_digits_like_mnist())
    named = data_dir or os.environ.get("JAXMNIST_DATA_DIR")
    if named:
        return _from_folder(name, Path(named), "data_dir" if data_dir else "JAXMNIST_DATA_DIR")
    if name in ("qmnist", "custom"):
        problem = f"dataset={name}: isn't downloaded, expected a folder with its four IDX files"
        raise ValueError(f"{problem}; name it with data_dir=FOLDER or JAXMNIST_DATA_DIR, or choose dataset=mnist")
    try:
        return _from_cache("mnist" if name == "auto" else name, on_progress)
    except OSError as problem:
        connect = "connect this machine to the network, or " if isinstance(problem, DownloadError) else ""
        files = "put the four IDX files (train-images-idx3-ubyte.gz, …) into a folder"
        remedy = f"{connect}{files} and name it with data_dir=FOLDER or JAXMNIST_DATA_DIR"
        if name != "auto":
            raise DownloadError(f"dataset={name}: isn't available ({problem}); {remedy}") from problem
        notice = (
            "this is NOT MNIST but scikit-learn's 1,797 small digits, since MNIST isn't available "
            f"({problem}). For MNIST, {remedy}."
        )
        return load_with_notice("digits", None, on_progress)._replace(notice=notice)


def cache_dir() -> Path:
    """This user's folder for downloads: `jaxmnist` in $XDG_CACHE_HOME, if that is an absolute path, or ~/.cache."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "jaxmnist"
    except RuntimeError as problem:
        raise OSError(f"no folder for the cache ({problem}); set XDG_CACHE_HOME to one") from problem


def cache_folder(name: str) -> Path:
    """Return a folder of this name in the cache; the folders that it makes for it are this user's only."""
    folder = cache_dir() / name
    for made in (*reversed(folder.parents), folder):  # `parents=True` makes those above by the umask only
        try:
            made.mkdir(mode=0o700, exist_ok=True)
        except OSError as problem:
            raise _unusable(made, problem) from problem
    return folder


def catalogue(name: str) -> dict[str, RemoteFile]:
    """A data set's files by name, with their URLs, sizes and digests as tensorflow-datasets lists them."""
    import tensorflow_datasets as tfds  # here, since the import takes half a second, which other data needn't wait for

    infos = tfds.builder_cls(name).url_infos
    return {url.rsplit("/", 1)[1]: RemoteFile(url, int(info.size), info.checksum) for url, info in infos.items()}


def _from_cache(name: str, on_progress: Progress) -> Splits:
    """Load the data set from the cache, after a download of what is missing or damaged there.

    What is verified is what is decoded, so nobody can change it in between.
    """
    folder, contents = cache_folder(name), dict[Path, bytes]()
    for file, remote in catalogue(name).items():
        path = folder / file
        try:
            content = path.read_bytes() if path.is_file() and path.stat().st_size == remote.size else b""
            if hashlib.sha256(content).hexdigest() != remote.sha256:
                content = fetch(remote, path, partial(on_progress, file, remote.size))
        except DownloadError:
            raise
        except OSError as problem:
            raise _unusable(path, problem) from problem
        contents[path] = content
    paths = [folder / f"{file}.gz" for file in MNIST_LAYOUT.files]
    arrays = _arrays(paths, [contents[path] for path in paths], MNIST_LAYOUT)
    return _splits(name, f"{folder} (downloaded)", arrays)


def _from_folder(name: DatasetName, data_dir: Path, argument: str) -> Splits:
    with suppress(RuntimeError):  # without a home folder
        data_dir = data_dir.expanduser()
    folder, layout, paths = find_files(data_dir, name, argument)
    contents = [read_bytes(path) for path in paths]
    arrays = _arrays(paths, contents, layout)
    found = _identify(arrays, contents, layout)
    if found != "custom" and name not in ("auto", "custom", found):
        download = "" if name == "qmnist" else f", or leave {argument}=… out to download {name}"
        problem = f"{argument}={data_dir}: holds {found}, expected {name}"
        raise ValueError(f"{problem}; choose dataset={found} or another folder{download}")
    splits = _splits(found, str(folder), arrays)
    if found != "custom" or name == "custom":
        return splits
    missed = "are no known data set" if name == "auto" else f"aren't {name}"
    notice = f"the files in {folder} {missed} as published, so they are called custom"
    return splits._replace(notice=f"{notice}; if they are meant, say dataset=custom")


Arrays = list[UInt8[np.ndarray, "..."]]
"""Training images and labels, test images and labels."""


def _arrays(paths: Sequence[Path], contents: Sequence[bytes], layout: Layout) -> Arrays:
    arrays: Arrays = []
    for index in (0, 2):
        images = read_images(paths[index], contents[index])
        labels = read_labels(paths[index + 1], contents[index + 1], layout.labels)
        if len(images) != len(labels):
            problem = f"{paths[index + 1]}: {len(labels):,} labels, expected {len(images):,}"
            raise ValueError(f"{problem} as images in {paths[index]}")
        arrays += (images, labels)
    return arrays


def _identify(arrays: Arrays, contents: Sequence[bytes], layout: Layout) -> str:
    """Name a data set by its content: MNIST by its arrays, QMNIST by its labels, the others by their archives."""
    if (len(arrays[1]), len(arrays[3])) == EXAMPLES:
        sha256 = hashlib.sha256()
        for array in arrays:
            sha256.update(array.data)
        if sha256.hexdigest() == MNIST_SHA256:
            return "mnist"
        digests = {hashlib.sha256(content).hexdigest() for content in contents}
        for name in get_args(DownloadedName):
            if digests == {remote.sha256 for remote in catalogue(name).values()}:
                return str(name)
    return "qmnist" if layout == QMNIST_LAYOUT else "custom"


def _splits(name: str, origin: str, arrays: Arrays) -> Splits:
    train_images, train_labels, test_images, test_labels = map(jnp.asarray, arrays)
    return Splits(name, origin, Dataset(train_images, train_labels), Dataset(test_images, test_labels))


def _unusable(path: Path, problem: OSError) -> OSError:
    remedy = "set XDG_CACHE_HOME to a folder that you can write"
    return OSError(f"{path}: can't be read or written as a cache ({problem.strerror or problem}); {remedy}")
