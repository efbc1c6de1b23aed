"""IDX files, gzipped or plain, read as untrusted input.

Unpacks at most what the header declares, and refuses headers that declare more than MNIST holds.

Source:
    The format's description in LeCun, Cortes and Burges, The MNIST database of handwritten digits; QMNIST's labels:
    Yadav and Bottou, Cold case: the lost MNIST digits.
"""

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

MAX_EXAMPLES = 70_000
"""Examples in all of MNIST; a header that declares more is refused."""
MAX_BYTES, MAX_MEMBERS = 64 * 2**20, 10_000
"""Limits for a file: more bytes than 70,000 images take, and more gzip members than tools that pack in blocks make."""


class Kind(NamedTuple):
    """What a file may hold."""

    name: str
    magic: int  # a file's first four bytes: 08 for unsigned bytes or 0C for 32-bit integers, then the dimensions
    item_shape: tuple[int, ...]


IMAGES = Kind("images", 0x00000803, (28, 28))
LABELS = Kind("labels", 0x00000801, ())
QMNIST_LABELS = Kind("QMNIST labels", 0x00000C02, (8,))
"""Eight numbers a digit: the digit itself, then who wrote it, and where it was published."""

WHAT_IT_IS = {
    b"\x1f\x8b": "gzipped twice; unpack it once",
    b"PK": "a zip archive; unpack it",
    b"\xfd7zXZ": "an xz archive; unpack it",
    b"BZh": "a bzip2 archive; unpack it",
    b"version https://git-lfs": "a git LFS pointer; get the file itself with git lfs pull",
    b"<": "a web page; download the file itself",
    b"\x93NUMPY": "a NumPy array; write it as IDX",
}
"""What else comes under such a file's name, by its first bytes, and the remedy."""


def read_bytes(path: Path) -> bytes:
    """Read a file's bytes, packed as they are."""
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file, expected an IDX file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: more than {MAX_BYTES:,} bytes, expected at most {MAX_EXAMPLES:,} images")
    try:
        return path.read_bytes()
    except OSError as problem:
        raise OSError(f"{path}: can't be read ({problem.strerror}), expected an IDX file") from problem


def read_images(path: Path, content: bytes | None = None) -> UInt8[np.ndarray, "n 784"]:
    """Read 28×28 images, a row of 784 bytes each, from 0 for paper to 255 for ink; `content` is what the file holds."""
    return np.frombuffer(_items(path, content, IMAGES), np.uint8).reshape(-1, 784)


def read_labels(path: Path, content: bytes | None = None, kind: Kind = LABELS) -> UInt8[np.ndarray, "n"]:
    """Read labels 0 to 9; `content` is what the file holds, if that is known already."""
    items = _items(path, content, kind)
    labels = np.frombuffer(items, ">i4").reshape(-1, 8)[:, 0] if kind == QMNIST_LABELS else np.frombuffer(items, "u1")
    wrong = (labels < 0) | (labels > 9)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise ValueError(f"{path}: label {index} is {labels[index]}, expected 0 to 9; is this EMNIST, with letters?")
    return labels.astype(np.uint8)


def _items(path: Path, content: bytes | None, kind: Kind) -> bytes:
    """Return all items' bytes, unpacked, without the header."""
    content = read_bytes(path) if content is None else content
    file: io.BufferedIOBase = io.BytesIO(content)
    if content.startswith(b"\x1f\x8b"):
        if content.count(b"\x1f\x8b\x08") > MAX_MEMBERS:  # each costs time, even an empty one
            raise ValueError(f"{path}: more than {MAX_MEMBERS:,} gzip members, expected one")
        file = gzip.GzipFile(fileobj=file)
    try:
        return _unpacked(path, file, kind)
    except (gzip.BadGzipFile, EOFError, zlib.error) as damage:
        raise ValueError(f"{path}: damaged gzip ({damage}), expected an intact archive; get it again") from damage


def _unpacked(path: Path, file: io.BufferedIOBase, kind: Kind) -> bytes:
    start = file.read(4)
    if start != kind.magic.to_bytes(4):
        raise ValueError(f"{path}: {_description(start + file.read(60), kind)}")
    header = _exactly(path, file, 4 * (1 + len(kind.item_shape)), "dimensions")
    count, *shape = np.frombuffer(header, ">u4").tolist()
    if tuple(shape) != kind.item_shape:
        found, expected = ("×".join(map(str, sides)) for sides in (shape, kind.item_shape))
        remedy = "pixels, expected 28×28; crop or resize them" if kind == IMAGES else f"numbers, expected {expected}"
        raise ValueError(f"{path}: {kind.name} of {found} {remedy}")
    if not 1 <= count <= MAX_EXAMPLES:
        more = "; is this EMNIST, which has more?" if count else ""
        raise ValueError(f"{path}: header declares {count:,} examples, expected 1 to {MAX_EXAMPLES:,}{more}")
    size = count * math.prod(kind.item_shape) * (4 if kind == QMNIST_LABELS else 1)
    content = _exactly(path, file, size, f"{count:,} {kind.name}")
    if file.read(1):
        raise ValueError(f"{path}: more bytes follow, expected the end after {count:,} {kind.name}")
    return content


def _exactly(path: Path, file: io.BufferedIOBase, size: int, what: str) -> bytes:
    content = file.read(size)
    if len(content) < size:
        found = f"ends after {len(content):,} bytes of {what}, expected {size:,}"
        raise ValueError(f"{path}: {found}; the file is cut off, get it again")
    return content


def _description(start: bytes, kind: Kind) -> str:
    """Say what a file is that begins with other bytes than its kind's magic number."""
    expected = f"expected {kind.name} with 0x{kind.magic:08x}"
    if len(start) < 4:
        return f"is empty, {expected}" if not start else f"ends after {len(start)} bytes of magic number, expected 4"
    for sign, description in WHAT_IT_IS.items():
        if start.lstrip(b"\xef\xbb\xbf \r\n").startswith(sign):
            return f"is {description}; {expected}"
    other = {known.magic: known.name for known in (IMAGES, LABELS, QMNIST_LABELS)}.get(int.from_bytes(start[:4]))
    swapped = f"; these are {other}: are two files swapped, or is it misnamed?" if other else ""
    return f"magic number 0x{start[:4].hex()}, {expected}{swapped}"
