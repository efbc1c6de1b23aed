"""The sweep command: which settings of a grid do best on examples held out of the training set."""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any, Literal

from jaxmnist.cli import grids
from jaxmnist.cli.console import say
from jaxmnist.cli.drawing import figures_of, write_figures
from jaxmnist.cli.grid_options import GridOptions, ResumeOptions
from jaxmnist.cli.grids import Job
from jaxmnist.cli.options import DataOptions, Recipe
from jaxmnist.config import Config
from jaxmnist.runs.checkpoint import save_network
from jaxmnist.runs.folder import listed
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies import grid, grid_report

FOLDS = 6
"""Parts of the training set; one is held out, 10,000 of MNIST's 60,000 examples."""
MAX_ROWS = 1_000
"""Most settings in summary.json; the CSV file has all networks."""

figures = figures_of("grid")


@dataclasses.dataclass(frozen=True)
class Options(GridOptions):
    """Train a grid of networks, every combination of the lists, and see which settings do best.

    One sixth of the training set, with an equal share of every digit, is held out to measure on; the test set is not
    touched. Networks of one batch size are one compiled program, and many times as fast as one after the other.
    """

    learning_rate: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4)
    """Learning rates η."""
    momentum: tuple[float, ...] = (0.9,)
    """Momentum coefficients μ in [0, 1)."""
    batch_size: tuple[int | Literal["full"], ...] = (32,)
    """Examples in a minibatch; full is gradient descent on the whole five sixths."""
    optimizer: Literal["sgd", "momentum", "nesterov"] = "nesterov"
    """How a gradient becomes a step."""


def parse(arguments: Sequence[str], program: str) -> GridOptions | ResumeOptions:
    """Parse the command line; --resume takes its folder and a shard alone."""
    return grids.parse(COMMAND, arguments, program)


def run(options: GridOptions | ResumeOptions) -> int:
    """Train the grid, or what is missing of it, and write the run folder; return the exit code 0."""
    return grids.run(options, COMMAND)


def _grid(options: Options, _splits: Splits) -> grid.Grid:
    config = Config(**vars(options.common), epochs=options.epochs)
    configs = grid.combine(config, [options.optimizer], options.batch_size, options.momentum, options.learning_rate)
    return grid.Grid(configs, options.seeds, FOLDS, 1, "accuracy", options.group_size, options.first_seed)


def _finish(job: Job, result: grid.Result, summary: dict[str, Any], text: str) -> None:
    """Write the summary, the best network and the figures, and say which setting is best."""
    best = grid_report.order(result)[0]
    learned = not result.diverged_at[best].any()
    config = job.asked.configs[best]
    if learned:
        params, about = grids.best_network(job, result), {"dataset": job.splits.name}
        save_network(job.folder / "weights.safetensors", params, job.grid.configs[best], about)
    summary |= {"train_examples": result.fold_size * (FOLDS - 1), "optimizer": config.optimizer}
    write_json(job.folder / "summary.json", to_json({**summary, "settings": grid_report.rank(result)[:MAX_ROWS]}))
    print(text, flush=True)
    write_figures(job.folder, figures, result, job.splits.name)
    say(f"in {job.folder}: {listed(job.folder)}")
    print(f"\n{grid_report.conclusion(result)}")
    if learned:
        say(f"To train it on the whole training set: {_train_command(config, job.options.data)}")


def _train_command(config: Config, data: DataOptions) -> str:
    """Return the command that trains a network with a setting on the same data, ready to be pasted into a shell."""
    words = ["jaxmnist", "train"]
    for given, default in ((config, Recipe()), (data, DataOptions())):
        for field in dataclasses.fields(default):
            value, option = getattr(given, field.name), f"--{field.name.replace('_', '-')}"
            if value != getattr(default, field.name):
                words += [option, *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join([*words, "--seed", "0"])


COMMAND = grids.Command("sweep", Options, _grid, _finish, "sweep.csv")
