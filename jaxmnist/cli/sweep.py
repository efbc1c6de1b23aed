"""The sweep command: which settings of a grid do best on examples held out of the training set."""

import dataclasses
import shlex
import time
from pathlib import Path
from typing import Any, Literal

import jax

from jaxmnist.cli.console import progress
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, Shared, SharedRecipe, load_data, select_device
from jaxmnist.config import Config
from jaxmnist.plots.grid import figures
from jaxmnist.plots.style import png
from jaxmnist.population import GROUP_SIZE
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.health import GUESSING_ACCURACY
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies.grid import PURPOSE, Grid, Result, combine, resolved
from jaxmnist.studies.grid import run as run_grid
from jaxmnist.studies.grid_report import order, rank, report, to_csv

FOLDS = 6
"""Parts of the training set; one is held out, 10,000 of MNIST's 60,000 examples."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Train a grid of networks, every combination of the lists, and see which settings do best.

    One sixth of the training set, with an equal share of every digit, is held out to measure on; the test set is not
    touched. Networks of one batch size are one compiled program, and many times as fast as one after the other.
    """

    common: Shared = dataclasses.field(default_factory=SharedRecipe)
    seeds: int = 4
    """Random starts for every setting: the seeds 0, 1, 2, …"""
    learning_rate: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4)
    """Learning rates η."""
    momentum: tuple[float, ...] = (0.9,)
    """Momentum coefficients μ in [0, 1)."""
    batch_size: tuple[int | Literal["full"], ...] = (32,)
    """Examples in a minibatch; full is gradient descent on the whole five sixths."""
    optimizer: Literal["sgd", "momentum", "nesterov"] = "nesterov"
    """How a gradient becomes a step."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the five sixths that are learnt from; auto is 30 for MNIST and more for a smaller set."""
    group_size: int = GROUP_SIZE
    """Most networks to train at once; memory grows with it."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-sweep)."""


def run(options: Options) -> int:
    """Train the grid, and write the run folder.

    Returns:
        The exit code 0.

    Raises:
        ValueError: if the options or the data can't be used.
        OSError: if a file can't be read or written.
    """
    run_folder.refuse_used(options.run_dir)
    config = Config(**vars(options.common), epochs=options.epochs)
    configs = combine(config, [options.optimizer], options.batch_size, options.momentum, options.learning_rate)
    with jax.default_device(select_device(options.data)):
        splits = load_data(options.data)
        grid = resolved(Grid(configs, options.seeds, FOLDS, 1, "accuracy"), splits.train)
        with run_folder.created(options.run_dir, "sweep") as folder:
            result, summary, text = train_grid(grid, splits, options.group_size, folder / "sweep.csv")
            rows, train_examples = rank(result), result.fold_size * (FOLDS - 1)
            summary |= {"train_examples": train_examples, "optimizer": options.optimizer, "settings": rows}
            write_json(folder / "summary.json", to_json(summary))
            print(text)
            if not rows[0].diverged:
                command = _train_command(configs[order(result)[0]], options.data)
                print(f"To train the best on the whole training set: {command}")
            print(f"in {folder}: {run_folder.listed(folder)}")
    return 0


def train_grid(grid: Grid, splits: Splits, group_size: int, csv: Path) -> tuple[Result, dict[str, Any], str]:
    """Train a grid's networks, showing progress; write the CSV file, and the figures beside it.

    Returns:
        The result, the part of summary.json that every grid has, and the result in words.
    """
    count = len(grid.configs) * grid.held_out * grid.seeds
    key = jax.random.fold_in(jax.random.key(0), PURPOSE)
    begin = time.perf_counter()
    with progress(count * int(grid.configs[0].epochs), "networks' epochs") as on_progress:
        result = run_grid(key, grid, splits.train, group_size, on_progress)
    seconds = time.perf_counter() - begin
    write_atomically(csv, to_csv(result).encode())
    for name, figure in figures(result, splits.name).items():
        write_atomically(csv.with_name(f"{name}.png"), png(figure))
    shared = {field.name: getattr(grid.configs[0], field.name) for field in dataclasses.fields(SharedRecipe)}
    summary = {"dataset": splits.name, "origin": splits.origin, "held_out_examples": result.fold_size, **shared}
    summary |= {"epochs": grid.configs[0].epochs, "seeds": grid.seeds, "networks": count}
    summary |= {"seconds": round(seconds, 2), "networks_per_second": round(count / seconds, 3)}
    head = f"{splits.name} from {splits.origin}: {count} networks in {seconds:.1f} s, {count / seconds:.2f} a second"
    return result, summary, f"{head}\n{report(result, GUESSING_ACCURACY)}"


def _train_command(config: Config, data: DataOptions) -> str:
    """Write the command that trains a network by this recipe, without the options that have their defaults."""
    words = ["python", "train.py"]
    for given, default in ((config, Config()), (data, DataOptions())):
        for name, value in vars(given).items():
            if value != getattr(default, name):
                words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(words)
