"""Files mutated at random: each must be refused clearly, or read as another reader reads it.

`python tests/fuzz.py KIND FIRST COUNT` tries COUNT seeds from FIRST on, under a limit on memory, and names the first
seed that fails; with COUNT 1 it reproduces that one.
"""

import hashlib
import io
import json
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from functools import cache
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageOps
from small_data import small_splits

from jaxmnist.config import Config, config_from
from jaxmnist.handwriting.decode import read_stream
from jaxmnist.handwriting.normalise import normalise
from jaxmnist.network import init
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.runs.files import previous
from jaxmnist.runs.loop import CHECKPOINT, resume
from jaxmnist.runs.results import Run
from jaxmnist.sources.idx import read_images, read_labels

MORE_MEMORY, MOST_SECONDS = 1 << 30, 20  # beyond what the imports take; for one file
STOPPED = Path(__file__).parent / "data" / "stopped-by-0.1"
EXTREMES = [b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\x7f"]
VALUES = [None, True, -1, 0, 1, 0.5, 1e999, 2**31, 10**30, "x", "", [], {}, [784, 10], [[]], float("nan")]
WORDS = [*map(json.dumps, VALUES), "BF16", "F8_E4M3", "F4", "F64", "I32", "1e400", "", "[" * 3_000, '{"a":' * 500]


class Refused(Exception):  # noqa: N818, not an error here
    pass


def tried(read, *given):
    """What a reader of ours returns; `Refused` if it refuses with a ValueError, and any other error as it is."""
    try:
        return read(*given)
    except ValueError as problem:
        reason = str(problem)
    assert 0 < len(reason) < 2_000
    raise Refused(reason)


def mutated(chance, content):
    """One to four bytes, or a piece, changed, doubled, taken out or put elsewhere; or the end cut off."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        first = chance.randrange(len(data) + 1)
        last = min(len(data), first + chance.choice([1, 1, 2, 4, 30]))
        how = chance.randrange(8)
        if how < 3:
            data[first:last] = chance.randbytes(last - first)
        elif how < 5:
            extreme = chance.choice(EXTREMES)
            data[first : first + len(extreme)] = extreme
        elif how == 5:
            del data[first:last]
        elif how == 6:
            data[first:first] = data[first:last]
        else:
            del data[chance.randrange(len(data) + 1) :]
    return bytes(data)


def idx(chance, folder):
    """Whether a mutated file of images or labels is read."""
    count, read = chance.randint(1, 9), chance.choice([read_images, read_labels])
    shape = (count, 28, 28) if read is read_images else (count,)
    content = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
    content += bytes(chance.randrange(10) for _ in range(np.prod(shape)))
    content = mutated(chance, content) if chance.random() < 0.3 else content
    pack = chance.choice([bytes, zipped, lambda content: zipped(content[:20]) + zipped(content[20:])])
    content = mutated(chance, pack(content)) if chance.random() < 0.8 else pack(content)
    (folder / "file").write_bytes(content)
    values = tried(read, folder / "file")
    while content[:2] == b"\x1f\x8b":
        content = unzipped(content)
    shape = (len(values), *shape[1:])
    assert content == struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape) + values.tobytes()
    return True


def zipped(content):
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(content) + packer.flush()


def unzipped(content):
    """All members of a gzip file; only zeros may follow each."""
    plain = b""
    while content:
        member = zlib.decompressobj(31)
        plain += member.decompress(content)
        assert member.eof
        content = member.unused_data.lstrip(b"\0")
    return plain


@cache
def network_file():
    with tempfile.TemporaryDirectory() as folder:
        config = Config(sizes=(784, 2, 10), batch_size="full", epochs=7)
        save_network(f"{folder}/w", init(jax.random.key(0), config.sizes), config, {"seed": 3, "dataset": "mnist"})
        return Path(folder, "w").read_bytes()


@cache
def stopped_run():
    metadata, splits = json.loads((STOPPED / "config.json").read_bytes()), small_splits()
    config = config_from(metadata["config"]).resolved(len(splits.train.labels))
    return Run(STOPPED, metadata, splits, config, jax.devices("cpu")[0])


def network(chance, folder):
    """Whether a mutated network is read, with the numbers that its bytes say."""
    content = lying(chance, network_file())
    (folder / "w").write_bytes(content)
    params, config, _about = tried(load_network, folder / "w")
    assert content == network_file() or digests_are_right(content)
    for index, layer in enumerate(params):
        assert layer.weights.shape == config.sizes[index : index + 2][::-1]
        for name in layer._fields:
            assert np.array_equal(getattr(layer, name), array(content, f"params.{index}.{name}"))
    return True


def checkpoint(chance, folder):
    """Whether a run goes on from a mutated checkpoint; else from the one before it."""
    good = (STOPPED / CHECKPOINT).read_bytes()
    latest, content = folder / CHECKPOINT, lying(chance, good)
    latest.write_bytes(content)
    previous(latest).write_bytes(good)
    progress, warning = resume(stopped_run()._replace(folder=folder))
    read = good if warning else content
    assert warning == "" or f"{latest}: " in warning
    assert content == good or warning or digests_are_right(content)
    assert progress.history[-1].test.cost == array(read, "history.test.cost")[-1]
    assert np.array_equal(progress.state.params[0].weights, array(read, "state.params.0.weights"))
    return not warning


def lying(chance, content):
    """A safetensors file, mutated; most with right digests, as only somebody who means to would write it."""
    if chance.random() < 0.2:
        return mutated(chance, content)
    end = 8 + int.from_bytes(content[:8], "little")
    text, body = content[8:end].decode(), content[end:]
    if chance.random() < 0.5:
        words = re.findall(r"\w+|\W", text)
        for _ in range(chance.choice([1, 1, 2])):
            words[chance.randrange(len(words))] = chance.choice([*WORDS, chance.choice(words)])
        text = "".join(words)
    else:
        header = json.loads(text)
        entry = json.loads(header["__metadata__"]["jaxmnist"])
        where = chance.choice([entry, entry["about"], entry["about"], entry["about"]["config"], *header.values()])
        where[chance.choice(list(where))] = chance.choice(VALUES)
        if isinstance(header["__metadata__"], dict):
            header["__metadata__"]["jaxmnist"] = json.dumps(entry)
        text = json.dumps(header)
    if chance.random() < 0.1:
        position = 4 * chance.randrange(len(body) // 4)
        number = struct.pack("<f", chance.choice([np.nan, np.inf, 3e38, 0.5]))
        old = array_with(content, position)
        body = body[:position] + number + body[position + 4 :]
        text = text.replace(old, array_with(content[:end] + body, position))
    head = len(text.encode()).to_bytes(8, "little") + text.encode()
    found = re.search(rb'header\\": \\"([0-9a-f]{64})', head)
    if found:
        head = head.replace(found[1], hashlib.sha256(head.replace(found[1], b"0" * 64)).hexdigest().encode())
    return head + body


def arrays(content):
    """Each array of a safetensors file: its name, its shape and its bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8:end]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            yield name, entry["shape"], (first, last), content[end:][first:last]


