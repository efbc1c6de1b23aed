"""Drawings made of characters, for reports on a terminal without colours."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import Float


def shaded(image: Float[np.ndarray, "784"]) -> list[str]:
    """A 28×28 image as 14 lines of 28 characters, each of two pixels; the larger their mean, the fuller."""
    rows = image.reshape(14, 2, 28).mean(axis=1)
    return [shade(row, float(rows.max())) for row in rows]


def shade(values: Float[np.ndarray, "n"], largest: float) -> str:
    """One character for each number from 0 to `largest`."""
    return "".join(" ░▒▓█"[int(np.ceil(4 * value / (largest or 1)))] for value in values)


def bar(share: float, width: int) -> str:
    """A bar that fills this share of the width, to an eighth of a character."""
    eighths = round(8 * width * share)
    return "█" * (eighths // 8) + "▏▎▍▌▋▊▉"[eighths % 8 - 1 : eighths % 8]


def beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Two columns of lines; the left one is 28 characters wide."""
    return [f"{first:<28}   {second}".rstrip() for first, second in zip_longest(left, right, fillvalue="")]
