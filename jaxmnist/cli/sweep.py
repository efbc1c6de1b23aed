"""The sweep command: a grid of settings and seeds, trained as few compiled programs."""

import dataclasses
import itertools
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxmnist.cli.grid import Common, check_grid, check_seeds, progress, write_rows
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, load_data, select_device
from jaxmnist.config import Config, Method, OptimizerName, validate
from jaxmnist.runs import folder as run_folder

if TYPE_CHECKING:
    from jaxmnist.dataset import Dataset
    from jaxmnist.population import Population
    from jaxmnist.sources import Splits

PARTS = 6
"""The training set is cut into so many parts, and one is held out: 10,000 of MNIST's 60,000."""

MEGABYTE = 1_000_000

SHOWN = 5
"""Settings that are printed, the best first."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Train a grid of networks, every combination of what is listed, and see which settings do best.

    One sixth of the training set, with an equal share of every digit, is held out to measure on; the test set is not
    touched. Networks of one batch size are one compiled program, and many times as fast as one after the other.
    """

    common: Common = dataclasses.field(default_factory=Method)
    seeds: int = 4
    """Random starts for every setting: the seeds 0, 1, 2, …"""
    learning_rate: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4)
    """Learning rates η."""
    momentum: tuple[float, ...] = (0.9,)
    """Momentum coefficients μ in [0, 1)."""
    batch_size: tuple[int, ...] = (32,)
    """Examples in a minibatch."""
    optimizer: OptimizerName = "nesterov"
    """How a gradient becomes a step."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the five sixths that are learnt from; auto is 30 for MNIST and more for a smaller set."""
    order: Literal["shared", "own"] = "shared"
    """shared: all networks see the same minibatches, so that their first layers become one large matrix product; own: each shuffles for itself, which takes longer."""  # noqa: E501
    memory_budget: int = 1_000
    """Megabytes that training may take beside the data; networks go through in groups that fit."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-sweep)."""

    def configs(self) -> list[Config]:
        """A recipe for each combination of batch size, momentum and learning rate, in this order."""
        return [
            Config(
                **vars(self.common),
                optimizer=self.optimizer,
                learning_rate=learning_rate,
                momentum=momentum,
                batch_size=batch_size,
                epochs=self.epochs,
            )
            for batch_size, momentum, learning_rate in itertools.product(
                self.batch_size, self.momentum, self.learning_rate
            )
        ]