def array(content, wanted):
    ((shape, data),) = ((shape, data) for name, shape, _, data in arrays(content) if name == wanted)
    return np.frombuffer(data, "<f4").reshape(shape)


def array_with(content, position):
    """The digest of the array that has this byte of the body."""
    return next(hashlib.sha256(data).hexdigest() for _, _, (a, b), data in arrays(content) if a <= position < b)


def digests_are_right(content):
    end = 8 + int.from_bytes(content[:8], "little")
    digests = json.loads(json.loads(content[8:end])["__metadata__"]["jaxmnist"])["sha256"]
    header = content[:end].replace(digests.pop("header").encode(), b"0" * 64)
    own = {name: hashlib.sha256(data).hexdigest() for name, _, _, data in arrays(content)}
    return digests == own and hashlib.sha256(header).hexdigest().encode() in content[:end]


@cache
def picture_files():
    """Small pictures of a stroke, in every format and mode."""
    ink = np.full((40, 30), 230, np.uint8)
    ink[8:32, 12:17] = 20
    grey, files = Image.fromarray(ink), []
    exif = Image.Exif()
    exif[0x0112] = 6
    colour, frames = grey.convert("RGB"), {"save_all": True, "append_images": [grey.transpose(0)]}
    opaque = colour.convert("RGBA")
    opaque.putalpha(grey)
    for image, kind, options in (
        (grey, "PNG", {}), (grey.convert("1"), "PNG", {}), (colour, "PNG", {"exif": exif}), (opaque, "PNG", {}),
        (grey.convert("LA"), "PNG", {}), (Image.fromarray(ink.astype(np.uint16) * 257), "PNG", {}),
        (colour.quantize(8), "PNG", {"transparency": 0}), (grey, "PNG", frames), (grey, "JPEG", {}),
        (colour, "JPEG", {"exif": exif, "progressive": True}), (colour.convert("CMYK"), "JPEG", {}), (grey, "BMP", {}),
        (colour, "BMP", {}), (grey.convert("1"), "BMP", {}), (colour, "WEBP", {"exif": exif}),
        (opaque, "WEBP", {"lossless": True}), (colour, "WEBP", frames), (grey, "GIF", {}),
        (colour.quantize(8), "GIF", {"transparency": 0}), (grey, "GIF", frames),
    ):  # fmt: skip
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def picture(chance, _folder):
    """Whether a mutated picture is read, as Pillow reads it, and made ready for a network."""
    content = mutated(chance, chance.choice(picture_files()))
    content = with_right_sums(content) if content.startswith(b"\x89PNG") and chance.random() < 0.8 else content
    grey = tried(read_stream, io.BytesIO(content).read, "it")
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
        ImageOps.exif_transpose(image, in_place=True)
        assert grey.shape == image.size[::-1]
        if image.mode in ("1", "L", "RGB"):
            assert image.has_transparency_data or np.array_equal(grey, np.asarray(image.convert("L")))
    image = tried(normalise, grey).image
    assert (image.shape, image.dtype, image.max()) == ((784,), np.uint8, 255)
    return True


