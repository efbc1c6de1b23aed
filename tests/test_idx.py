import gzip
import os
import re
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from jaxmnist.sources.idx import IMAGES, LABELS, MOST_EXAMPLES, read_images, read_labels

READERS = {"images": read_images, "labels": read_labels}


def images_file(pixels, rows=28, columns=28):
    return struct.pack(">4I", 0x803, len(pixels), rows, columns) + pixels.tobytes()


def labels_file(labels):
    return struct.pack(">2I", 0x801, len(labels)) + labels.tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)


def examples(count, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 784), np.uint8), generator.integers(0, 10, count, np.uint8)


PIXELS, DIGITS = examples(5)
FILES = {"images": images_file(PIXELS), "labels": labels_file(DIGITS)}
CONTENTS = {"images": PIXELS, "labels": DIGITS}


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def deadline():
    """Interrupts a test after 5 s, which even a machine under load needs for no small file."""

    def interrupt(*_):
        raise TimeoutError("still waiting after 5 s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(read, path):
    """What the ValueError says, after the path that it begins with."""
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as raised:
        read(path)
    message = str(raised.value).removeprefix(f"{path}: ")
    assert "expected" in message
    return message


# packed and unpacked are told apart by their content, so each comes under the other's name too
@pytest.mark.parametrize("name", ["file-ubyte", "file-ubyte.gz"])
@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 1_000])
def test_what_was_written_is_read(count, pack, name, write):
    pixels, labels = examples(count, seed=count)
    images_read = read_images(write(pack(images_file(pixels)), f"images-{name}"))
    labels_read = read_labels(write(pack(labels_file(labels)), f"labels-{name}"))
    np.testing.assert_array_equal(images_read, pixels, strict=True)
    np.testing.assert_array_equal(labels_read, labels, strict=True)


def test_as_many_examples_as_mnist_holds_are_read(write):
    labels = np.arange(MOST_EXAMPLES).astype(np.uint8) % 10
    np.testing.assert_array_equal(read_labels(write(labels_file(labels))), labels, strict=True)


def test_an_archive_in_several_members_is_one_file(write):
    content = FILES["images"]
    path = write(packed(content[:1_000]) + packed(content[1_000:]))
    np.testing.assert_array_equal(read_images(path), PIXELS, strict=True)


@pytest.mark.parametrize("magic", [IMAGES, LABELS])
def test_magic_numbers_say_unsigned_bytes_and_how_many_dimensions(magic):
    unsigned_byte, dimensions = 0x08, {IMAGES: 3, LABELS: 1}[magic]
    assert magic.to_bytes(4) == bytes([0, 0, unsigned_byte, dimensions])


HUGE = 2**32 - 1
REFUSED = {
    "magic": ("images", b"\0\0\x09\x03" + FILES["images"][4:], ["0x00000903", "0x00000803"]),
    "magic of labels": ("labels", b"\0\0\x09\x01" + FILES["labels"][4:], ["0x00000901", "0x00000801"]),
    "labels for images": ("images", FILES["labels"], ["0x00000801 (labels)", "0x00000803 (images)", "swapped"]),
    "images for labels": ("labels", FILES["images"], ["0x00000803 (images)", "0x00000801 (labels)", "swapped"]),
    "27x28": ("images", images_file(PIXELS[:, : 27 * 28], 27, 28), ["27×28", "28×28"]),
    "28x27": ("images", images_file(PIXELS[:, : 28 * 27], 28, 27), ["28×27", "28×28"]),
    "784x1": ("images", images_file(PIXELS, 784, 1), ["784×1", "28×28"]),
    "no images": ("images", images_file(PIXELS[:0]), ["0 examples", "1 to 70,000"]),
    "no labels": ("labels", labels_file(DIGITS[:0]), ["0 examples", "1 to 70,000"]),
    "one image too many": ("images", struct.pack(">4I", 0x803, 70_001, 28, 28), ["70,001", "1 to 70,000"]),
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
    "empty": ("images", b"", ["0 bytes of magic number", "expected 4"]),
    "web page": ("images", b"<!DOCTYPE html>\n<html><body>Log in</body></html>", ["0x3c21444f", "0x00000803"]),
}


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_is_refused_with_what_was_found_and_expected(fault, pack, write):
    kind, content, words = REFUSED[fault]
    message = refusal(READERS[kind], write(pack(content)))
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("kind", FILES)
def test_every_truncation_is_refused(kind, pack, write):
    whole = pack(FILES[kind])
    for size in range(len(whole)):
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
def test_a_pipe_that_nobody_writes_to_is_refused_at_once(read, tmp_path, deadline):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(read, tmp_path / "pipe")