def run(options: Options) -> int:
    """Train the grid, and write the run folder.

    Returns:
        The exit code 0.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    run_folder.refuse_used(options.run_dir)
    check_grid("learning rate", options.learning_rate)
    check_grid("momentum", options.momentum)
    check_grid("batch size", options.batch_size)
    check_seeds(options.seeds)
    for config in options.configs():
        validate(config)
    device = select_device(options.data)

    import jax

    with jax.default_device(device):
        return _run(options, load_data(options.data))


def _run(options: Options, splits: "Splits") -> int:
    import jax

    from jaxmnist.dataset import stratified_folds, take
    from jaxmnist.population import group_size
    from jaxmnist.studies.cross_validation import check_folds

    check_folds(PARTS, splits.train)
    folds_key, order_key = jax.random.split(jax.random.key(options.seeds))  # the first seed that is no network's
    folds = stratified_folds(folds_key, splits.train.labels, PARTS)
    held_out, learnt = take(splits.train, folds[0]), take(splits.train, folds[1:].ravel())
    examples = learnt.labels.shape[0]
    options = dataclasses.replace(options, epochs=options.configs()[0].epochs_for(examples))
    for config in options.configs():
        validate(config, examples)
        group_size(1, config, examples, options.order == "own", options.memory_budget * MEGABYTE)
    with run_folder.created(options.run_dir, "sweep") as folder:
        _results(options, order_key, learnt, held_out, splits, folder)
    return 0


def _results(
    options: Options, order_key: Any, learnt: "Dataset", held_out: "Dataset", splits: "Splits", folder: Path
) -> None:
    """Compute, write and tell all there is."""
    import numpy as np

    from jaxmnist.plots.population import grid_maps
    from jaxmnist.plots.style import png
    from jaxmnist.population import grid, train_population
    from jaxmnist.runs.files import write_atomically

    configs = options.configs()
    members = grid(list(itertools.product(options.momentum, options.learning_rate)), range(options.seeds))
    order = order_key if options.order == "shared" else None
    epochs = configs[0].epochs_for(learnt.labels.shape[0])
    networks = len(configs) * options.seeds
    begin = time.perf_counter()
    with progress(networks * epochs) as show:
        trained = [
            train_population(members, order, learnt, held_out, config, options.memory_budget * MEGABYTE, show)
            for config in configs[:: len(configs) // len(options.batch_size)]
        ]
    seconds = time.perf_counter() - begin
    rows = _rows(configs, options.seeds, trained)
    accuracy = np.array([row["accuracy"] for row in rows]).reshape(
        len(options.batch_size), len(options.momentum), len(options.learning_rate), options.seeds
    )
    summary = {
        "dataset": splits.name,
        "origin": splits.origin,
        "train_examples": learnt.labels.shape[0],
        "held_out_examples": held_out.labels.shape[0],
        **vars(options.common),
        "optimizer": options.optimizer,
        "order": options.order,
        "epochs": epochs,
        "seeds": options.seeds,
        "networks": networks,
        "seconds": round(seconds, 2),
        "networks_per_second": round(networks / seconds, 3),
        "settings": _settings(configs, rows, options.seeds),
    }
    write_rows(folder / "sweep.csv", rows)
    run_folder.write_json(folder / "summary.json", summary)
    what = f"{splits.name}: {networks} networks, {epochs} epochs each"
    figure = grid_maps(options.batch_size, options.momentum, options.learning_rate, accuracy, what)
    write_atomically(folder / "accuracy.png", png(figure))
    _tell(summary, rows)
    print(f"in {folder}: {run_folder.listed(folder)}")


def _rows(configs: list[Config], seeds: int, trained: "list[Population]") -> list[dict[str, Any]]:
    """A row for each network, setting by setting."""
    import numpy as np

    costs = np.concatenate([some.measured.cost[:, -1] for some in trained])
    accuracies = np.concatenate([some.measured.accuracy[:, -1] for some in trained])
    running = np.concatenate([some.running_cost[:, -1] for some in trained])
    diverged_at = np.concatenate([some.diverged_at for some in trained])
    return [
        {
            "batch_size": config.batch_size,
            "momentum": config.momentum,
            "learning_rate": config.learning_rate,
            "seed": seed,
            "accuracy": float(f"{accuracies[place]:.7g}"),
            "cost": float(f"{costs[place]:.7g}"),
            "training_cost": float(f"{running[place]:.7g}"),
            "diverged_at_step": int(diverged_at[place]) or None,
        }
        for place, (config, seed) in enumerate(itertools.product(configs, range(seeds)))
    ]


def _settings(configs: list[Config], rows: list[dict[str, Any]], seeds: int) -> list[dict[str, Any]]:
    """How each setting did over its seeds, the best first."""
    settings = []
    for place, config in enumerate(configs):
        found = [row["accuracy"] for row in rows[place * seeds : (place + 1) * seeds]]
        settings.append(
            {
                "batch_size": config.batch_size,
                "momentum": config.momentum,
                "learning_rate": config.learning_rate,
                "accuracy": float(f"{statistics.mean(found):.6g}"),
                "deviation": float(f"{statistics.stdev(found):.4g}") if seeds > 1 else None,
                "lowest": min(found),
                "highest": max(found),
            }
        )
    return sorted(settings, key=lambda setting: -setting["accuracy"])


def _tell(summary: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the best settings, and which networks didn't learn."""
    from jaxmnist.runs.health import CHANCE

    print(
        f"{summary['dataset']} from {summary['origin']}: {summary['networks']} networks, {summary['epochs']} epochs "
        f"each on {summary['train_examples']:,} examples, in {summary['seconds']:.1f} s: "
        f"{summary['networks_per_second']:.2f} networks a second\n"
        f"{'batch':>6}{'μ':>7}{'η':>9}  accuracy (%) on {summary['held_out_examples']:,} held-out training examples, "
        f"mean over {summary['seeds']} seeds ± their deviation"
    )
    for setting in summary["settings"][:SHOWN]:
        line = f"{setting['batch_size']:>6}{setting['momentum']:>7g}{setting['learning_rate']:>9g}  "
        line += f"{100 * setting['accuracy']:.2f}"
        if setting["deviation"] is not None:
            line += f" ± {100 * setting['deviation']:.2f}"
        print(f"{line}, {100 * setting['lowest']:.2f} to {100 * setting['highest']:.2f}")
    for row in rows:
        name = f"batch {row['batch_size']}, μ {row['momentum']:g}, η {row['learning_rate']:g}, seed {row['seed']}"
        if row["diverged_at_step"]:
            print(f"diverged at step {row['diverged_at_step']:,}: {name}")
    guessing = sum(row["accuracy"] <= CHANCE and not row["diverged_at_step"] for row in rows)
    if guessing:
        print(
            f"{guessing} of {len(rows)} networks do no better than guessing, accuracy up to {CHANCE:.0%}: see sweep.csv"
        )
