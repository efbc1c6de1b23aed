"""MNIST's IDX files, gzipped or plain, read as untrusted input.

Reads at most what the header declares, and refuses headers that declare more than MNIST holds.

Source:
    The format's description in LeCun, Cortes and Burges, The MNIST database of handwritten digits.
"""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

MAGIC = {"images": 0x00000803, "labels": 0x00000801}
"""First four bytes of a file: 08 for unsigned bytes, then the number of dimensions."""
MAX_EXAMPLES = 70_000
"""Examples in all of MNIST; a header that declares more is refused."""


def read_images(path: Path) -> UInt8[np.ndarray, "n 784"]:
    """Read 28×28 images, a row of 784 bytes each, from 0 for paper to 255 for ink."""
    return _read_idx(path, "images", (28, 28)).reshape(-1, 784)


def read_labels(path: Path) -> UInt8[np.ndarray, "n"]:
    """Read labels 0 to 9."""
    labels = _read_idx(path, "labels", ())
    if labels.max() > 9:
        index = int(np.argmax(labels > 9))
        raise ValueError(f"{path}: label {index} is {labels[index]}, expected 0 to 9")
    return labels


def _read_idx(path: Path, kind: str, item_shape: tuple[int, ...]) -> UInt8[np.ndarray, "size"]:
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file, expected an IDX file")
    with path.open("rb") as raw:
        file = gzip.GzipFile(fileobj=raw) if raw.peek(2).startswith(b"\x1f\x8b") else raw
        try:
            return np.frombuffer(_content(path, file, kind, item_shape), np.uint8)
        except (gzip.BadGzipFile, EOFError, zlib.error) as damage:
            raise ValueError(f"{path}: damaged gzip ({damage}), expected an intact archive") from damage


def _content(path: Path, file: io.BufferedIOBase, kind: str, item_shape: tuple[int, ...]) -> bytes:
    magic = int.from_bytes(_exactly(path, file, 4, "magic number"))
    if magic != MAGIC[kind]:
        swapped = "; are images and labels swapped?" if magic in MAGIC.values() else ""
        raise ValueError(f"{path}: magic number 0x{magic:08x}, expected {kind} with 0x{MAGIC[kind]:08x}{swapped}")
    header = _exactly(path, file, 4 * (1 + len(item_shape)), "dimensions")
    count, *shape = np.frombuffer(header, ">u4").tolist()
    if tuple(shape) != item_shape:
        raise ValueError(f"{path}: images of {shape[0]}×{shape[1]} pixels, expected 28×28")
    if not 1 <= count <= MAX_EXAMPLES:
        raise ValueError(f"{path}: header declares {count:,} examples, expected 1 to {MAX_EXAMPLES:,}")
    content = _exactly(path, file, count * math.prod(item_shape), f"{count:,} {kind}")
    if file.read(1):
        raise ValueError(f"{path}: more bytes follow, expected the end after {count:,} {kind}")
    return content


def _exactly(path: Path, file: io.BufferedIOBase, size: int, what: str) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise ValueError(f"{path}: ends after {len(content):,} bytes of {what}, expected {size:,}")
    return content
