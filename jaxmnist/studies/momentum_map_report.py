"""The tests of the map of momentum, as notebooks/momentum_map.md wrote them down, and what follows from them."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.claims import quartiles, sign_test
from jaxmnist.studies.momentum_map import Method, Result, methods

ALPHA = 0.05
"""Significance level of each family of tests, after Holm's correction."""
MARGIN = 1.1
"""Up to this ratio of their steps two settings count as equally fast."""


class Comparison(NamedTuple):
    """Two methods at one batch size, tested over seeds paired by their start."""

    batch_size: int
    method: Method
    momentum: float  # μ
    other: Method  # what it is compared with: SGD, or momentum with the same μ
    length: float  # η/(1−μ) of the method
    other_length: float
    ratio: Float[np.ndarray, "3"]  # quartiles over seeds of the other's steps / the method's
    p_value: float  # Holm-corrected
    verdict: str  # fewer, more, undecided; or on the line, not shown to be on it


def best_lengths(result: Result) -> list[list[int]]:
    """Each batch size's and method's best length, an index: the least median of steps over the tuning seeds."""
    medians = np.median(result.steps[..., : result.map.tuning_seeds, 0], axis=-1)
    best: list[list[int]] = medians.argmin(axis=-1).tolist()
    return best


def compare(result: Result) -> list[Comparison]:
    """Compare each method at its own best length with SGD, and Nesterov's method with momentum."""
    plan, best, rows = result.map, best_lengths(result), methods(result.map)
    found = []
    for batch, (row, (method, momentum)) in product(range(len(plan.epochs)), enumerate(rows)):
        others = [0] if row else []
        if method == "nesterov":
            others.append(rows.index(("momentum", momentum)))
        for other in others:
            pair = ((batch, row, best[batch][row]), (batch, other, best[batch][other]))
            ours, theirs = (tested(result, *place) for place in pair)
            finding, opposite = sign_test(ours, theirs, 1), sign_test(theirs, ours, 1)
            p_value = min(1.0, 2 * min(finding.p_value, opposite.p_value))
            verdict = "fewer" if finding.wins > finding.losses else "more"
            found.append(_comparison(result, *pair, p_value, verdict))
    return corrected(found, "undecided")


def on_the_line(result: Result) -> list[Comparison]:
    """Compare each method with SGD of the same length, half of SGD's best: are they equally fast, within `MARGIN`?"""
    plan, best = result.map, best_lengths(result)
    found = []
    for batch, row in product(range(len(plan.epochs)), range(1, len(methods(plan)))):
        half = int(np.abs(np.array(plan.lengths) - plan.lengths[best[batch][0]] / 2).argmin())
        pair = (batch, row, half), (batch, 0, half)
        ours, theirs = (tested(result, *place) for place in pair)
        tests = sign_test(ours / MARGIN, theirs, 1), sign_test(theirs / MARGIN, ours, 1)
        found.append(_comparison(result, *pair, max(test.p_value for test in tests), "on the line"))
    return corrected(found, "not shown")


def tested(result: Result, batch: int, row: int, length: int) -> Float[np.ndarray, "seeds"]:
    """The steps of a setting, by its indices, to the first threshold, from the seeds that have chosen nothing."""
    return result.steps[batch, row, length, result.map.tuning_seeds :, 0]


def corrected(family: list[Comparison], otherwise: str) -> list[Comparison]:
    """Correct the p-values of a family of tests by Holm's method; a verdict that isn't significant becomes another."""
    p_values = np.array([one.p_value for one in family])
    order = p_values.argsort()
    stepped = np.maximum.accumulate(np.arange(len(family), 0, -1) * p_values[order])
    p_values[order] = np.minimum(1, stepped)
    return [
        one._replace(p_value=p_value, verdict=one.verdict if p_value <= ALPHA else otherwise)
        for one, p_value in zip(family, p_values.tolist(), strict=True)
    ]


