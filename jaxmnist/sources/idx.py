"""MNIST's IDX files, gzipped or plain, read as if whoever wrote them meant harm.

Never more is read than the header declares, and never more is declared than MNIST itself holds.
"""

import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

IMAGES = 0x00000803
"""Magic number of a file of unsigned bytes in three dimensions: n images of 28 rows of 28 pixels."""
LABELS = 0x00000801
"""Magic number of a file of unsigned bytes in one dimension: n labels."""
MOST_EXAMPLES = 70_000
"""What MNIST holds in all; a file that declares more is not one of its own."""

_KINDS = {IMAGES: "images", LABELS: "labels"}


def read_images(path: Path) -> UInt8[np.ndarray, "n 784"]:
    """Read a file of 28×28 images.

    Args:
        path: an IDX file, gzipped or plain; told apart by its first bytes.

    Returns:
        One row of 784 bytes per image, 0 paper to 255 ink.

    Raises:
        ValueError: when the file is not exactly what its name and header promise; it names the file, what was
            found and what was expected.
        OSError: when the file can't be read.

    Source:
        The format's description in LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    return _read(path, IMAGES, (28, 28)).reshape(-1, 784)


def read_labels(path: Path) -> UInt8[np.ndarray, "n"]:
    """Read a file of labels 0 to 9. Arguments and errors as `read_images`."""
    labels = _read(path, LABELS, ())
    if labels.max() > 9:
        place = int(np.argmax(labels > 9))
        raise ValueError(f"{path}: label {place} is {labels[place]}, expected 0 to 9")
    return labels


def _read(path: Path, magic: int, item_shape: tuple[int, ...]) -> UInt8[np.ndarray, "_"]:
    with _open(path) as file:
        found = int.from_bytes(_exactly(path, file, 4, "magic number"))
        if found != magic:
            swapped = "; are images and labels swapped?" if found in _KINDS else ""
            raise ValueError(
                f"{path}: magic number 0x{found:08x}{_named(found)}, expected 0x{magic:08x}{_named(magic)}{swapped}"
            )
        header = _exactly(path, file, 4 * (1 + len(item_shape)), "dimensions")
        count, *shape = (int.from_bytes(header[at : at + 4]) for at in range(0, len(header), 4))
        if tuple(shape) != item_shape:
            raise ValueError(f"{path}: images of {_by(shape)} pixels, expected {_by(item_shape)}")
        if not 1 <= count <= MOST_EXAMPLES:
            raise ValueError(f"{path}: header declares {count:,} examples, expected 1 to {MOST_EXAMPLES:,}")
        content = _exactly(path, file, count * math.prod(item_shape), f"{count:,} {_KINDS[magic]}")
        if file.read(1):
            raise ValueError(f"{path}: more bytes follow, expected the end after {count:,} {_KINDS[magic]}")
    return np.frombuffer(content, np.uint8)


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, unpacked if it is gzipped; a damaged archive is a ValueError."""
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file, expected an IDX file")
    with path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not gzipped:
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
        except (gzip.BadGzipFile, EOFError, zlib.error) as damage:
            raise ValueError(f"{path}: damaged gzip ({damage}), expected an intact archive") from damage


def _exactly(path: Path, file: io.BufferedIOBase, size: int, what: str) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise ValueError(f"{path}: ends after {len(content):,} bytes of {what}, expected {size:,}")
    return content


def _named(magic: int) -> str:
    return f" ({_KINDS[magic]})" if magic in _KINDS else " (not MNIST's)"


def _by(shape: list[int] | tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
