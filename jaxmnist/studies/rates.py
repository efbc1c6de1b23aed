"""The theory of gradient descent, momentum and Nesterov's method, measured: claims, theory, measurements, verdicts.

`rates_problems` says on what.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.studies import rates_problems as problems
from jaxmnist.studies.rates_problems import Contraction, Decay, Make, Spread
from jaxmnist.training import OPTIMIZERS

MEASUREMENTS = 10
"""How often `run` reports progress."""
NAMES = {"sgd": "gradient descent", "momentum": "momentum", "nesterov": "Nesterov"}
"""The methods where gradients are exact; with noisy ones, the first is SGD."""
PERIOD = 3
"""Points of momentum's cycle."""
RATE_TOLERANCE = 0.01
"""Of a rate: `contraction` explains 0.0035 of it, and rounding to whole steps adds nothing."""
POWER_TOLERANCE = {"quadratics": 0.02, "convex": 0.05}
"""Of a power law's exponent: it is exact only in the limit. At κ = 10 Nesterov's rate is 20 % above 1/√κ, which makes
the exponent over all conditions 0.013 too large; at k = 100 the error on the worst function is 4 % below its limit."""
FIRST_STEP = 100
"""From which the exponents on convex functions are measured; up to half the variables of the longest function."""
STANDARD_ERRORS = 5
"""Of a variance. By chance alone one in 70,000 tables has one of its 24 variances so far off."""
AT_REST, MOVING = 1e-12, 0.1
"""Distance from the minimum, or from the point a cycle before, at most and at least; rounding is about 1e-16."""


class Result(NamedTuple):
    """What was measured of one library's optimizers."""

    library: str  # whose they are
    quadratics: dict[str, Contraction]  # by optimizer: sgd, momentum, nesterov
    convex: dict[str, Decay]  # gradient descent, and Nesterov's method with its schedule
    noise: dict[str, Spread]  # by optimizer
    kinked: dict[str, Float[np.ndarray, "steps starts"]]  # momentum's and Nesterov's points, from each of `STARTS`


class Check(NamedTuple):
    """One claim, and what was measured of it."""

    problem: str  # where it was measured
    claim: str  # what the theory says
    theory: str  # the number that it gives
    measured: str  # the number found
    confirmed: bool  # whether they agree, within the tolerances above


def run(
    key: Key[Array, ""],
    optimizers: Mapping[str, Make] = OPTIMIZERS,
    library: str = "jaxmnist",
    on_progress: Callable[[int], object] = lambda measurements: None,
) -> Result:
    """Measure optimizers on all four problems; seconds on a CPU, minutes on an accelerator.

    Args:
        key: decides the noise.
        optimizers: by name, ours or another library's: sgd, momentum and nesterov, each of η and μ. sgd ignores μ;
            nesterov's may be a schedule.
        library: whose they are.
        on_progress: called with 1 after each of `MEASUREMENTS`.
    """

    def each(measure: Callable[[str, Make], Any], *names: str) -> dict[str, Any]:
        found = {}
        for name in names:
            found[name] = measure(name, optimizers[name])
            on_progress(1)
        return found

    with jax.enable_x64(True), np.errstate(all="ignore"):  # a method that diverges has no rate
        return Result(
            library,
            quadratics=each(problems.contraction, "sgd", "momentum", "nesterov"),
            convex=each(problems.decay, "sgd", "nesterov"),
            noise=each(partial(problems.spread, key), "sgd", "momentum", "nesterov"),
            kinked=each(problems.kinked_paths, "momentum", "nesterov"),
        )


def assess(result: Result) -> list[Check]:
    """Compare all that was measured with the theory; what isn't a number isn't confirmed."""
    with np.errstate(all="ignore"):
        return [*_quadratics(result), *_convex(result), *_noise(result), *_kinked(result)]


def report(*results: Result) -> str:
    """The table of claims; several libraries' results stand side by side."""
    tables = [assess(result) for result in results]
    claims, theories = (max(len(getattr(row, part)) for row in tables[0]) for part in ("claim", "theory"))
    heads = [f"measured, {result.library}" if len(results) > 1 else "measured" for result in results]
    widths = [max(len(head), *(len(row.measured) for row in rows)) for head, rows in zip(heads, tables, strict=True)]
    columns = "".join(f"  {head:<{width}}  {'verdict':<13}" for head, width in zip(heads, widths, strict=True))
    lines, problem = [f"  {'claim':<{claims}}  {'theory':<{theories}}{columns}".rstrip()], ""
    for rows in zip(*tables, strict=True):
        if rows[0].problem != problem:
            problem = rows[0].problem
            lines.append(problem)
        found = (
            f"  {row.measured:<{width}}  {'confirmed' if row.confirmed else 'NOT CONFIRMED':<13}"
            for row, width in zip(rows, widths, strict=True)
        )
        lines.append(f"  {rows[0].claim:<{claims}}  {rows[0].theory:<{theories}}{''.join(found)}".rstrip())
    return "\n".join([*lines, "", *_notes(results[0])])


