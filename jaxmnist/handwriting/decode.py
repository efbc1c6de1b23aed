"""A picture file to grey bytes. The file is untrusted: memory is bounded, and damage is an error."""

import io
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmnist.handwriting.segment import LEAST_CONTRAST

MOST_PIXELS = 40_000_000  # more than a phone's photo has; takes at most 400 MB while it is unpacked
LONGEST_SIDE = 65_535  # no JPEG or GIF has a longer one; a thin strip would be padded to many times its pixels
TOO_LARGE = f"expected at most {MOST_PIXELS // 1_000_000} million pixels and {LONGEST_SIDE:,} a side; scale it down"
MOST_STREAM_BYTES = 256_000_000  # a stream's size isn't known beforehand; no format needs more for MOST_PIXELS
FORMATS = "PNG, JPEG, BMP, WebP or GIF"

FOREIGN_BYTES = 1_000  # how much of a file's beginning says what it is
EXPORT, CHOOSE = "export it as JPEG or PNG", "name the picture itself"
FOREIGN = {
    rb"....ftyp(hei|hev|mif1|msf1)": ("a HEIC photo", EXPORT),
    rb"....ftypavi[fs]": ("an AVIF picture", EXPORT),
    rb"II\*\x00|MM\x00\*": ("a TIFF picture", EXPORT),
    rb"%PDF": ("a PDF document", EXPORT),
    rb"\s*<(!doctype )?html": ("a web page", CHOOSE),
    rb"[^\x00]*<svg": ("an SVG drawing", EXPORT),
    rb"\x00\x05\x16[\x00\x07]": ("what macOS keeps beside a file", CHOOSE),
}
"""What is often taken for a picture that can be read: how such files begin, what they are, and the remedy."""


def read_file(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Read a picture's brightness, 0 black to 255 white, upright as its EXIF data says.

    Transparent parts are white; or black, if on white there would be too little to see.

    Args:
        path: PNG, JPEG, BMP, WebP or GIF of one frame, recognised by its content, not by its name.

    Raises:
        ValueError: if it isn't such a picture, or has no pixels or too many; names the file.
        MemoryError: if this machine's memory is too small for it.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
        raise ValueError(f"{path}: {problem}, expected a picture ({FORMATS})")
    with path.open("rb") as file:
        return _decode(file, str(path))


def read_stream(read: Callable[[int], bytes], name: str) -> UInt8[np.ndarray, "height width"]:
    """Read a picture by a binary stream's `read`, otherwise as `read_file`; errors call it `name`."""
    content = read(MOST_STREAM_BYTES + 1)
    if len(content) > MOST_STREAM_BYTES:
        raise ValueError(f"{name}: more than {MOST_STREAM_BYTES // 1_000_000} MB, expected one picture")
    return _decode(io.BytesIO(content), name)


def is_of_macos(path: Path) -> bool:
    """Whether a file is what macOS keeps beside another one on foreign disks (AppleDouble), by its name or content."""
    with suppress(OSError):
        if path.is_file() and not path.name.startswith("._"):
            with path.open("rb") as file:
                return file.read(4) == b"\x00\x05\x16\x07"
    return path.name.startswith("._")


def _decode(file: io.BytesIO | io.BufferedReader, name: str) -> UInt8[np.ndarray, "height width"]:
    quiet = warnings.catch_warnings(action="ignore")  # Pillow warns of large and of odd files; the checks below decide
    try:
        with quiet, Image.open(file, formats=["PNG", "JPEG", "BMP", "WEBP", "GIF"]) as image:
            problem = _refusal(image)
            if not problem:
                ImageOps.exif_transpose(image, in_place=True)
                return _grey(image)
    except UnidentifiedImageError as error:
        file.seek(0)
        raise ValueError(f"{name}: {_foreign(file.read(FOREIGN_BYTES))}") from error
    except Image.DecompressionBombError as error:
        problem = f"{str(error).split(' exceeds')[0]}, {TOO_LARGE}"
    except MemoryError:
        raise
    except Exception as error:  # a decoder may raise anything on a damaged file
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name}: damaged or incomplete picture ({reason}), expected a whole one") from error
    raise ValueError(f"{name}: {problem}")


def _refusal(image: Image.Image) -> str:
    """Why the picture is refused, by its header alone; empty if it isn't."""
    width, height = image.size
    if image.format in ("PNG", "WEBP", "GIF") and getattr(image, "is_animated", False):  # a photo in MPO isn't
        return "is an animation, which holds many pictures, expected one; save the one that you mean as PNG"
    if width < 1 or height < 1:
        return f"{width}×{height} pixels, expected at least one"
    too_large = width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE
    return f"{width}×{height} pixels, {TOO_LARGE}" if too_large else ""


def _foreign(beginning: bytes) -> str:
    """What a file is that isn't a picture that can be read, by how it begins."""
    for pattern, (kind, remedy) in FOREIGN.items():
        if re.match(pattern, beginning, re.DOTALL | re.IGNORECASE):
            return f"is {kind}, expected {FORMATS}; {remedy}"
    return f"not a picture, expected {FORMATS}"


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