@pytest.mark.parametrize("kind", FILES)
def test_a_random_change_of_one_byte_of_an_archive_changes_nothing_or_is_refused(kind, write):
    generator = np.random.default_rng(1)
    archive = packed(FILES[kind])
    refusals = []
    for _ in range(300):
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
    assert len(refusals) > 100  # only the 7 bytes of the archive's header that date and describe it may change


@pytest.mark.parametrize("kind", FILES)
def test_a_random_change_of_one_byte_of_a_plain_file_is_read_as_written_or_refused(kind, write):
    generator = np.random.default_rng(2)
    header = len(FILES[kind]) - CONTENTS[kind].size
    # a header is a small part of the images' file, so every other change goes there
    places = [generator.integers(header if turn % 2 else len(FILES[kind])) for turn in range(300)]
    for place in places:
        changed = bytearray(FILES[kind])
        changed[place] ^= generator.integers(1, 256)
        written = np.frombuffer(changed[header:], np.uint8).reshape(CONTENTS[kind].shape)
        path = write(changed)
        if place < header or (kind == "labels" and written.max() > 9):
            refusal(READERS[kind], path)
        else:
            np.testing.assert_array_equal(READERS[kind](path), written, strict=True)


MIB = 2**20
UNPACKED_AT_MOST = MOST_EXAMPLES * 784

READ_IN_LITTLE_MEMORY = """
import gzip, resource, sys, time
from pathlib import Path
from jaxmnist.sources.idx import read_images, read_labels

path, read, allowed = Path(sys.argv[1]), eval(sys.argv[2]), int(sys.argv[3])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + allowed, used + allowed))
start = time.monotonic()
try:
    print(f"read {len(read(path))}")
except (ValueError, MemoryError) as problem:
    print(f"{type(problem).__name__}: {problem}")
print(time.monotonic() - start)
"""


def read_in_little_memory(path, read, allowed):
    """What reading a file comes to, and in how many seconds, in a process that may use so many bytes more.

    The limit is on addresses: the peak that the system counts starts, in a new process, at its parent's.
    """
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, str(path), read, str(allowed)]
    outcome, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return outcome, float(seconds)


def bomb(header, zeros):
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(header), *(packer.compress(bytes(MIB)) for _ in range(zeros // MIB)), packer.flush()]
    return b"".join(pieces)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="measures memory through /proc, which Linux has")


@linux_only
def test_a_gzip_bomb_of_1_gib_needs_no_more_than_an_honest_file(tmp_path, write):
    """An honest file needs its pixels, the piece being unpacked, at most as large, and zlib's copy of that piece."""
    allowed = 3 * UNPACKED_AT_MOST + 16 * MIB  # and what Python's and the system's allocators ask for in advance
    header = struct.pack(">4I", 0x803, MOST_EXAMPLES, 28, 28)
    honest = write(packed(header + bytes(UNPACKED_AT_MOST)), "honest")
    dangerous = write(bomb(header, 1024 * MIB), "bomb")
    assert dangerous.stat().st_size < 1.1e6

    assert read_in_little_memory(honest, "read_images", allowed)[0] == "read 70000"
    outcome, seconds = read_in_little_memory(dangerous, "read_images", allowed)
    assert outcome == f"ValueError: {dangerous}: more bytes follow, expected the end after 70,000 images"
    assert seconds < 2  # 55 MB unpack in 0.2 s, and a machine may be busy
    # that the limit would have been felt
    assert read_in_little_memory(dangerous, "lambda path: gzip.open(path).read()", allowed)[0].startswith("MemoryError")


@linux_only
@pytest.mark.parametrize(
    ("read", "header", "problem"),
    [
        ("read_images", struct.pack(">4I", 0x803, *[2**20] * 3), "images of 1048576×1048576 pixels"),
        ("read_images", struct.pack(">4I", 0x803, HUGE, 28, 28), "header declares 4,294,967,295 examples"),
        ("read_labels", struct.pack(">2I", 0x801, HUGE), "header declares 4,294,967,295 examples"),
        ("read_labels", struct.pack(">2I", 0x801, MOST_EXAMPLES), "more bytes follow"),
    ],
    ids=["rows and columns", "images", "labels", "honest labels"],
)
def test_an_absurd_gzip_bomb_is_refused_by_its_header(read, header, problem, write):
    # 128 MiB would not fit; the header and 70,000 labels do, with what the allocators ask for in advance
    outcome, seconds = read_in_little_memory(write(bomb(header, 128 * MIB)), read, 16 * MIB)
    assert outcome.startswith("ValueError: ")
    assert problem in outcome
    assert seconds < 1  # some 10 ms, and a machine may be busy
