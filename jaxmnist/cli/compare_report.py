"""What the compare command says and leaves: tables, verdicts, and files of numbers."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxmnist.cli.compare_race import THRESHOLDS, TUNING, Entry, Options, Results
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import write_atomically
from jaxmnist.studies.claims import CLAIMS, FEWEST_SEEDS, Claim, Finding, put_to_the_test, quartiles, verdict
from jaxmnist.studies.race import METHODS, Field, Method

if TYPE_CHECKING:
    from jaxmnist.sources import Splits

UNITS = {"steps": ",.0f", "examples": ",.0f", "seconds": ".2g"}
"""What is counted until a cost is reached, and how it is written."""

QUARTILES = ("quartile_1", "median", "quartile_3")


class Judgement(NamedTuple):
    """A claim with what was found, one `Finding` for each threshold.

    Attributes:
        claim: what is said.
        best: with each method at its own best learning rate.
        same: with both at the same learning rate; empty where that is no other race, or wasn't run.
    """

    claim: Claim
    best: list[Finding]
    same: list[Finding]


def conditions(options: Options, field: Field, splits: "Splits") -> str:
    """What the race is, in words to stand above its results."""
    racing, probe, validation = (part.labels.shape[0] for part in field)
    return (
        f"{options.seeds} random starts race on {racing:,} of the {splits.train.labels.shape[0]:,} training examples, "
        f"in minibatches of {options.batch_size} that all share; μ = {options.momentum:g}\n"
        f"cost: the mean training cost, measured on {probe:,} of the {racing:,}, always the same\n"
        f"learning rates: chosen on {validation:,} other training examples, from {TUNING} other starts; the test set "
        f"takes no part"
    )


def text(options: Options, results: Results) -> str:
    """The tables and verdicts for a terminal."""
    return "\n".join([*_grid(results), "", *_table(options, results), "", *_verdicts(options, results)])


def at_edge(results: Results, method: Method) -> bool:
    """Whether a method's best learning rate is the grid's first or last, so that a better one may lie beyond."""
    return results.best[method].learning_rate in (min(results.scores[method]), max(results.scores[method]))


def judge(results: Results) -> list[Judgement]:
    """Put all claims to the test."""

    def findings(claim: Claim, entries: Mapping[Method, Entry]) -> list[Finding]:
        faster, slower = (_counted(entries[method])[claim.counts].T for method in (claim.faster, claim.slower))
        return [put_to_the_test(*pair, claim.factor) for pair in zip(faster, slower, strict=True)]

    judgements = []
    for claim in CLAIMS:
        pair = {claim.faster, claim.slower}
        other = pair <= results.same.keys() and any(results.same[method] is not results.best[method] for method in pair)
        same = findings(claim, results.same) if other else []
        judgements.append(Judgement(claim, findings(claim, results.best), same))
    return judgements


def write(folder: Path, options: Options, splits: "Splits", field: Field, results: Results) -> None:
    """Write comparison.json and comparison.csv.

    In JSON a median that lies beyond the race's end is null; in CSV every seed that didn't reach a cost has inf.
    """
    racing, probe, validation = (part.labels.shape[0] for part in field)
    run_folder.write_json(
        folder / "comparison.json",
        {
            "dataset": splits.name,
            "origin": splits.origin,
            "examples": {"racing": racing, "measured": probe, "validation": validation},
            "seeds": options.seeds,
            "tuning_seeds": TUNING,
            "batch_size": options.batch_size,
            "momentum": options.momentum,
            "grid": sorted(set(options.learning_rates)),
            "thresholds": THRESHOLDS,
            "methods": {
                method: {
                    **_entry(entry),
                    "at_edge_of_grid": at_edge(results, method),
                    "validation_cost": {f"{rate:g}": _plain(score) for rate, score in results.scores[method].items()},
                }
                for method, entry in results.best.items()
            },
            "same_rate": {method: _entry(entry) for method, entry in results.same.items()},
            "claims": [
                {
                    **judgement.claim._asdict(),
                    "verdict": verdict(judgement.best),
                    "findings": [_finding(*pair) for pair in zip(THRESHOLDS, judgement.best, strict=True)],
                    "verdict_at_the_same_rate": verdict(judgement.same) if judgement.same else None,
                    "findings_at_the_same_rate": [
                        _finding(*pair) for pair in zip(THRESHOLDS, judgement.same, strict=bool(judgement.same))
                    ],
                }
                for judgement in judge(results)
            ],
        },
    )
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(["race", "method", "learning_rate", "seed", "cost", *UNITS])
    for race, entries in (("own best rate", results.best), ("same rate", results.same)):
        for method, entry in entries.items():
            units = _counted(entry)
            for seed, place in np.ndindex(*entry.reached.shape):
                numbers = (f"{units[unit][seed, place]:.7g}" for unit in UNITS)
                table.writerow([race, method, f"{entry.learning_rate:g}", seed, THRESHOLDS[place], *numbers])
    write_atomically(folder / "comparison.csv", lines.getvalue().encode())


def _grid(results: Results) -> Iterator[str]:
    yield "mean validation cost over the race's course, median of the starts; * marks the η that it chose"
    yield f"{'η':>18}" + "".join(f"{rate:>8g} " for rate in results.scores["gd"])
    for method, scores in results.scores.items():
        best = results.best[method].learning_rate
        yield f"{METHODS[method]:>18}" + "".join(
            f"{score:>8.3f}{'*' if rate == best else ' '}" for rate, score in scores.items()
        )
    for method in filter(lambda method: at_edge(results, method), METHODS):
        yield f"note: the η of {METHODS[method]} is at the grid's edge; beyond may be a better: widen --learning-rates"


def _table(options: Options, results: Results) -> Iterator[str]:
    yield f"needed to reach a cost: median (quartiles) of {options.seeds} seeds; seconds of one network's steps alone"
    for place, threshold in enumerate(THRESHOLDS):
        yield f"{f'cost ≤ {threshold:g}':<18}{'η':>6}  {'steps':<22}{'examples seen':<33}{'seconds':<23}seeds"
        for method, entry in results.best.items():
            units = _counted(entry)
            steps, examples, seconds = (_spread(units[unit][:, place], form) for unit, form in UNITS.items())
            arrived = np.isfinite(entry.reached[:, place]).sum()
            yield (
                f"{METHODS[method]:>18}{entry.learning_rate:>6g}  {steps:<22}{examples:<33}{seconds:<23}"
                f"{arrived} of {options.seeds}"
            )
    for method, entry in results.best.items():
        yield (
            f"{METHODS[method]:>18}: {entry.lane.steps[-1]:,} steps of {entry.lane.examples_per_step:,} examples, cost "
            f"measured every {entry.lane.steps[1]}; one network takes {1e3 * entry.seconds_per_step:.3g} ms a step"
        )


def _verdicts(options: Options, results: Results) -> Iterator[str]:
    yield "what is said, put to the test: ratios are medians (quartiles) over seeds paired by their start; p: sign test"
    if options.seeds < FEWEST_SEEDS:
        yield f"note: fewer than {FEWEST_SEEDS} seeds decide nothing, even if all agree; try --seeds {Options.seeds}"
    for claim, best, same in judge(results):
        meaning = f" (more than {claim.factor} times fewer {claim.counts})" if claim.factor > 1 else ""
        yield f"{claim.says}{meaning}: {verdict(best).upper()}"
        yield from _findings("each at its own best η", claim, best, results.best)
        if same:
            yield from _findings("both at the same η", claim, same, results.same)
        slow, fast = (results.best[method].learning_rate for method in (claim.slower, claim.faster))
        if (claim.faster, claim.slower) == ("momentum", "sgd") and verdict(best) != "supported" == verdict(same):
            gain = 1 / (1 - options.momentum)
            yield f"  at the same η it holds: along a steady slope momentum's steps add up to {gain:.3g} times SGD's;"
            yield f"  but SGD bears an η {slow / fast:.3g} times as large as momentum's, and that makes up for it here"


def _findings(when: str, claim: Claim, findings: list[Finding], entries: Mapping[Method, Entry]) -> Iterator[str]:
    rates = ", ".join(f"{METHODS[method]} {entries[method].learning_rate:g}" for method in (claim.faster, claim.slower))
    yield f"  {when} ({rates}): {verdict(findings)}"
    for threshold, finding in zip(THRESHOLDS, findings, strict=True):
        decided = finding.wins + finding.losses
        low, middle, high = (f"{value:.3g}".replace("inf", "∞") for value in finding.ratio)
        yield f"    cost ≤ {threshold:<5g} " + (
            f"{claim.counts} of {METHODS[claim.slower]} / {METHODS[claim.faster]} = {middle} ({low}–{high}), above "
            f"{claim.factor} in {finding.wins} of {decided} seeds, p = {finding.chance:.2g}"
            if decided
            else "no seed got there"
            if np.isnan(finding.ratio).all()
            else f"no seed that got there is on either side of {claim.factor}"
        )


def _counted(entry: Entry) -> dict[str, Any]:
    """What every seed needed to reach every threshold, in each unit; infinite where it never did."""
    steps = entry.reached
    return {"steps": steps, "examples": steps * entry.lane.examples_per_step, "seconds": steps * entry.seconds_per_step}


def _spread(values: Any, form: str) -> str:
    """Median (quartiles), if half of the seeds got there."""
    low, middle, high = (f"{value:{form}}" if np.isfinite(value) else "not" for value in quartiles(values))
    return "not reached" if middle == "not" else f"{middle} ({low}–{high})"


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "learning_rate": entry.learning_rate,
        "steps": int(entry.lane.steps[-1]),
        "measured_every": int(entry.lane.steps[1]),
        "examples_per_step": entry.lane.examples_per_step,
        "seconds_per_step": _plain(entry.seconds_per_step),
        "reached": [
            {
                "cost": threshold,
                "seeds": int(np.isfinite(entry.reached[:, place]).sum()),
                **{
                    unit: dict(zip(QUARTILES, map(_plain, quartiles(values[:, place])), strict=True))
                    for unit, values in _counted(entry).items()
                },
            }
            for place, threshold in enumerate(THRESHOLDS)
        ],
    }


def _finding(threshold: float, finding: Finding) -> dict[str, Any]:
    return {
        "cost": threshold,
        **finding._asdict(),
        "ratio": dict(zip(QUARTILES, map(_plain, finding.ratio), strict=True)),
        "chance": _plain(finding.chance),
    }


def _plain(number: Any) -> float | None:
    """Seven digits of a number; None for one that is infinite or none, which JSON can't hold."""
    return float(f"{number:.7g}") if np.isfinite(number) else None
