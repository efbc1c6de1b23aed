"""What is said of the optimizers, put to the test by what they did in the race."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.race import Method

SURE = 0.05
"""A sign test's probability up to which a difference is taken to be no accident."""

FEWEST_SEEDS = math.ceil(-math.log2(SURE))
"""With fewer, even if all agree, the sign test is sure of nothing."""


class Claim(NamedTuple):
    """What is said of two methods, as something that can be counted.

    Attributes:
        says: the claim.
        faster: the method that is said to need less.
        slower: the method that it is compared with.
        counts: what they need until the cost has come down.
        factor: how many times less it must be.
    """

    says: str
    faster: Method
    slower: Method
    counts: Literal["examples", "steps"]
    factor: int


CLAIMS = (
    Claim("SGD needs far fewer computations than gradient descent", "sgd", "gd", "examples", 10),
    Claim("momentum needs fewer steps than SGD", "momentum", "sgd", "steps", 1),
    Claim("Nesterov's method gets there sooner than momentum", "nesterov", "momentum", "steps", 1),
)
"""Far fewer is taken as ten times fewer; a computation is the gradient of one example's cost."""


class Finding(NamedTuple):
    """A claim put to the test at one threshold, in seeds paired by their start.

    Attributes:
        ratio: quartiles over the seeds of what the slower method needed / what the faster one did; infinite where only
            the faster one got there; NaN where no seed got there with either.
        wins: seeds whose ratio is above the claim's factor.
        losses: seeds whose ratio is below it.
        chance: the sign test: how probable so many wins are, or more, where both are as likely.
        outcome: yes or no where the sign test is sure; unclear where it is not.
    """

    ratio: Float[np.ndarray, "3"]
    wins: int
    losses: int
    chance: float
    outcome: Literal["yes", "no", "unclear"]


def quartiles(values: Float[np.ndarray, "seeds *rest"]) -> Float[np.ndarray, "3 *rest"]:
    """The values within which a quarter, half and three quarters of the seeds lie; infinite ones count."""
    places = [math.ceil(share * len(values)) - 1 for share in (0.25, 0.5, 0.75)]
    return np.sort(values, axis=0)[places]


def put_to_the_test(faster: Float[np.ndarray, "seeds"], slower: Float[np.ndarray, "seeds"], factor: float) -> Finding:
    """Whether one method needs more than `factor` times what another does.

    Args:
        faster: what the method that is said to be faster needed, for each seed; infinite if it never got there.
        slower: the same of the other, from the same starts.
        factor: from the claim.
    """
    arrived = np.isfinite(faster) | np.isfinite(slower)
    ratio = slower[arrived] / faster[arrived]
    wins, losses = int(np.sum(ratio > factor)), int(np.sum(ratio < factor))
    return Finding(
        ratio=quartiles(ratio) if arrived.any() else np.full(3, np.nan),
        wins=wins,
        losses=losses,
        chance=_sign_test(wins, losses),
        outcome="yes" if _sign_test(wins, losses) <= SURE else "no" if _sign_test(losses, wins) <= SURE else "unclear",
    )


def verdict(findings: Iterable[Finding]) -> str:
    """What the findings at all thresholds say together of a claim; those where no seed got there say nothing.

    Returns:
        supported, where every threshold says yes; supported in part, where some do; not supported, where some say no
        and none says yes; not decided, where none says either.
    """
    outcomes = {finding.outcome for finding in findings if not np.isnan(finding.ratio).all()}
    if outcomes == {"yes"}:
        return "supported"
    if "yes" in outcomes:
        return "supported in part"
    return "not supported" if "no" in outcomes else "not decided"


def _sign_test(wins: int, losses: int) -> float:
    """The probability of at least so many heads in so many throws of a fair coin."""
    throws = wins + losses
    return float(sum(math.comb(throws, heads) for heads in range(wins, throws + 1)) / 2**throws)
