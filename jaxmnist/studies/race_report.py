"""What a race shows: its tables, and the claims tested by it."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.claims import CLAIMS, MIN_SEEDS, Claim, Finding, quartiles, sign_test, verdict
from jaxmnist.studies.methods import METHODS, Method, Settings
from jaxmnist.studies.race import UNITS, Outcome, Result


def report(result: Result) -> str:
    """The tables, and the claims tested at every threshold; `conclusions` sums them up."""
    return "\n\n".join("\n".join(part) for part in (_scores(result), _needs(result), _tests(result)))


def conclusions(result: Result) -> str:
    """A line for each claim: the verdict, and what was measured at the lowest cost that both methods reached."""
    return "\n".join(_conclusions(result))


def at_edge(result: Result, method: Method) -> bool:
    """Whether a method's best learning rate is the grid's first or last, so that a better one may lie beyond."""
    return result.best[method].learning_rate in (min(result.scores[method]), max(result.scores[method]))


def assess(result: Result) -> list[tuple[Claim, list[Finding], list[Finding]]]:
    """Test every claim at every threshold: each method at its own best learning rate, and both at the same one.

    The latter findings are empty if that is no other race, or wasn't run.
    """

    def test(claim: Claim, outcomes: Mapping[Method, Outcome]) -> list[Finding]:
        faster, slower = (outcomes[method].needed()[claim.counts].T for method in (claim.faster, claim.slower))
        return [sign_test(*pair, claim.factor) for pair in zip(faster, slower, strict=True)]

    tested = []
    for claim in CLAIMS:
        pair = {claim.faster, claim.slower}
        other = pair <= result.same.keys() and any(result.same[method] is not result.best[method] for method in pair)
        tested.append((claim, test(claim, result.best), test(claim, result.same) if other else []))
    return tested


def _scores(result: Result) -> Iterator[str]:
    yield "mean validation cost over the race's course, median of the starts; * marks the η that it chose"
    yield f"{'η':>18}" + "".join(f"{rate:>8g} " for rate in result.scores["gd"])
    for method, scores in result.scores.items():
        best = result.best[method].learning_rate
        row = (f"{score:>8.3f}{'*' if rate == best else ' '}" for rate, score in scores.items())
        yield f"{METHODS[method]:>18}{''.join(row)}"
    for method in METHODS:
        if at_edge(result, method):
            yield f"note: the η of {METHODS[method]} is at the grid's edge; a wider grid may hold a better one"


def _needs(result: Result) -> Iterator[str]:
    seeds = result.settings.seeds
    yield f"needed to reach a cost: median (quartiles) of {seeds} seeds; seconds of one network's steps alone"
    for index, threshold in enumerate(result.settings.thresholds):
        yield f"{f'cost ≤ {threshold:g}':<18}{'η':>6}  {'steps':<22}{'examples seen':<33}{'seconds':<23}seeds"
        for method, outcome in result.best.items():
            name, rate, values = METHODS[method], outcome.learning_rate, outcome.needed()
            steps, examples, seconds = (_spread(values[unit][:, index], form) for unit, form in UNITS.items())
            arrived = np.isfinite(outcome.reached[:, index]).sum()
            yield f"{name:>18}{rate:>6g}  {steps:<22}{examples:<33}{seconds:<23}{arrived} of {seeds}"
    for method, outcome in result.best.items():
        yield (
            f"{METHODS[method]:>18}: {outcome.steps[-1]:,} steps of {outcome.examples_per_step:,} examples, cost "
            f"measured every {outcome.steps[1]}; one network takes {1e3 * outcome.seconds_per_step:.3g} ms a step"
        )


def _tests(result: Result) -> Iterator[str]:
    yield "the claims tested: medians (quartiles) of ratios over seeds paired by their start; p: sign test"
    if result.settings.seeds < MIN_SEEDS:
        yield f"note: fewer than {MIN_SEEDS} seeds decide nothing, even if all agree; the default is {Settings.seeds}"
    for claim, best, same in assess(result):
        meaning = f" (more than {claim.factor} times fewer {claim.counts})" if claim.factor > 1 else ""
        yield f"{claim.says}{meaning}: {verdict(best).upper()}"
        yield from _findings("each at its own best η", claim, best, result.settings, result.best)
        if same:
            yield from _findings("both at the same η", claim, same, result.settings, result.same)
        slow, fast = (result.best[method].learning_rate for method in (claim.slower, claim.faster))
        if (claim.faster, claim.slower) == ("momentum", "sgd") and verdict(best) != "supported" == verdict(same):
            gain = 1 / (1 - result.settings.momentum)
            yield f"  at the same η it holds: along a steady slope momentum's steps add up to {gain:.3g} times SGD's;"
            yield f"  but SGD bears an η {slow / fast:.3g} times as large as momentum's, and that makes up for it here"


def _findings(
    when: str, claim: Claim, findings: list[Finding], settings: Settings, outcomes: Mapping[Method, Outcome]
) -> Iterator[str]:
    faster, slower = METHODS[claim.faster], METHODS[claim.slower]
    rates = [outcomes[method].learning_rate for method in (claim.faster, claim.slower)]
    yield f"  {when} ({faster} {rates[0]:g}, {slower} {rates[1]:g}): {verdict(findings)}"
    for threshold, finding in zip(settings.thresholds, findings, strict=True):
        decided = finding.wins + finding.losses
        if decided:
            fewer = f"{claim.factor} times fewer" if claim.factor > 1 else "fewer"
            counted = f"{fewer} in {finding.wins} of {decided} seeds, p = {finding.p_value:.2g}"
            shown = f"{_compared(finding.ratio, claim, spread=True)}; {counted}"
        elif np.isnan(finding.ratio).all():
            shown = "no seed got there"
        else:
            shown = f"no seed that got there is on either side of {claim.factor}"
        yield f"    cost ≤ {threshold:<5g} {shown}"


def _compared(ratio: Float[np.ndarray, "3"], claim: Claim, spread: bool = False) -> str:
    """Say in words how much more one method needed than the other, as the median and perhaps quartiles."""
    less, more = METHODS[claim.faster], METHODS[claim.slower]
    if ratio[1] < 1:
        less, more = more, less
        ratio = np.array([1 / value if value else np.inf for value in ratio[::-1]])
    if np.isinf(ratio[1]):
        return f"{more} did not get there (median of the seeds)"
    low, middle, high = (f"{value:.3g}" if np.isfinite(value) else "not reached" for value in ratio)
    return f"{more} took {middle}{f' ({low}–{high})' if spread else ''} times as many {claim.counts} as {less}"


def _conclusions(result: Result) -> Iterator[str]:
    for claim, best, same in assess(result):
        ratios = {cost: finding.ratio for cost, finding in zip(result.settings.thresholds, best, strict=True)}
        reached = [cost for cost, ratio in ratios.items() if 0 < ratio[1] < np.inf]
        by_one = [cost for cost, ratio in ratios.items() if not np.isnan(ratio[1])]
        said = "No seed reached any of the costs"
        if by_one:
            cost = min(reached, default=max(by_one))
            said = f"Down to cost {cost:g}: {_compared(ratios[cost], claim)}"
        line = f"{verdict(best).upper()}: {claim.says}. {said}."
        if same and verdict(same) != verdict(best):
            line += f" At the same learning rate for both: {verdict(same)}."
        yield line


def _spread(values: Float[np.ndarray, "seeds"], form: str) -> str:
    """Median (quartiles), if half of the seeds got there."""
    if np.isnan(values).any():
        return "not measured"
    low, middle, high = (f"{value:{form}}" if np.isfinite(value) else "not" for value in quartiles(values))
    return "not reached" if middle == "not" else f"{middle} ({low}–{high})"
