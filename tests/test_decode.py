import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxmnist.handwriting.decode import MOST_STREAM_BYTES, read_file, read_stream

RANDOM = np.random.default_rng(0)
BLOCKS = np.kron(RANDOM.integers(0, 256, (3, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
"""A picture of 24×32 pixels in twelve colours, its blocks as large as JPEG's."""
GREY = np.asarray(Image.fromarray(BLOCKS).convert("L"))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def read(content):
    return read_stream(io.BytesIO(content).read, "it")


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_colours_become_brightness(tmp_path, kind, options):
    path = tmp_path / "picture.any"  # recognised by its content
    path.write_bytes(encoded(Image.fromarray(BLOCKS), kind, **options))
    assert np.array_equal(read_file(path), GREY)
    red, green, blue = np.moveaxis(BLOCKS.astype(int), 2, 0)
    assert np.array_equal(GREY, (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)


def test_jpeg_is_read_in_grey_rgb_and_cmyk():
    grey = Image.fromarray(GREY)
    for image in (grey, Image.fromarray(BLOCKS), grey.convert("RGB").convert("CMYK")):
        grey = read(encoded(image, "JPEG", quality=95, subsampling=0)).astype(int)
        assert np.abs(grey - GREY).max() <= 6  # what JPEG loses


def test_a_photo_is_turned_as_its_exif_data_says():
    turned = Image.fromarray(GREY).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90° clockwise
    for kind in ("JPEG", "PNG", "WEBP"):
        grey = read(encoded(turned, kind, exif=exif, quality=95)).astype(int)
        assert grey.shape == GREY.shape
        assert np.abs(grey - GREY).max() <= 8  # what JPEG and WebP lose


def test_a_phones_photo_with_two_pictures_is_read_as_the_first():
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    grey = read(encoded(first, "MPO", save_all=True, append_images=[second], quality=95)).astype(int)
    assert np.abs(grey - GREY).max() <= 6  # what JPEG loses


def test_16_bits_a_pixel_are_scaled_to_8():
    deep = (GREY.astype(np.uint16) * 257) ^ 1
    assert np.abs(read(encoded(Image.fromarray(deep), "PNG")).astype(int) - GREY).max() <= 1  # rounding
    assert read(encoded(Image.fromarray(np.uint16([[0, 65535]])), "PNG")).tolist() == [[0, 255]]


def test_1_bit_and_palettes_are_read():
    bilevel = Image.fromarray(GREY).convert("1")
    assert np.array_equal(read(encoded(bilevel, "PNG")), np.asarray(bilevel) * 255)
    palette = Image.fromarray(BLOCKS).quantize(12)
    assert np.array_equal(read(encoded(palette, "PNG")), np.asarray(palette.convert("RGB").convert("L")))


def test_a_gif_of_one_frame_is_a_picture():
    palette = Image.fromarray(BLOCKS).quantize(12)
    assert np.array_equal(read(encoded(palette, "GIF")), np.asarray(palette.convert("RGB").convert("L")))
    seen = read(encoded(palette, "GIF", transparency=0))
    assert set(seen[np.asarray(palette) == 0]) == {255}


def test_transparent_parts_are_white_or_black_where_white_shows_too_little():
    ink = np.zeros((20, 20), np.uint8)
    ink[5:15, 8:12] = 255
    for colour, seen in ((40, 255 - (215 * (ink > 0))), (255, ink)):
        solid = np.full((20, 20, 3), colour, np.uint8)
        rgba = Image.fromarray(np.dstack([solid, ink]))
        for image in (rgba, rgba.convert("LA")):
            assert np.array_equal(read(encoded(image, "PNG")), seen)
        palette = Image.new("P", (20, 20))
        palette.putdata((ink.ravel() > 0).tolist())
        palette.putpalette([9, 9, 9, colour, colour, colour])
        assert np.array_equal(read(encoded(palette, "PNG", transparency=0)), seen)
    for pale in ((250, 250, 250), (255, 255, 200)):  # on white paper a contrast below 5 %
        grey = read(encoded(Image.fromarray(np.dstack([np.full((20, 20, 3), pale, np.uint8), ink])), "PNG"))
        assert grey[ink == 0].tolist() == [0] * int((ink == 0).sum())
        assert grey[ink > 0].min() > 240
    shades = Image.fromarray(np.uint8([[[0, 0, 0, opacity] for opacity in (0, 128, 255)]]))
    assert read(encoded(shades, "PNG")).tolist() == [[255, 127, 0]]


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 1000) + b"IDAT"


FRAMES = {"save_all": True, "append_images": [Image.fromarray(255 - BLOCKS)]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture"),
        (b"digit", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"%PDF-1.7 ...", "is a PDF document, expected .* or GIF; export it as JPEG or PNG"),
        (encoded(Image.fromarray(GREY), "TIFF"), "is a TIFF picture, .*; export it as JPEG or PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC photo, .*; export it as JPEG or PNG"),
        (encoded(Image.fromarray(BLOCKS), "AVIF"), "is an AVIF picture, .*; export it as JPEG or PNG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "is an SVG drawing, .*; export it as JPEG or PNG"),
        (b"\n<!DOCTYPE html><html><svg/></html>", "is a web page, .*; name the picture itself"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X        ", "what macOS keeps beside a file, .*; name the picture itself"),
        (encoded(Image.fromarray(BLOCKS), "GIF", **FRAMES), "is an animation"),
        (encoded(Image.fromarray(BLOCKS), "PNG", **FRAMES), "is an animation"),
        (encoded(Image.fromarray(BLOCKS), "WEBP", **FRAMES), "is an animation"),
        (png_header(6400, 6400), "6400×6400 pixels, expected at most 40 million"),
        (png_header(12_000, 12_000), "at most 40 million"),
        (png_header(65_536, 1), "65536×1 pixels, expected .* 65,535 a side; scale it down"),
        (png_header(2, 20_000_000), "2×20000000 pixels, expected .* 65,535 a side; scale it down"),
        (png_header(2**31 - 1, 2**31 - 1), "at most 40 million"),
        (png_header(100, 100), "damaged or incomplete"),
        (png_header(0, 0), "expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_content_is_refused_by_name(content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(content)
    assert str(caught.value).startswith("it: ")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_a_truncated_picture_is_refused(kind):
    content = encoded(Image.fromarray(RANDOM.integers(0, 256, (40, 50, 3)).astype(np.uint8)), kind)
    for share in (0.02, 0.1, 0.5, 0.9):
        with pytest.raises(ValueError, match=r"it: "):
            read(content[: int(share * len(content))])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_a_damaged_picture_is_read_or_is_a_value_error(kind):
    content = encoded(Image.fromarray(BLOCKS), kind)
    for seed in range(100):
        random = np.random.default_rng(seed)
        damaged = bytearray(content)
        for index in random.integers(0, len(content), random.integers(1, 5)):
            damaged[index] = random.integers(0, 256)
        with contextlib.suppress(ValueError):  # any other error fails the test
            grey = read(bytes(damaged))
            assert (grey.dtype, grey.ndim) == (np.uint8, 2)


def test_folders_pipes_and_missing_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "a folder"),
        (tmp_path / "no.png", "no such file"),
        (tmp_path / "pipe", "regular"),
    ):
        with pytest.raises(ValueError, match=message):
            read_file(path)


def test_too_little_memory_is_no_damage(monkeypatch):
    monkeypatch.setattr("jaxmnist.handwriting.decode._grey", lambda _: np.zeros(1 << 48))
    with pytest.raises(MemoryError):
        read(encoded(Image.fromarray(GREY), "PNG"))


def test_an_endless_stream_is_refused():
    with pytest.raises(ValueError, match=f"more than {MOST_STREAM_BYTES // 1_000_000} MB"):
        read_stream(bytes, "it")  # bytes(n) are n zeros, however large n is


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system doesn't report a process's peak memory")
@pytest.mark.parametrize("size", [(8_000, 5_000), pytest.param((65_535, 610), marks=pytest.mark.slow)])
def test_memory_is_bounded(tmp_path, size):
    """The largest pictures, of 40 million colours with transparency, as a child process unpacks and shrinks them."""
    image = Image.new("RGBA", size, (255, 255, 255, 200))
    image.paste((0, 0, 0, 255), (100, 100, 500, 500))
    image.save(tmp_path / "large.png", compress_level=1)
    code = (
        "import contextlib, sys; from pathlib import Path; from jaxmnist.handwriting.decode import read_file\n"
        "from jaxmnist.handwriting.normalise import normalise\n"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before, grey = peak(), read_file(Path(sys.argv[1]))\n"
        "with contextlib.suppress(ValueError): normalise(grey)  # it may be no digit\n"
        "print(*grey.shape, peak() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    height, width, kilobytes = map(int, result.stdout.split())
    assert (width, height) == size
    print(f"memory for {width}×{height} pixels with transparency: {kilobytes // 1000} MB")
    assert 40_000 <= kilobytes <= 500_000  # the grey picture alone is a byte a pixel
