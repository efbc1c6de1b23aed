"""Drawing with characters, for a terminal without colours."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import Float

SHADES = " ░▒▓█"


def shaded(picture: Float[np.ndarray, "784"]) -> list[str]:
    """A 28×28 picture as 14 lines of 28 characters, the fuller the larger the number; two rows make one line."""
    rows = picture.reshape(14, 2, 28).mean(axis=1)
    return [shade(row, rows.max()) for row in rows]


def shade(values: Float[np.ndarray, "n"], most: float) -> str:
    """A character for each number from 0 to the most."""
    return "".join(SHADES[int(np.ceil(value / (most or 1) * (len(SHADES) - 1)))] for value in values)


def bar(share: float, width: int) -> str:
    """A bar that fills this share of the width, to an eighth of a character."""
    eighths = round(8 * width * share)
    return "█" * (eighths // 8) + "▏▎▍▌▋▊▉"[eighths % 8 - 1 : eighths % 8]


def beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Two columns, the left one 28 wide."""
    return [f"{one:<28}   {other}".rstrip() for one, other in zip_longest(left, right, fillvalue="")]
