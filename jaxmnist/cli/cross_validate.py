"""The cross-validate command: which momentum to choose, asked of the training set alone."""

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jaxmnist.cli.grid import Common, check_grid, check_seeds, progress, write_rows
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, load_data, select_device
from jaxmnist.config import Config, Method, OptimizerName, validate
from jaxmnist.runs import folder as run_folder

if TYPE_CHECKING:
    from jaxmnist.sources import Splits

OPTIMIZERS: tuple[OptimizerName, ...] = ("momentum", "nesterov")

STEP_LENGTHS = (0.25, 1.0, 4.0)
"""The η/(1−μ) of fair learning rates: what η comes to where all steps have one direction. In five epochs of MNIST
μ = 0.5 and 0.9 do best near 4, 0.95 near 1 and 0.99 near 0.2."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Choose the momentum coefficient by cross-validation.

    The training set is cut into folds with equal shares of every digit. For every setting, each fold and each seed, a
    network learns from all folds but that one and is measured on it. The test set is not touched until the
    setting with the lowest mean cost has been trained once more, on the whole training set: the one test figure.
    """

    common: Common = dataclasses.field(default_factory=Method)
    momentum: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99)
    """Momentum coefficients μ in [0, 1) to compare, both in heavy-ball momentum and in Nesterov's."""
    learning_rate: Annotated[tuple[float, ...] | Literal["fair"], tyro.conf.arg(metavar="FLOAT ...|fair")] = "fair"
    """Learning rates η to try with every μ. Steps in one direction add up to η/(1−μ), so one η for all would favour one μ; fair tries for each μ the three η with an η/(1−μ) of 0.25, 1 and 4."""  # noqa: E501
    batch_size: int = 32
    """Examples in a minibatch."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the k - 1 folds that are learnt from; auto is 5 for MNIST and more for a smaller set."""
    folds: int = 5
    """Parts k of the training set, from 2. Fewer than k examples are left out, so that all parts have one size."""
    seeds: int = 3
    """Random starts for every setting and fold: the seeds 0, 1, 2, …"""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-cross-validation)."""
    json: bool = False
    """Print the summary as one JSON object, for a program, instead of the table."""

    def settings(self) -> list[tuple[float, float]]:
        """Every momentum with each of its learning rates."""
        if self.learning_rate != "fair":
            return [(momentum, rate) for momentum in self.momentum for rate in self.learning_rate]
        return [
            (momentum, float(f"{length * (1 - momentum):.6g}")) for momentum in self.momentum for length in STEP_LENGTHS
        ]

    def config(self, optimizer: OptimizerName, momentum: float, learning_rate: float) -> Config:
        """The recipe of one setting."""
        return Config(
            **vars(self.common),
            optimizer=optimizer,
            learning_rate=learning_rate,
            momentum=momentum,
            batch_size=self.batch_size,
            epochs=self.epochs,
        )


def run(options: Options) -> int:
    """Cross-validate, choose, train once more, test once; write the run folder.

    Returns:
        The exit code 0.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    run_folder.refuse_used(options.run_dir)
    check_grid("momentum", options.momentum)
    for momentum in options.momentum:
        validate(Config(momentum=momentum))
    if options.learning_rate != "fair":
        check_grid("learning rate", options.learning_rate)
    check_seeds(options.seeds)
    if options.folds < 2:
        raise ValueError(f"folds {options.folds}: expected a whole number from 2; try --folds 5")
    for setting in options.settings():
        validate(options.config("nesterov", *setting))
    device = select_device(options.data)

    import jax

    with jax.default_device(device):
        return _run(options, load_data(options.data))


def _run(options: Options, splits: "Splits") -> int:
    from jaxmnist.studies.cross_validation import check_folds

    examples = splits.train.labels.shape[0]
    check_folds(options.folds, splits.train)
    learnt = examples // options.folds * (options.folds - 1)
    validate(options.config("nesterov", *options.settings()[0]), learnt)
    epochs = max(5, round(100_000 / learnt)) if options.epochs == "auto" else options.epochs
    with run_folder.created(options.run_dir, "cross-validation") as folder:
        summary, words = _results(dataclasses.replace(options, epochs=epochs), epochs, splits, folder)
        print(json.dumps(summary, ensure_ascii=False) if options.json else words)
    return 0


