"""The compare command: the race of the four methods, and what it says of the claims made for them."""

import dataclasses
import time
import timeit
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxmnist.cli.console import progress, say
from jaxmnist.cli.drawing import figures_of, import_meanwhile, write_figures
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, load_data, select_device
from jaxmnist.population import make_members
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies import landscape, methods, race
from jaxmnist.studies.claims import Finding, quartiles, verdict
from jaxmnist.studies.methods import Method, RaceData, Settings
from jaxmnist.studies.race_report import assess, at_edge, conclusions, report

figures = figures_of("race")


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
    """Race, and write the run folder."""
    begin = time.perf_counter()
    run_folder.refuse_used(options.run_dir)
    methods.check_settings(options)
    device = select_device(options.data)
    with jax.default_device(device):
        splits = load_data(options.data)
        key = jax.random.key(0)
        data = methods.divide(key, splits.train, options)
        with run_folder.created(options.run_dir, "compare") as folder:
            say(f"{device.device_kind} ({device.platform}) · {splits.name} from {splits.origin}")
            print(_conditions(options, data, splits), flush=True)
            seconds = {method: _seconds_per_step(key, method, data, options) for method in methods.METHODS}
            import_meanwhile()
            with progress(race.count_gradients(data, options), "gradient evaluations") as advance:
                result = race.run(key, data, options, seconds, advance)
            content = {"dataset": splits.name, "origin": splits.origin, **_summary(result)}
            write_json(folder / "comparison.json", to_json(content))
            write_atomically(folder / "comparison.csv", "".join(f"{row}\n" for row in _rows(result)).encode())
            print(f"\n{report(result)}\n\ndrawing", flush=True)
            write_figures(folder, lambda: figures(result, landscape.run(key, data, result), splits.name))
            say(f"{time.perf_counter() - begin:.0f} s · in {folder}: {run_folder.listed(folder)}")
            print(f"\n{conclusions(result)}")
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
    steps = 1 if method == "gd" else 300  # one step with a full batch is long enough
    options = dataclasses.replace(options, steps=steps, full_batch_steps=steps)
    (batches,) = methods.minibatch_chunks(key, method, data.train, options, steps)
    states, config = methods.start_members(method, make_members([(options.momentum, 1.0)], [0]))
    train = partial(methods.train_chunk, states, batches, config)
    seconds = timeit.repeat(lambda: train().params[0].weights.block_until_ready(), number=1, repeat=21)
    return min(seconds) / steps  # not the first, which compiles


def _summary(result: race.Result) -> dict[str, Any]:
    """The content of comparison.json; a median beyond the race's end is infinite, which JSON writes as null."""
    settings, thresholds, tested = result.settings, result.settings.thresholds, []
    best = {method: _outcome(outcome, thresholds) for method, outcome in result.best.items()}
    for method, content in best.items():
        content |= {"at_edge_of_grid": at_edge(result, method), "validation_cost": result.scores[method]}
    for claim, own, same in assess(result):
        content = {**claim._asdict(), "verdict": verdict(own), "findings": _tested(own, thresholds)}
        content["verdict_at_the_same_rate"] = verdict(same) if same else None
        tested.append({**content, "findings_at_the_same_rate": _tested(same, thresholds)})
    return {
        **{name: getattr(settings, name) for name in ("seeds", "batch_size", "momentum", "thresholds")},
        "examples": result.examples,
        "tuning_seeds": race.TUNING_SEEDS,
        "grid": sorted(set(settings.learning_rates)),
        "methods": best,
        "same_rate": {method: _outcome(outcome, thresholds) for method, outcome in result.same.items()},
        "claims": tested,
    }


def _outcome(outcome: race.Outcome, thresholds: Sequence[float]) -> dict[str, Any]:
    reached = [
        {"cost": threshold, "seeds": np.isfinite(outcome.reached[:, index]).sum()}
        | {unit: _quartiles_by_name(quartiles(values[:, index])) for unit, values in outcome.needed().items()}
        for index, threshold in enumerate(thresholds)
    ]
    content = {name: getattr(outcome, name) for name in ("learning_rate", "examples_per_step", "seconds_per_step")}
    return {**content, "steps": outcome.steps[-1], "measured_every": outcome.steps[1], "reached": reached}


def _tested(findings: Sequence[Finding], thresholds: Sequence[float]) -> list[dict[str, Any]]:
    pairs = zip(thresholds, findings, strict=bool(findings))
    return [{"cost": cost, **finding._asdict(), "ratio": _quartiles_by_name(finding.ratio)} for cost, finding in pairs]


def _quartiles_by_name(values: Float[np.ndarray, "3"]) -> dict[str, Any]:
    return dict(zip(("quartile_1", "median", "quartile_3"), values, strict=True))


def _rows(result: race.Result) -> Iterator[str]:
    """The lines of comparison.csv: what every seed needed; inf where it didn't reach a cost."""
    yield "race,method,learning_rate,seed,cost,steps,examples,seconds"
    for name, outcomes in (("own best rate", result.best), ("same rate", result.same)):
        for method, outcome in outcomes.items():
            for seed, index in np.ndindex(*outcome.reached.shape):
                needed = ",".join(f"{values[seed, index]:.7g}" for values in outcome.needed().values())
                cost = result.settings.thresholds[index]
                yield f"{name},{method},{outcome.learning_rate:g},{seed},{cost},{needed}"
