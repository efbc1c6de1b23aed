"""The cross-validate command: which momentum to choose, by the training set alone."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import jax
import tyro

from jaxmnist.cli import grids
from jaxmnist.cli.console import say
from jaxmnist.cli.drawing import figures_of, write_figures
from jaxmnist.cli.grid_options import GridOptions, ResumeOptions
from jaxmnist.cli.grids import Job
from jaxmnist.config import Config
from jaxmnist.metrics import evaluate
from jaxmnist.runs.checkpoint import save_network
from jaxmnist.runs.folder import listed
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies.grid import Grid, Result, combine
from jaxmnist.studies.grid_report import conclusion, not_told_apart, order, rank
from jaxmnist.training import start, train_epoch

figures = figures_of("grid")


@dataclasses.dataclass(frozen=True)
class Options(GridOptions):
    """Choose the momentum coefficient by cross-validation.

    The training set is cut into folds with equal shares of every digit. For every setting, each fold and each seed, a
    network learns from all folds but that one and is measured on it. The test set is not touched until the
    setting with the lowest mean cost has been trained once more, on the whole training set: the one test figure.
    """

    momentum: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99)
    """Momentum coefficients μ in [0, 1) to compare, both in heavy-ball momentum and in Nesterov's."""
    learning_rate: Annotated[tuple[float, ...] | Literal["fair"], tyro.conf.arg(metavar="FLOAT ...|fair")] = "fair"
    """Learning rates η to try with every μ. Steps in one direction add up to η/(1−μ), so one η for all would favour one μ; fair tries for each μ the three η with an η/(1−μ) of 0.25, 1 and 4."""  # noqa: E501
    batch_size: int | Literal["full"] = 32
    """Examples in a minibatch; full is gradient descent on all folds that a network learns from."""
    folds: int = 5
    """Parts k of the training set, from 2. Fewer than k examples are left out, so that all parts have one size."""
    seeds: int = 3
    """Random starts for every setting and fold: the seeds 0, 1, 2, …"""
    json: bool = False
    """Print the summary as one JSON object, for a program, instead of the table."""


def parse(arguments: Sequence[str], program: str) -> GridOptions | ResumeOptions:
    """Parse the command line; --resume takes its folder and a shard alone."""
    return grids.parse(COMMAND, arguments, program)


def run(options: GridOptions | ResumeOptions) -> int:
    """Cross-validate, choose, train once more, test once; write the run folder; return the exit code 0."""
    return grids.run(options, COMMAND)


def _grid(options: Options, splits: Splits) -> Grid:
    config = Config(**vars(options.common), epochs=options.epochs)
    configs = combine(config, ["momentum", "nesterov"], [options.batch_size], options.momentum, options.learning_rate)
    if options.epochs == "auto":
        examples = splits.train.labels.shape[0]
        epochs = max(5, round(100_000 / (examples - examples // max(2, options.folds))))
        configs = tuple(dataclasses.replace(config, epochs=epochs) for config in configs)
    folds = options.folds
    return Grid(configs, options.seeds, folds, folds, "cost", options.group_size, options.first_seed)


def _finish(job: Job, result: Result, summary: dict[str, Any], text: str) -> None:
    """Train the chosen setting on the whole training set, test it, and write and say all that."""
    options: Any = job.options
    splits, examples = job.splits, job.splits.train.labels.shape[0]
    rows = rank(result)
    if rows[0].diverged:
        raise ValueError("every setting diverged: expected one that learns; for example learning_rate=0.01")
    chosen = job.asked.configs[order(result)[0]]
    state = start(jax.random.key(0), chosen)
    for _ in range(int(chosen.epochs)):
        state, _costs = train_epoch(state, splits.train, chosen)
    save_network(job.folder / "weights.safetensors", state.params, chosen, {"dataset": splits.name, "seed": 0})
    test = evaluate(state.params, splits.test, chosen.activation, chosen.cost)
    summary |= {"train_examples": examples, "batch_size": options.batch_size, "folds": options.folds}
    summary |= {"chosen": rows[0], "not_told_apart": not_told_apart(rows), "rows": rows}
    summary = to_json({**summary, "test_accuracy": test.accuracy, "test_cost": test.cost})
    write_json(job.folder / "summary.json", summary)
    text += (
        f"\n{conclusion(result)}\nTrained once more on all {examples:,} training examples, from seed 0: test accuracy "
        f"{test.accuracy:.2%}, test cost {test.cost:.4f}. The test set was used for nothing else."
    )
    print(json.dumps(summary, ensure_ascii=False) if options.json else text, flush=True)
    write_figures(job.folder, figures, result, splits.name)
    if not options.json:
        say(f"in {job.folder}: {listed(job.folder)}")


COMMAND = grids.Command("cross-validate", Options, _grid, _finish, "cross_validation.csv")