def with_right_sums(png):
    """A PNG whose chunks have the checksums that belong to them."""
    data, start = bytearray(png), 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4])
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4)
        start = end + 4
    return bytes(data)


KINDS = {"idx": idx, "network": network, "checkpoint": checkpoint, "picture": picture}


def attempt(kind, seeds, folder):
    """Try these seeds; count what was read and what was refused. Anything else fails, with its seed."""
    outcomes = Counter()
    for seed in seeds:
        try:
            outcomes["read" if KINDS[kind](random.Random(f"{kind} {seed}"), folder) else "refused"] += 1
        except Refused:
            outcomes["refused"] += 1
        except BaseException as problem:
            raise AssertionError(f"python tests/fuzz.py {kind} {seed} 1: {problem!r:.2000}") from problem
    return outcomes


def main(kind, first, count):
    def interrupt(*_):
        raise TimeoutError(f"more than {MOST_SECONDS} s")

    with tempfile.TemporaryDirectory() as folder:
        attempt(kind, range(int(first), int(first) + 1), Path(folder))  # what is made once is made
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
        most = pages * resource.getpagesize() + MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.signal(signal.SIGALRM, interrupt)
        outcomes = Counter()
        for seed in range(int(first), int(first) + int(count)):
            signal.alarm(MOST_SECONDS)
            outcomes += attempt(kind, [seed], Path(folder))
    print(f"{kind}: {dict(outcomes)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
