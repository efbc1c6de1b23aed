"""The train command: a network from random start to trained, with its numbers and pictures."""

import dataclasses
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jaxmnist.cli import run_folder
from jaxmnist.cli.inputs import Data, DataOptions, OptionalPath, check_seed, load_data, select_device
from jaxmnist.config import RECIPES, Config, RecipeName, validate

if TYPE_CHECKING:
    from jaxmnist.network import Params
    from jaxmnist.sources import Splits
    from jaxmnist.training import History

Recipe = Annotated[tyro.conf.OmitArgPrefixes[Config], tyro.conf.arg(name="recipe", help="How to train.")]

NOT_LEARNING = 3
"""Exit code of a run that diverges or doesn't learn."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Train the digit network and leave its numbers, weights and pictures in a run folder.

    Without options: 3Blue1Brown's network on MNIST, in seconds.
    """

    recipe: RecipeName = "source"
    """What the recipe options are where they aren't given. source: the rules of 3Blue1Brown's lessons; best: silu, cross_entropy, jitter and long training (add --help to see all)."""  # noqa: E501
    config: Recipe = dataclasses.field(default_factory=Config)
    data: Data = dataclasses.field(default_factory=DataOptions)
    seed: int = 0
    """Decides the random start and every shuffle: the same seed gives the same weights, bit for bit."""
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-<optimizer>)."""


def defaults(options: Options) -> Options:
    """What the options default to, given those of the command line: those of the recipe."""
    return dataclasses.replace(options, config=RECIPES[options.recipe])


def run(options: Options) -> int:
    """Train, and write the run folder.

    Returns:
        The exit code: 0, or 3 for a run that diverges or doesn't learn.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    validate(options.config)
    check_seed(options.seed)
    device = select_device(options.data)

    import jax

    with jax.default_device(device):
        seconds: dict[str, float] = defaultdict(float)
        with _timed(seconds, "load"):
            splits = load_data(options.data)
        examples = splits.train.labels.shape[0]
        config = dataclasses.replace(options.config, epochs=options.config.epochs_for(examples))
        validate(config, examples)
        folder = run_folder.create(options.run_dir, config.optimizer)
        run_folder.write_json(
            folder / "config.json",
            {
                "dataset": splits.name,
                "origin": splits.origin,
                "seed": options.seed,
                **dataclasses.asdict(config),
            },
        )
        return _train(splits, config, options.seed, device, folder, seconds)


def _train(splits: "Splits", config: Config, seed: int, device: Any, folder: Path, seconds: dict[str, float]) -> int:
    """The run itself, once all that it needs is there; epoch by epoch, so that progress shows."""
    import jax
    import numpy as np

    from jaxmnist.checkpoint import save_params
    from jaxmnist.network import count_parameters
    from jaxmnist.training import measure, start, train_epoch, why_not_learning

    train_set, test_set = splits.train, splits.test
    examples = train_set.labels.shape[0]
    state = start(jax.random.key(seed), config, examples)
    start_weights = np.array(state.params[0].weights)
    parameters = count_parameters(state.params)
    print(
        f"{device.device_kind} ({device.platform}) · {splits.name} from {splits.origin}: {examples:,} training and "
        f"{test_set.labels.shape[0]:,} test examples · {'-'.join(map(str, config.sizes))}, {parameters:,} parameters",
        flush=True,
    )
    with _timed(seconds, "compile"):
        compiled_epoch = train_epoch.lower(state, train_set, config).compile()
        compiled_measure = jax.jit(measure).lower(state, train_set, test_set, config).compile()
    with _timed(seconds, "evaluate"):
        history = [jax.device_get(compiled_measure(state, train_set, test_set, config))]

    problem = None
    epochs = config.epochs_for(examples)
    with _progress(epochs) as show:
        for epoch in range(1, epochs + 1):
            with _timed(seconds, "train"):
                state, costs = compiled_epoch(state, train_set, config)
                costs.block_until_ready()
            with _timed(seconds, "evaluate"):
                history.append(jax.device_get(compiled_measure(state, train_set, test_set, config)))
            run_folder.write_metrics(folder / "metrics.csv", history)
            show(epoch, history[-1])
            steps = epoch * config.steps_per_epoch(examples)
            problem = why_not_learning(history[0], history[-2], history[-1], steps)
            if problem:
                break

    last = history[-1]
    steps = (len(history) - 1) * config.steps_per_epoch(examples)
    summary = {
        "test_accuracy": _plain(last.test.accuracy),
        "test_cost": _plain(last.test.cost),
        "train_accuracy": _plain(last.train.accuracy),
        "train_cost": _plain(last.train.cost),
        "learned": problem is None,
        "epochs": len(history) - 1,
        "steps": steps,
        "parameters": parameters,
        "dataset": splits.name,
        "origin": splits.origin,
        "train_examples": examples,
        "test_examples": test_set.labels.shape[0],
        "seed": seed,
        "seconds": {name: round(spent, 4) for name, spent in seconds.items()},
        "examples_per_second": round(steps * config.examples_per_step(examples) / seconds["train"]),
        "platform": device.platform,
        "device": device.device_kind,
        "jax": jax.__version__,
    }
    if problem:
        run_folder.write_json(folder / "summary.json", {**summary, "problem": problem})
        print(
            f"error: does not learn: {problem}; try a smaller --learning-rate than {config.learning_rate}, or "
            f"--momentum {Config.momentum} --cost squared_error --activation sigmoid",
            file=sys.stderr,
        )
        return NOT_LEARNING
    save_params(
        folder / "weights.safetensors",
        state.params,
        {"dataset": splits.name, "seed": seed, "config": dataclasses.asdict(config)},
    )
    run_folder.write_json(folder / "summary.json", summary)
    with _timed(seconds, "pictures"):
        _draw(folder, splits, config, history, start_weights, state.params)
    _conclude(folder, summary, seconds)
    return 0


