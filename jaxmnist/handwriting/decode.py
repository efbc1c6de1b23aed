"""A picture file to grey bytes, read as if whoever wrote it meant harm: memory is bounded, damage is an error."""

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmnist.handwriting.segment import LEAST_CONTRAST

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""What is read. GIF is recognised too, and refused."""
MOST_PIXELS = 40_000_000
"""Larger than a phone's photo, and at most 400 MB while it is unpacked."""
MOST_BYTES = 256_000_000
"""Of a stream, which has no size to look at first: more than any format needs for MOST_PIXELS."""
WHITE, BLACK = 255, 0


def read_file(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Read a picture file.

    Args:
        path: PNG, JPEG, BMP or WebP; told apart by its content, not by its name.

    Returns:
        Brightness, 0 black to 255 white, turned upright as its EXIF data says. What is transparent shows white
        paper; or black, where on white there would be too little to see.

    Raises:
        ValueError: for what is not such a picture, or has no or too many pixels; names the file.
        OSError: when the file can't be read.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
        raise ValueError(f"{path}: {problem}, expected a picture (PNG, JPEG, BMP or WebP)")
    with path.open("rb") as file:
        return _read(file, str(path))


def read_stream(stream: BinaryIO, name: str) -> UInt8[np.ndarray, "height width"]:
    """Read a picture from a pipe; `name` stands for it in errors. Otherwise as `read_file`."""
    content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name}: more than {MOST_BYTES // 1_000_000} MB, expected one picture")
    return _read(io.BytesIO(content), name)


def _read(file: BinaryIO, name: str) -> UInt8[np.ndarray, "height width"]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large and of odd files; the checks below decide
            with Image.open(file, formats=[*FORMATS, "GIF"]) as image:
                _check(image, name)
                ImageOps.exif_transpose(image, in_place=True)
                return _grey(image)
    except UnidentifiedImageError as problem:
        raise ValueError(f"{name}: not a picture that can be read, expected PNG, JPEG, BMP or WebP") from problem
    except Image.DecompressionBombError as problem:
        raise ValueError(_too_large(name, str(problem).split(" exceeds")[0])) from problem
    except _RefusedError:
        raise
    except Exception as damage:  # a decoder that stumbles over a damaged file may raise anything
        why = str(damage) or type(damage).__name__
        raise ValueError(f"{name}: damaged or incomplete picture ({why}), expected a whole one") from damage


class _RefusedError(ValueError):
    """A picture that is in order, but not for us."""


def _check(image: Image.Image, name: str) -> None:
    """Refuse, by its header alone, a picture that is no good; nothing is unpacked yet."""
    width, height = image.size
    if image.format == "GIF" or (image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1):
        kind = "a GIF" if image.format == "GIF" else "an animation"
        raise _RefusedError(
            f"{name}: is {kind}, a sequence of frames of which it isn't known which one is meant; save the frame "
            f"that you mean as PNG"
        )
    if width < 1 or height < 1:
        raise _RefusedError(f"{name}: {width}×{height} pixels, expected at least one")
    if width * height > MOST_PIXELS:
        raise _RefusedError(_too_large(name, f"{width}×{height} pixels"))


def _too_large(name: str, found: str) -> str:
    return f"{name}: {found}, expected at most {MOST_PIXELS // 1_000_000} million pixels; scale the picture down"


def _grey(image: Image.Image) -> UInt8[np.ndarray, "height width"]:
    """Brightness by Pillow's formula, (19595 R + 38470 G + 7471 B + 32768) >> 16, on paper where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits
        return (np.asarray(image) // 257).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB").convert("L") if image.mode == "CMYK" else image.convert("L"))
    coloured = image if image.mode == "RGBA" else image.convert("RGBA")
    ink, opacity = coloured.convert("L"), coloured.getchannel("A")
    for paper in (WHITE, BLACK):
        page = Image.new("L", image.size, paper)
        page.paste(ink, mask=opacity)
        seen = np.asarray(page)
        if np.ptp(seen) >= LEAST_CONTRAST * WHITE:
            break
    return seen
