"""Step 9 of `jaxmnist.handwriting`, in a file of its own that needs no SciPy: `sources` centres digits too."""

import numpy as np
from jaxtyping import UInt8

SIDE = 28
"""Pixels on a side of MNIST's images."""


def centre(digit: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "784"]:
    """Put a digit of at most 28×28 bytes, 0 paper to 255 ink and not all 0, where MNIST's makers would have."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[: digit.shape[0], : digit.shape[1]] = digit
    total = int(image.sum(dtype=int))
    for axis, side in enumerate(digit.shape):
        moment = int(image.sum(axis=1 - axis, dtype=int) @ np.arange(SIDE))
        image = np.roll(image, min(max((29 * total - 2 * moment) // (2 * total), 0), SIDE - side), axis)
    return image.reshape(-1)
