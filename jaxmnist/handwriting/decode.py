"""A picture file to grey bytes. The file is untrusted: memory is bounded, and damage is an error."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmnist.handwriting.segment import LEAST_CONTRAST

MOST_PIXELS = 40_000_000  # more than a phone's photo has; takes at most 400 MB while it is unpacked
TOO_LARGE = f"expected at most {MOST_PIXELS // 1_000_000} million pixels; scale the picture down"
MOST_STREAM_BYTES = 256_000_000  # a stream's size isn't known beforehand; no format needs more for MOST_PIXELS


def read_file(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Read a picture's brightness, 0 black to 255 white, upright as its EXIF data says.

    Transparent parts are white; or black, if on white there would be too little to see.

    Args:
        path: PNG, JPEG, BMP or WebP, recognised by its content, not by its name.

    Raises:
        ValueError: if it isn't such a picture, or has no pixels or too many; names the file.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
        raise ValueError(f"{path}: {problem}, expected a picture (PNG, JPEG, BMP or WebP)")
    with path.open("rb") as file:
        return _decode(file, str(path))


def read_stream(read: Callable[[int], bytes], name: str) -> UInt8[np.ndarray, "height width"]:
    """Read a picture by a binary stream's `read`, otherwise as `read_file`; errors call it `name`."""
    content = read(MOST_STREAM_BYTES + 1)
    if len(content) > MOST_STREAM_BYTES:
        raise ValueError(f"{name}: more than {MOST_STREAM_BYTES // 1_000_000} MB, expected one picture")
    return _decode(io.BytesIO(content), name)


def _decode(file: io.BytesIO | io.BufferedReader, name: str) -> UInt8[np.ndarray, "height width"]:
    quiet = warnings.catch_warnings(action="ignore")  # Pillow warns of large and of odd files; the checks below decide
    try:
        with quiet, Image.open(file, formats=["PNG", "JPEG", "BMP", "WEBP", "GIF"]) as image:
            problem = _refusal(image)
            if not problem:
                ImageOps.exif_transpose(image, in_place=True)
                return _grey(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: not a picture, expected PNG, JPEG, BMP or WebP") from error
    except Image.DecompressionBombError as error:
        problem = f"{str(error).split(' exceeds')[0]}, {TOO_LARGE}"
    except Exception as error:  # a decoder may raise anything on a damaged file
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name}: damaged or incomplete picture ({reason}), expected a whole one") from error
    raise ValueError(f"{name}: {problem}")


def _refusal(image: Image.Image) -> str:
    """Why the picture is refused, by its header alone; empty if it isn't."""
    width, height = image.size
    if image.format == "GIF" or (image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1):
        kind = "a GIF" if image.format == "GIF" else "an animation"
        return f"is {kind}, which may hold many pictures, expected one; save the one that you mean as PNG"
    if width < 1 or height < 1:
        return f"{width}×{height} pixels, expected at least one"
    return f"{width}×{height} pixels, {TOO_LARGE}" if width * height > MOST_PIXELS else ""


def _grey(image: Image.Image) -> UInt8[np.ndarray, "height width"]:
    """Brightness by Pillow's formula, (19595 R + 38470 G + 7471 B + 32768) >> 16, on paper where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits
        return (np.asarray(image) // 257).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB").convert("L") if image.mode == "CMYK" else image.convert("L"))
    coloured = image if image.mode == "RGBA" else image.convert("RGBA")
    for paper in (255, 0):  # white, then black
        sheet = Image.new("L", image.size, paper)
        sheet.paste(coloured.convert("L"), mask=coloured.getchannel("A"))
        seen = np.asarray(sheet)
        if np.ptp(seen) >= LEAST_CONTRAST * 255:
            break
    return seen
