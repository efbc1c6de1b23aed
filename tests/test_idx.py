import bz2
import gzip
import lzma
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from jaxmnist.sources.idx import (
    IMAGES,
    LABELS,
    MAX_BYTES,
    MAX_EXAMPLES,
    MAX_MEMBERS,
    QMNIST_LABELS,
    read_images,
    read_labels,
)


def read_qmnist_labels(path):
    return read_labels(path, kind=QMNIST_LABELS)


READERS = {"images": read_images, "labels": read_labels, "QMNIST labels": read_qmnist_labels}


def images_file(pixels, rows=28, columns=28):
    return struct.pack(">4I", 0x803, len(pixels), rows, columns) + pixels.tobytes()


def labels_file(labels):
    return struct.pack(">2I", 0x801, len(labels)) + labels.tobytes()


def table_file(labels, columns=8):
    """QMNIST's labels: the digit, then seven other numbers, of which some are negative."""
    table = np.random.default_rng(3).integers(-1, 2**31, (len(labels), columns))
    table[:, 0] = labels
    return struct.pack(">3I", 0xC02, len(labels), columns) + table.astype(">i4").tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)


def examples(count, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 784), np.uint8), generator.integers(0, 10, count, np.uint8)


PIXELS, DIGITS = examples(5)
FILES = {"images": images_file(PIXELS), "labels": labels_file(DIGITS), "QMNIST labels": table_file(DIGITS)}
CONTENTS = {"images": PIXELS, "labels": DIGITS, "QMNIST labels": DIGITS}


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def deadline():
    """Interrupts a test after 5 s, more than enough for a small file on a busy machine."""

    def interrupt(*_):
        raise TimeoutError("still waiting after 5 s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(read, path):
    """What the ValueError says after the path."""
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as raised:
        read(path)
    message = str(raised.value).removeprefix(f"{path}: ")
    assert "expected" in message
    return message


# the content tells gzipped and plain files apart, so each comes under the other's name too
@pytest.mark.parametrize("name", ["file-ubyte", "file-ubyte.gz"])
@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_files_are_read_as_written(count, pack, name, write):
    pixels, labels = examples(count, seed=count)
    images_read = read_images(write(pack(images_file(pixels)), f"images-{name}"))
    labels_read = read_labels(write(pack(labels_file(labels)), f"labels-{name}"))
    table_read = read_qmnist_labels(write(pack(table_file(labels)), f"table-{name}"))
    np.testing.assert_array_equal(images_read, pixels, strict=True)
    np.testing.assert_array_equal(labels_read, labels, strict=True)
    np.testing.assert_array_equal(table_read, labels, strict=True)


def test_as_many_examples_as_mnist_holds_are_read(write):
    labels = np.arange(MAX_EXAMPLES).astype(np.uint8) % 10
    np.testing.assert_array_equal(read_labels(write(labels_file(labels))), labels, strict=True)


def test_an_archive_in_several_members_is_one_file(write):
    content = FILES["images"]
    path = write(packed(content[:1_000]) + packed(content[1_000:]))
    np.testing.assert_array_equal(read_images(path), PIXELS, strict=True)


def test_magic_numbers_declare_the_type_and_the_number_of_dimensions():
    assert {kind.name: kind.magic.to_bytes(4) for kind in (IMAGES, LABELS, QMNIST_LABELS)} == {
        "images": bytes([0, 0, 0x08, 3]),
        "labels": bytes([0, 0, 0x08, 1]),
        "QMNIST labels": bytes([0, 0, 0x0C, 2]),
    }


HUGE = 2**32 - 1
REFUSED = {
    "magic": ("images", b"\0\0\x09\x03" + FILES["images"][4:], ["0x00000903", "0x00000803"]),
    "magic of labels": ("labels", b"\0\0\x09\x01" + FILES["labels"][4:], ["0x00000901", "0x00000801"]),
    "labels for images": ("images", FILES["labels"], ["0x00000801", "expected images with 0x00000803", "swapped"]),
    "images for labels": ("labels", FILES["images"], ["0x00000803", "expected labels with 0x00000801", "swapped"]),
    "QMNIST for labels": ("labels", FILES["QMNIST labels"], ["0x00000c02", "these are QMNIST labels", "swapped"]),
    "labels for QMNIST": ("QMNIST labels", FILES["labels"], ["0x00000801", "expected QMNIST labels with 0x00000c02"]),
    "7 columns": ("QMNIST labels", table_file(DIGITS, 7), ["QMNIST labels of 7 numbers, expected 8"]),
    "QMNIST label -1": ("QMNIST labels", table_file(np.array([-1])), ["label 0 is -1", "0 to 9"]),
    "QMNIST label 256": ("QMNIST labels", table_file(np.array([1, 256])), ["label 1 is 256", "0 to 9"]),
    "32x32": ("images", images_file(np.zeros((5, 1024), np.uint8), 32, 32), ["32×32", "28×28; crop or resize them"]),
    "27x28": ("images", images_file(PIXELS[:, : 27 * 28], 27, 28), ["27×28", "28×28"]),
    "28x27": ("images", images_file(PIXELS[:, : 28 * 27], 28, 27), ["28×27", "28×28"]),
    "784x1": ("images", images_file(PIXELS, 784, 1), ["784×1", "28×28"]),
    "no images": ("images", images_file(PIXELS[:0]), ["0 examples", "1 to 70,000"]),
    "no labels": ("labels", labels_file(DIGITS[:0]), ["0 examples", "1 to 70,000"]),
    "one image too many": ("images", struct.pack(">4I", 0x803, 70_001, 28, 28), ["70,001", "1 to 70,000"]),
    "EMNIST's digits": ("images", struct.pack(">4I", 0x803, 240_000, 28, 28), ["240,000", "is this EMNIST"]),
    "EMNIST's letters": ("labels", labels_file(np.array([26], np.uint8)), ["label 0 is 26", "is this EMNIST"]),
    "2^32-1 images": ("images", struct.pack(">4I", 0x803, HUGE, 28, 28), ["4,294,967,295", "1 to 70,000"]),
    "2^32-1 labels": ("labels", struct.pack(">2I", 0x801, HUGE), ["4,294,967,295", "1 to 70,000"]),
    "2^60 bytes": ("images", struct.pack(">4I", 0x803, *[2**20] * 3), ["1048576×1048576", "28×28"]),
    "2^96 bytes": ("images", struct.pack(">4I", 0x803, *[HUGE] * 3), [f"{HUGE}×{HUGE}", "28×28"]),
    "label 10": ("labels", labels_file(np.array([3, 10, 255], np.uint8)), ["label 1 is 10", "0 to 9"]),
    "label 255": ("labels", labels_file(np.array([255], np.uint8)), ["label 0 is 255", "0 to 9"]),
    "more images": ("images", FILES["images"] + b"\0", ["more bytes follow", "5 images"]),
    "more labels": ("labels", FILES["labels"] + bytes(1_000), ["more bytes follow", "5 labels"]),
    "short magic": ("images", FILES["images"][:3], ["3 bytes of magic number", "expected 4"]),
    "short header": ("images", FILES["images"][:15], ["11 bytes of dimensions", "expected 12"]),
    "short images": ("images", FILES["images"][:-1], ["3,919 bytes of 5 images", "expected 3,920"]),
    "short labels": ("labels", FILES["labels"][:-2], ["3 bytes of 5 labels", "expected 5"]),
    "empty": ("images", b"", ["is empty", "0x00000803"]),
    "web page": ("images", b"<!DOCTYPE html>\n<html></html>", ["is a web page; download the file", "0x00000803"]),
    "indented web page": ("labels", b"\xef\xbb\xbf\r\n  <html>", ["is a web page", "0x00000801"]),
    "zip": ("images", b"PK\x03\x04" + bytes(40), ["is a zip archive; unpack it", "0x00000803"]),
    "gzip of gzip": ("images", gzip.compress(gzip.compress(FILES["images"])), ["is gzipped twice; unpack it once"]),
    "xz": ("labels", lzma.compress(FILES["labels"]), ["is an xz archive; unpack it", "0x00000801"]),
    "bzip2": ("labels", bz2.compress(FILES["labels"]), ["is a bzip2 archive; unpack it", "0x00000801"]),
    "git LFS": ("images", b"version https://git-lfs.github.com/spec/v1\noid", ["git LFS pointer", "git lfs pull"]),
    "NumPy": ("labels", b"\x93NUMPY\x01\0v\0{'descr': '|u1'", ["is a NumPy array; write it as IDX"]),
}


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_is_refused_with_the_found_and_the_expected(fault, pack, write):
    kind, content, words = REFUSED[fault]
    message = refusal(READERS[kind], write(pack(content)))
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("kind", FILES)
def test_truncations_are_refused(kind, pack, write):
    whole = pack(FILES[kind])
    for size in [*range(min(len(whole), 40)), *range(40, len(whole), 97), len(whole) - 1]:
        refusal(READERS[kind], write(whole[:size]))


ARCHIVE = packed(FILES["images"])
DAMAGED = {
    "middle": ARCHIVE[:1_000] + bytes(byte ^ 0xFF for byte in ARCHIVE[1_000:1_010]) + ARCHIVE[1_010:],
    "checksum": ARCHIVE[:-8] + bytes([ARCHIVE[-8] ^ 1]) + ARCHIVE[-7:],
    "length": ARCHIVE[:-1] + b"\x01",
    "compression method": ARCHIVE[:2] + b"\x07" + ARCHIVE[3:],
    "trailing bytes": ARCHIVE + b"trailing",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_archive_is_refused(damage, write):
    message = refusal(read_images, write(DAMAGED[damage]))
    # a flip in the middle may still unpack, to another length or to other bytes than the checksum is of
    assert "damaged gzip" in message or (damage == "middle" and re.search("ends after|more bytes", message))


def test_a_second_archive_behind_the_first_is_refused(write):
    assert "more bytes follow" in refusal(read_images, write(ARCHIVE + ARCHIVE))
    assert "more bytes follow" in refusal(read_labels, write(packed(FILES["labels"]) + packed(b"\0")))


def test_a_folder_is_refused(tmp_path, deadline):
    assert "not a regular file" in refusal(read_images, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pipe_without_a_writer_is_refused_at_once(read, tmp_path, deadline):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(read, tmp_path / "pipe")


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_byte_in_an_archive_changes_nothing_or_is_refused(kind, write):
    generator = np.random.default_rng(1)
    archive = packed(FILES[kind])
    refusals = []
    for _ in range(100):
        changed = bytearray(archive)
        changed[generator.integers(len(archive))] ^= generator.integers(1, 256)
        path = write(changed)
        try:
            content = READERS[kind](path)
        except ValueError as problem:
            refusals.append(str(problem))
        else:
            np.testing.assert_array_equal(content, CONTENTS[kind], strict=True)
    assert all(refusal.startswith(f"{path}: ") for refusal in refusals)
    assert len(refusals) > 50  # only 7 bytes of the archive's header, its date and description, may change


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_byte_in_a_plain_file_is_read_as_written_or_refused(kind, write):
    generator = np.random.default_rng(2)
    content = FILES[kind]
    header = {"images": 16, "labels": 8, "QMNIST labels": 12}[kind]
    for turn in range(100):
        # a header is a small part of the images' file, so every other change is in it
        index = generator.integers(header if turn % 2 else len(content))
        changed = bytearray(content)
        changed[index] ^= generator.integers(1, 256)
        written = np.frombuffer(changed[header:], ">i4" if kind == "QMNIST labels" else np.uint8)
        written = written.reshape(len(DIGITS), -1)[:, : 784 if kind == "images" else 1]
        path = write(changed)
        if index < header or (kind != "images" and not ((written >= 0) & (written <= 9)).all()):
            refusal(READERS[kind], path)
        else:
            np.testing.assert_array_equal(READERS[kind](path).reshape(written.shape), written)


def test_a_file_larger_than_all_of_mnist_is_not_read(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert f"more than {MAX_BYTES:,} bytes" in refusal(read_images, tmp_path / "file")


def test_empty_gzip_members_cost_no_time(write):
    start = time.process_time()
    path = write(packed(FILES["labels"]) + packed(b"") * 1_000_000)
    assert f"more than {MAX_MEMBERS:,} gzip members" in refusal(read_labels, path)
    assert time.process_time() - start < 1  # 0.1 s; reading them takes 5 s
    path = write(packed(FILES["labels"]) + packed(b"") * 1_000)
    np.testing.assert_array_equal(read_labels(path), DIGITS, strict=True)


MIB = 2**20
PIXELS_OF_ALL = MAX_EXAMPLES * 784

READ_IN_LITTLE_MEMORY = """
import gzip, resource, sys, time
from pathlib import Path
from jaxmnist.sources.idx import read_images, read_labels

for path, read, allowed in eval(sys.argv[1]):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + allowed, -1))
    start = time.process_time()
    try:
        print(f"read {len(eval(read)(Path(path)))}", end="")
    except (ValueError, MemoryError) as problem:
        print(f"{type(problem).__name__}: {problem}", end="")
    print("", time.process_time() - start, sep=chr(9))
"""


def read_in_little_memory(*tasks):
    """The outcome and the processor seconds of reading files in a process, each with so many bytes of memory more.

    The limit is on address space: the peak that the system counts begins, in a new process, at its parent's.
    """
    tasks = [(str(path), read, allowed) for path, read, allowed in tasks]
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, repr(tasks)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(outcome, float(seconds)) for outcome, seconds in (line.split("\t") for line in lines)]


def bomb(header, zeros):
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(header), *(packer.compress(bytes(MIB)) for _ in range(zeros // MIB)), packer.flush()]
    return b"".join(pieces)


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory through /proc, which Linux has")
def test_gzip_bombs_need_no_more_memory_and_time_than_honest_files(write):
    # An honest file needs its pixels, the piece being unpacked, at most as large, and zlib's copy of that piece;
    # and some memory that Python's and the system's allocators ask for in advance.
    much, little = 3 * PIXELS_OF_ALL + 16 * MIB, 16 * MIB
    images = struct.pack(">4I", 0x803, MAX_EXAMPLES, 28, 28)
    honest = write(gzip.compress(images + bytes(PIXELS_OF_ALL), 1), "honest")
    dangerous = write(bomb(images, 256 * MIB), "bomb")
    absurd = {
        "images of 1048576×1048576 pixels": ("read_images", struct.pack(">4I", 0x803, *[2**20] * 3)),
        "header declares 4,294,967,295 examples": ("read_images", struct.pack(">4I", 0x803, HUGE, 28, 28)),
        "header declares 4,294,967,295 examples, expected": ("read_labels", struct.pack(">2I", 0x801, HUGE)),
        "more bytes follow, expected the end after 70,000 labels": (
            "read_labels",
            struct.pack(">2I", 0x801, MAX_EXAMPLES),
        ),
    }
    absurd_files = [
        write(bomb(header, 32 * MIB), f"absurd{index}") for index, (_, header) in enumerate(absurd.values())
    ]
    outcomes = read_in_little_memory(
        *((path, read, little) for path, (read, _) in zip(absurd_files, absurd.values(), strict=True)),
        (honest, "read_images", much),
        (dangerous, "read_images", much),
        (dangerous, "lambda path: gzip.open(path).read()", much),
    )
    for problem, (outcome, seconds) in zip(absurd, outcomes[:4], strict=True):
        assert outcome.startswith("ValueError: ")
        assert problem in outcome
        assert seconds < 1  # about 10 ms
    (read, _), (refused, seconds), (control, _) = outcomes[4:]
    assert read == "read 70000"
    assert refused == f"ValueError: {dangerous}: more bytes follow, expected the end after 70,000 images"
    assert seconds < 2  # 55 MB unpack in 0.2 s
    assert control.startswith("MemoryError")  # so the limit is felt
