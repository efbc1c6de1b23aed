"""What makes a reading doubtful."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.handwriting.normalise import Normalised


class Limits(NamedTuple):
    """Where doubt begins."""

    # Least lead of the largest output over the second: best's is smaller on 3 % of MNIST's test images, source's on
    # 6 %, half of their errors among them.
    unsure: float = 0.5
    # Least value of the largest output: source has less on 1 % of those images; best, whose ten outputs add up to 1,
    # hardly ever.
    unlike: float = 0.3
    # Widest strokes, in pixels of 28×28: only 306 of MNIST's 70,000 images have wider ones, up to 9.3.
    widest_pen: float = 5.5


LIMITS = Limits()


def doubts(outputs: Float[np.ndarray, "10"], digit: Normalised, several: bool = False) -> list[str]:
    """Why a network's reading of a digit may be wrong, in words; `several` if its picture is meant to have more."""
    second, first = np.argsort(outputs)[-2:].tolist()
    reasons = []
    if outputs[first] < LIMITS.unlike:
        reasons.append(f"unlike any digit, no output reaches {LIMITS.unlike}")
    elif outputs[first] - outputs[second] < LIMITS.unsure:
        reasons.append(f"unsure, next is {second} with {outputs[second]:.2f}")
    if digit.pen > LIMITS.widest_pen:
        reasons.append(f"strokes {digit.pen:.1f} of 28 pixels wide, wider than in all but 0.4 % of MNIST's images")
    if digit.digits > 1 and not several:
        reasons.append(f"{digit.digits} strokes side by side; split them if they are digits")
    if digit.touches:
        reasons.append("touches something printed, such as a box or a line, that was cut off")
    if digit.barred:
        reasons.append("a line above or below the digit may be no part of it")
    return reasons
