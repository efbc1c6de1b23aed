"""The sweep command: which settings of a grid do best on examples held out of the training set."""

import dataclasses
import shlex
import time
from pathlib import Path
from typing import Any, Literal

import jax

from jaxmnist.cli.console import printable, progress, say
from jaxmnist.cli.drawing import write_figures
from jaxmnist.cli.options import (
    Data,
    DataOptions,
    OptionalPath,
    Recipe,
    Shared,
    SharedRecipe,
    load_data,
    select_device,
)
from jaxmnist.config import Config
from jaxmnist.plots.grid import figures
from jaxmnist.population import GROUP_SIZE
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.health import GUESSING_ACCURACY
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.sources import Splits
from jaxmnist.studies import grid, grid_report

FOLDS = 6
"""Parts of the training set; one is held out, 10,000 of MNIST's 60,000 examples."""


@dataclasses.dataclass(frozen=True)
class GridOptions:
    """The options of all commands that train a grid."""

    common: Shared = dataclasses.field(default_factory=SharedRecipe)
    seeds: int = 4
    """Random starts for every setting: the seeds 0, 1, 2, …"""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the examples that are learnt from; auto is 30 for MNIST, 5 for its cross-validation, and more for a smaller set."""  # noqa: E501
    group_size: int = GROUP_SIZE
    """Most networks to train at once; memory grows with it."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: one in runs/, named after the time and the command)."""


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


def run(options: Options) -> int:
    """Train the grid, and write the run folder; return the exit code 0."""
    run_folder.refuse_used(options.run_dir)
    config = Config(**vars(options.common), epochs=options.epochs)
    configs = grid.combine(config, [options.optimizer], options.batch_size, options.momentum, options.learning_rate)
    networks = grid.Grid(configs, options.seeds, FOLDS, 1, "accuracy", options.group_size)
    with jax.default_device(select_device(options.data)):
        splits = load_data(options.data)
        networks = grid.resolved(networks, splits.train)
        with run_folder.created(options.run_dir, "sweep") as folder:
            result, summary, text = train_grid(options, networks, splits, folder / "sweep.csv")
            summary |= {"train_examples": result.fold_size * (FOLDS - 1), "optimizer": options.optimizer}
            write_json(folder / "summary.json", to_json({**summary, "settings": grid_report.rank(result)}))
            print(text, flush=True)
            write_figures(folder, figures, result, splits.name)
            say(f"in {folder}: {run_folder.listed(folder)}")
            print(f"\n{grid_report.conclusion(result)}")
            best = grid_report.order(result)[0]
            if not result.diverged_at[best].any():
                say(f"To train it on the whole training set: {_train_command(configs[best], options.data)}")
    return 0


def _train_command(config: Config, data: DataOptions) -> str:
    """Return the command that trains a network with a setting on the same data, ready to be pasted into a shell."""
    words = ["jaxmnist", "train"]
    for given, default in ((config, Recipe()), (data, DataOptions())):
        for field in dataclasses.fields(default):
            value, option = getattr(given, field.name), f"--{field.name.replace('_', '-')}"
            if value != getattr(default, field.name):
                words += [option, *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join([*words, "--seed", "0"])


def train_grid(
    options: GridOptions, networks: grid.Grid, splits: Splits, csv: Path
) -> tuple[grid.Result, dict[str, Any], str]:
    """Train, showing progress, and write the CSV; return the result, its summary, and it in words."""
    count, epochs = len(networks.configs) * networks.held_out * networks.seeds, networks.configs[0].epochs
    key = jax.random.fold_in(jax.random.key(0), 2)  # 0 and 1 would give the two keys of the network from seed 0
    begin = time.perf_counter()
    with progress(count * int(epochs), f"epochs ({count} networks × {epochs})") as on_progress:
        result = grid.run(key, networks, splits.train, on_progress)
    seconds = time.perf_counter() - begin
    write_atomically(csv, grid_report.to_csv(result).encode())
    summary = {"dataset": splits.name, "origin": splits.origin, "held_out_examples": result.fold_size}
    summary |= {**vars(options.common), "epochs": epochs, "seeds": networks.seeds, "networks": count}
    summary |= {"seconds": round(seconds, 2), "networks_per_second": round(count / seconds, 3)}
    speed = f"{count} networks in {seconds:.1f} s, {count / seconds:.2f} a second"
    head = f"{splits.name} from {printable(splits.origin)}: {speed}"
    return result, summary, f"{head}\n{grid_report.report(result, GUESSING_ACCURACY)}"
