"""What is claimed of the optimizers, tested by what they needed in the race."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.methods import Method

ALPHA = 0.05
"""Significance level of the sign test."""

MIN_SEEDS = math.ceil(-math.log2(ALPHA))
"""With fewer seeds the sign test decides nothing, even if all agree."""


class Claim(NamedTuple):
    """A claim about two methods, in a form that can be counted."""

    says: str  # the claim
    faster: Method  # the method that is said to need less
    slower: Method  # the method that it is compared with
    counts: Literal["examples", "steps"]  # what they need until the cost has come down
    factor: int  # how many times less it must be


CLAIMS = (
    Claim("SGD needs far fewer computations than gradient descent", "sgd", "gd", "examples", 10),
    Claim("momentum needs fewer steps than SGD", "momentum", "sgd", "steps", 1),
    Claim("Nesterov's method gets there sooner than momentum", "nesterov", "momentum", "steps", 1),
)
"""Far fewer is taken as ten times fewer; a computation is the gradient of one example's cost."""


class Finding(NamedTuple):
    """A claim tested at one threshold, over seeds paired by their start."""

    ratio: Float[np.ndarray, "3"]  # quartiles of slower / faster; ∞ if only the faster arrived, NaN if neither
    wins: int  # seeds whose ratio is above the claim's factor
    losses: int  # seeds whose ratio is below it
    p_value: float  # the sign test's probability of so many wins, or more, if both methods were equally fast
    outcome: Literal["yes", "no", "unclear"]  # yes or no where the sign test is significant; unclear where it is not


def quartiles(values: Float[np.ndarray, "seeds *rest"]) -> Float[np.ndarray, "3 *rest"]:
    """The values that a quarter, half and three quarters of the seeds don't exceed; infinite values count."""
    indices = [math.ceil(share * len(values)) - 1 for share in (0.25, 0.5, 0.75)]
    return np.sort(values, axis=0)[indices]


def sign_test(faster: Float[np.ndarray, "seeds"], slower: Float[np.ndarray, "seeds"], factor: int) -> Finding:
    """Test a claim by what both methods needed from the same starts; infinite if one never got there."""
    arrived = np.isfinite(faster) | np.isfinite(slower)
    ratio = slower[arrived] / faster[arrived]
    wins, losses = int(np.sum(ratio > factor)), int(np.sum(ratio < factor))
    p_value, opposite = _binomial_tail(wins, losses), _binomial_tail(losses, wins)
    return Finding(
        ratio=quartiles(ratio) if arrived.any() else np.full(3, np.nan),
        wins=wins,
        losses=losses,
        p_value=p_value,
        outcome="yes" if p_value <= ALPHA else "no" if opposite <= ALPHA else "unclear",
    )


def verdict(findings: Iterable[Finding]) -> str:
    """Sum up a claim's findings at all thresholds, leaving out those that no seed reached.

    It is supported where all say yes, in part where some do, not where some say no and none yes; else not decided.
    """
    outcomes = {finding.outcome for finding in findings if not np.isnan(finding.ratio).all()}
    if outcomes == {"yes"}:
        return "supported"
    if "yes" in outcomes:
        return "supported in part"
    return "not supported" if "no" in outcomes else "not decided"


def _binomial_tail(wins: int, losses: int) -> float:
    """The probability of at least so many heads in so many throws of a fair coin."""
    throws = wins + losses
    return float(sum(math.comb(throws, heads) for heads in range(wins, throws + 1)) / 2**throws)