def exponent(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> float:
    """The power of x that y goes with: the slope of ln y over ln x, by least squares."""
    away = np.log(x) - np.log(x).mean()
    return float(away @ np.log(y) / (away @ away))


def cycles(path: Float[np.ndarray, "steps starts"]) -> Float[np.ndarray, "starts"]:
    """Which starts end in a cycle of three points: 1 where the path does, else 0."""
    last = path[-30:]
    returns = np.abs(last[PERIOD:] - last[:-PERIOD]).max(axis=0) <= AT_REST
    return np.asarray(returns & (np.abs(np.diff(last, axis=0)).min(axis=0) >= MOVING), float)


def _quadratics(result: Result) -> Iterator[Check]:
    first, last = problems.CONDITIONS[0], problems.CONDITIONS[-1]
    where = f"quadratics, κ = {first:g} to {last:,.0f}, each method with its best constants"
    formulas = {"sgd": "(κ−1)/(κ+1)", "momentum": "(√κ−1)/(√κ+1)", "nesterov": "1 − 1/√κ"}
    for name, found in result.quadratics.items():
        off = float(np.abs(found.rates / found.theory - 1).max())
        claim = f"{NAMES[name]}'s error shrinks by this factor a step"
        yield Check(where, claim, formulas[name], f"rate within {off:.2%}", off <= RATE_TOLERANCE)
    for name, found in result.quadratics.items():
        power, expected = exponent(problems.CONDITIONS, 1 / found.rates), 1.0 if name == "sgd" else 0.5
        right = abs(power - expected) <= POWER_TOLERANCE["quadratics"]
        yield Check(where, f"{NAMES[name]}'s steps grow as this power of κ", f"{expected:g}", f"{power:.3f}", right)


def _convex(result: Result) -> Iterator[Check]:
    where = (
        f"Nesterov's worst functions, convex but not strongly: the largest error among them after k = {FIRST_STEP} to "
        f"{problems.CHAIN_STEPS:,} steps"
    )
    for name, found in result.convex.items():
        valid = found.steps >= FIRST_STEP
        power, expected = -exponent(found.steps[valid].astype(float), found.worst[valid]), 1 if name == "sgd" else 2
        claim = f"{NAMES[name]}'s error falls as this power of 1/k"
        claim += ", μₖ = (k−1)/(k+2)" if name == "nesterov" else ""
        right = abs(power - expected) <= POWER_TOLERANCE["convex"]
        yield Check(where, claim, f"{expected}", f"{power:.3f}", right)
    least = min(float((found.twice / lower_bound(found.steps)).min()) for found in result.convex.values())
    claim = "no error is below 3L‖x₀−x*‖²/32(k+1)², from k = 1 on"
    yield Check(where, claim, "≥ 1 times that", f"≥ {least:.2f} times that", least >= 1)


def lower_bound(steps: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """The least error, relative to L‖x₀−x*‖², that k slopes allow on the worst function of 2k + 1 variables.

    Source:
        Nesterov, Introductory lectures on convex optimization (2004), theorem 2.1.7.
    """
    return np.asarray(3 / 32 / (steps + 1.0) ** 2)


def _noise(result: Result) -> Iterator[Check]:
    where = f"½x² with standard normal noise in the slope; μ = {problems.MOMENTUM}"
    processes = {
        "sgd": "SGD's points: an AR(1)",
        "momentum": "momentum's: an AR(2)",
        "nesterov": "Nesterov's: an ARMA(2,1)",
    }
    for name, found in result.noise.items():
        errors = np.abs(found.variance - found.theory) / found.standard_error
        off, worst = np.abs(found.variance / found.theory - 1).max(), errors.max()
        claim = f"{processes[name]} process of this variance"
        measured = f"within {off:.1%}, {worst:.1f} standard errors"
        yield Check(where, claim, "its closed form", measured, bool(worst <= STANDARD_ERRORS))
    sgd, momentum = result.noise["sgd"], result.noise["momentum"]
    ratio = momentum.variance[0] / sgd.variance[0]
    error = np.hypot(*(found.standard_error[0] / found.variance[0] for found in (sgd, momentum)))
    claim = f"momentum at (η, μ) is SGD at η/(1−μ) = {problems.SMALL_STEP}: variances' ratio"
    agree = abs(ratio - 1) <= problems.SMALL_STEP + STANDARD_ERRORS * error
    yield Check(where, claim, "1, as η → 0", f"{ratio:.3f} ± {error:.3f}", bool(agree))


def _kinked(result: Result) -> Iterator[Check]:
    where = (
        f"a smooth, strongly convex function whose slope has two kinks; κ = {problems.KINKED_CONDITION:g}, constants "
        f"that are best on quadratics"
    )
    cycling, arrived = (cycles(result.kinked["momentum"]), np.abs(result.kinked["nesterov"][-1]) <= AT_REST)
    for claim, theory, share, right in (
        ("momentum goes round three points for ever", "from some starts", cycling.mean(), cycling.any()),
        ("Nesterov's method gets to the minimum", "from every start", arrived.mean(), arrived.all()),
    ):
        yield Check(where, claim, theory, f"from {share:.0%} of {cycling.size}", bool(right))


def _notes(result: Result) -> Iterator[str]:
    """The tolerances, and what it all means for the claims made for momentum and Nesterov's method."""
    samples = min(found.samples.min() for found in result.noise.values())
    yield (
        f"confirmed: rates, −ln of the factors, within {RATE_TOLERANCE:.0%}; powers of κ within "
        f"{POWER_TOLERANCE['quadratics']}, of k within {POWER_TOLERANCE['convex']};"
    )
    yield (
        f"variances within {STANDARD_ERRORS} standard errors, of {samples:,.0f} independent samples or more; "
        f"their ratio also within η/(1−μ) itself"
    )
    if all(check.confirmed for check in assess(result)):
        momentum, nesterov = (result.quadratics[name].rates[-1] for name in ("momentum", "nesterov"))
        yield (
            f"\nMomentum needs fewer steps: a theorem on quadratics, where it is even {momentum / nesterov:.1f} times "
            f"as fast as Nesterov's method.\nElsewhere it has none, and may never arrive."
        )
        yield (
            "Nesterov's method gets there sooner: not on quadratics. But looking ahead makes it fast, √κ steps and not "
            "κ,\non every smooth and strongly convex function."
        )