def report(result: Result) -> str:
    """The comparisons as a table, and what they say about the four hypotheses."""
    lines = ["batch  method      μ     L        median steps  against    ratio (quartiles)    p        verdict"]
    rows, best, batches = methods(result.map), best_lengths(result), list(result.map.epochs)
    for one in [*compare(result), *on_the_line(result)]:
        batch, row = batches.index(one.batch_size), rows.index((one.method, one.momentum))
        length = result.map.lengths.index(one.length)
        edge = "*" if length == best[batch][row] and length in (0, len(result.map.lengths) - 1) else " "
        low, middle, high = (f"{value:.2f}" for value in one.ratio)
        lines.append(
            f"{one.batch_size:>5}  {one.method:<9}{one.momentum:>5g} {one.length:>6.3g}{edge} "
            f"{quartiles(tested(result, batch, row, length))[1]:>14.0f}  {one.other:<9}{middle:>6} ({low}–{high})"
            f"{one.p_value:>12.2g}  {one.verdict}"
        )
    return "\n".join([*lines, "* the best L is at an end of its range", "", *conclusions(result)])


def ratios(result: Result) -> str:
    """The medians of the comparisons at each one's own best length, a line for each batch size and μ."""
    found = {(one.batch_size, one.momentum, one.other, one.method): one.ratio[1] for one in compare(result)}
    pairs: list[tuple[Method, Method]] = [("sgd", "momentum"), ("sgd", "nesterov"), ("momentum", "nesterov")]
    lines = ["batch     μ  " + "  ".join(f"{other} / {method}" for other, method in pairs)]
    for batch, momentum in product(result.map.epochs, result.map.momenta):
        shown = (f"{found[batch, momentum, *pair]:>{len(' / '.join(pair))}.2f}" for pair in pairs)
        lines.append(f"{batch:>5} {momentum:>5g}  {'  '.join(shown)}")
    return "\n".join(lines)


def conclusions(result: Result) -> Iterator[str]:
    """Say of each hypothesis whether it is refuted; small batches are those of at most 32 examples."""
    found, pairs = compare(result), result.map.seeds - result.map.tuning_seeds
    if len(found) * 2 / 2**pairs > ALPHA:
        yield f"{pairs} seeds decide nothing in {len(found)} tests, even if all agree."
        return
    against_sgd = [one for one in found if one.other == "sgd"]
    nesterov = [one for one in found if one.other == "momentum"]
    faster = [one for one in against_sgd if one.verdict == "fewer"]
    small = [one for one in faster if one.batch_size <= 32 and one.ratio[1] >= MARGIN]
    large = [one for one in faster if one.batch_size == max(result.map.epochs)]
    slower = [one for one in nesterov if one.verdict == "more"]
    line = [one for one in on_the_line(result) if one.batch_size <= 32 and one.momentum <= 0.95]
    off = [one for one in line if one.ratio[1] < 1 / MARGIN or one.ratio[1] > MARGIN]
    unsure = not off and any(one.verdict != "on the line" for one in line)
    for name, says, refuted, why in (
        ("H1", "at small batches momentum gains nothing", bool(small), small),
        ("H2", "at the largest batch some momentum needs fewer steps", not large, large),
        ("H3", "Nesterov never needs more steps than momentum", bool(slower), slower),
        ("H4", "below the best length, momentum is SGD at η/(1−μ)", bool(off), off),
    ):
        cells = ", ".join(f"{one.method} μ {one.momentum:g} batch {one.batch_size}" for one in why)
        answer = "REFUTED" if refuted else "undecided" if name == "H4" and unsure else "not refuted"
        yield f"{name} {answer}: {says}{f' ({cells})' if cells else ''}."


def _comparison(
    result: Result, place: tuple[int, int, int], other: tuple[int, int, int], p_value: float, verdict: str
) -> Comparison:
    """Describe the comparison of two settings, by their indices."""
    plan, rows = result.map, methods(result.map)
    ratio = sign_test(tested(result, *place), tested(result, *other), 1).ratio
    (batch, row, length), (_, other_row, other_length) = place, other
    return Comparison(
        list(plan.epochs)[batch],
        *rows[row],
        rows[other_row][0],
        plan.lengths[length],
        plan.lengths[other_length],
        ratio,
        p_value,
        verdict,
    )
