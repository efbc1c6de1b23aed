"""What makes a reading doubtful."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.handwriting.normalise import Normalised


class Limits(NamedTuple):
    """Where doubt begins."""

    # The packaged networks lead by less on 3 % (best) and 6 % (source) of MNIST's test images, half of their errors
    # among them.
    unsure: float = 0.5  # least lead of the largest output over the second
    # source has less on 1 % of MNIST's test images; best, whose ten outputs add up to 1, hardly ever.
    unlike: float = 0.3  # least value of the largest output
    # Only 306 of MNIST's 70,000 images have wider strokes, up to 9.3.
    widest_pen: float = 5.5  # widest strokes, in pixels of 28×28


LIMITS = Limits()


def doubts(
    outputs: Float[np.ndarray, "10"], digit: Normalised, several: bool = False, limits: Limits = LIMITS
) -> list[str]:
    """Why a reading may be wrong, in words; empty if nothing speaks against it.

    Args:
        outputs: the network's ten activations.
        digit: what it read.
        several: whether the picture is meant to have several digits.
        limits: where doubt begins.
    """
    second, first = np.argsort(outputs)[-2:].tolist()
    unlike = outputs[first] < limits.unlike
    unsure = not unlike and outputs[first] - outputs[second] < limits.unsure
    reasons = (
        (unlike, f"unlike any digit, no output reaches {limits.unlike}"),
        (unsure, f"unsure, next is {second} with {outputs[second]:.2f}"),
        (
            digit.pen > limits.widest_pen,
            f"strokes {digit.pen:.1f} of 28 pixels wide, wider than in all but 0.4 % of MNIST's images",
        ),
        (digit.digits > 1 and not several, f"{digit.digits} strokes side by side; split them if they are digits"),
    )
    return [reason for applies, reason in reasons if applies]