def _draw(
    folder: Path,
    splits: "Splits",
    config: Config,
    history: list["History"],
    start_weights: Any,
    params: "Params",
) -> None:
    """Write the run's pictures."""
    import numpy as np

    from jaxmnist.files import write_atomically
    from jaxmnist.metrics import confusion_matrix, outputs, worst_mistakes
    from jaxmnist.plots.style import png
    from jaxmnist.plots.training import confusion, learning_curves, mistakes, weight_maps

    images, labels = map(np.asarray, splits.test)
    read = np.asarray(outputs(params, splits.test.images, config.activation, config.cost))
    matrix = confusion_matrix(labels, read.argmax(axis=1))
    wrong = worst_mistakes(read, labels, most=18)
    right, all_read = int(matrix.trace()), int(matrix.sum())
    what = f"{splits.name}: {'-'.join(map(str, config.sizes))}, {config.activation}, {config.optimizer}"
    figures = {
        "curves.png": learning_curves(
            {name: np.array([part(entry) for entry in history]) for name, part in run_folder.METRICS.items()}, what
        ),
        "weights.png": weight_maps(start_weights, np.asarray(params[0].weights)),
        "confusion.png": confusion(matrix, f"{right:,} of {all_read:,} test images of {splits.name} read right"),
        "mistakes.png": mistakes(
            images[wrong],
            labels[wrong],
            read[wrong],
            f"{splits.name}: the {len(wrong)} most confident of {all_read - right:,} mistakes on the test set",
        ),
    }
    for name, figure in figures.items():
        write_atomically(folder / name, png(figure))


def _conclude(folder: Path, summary: dict[str, Any], seconds: dict[str, float]) -> None:
    right = round(summary["test_accuracy"] * summary["test_examples"])
    times = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    print(
        f"test accuracy {summary['test_accuracy']:.2%} ({right:,} of {summary['test_examples']:,}) · test cost "
        f"{summary['test_cost']:.4f} · train cost {summary['train_cost']:.4f}\n"
        f"{times} · {summary['examples_per_second']:,} examples a second\n"
        f"in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}"
    )


def _plain(number: Any) -> float:
    """A float32 with the seven digits that it knows."""
    return float(f"{number:.7g}")


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time that the block takes to what has been spent under this name."""
    begin = time.perf_counter()
    yield
    seconds[name] += time.perf_counter() - begin


@contextmanager
def _progress(epochs: int) -> Iterator[Callable[[int, "History"], None]]:
    """How the run goes, epoch by epoch: a bar on a terminal, a line each in a pipe or file."""
    from tqdm import tqdm

    live = sys.stdout.isatty()
    with tqdm(total=epochs, unit="epoch", disable=not live, file=sys.stdout, dynamic_ncols=True) as bar:

        def show(epoch: int, now: "History") -> None:
            if live:
                bar.set_postfix_str(f"test accuracy {now.test.accuracy:.2%}, cost {now.test.cost:.4f}", refresh=False)
                bar.update()
            else:
                print(
                    f"epoch {epoch:>{len(str(epochs))}}/{epochs} · train cost {now.train.cost:.4f} · test cost "
                    f"{now.test.cost:.4f} · test accuracy {now.test.accuracy:.2%}",
                    flush=True,
                )

        yield show