def _results(options: Options, epochs: int, splits: "Splits", folder: Path) -> tuple[dict[str, Any], str]:
    """Compute and write all there is; the summary, and the same in words."""
    import jax

    from jaxmnist.cli import cross_validation_table as tables
    from jaxmnist.plots.population import cross_validation
    from jaxmnist.plots.style import png
    from jaxmnist.population import grid
    from jaxmnist.runs.files import write_atomically
    from jaxmnist.studies.cross_validation import cross_validate

    settings, examples = options.settings(), splits.train.labels.shape[0]
    members = grid(settings, range(options.seeds))
    networks = len(OPTIMIZERS) * options.folds * len(members.momenta)
    key = jax.random.key(options.seeds)  # the first seed that is no network's
    begin = time.perf_counter()
    with progress(networks * epochs) as show:
        found = {
            name: cross_validate(
                key, members, options.folds, splits.train, options.config(name, *settings[0]), show=show
            )
            for name in OPTIMIZERS
        }
    seconds = time.perf_counter() - begin
    table = tables.rows(found, settings, options.seeds)
    best = tables.best(table)
    test_cost, test_accuracy = _train_chosen(
        folder, options.config(best.optimizer, best.momentum, best.learning_rate), splits
    )
    summary = {
        "dataset": splits.name,
        "origin": splits.origin,
        "train_examples": examples,
        **vars(options.common),
        "batch_size": options.batch_size,
        "epochs": epochs,
        "folds": options.folds,
        "seeds": options.seeds,
        "networks": networks,
        "seconds": round(seconds, 2),
        "chosen": best.to_json(),
        "not_told_apart": [row.to_json() for row in tables.as_good(table)],
        "test_accuracy": test_accuracy,
        "test_cost": test_cost,
        "rows": [row.to_json() for row in table],
    }
    write_rows(folder / "cross_validation.csv", [row.to_json() for row in table])
    run_folder.write_json(folder / "summary.json", summary)
    what = (
        f"{splits.name}: {options.folds} folds × {options.seeds} seeds, each μ at its best η (momentum's / nesterov's)"
    )
    figure = cross_validation(*tables.picture(table, found, options.seeds), what)
    write_atomically(folder / "cross_validation.png", png(figure))
    return summary, (
        f"{splits.name} from {splits.origin}: {networks} networks, {epochs} epochs each, in {seconds:.1f} s; a row is "
        f"{options.folds} folds of {examples // options.folds:,} training examples × {options.seeds} seeds\n"
        f"{tables.told(table)}\n"
        f"Trained once more on all {examples:,} training examples, seed 0: test accuracy {test_accuracy:.2%}, test "
        f"cost {test_cost:.4f}. That was the only look at the test set.\n"
        f"in {folder}: {run_folder.listed(folder)}"
    )


def _train_chosen(folder: Path, config: Config, splits: "Splits") -> tuple[float, float]:
    """Train the chosen setting on the whole training set, save it, and look at the test set: cost and accuracy."""
    import jax

    from jaxmnist.metrics import evaluate
    from jaxmnist.runs.checkpoint import save_network
    from jaxmnist.training import start, train_epoch

    examples = splits.train.labels.shape[0]
    state = start(jax.random.key(0), config, examples)
    for _ in range(config.epochs_for(examples)):
        state, _costs = train_epoch(state, splits.train, config)
    save_network(folder / "weights.safetensors", state.params, config, {"dataset": splits.name, "seed": 0})
    found = evaluate(state.params, splits.test, config.activation, config.cost)
    return float(f"{found.cost:.7g}"), float(f"{found.accuracy:.7g}")
