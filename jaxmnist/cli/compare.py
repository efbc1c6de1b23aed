"""The compare command: the race of the four methods, and what it says of the claims made for them."""

import csv
import dataclasses
import io
import time
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxmnist.cli.console import progress
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, load_data, select_device
from jaxmnist.plots.race import figures
from jaxmnist.plots.style import png
from jaxmnist.population import make_members
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies import landscape, race
from jaxmnist.studies.claims import Finding, quartiles, verdict
from jaxmnist.studies.methods import (
    METHODS,
    Method,
    RaceData,
    Settings,
    divide,
    minibatch_chunks,
    start_members,
    train_chunk,
    validate,
)
from jaxmnist.studies.race_report import assess, at_edge, report

TIMED_STEPS = 300
"""Minibatch steps that are timed at a time; one step with a full batch is long enough."""


@dataclasses.dataclass(frozen=True)
class Options(Settings):
    """Race gradient descent, SGD, momentum and Nesterov's method, and test what is claimed of them.

    All start from the same random networks, and the last three take the same minibatches. Each runs at its own best
    learning rate of a grid, chosen on training examples outside the race. What counts: the steps, the examples seen
    and the seconds until the mean training cost has come down.
    """

    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-compare)."""


def run(options: Options) -> int:
    """Race, and write the run folder.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    begin = time.perf_counter()
    run_folder.refuse_used(options.run_dir)
    validate(options)
    device = select_device(options.data)
    with jax.default_device(device):
        splits = load_data(options.data)
        key = jax.random.key(0)
        data = divide(key, splits.train, options)
        with run_folder.created(options.run_dir, "compare") as folder:
            print(f"{device.device_kind} ({device.platform}) · {splits.name} from {splits.origin}")
            print(_conditions(options, data, splits), flush=True)
            seconds = {method: _seconds_per_step(key, method, data, options) for method in METHODS}
            with progress(race.count_gradients(data, options), "gradient evaluations") as advance:
                result = race.run(key, data, options, seconds, advance)
            content = {"dataset": splits.name, "origin": splits.origin, **_summary(result)}
            write_json(folder / "comparison.json", to_json(content))
            write_atomically(folder / "comparison.csv", _rows(result).encode())
            print(f"\n{report(result)}\n\ndrawing", flush=True)
            terrains = landscape.run(key, data, result)
            for name, figure in figures(result, terrains, splits.name).items():
                write_atomically(folder / f"{name}.png", png(figure))
            print(f"{time.perf_counter() - begin:.0f} s · in {folder}: {run_folder.listed(folder)}")
        return 0


def _conditions(options: Options, data: RaceData, splits: Splits) -> str:
    racing, probe, validation = (part.labels.shape[0] for part in data)
    return (
        f"{options.seeds} random starts race on {racing:,} of the {splits.train.labels.shape[0]:,} training examples, "
        f"in minibatches of {options.batch_size} that all share; μ = {options.momentum:g}\n"
        f"cost: the mean training cost, measured on {probe:,} of the {racing:,}, always the same\n"
        f"learning rates: chosen on {validation:,} other training examples, from {race.TUNING_SEEDS} other starts; the "
        f"test set takes no part"
    )


def _seconds_per_step(key: jax.Array, method: Method, data: RaceData, options: Options) -> float:
    """How long one network takes for a step, alone and without evaluations: the best of 20 runs of compiled steps."""
    steps = 1 if method == "gd" else TIMED_STEPS
    options = dataclasses.replace(options, steps=steps, full_batch_steps=steps)
    (batches,) = minibatch_chunks(key, method, data.train, options, steps)
    states, config = start_members(method, make_members([(options.momentum, 1.0)], [0]))
    spent = []
    for _ in range(21):
        begin = time.perf_counter()
        train_chunk(states, batches, config).params[0].weights.block_until_ready()
        spent.append(time.perf_counter() - begin)
    return min(spent[1:]) / steps  # the first one compiles


def _summary(result: race.Result) -> dict[str, Any]:
    """The content of comparison.json; a median beyond the race's end is infinite, which JSON writes as null."""
    settings = result.settings
    return {
        "examples": result.examples,
        "seeds": settings.seeds,
        "tuning_seeds": race.TUNING_SEEDS,
        "batch_size": settings.batch_size,
        "momentum": settings.momentum,
        "grid": sorted(set(settings.learning_rates)),
        "thresholds": settings.thresholds,
        "methods": {
            method: {
                **_outcome(outcome, settings),
                "at_edge_of_grid": at_edge(result, method),
                "validation_cost": {f"{rate:g}": score for rate, score in result.scores[method].items()},
            }
            for method, outcome in result.best.items()
        },
        "same_rate": {method: _outcome(outcome, settings) for method, outcome in result.same.items()},
        "claims": [
            {
                **claim._asdict(),
                "verdict": verdict(best),
                "findings": _findings(best, settings),
                "verdict_at_the_same_rate": verdict(same) if same else None,
                "findings_at_the_same_rate": _findings(same, settings),
            }
            for claim, best, same in assess(result)
        ],
    }


def _outcome(outcome: race.Outcome, settings: Settings) -> dict[str, Any]:
    arrived = np.isfinite(outcome.reached).sum(axis=0)
    return {
        "learning_rate": outcome.learning_rate,
        "steps": outcome.steps[-1],
        "measured_every": outcome.steps[1],
        "examples_per_step": outcome.examples_per_step,
        "seconds_per_step": outcome.seconds_per_step,
        "reached": [
            {
                "cost": threshold,
                "seeds": arrived[index],
                **{unit: _quartiles(quartiles(values[:, index])) for unit, values in outcome.needed().items()},
            }
            for index, threshold in enumerate(settings.thresholds)
        ],
    }


def _findings(findings: list[Finding], settings: Settings) -> list[dict[str, Any]]:
    pairs = zip(settings.thresholds, findings, strict=bool(findings))
    return [
        {"cost": threshold, **finding._asdict(), "ratio": _quartiles(finding.ratio)} for threshold, finding in pairs
    ]


def _quartiles(values: Float[np.ndarray, "3"]) -> dict[str, Any]:
    return dict(zip(("quartile_1", "median", "quartile_3"), values, strict=True))


def _rows(result: race.Result) -> str:
    """The content of comparison.csv: what every seed needed; inf where it didn't reach a cost."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["race", "method", "learning_rate", "seed", "cost", "steps", "examples", "seconds"])
    for name, outcomes in (("own best rate", result.best), ("same rate", result.same)):
        for method, outcome in outcomes.items():
            values = np.stack(list(outcome.needed().values()), axis=-1)
            for seed, index in np.ndindex(*outcome.reached.shape):
                numbers = (f"{value:.7g}" for value in values[seed, index])
                cost = result.settings.thresholds[index]
                table.writerow([name, method, f"{outcome.learning_rate:g}", seed, cost, *numbers])
    return text.getvalue()
