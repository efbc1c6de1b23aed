"""What a run leaves behind: numbers, weights and pictures."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmnist.config import Config
from jaxmnist.network import Params, count_parameters
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.checkpoint import save_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.health import guesses
from jaxmnist.sources import Splits
from jaxmnist.training import History


def write(
    folder: Path,
    record: Mapping[str, Any],
    splits: Splits,
    config: Config,
    history: Sequence[History],
    seconds: Mapping[str, float],
    start_weights: np.ndarray,
    params: Params,
    device: jax.Device,
    problem: str | None,
) -> None:
    """Write a run's results and tell them: metrics, weights and pictures, and summary.json last.

    Args:
        folder: the run's.
        record: what is known of the run, as its config.json has it.
        splits: the data.
        config: the recipe.
        history: before training and after each epoch.
        seconds: what has been spent, by name.
        start_weights: the first layer's before training.
        params: the network.
        device: which computed.
        problem: why the run was given up, if it was; then there are no weights and no pictures.
    """
    summary = _summary(record, splits, config, history, seconds, params, device)
    run_folder.write_metrics(folder / "metrics.csv", history)
    if problem:
        run_folder.write_json(folder / "summary.json", {**summary, "learned": False, "problem": problem})
        print(f"error: does not learn: {problem}", file=sys.stderr)
        return
    about = {name: record.get(name) for name in ("dataset", "seed", "command")}
    about |= {name: summary[name] for name in ("test_accuracy", "test_examples")}
    save_network(folder / "weights.safetensors", params, config, about)
    begin = time.perf_counter()
    _draw(folder, splits, config, history, start_weights, params)
    drawing = time.perf_counter() - begin
    run_folder.write_json(folder / "summary.json", summary)
    _tell(folder, summary, {**seconds, "pictures": drawing})


def _summary(
    record: Mapping[str, Any],
    splits: Splits,
    config: Config,
    history: Sequence[History],
    seconds: Mapping[str, float],
    params: Params,
    device: jax.Device,
) -> dict[str, Any]:
    examples, last = splits.train.labels.shape[0], history[-1]
    steps = (len(history) - 1) * config.steps_per_epoch(examples)
    return {
        "test_accuracy": _plain(last.test.accuracy),
        "test_cost": _plain(last.test.cost),
        "train_accuracy": _plain(last.train.accuracy),
        "train_cost": _plain(last.train.cost),
        "learned": not guesses(last),
        "epochs": len(history) - 1,
        "steps": steps,
        "parameters": count_parameters(params),
        "dataset": splits.name,
        "origin": splits.origin,
        "train_examples": examples,
        "test_examples": splits.test.labels.shape[0],
        "seed": record["seed"],
        "seconds": {name: round(spent, 4) for name, spent in seconds.items()},
        "examples_per_second": round(steps * config.examples_per_step(examples) / seconds["train"]),
        "platform": device.platform,
        "device": device.device_kind,
        "jax": jax.__version__,
    }


def _draw(
    folder: Path,
    splits: Splits,
    config: Config,
    history: Sequence[History],
    start_weights: np.ndarray,
    params: Params,
) -> None:
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


def _tell(folder: Path, summary: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    right = round(summary["test_accuracy"] * summary["test_examples"])
    times = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if not summary["learned"]:
        print(
            f"note: after {summary['steps']:,} steps it does no better than guessing yet; "
            f"try more --epochs, or a larger --learning-rate"
        )
    print(
        f"test accuracy {summary['test_accuracy']:.2%} ({right:,} of {summary['test_examples']:,}) · test cost "
        f"{summary['test_cost']:.4f} · train cost {summary['train_cost']:.4f}\n"
        f"{times} · {summary['examples_per_second']:,} examples a second\n"
        f"in {folder}: {', '.join(files)}"
    )


def _plain(number: Any) -> float | None:
    """A float32 with the seven digits that it knows; None for what is no number, which JSON can't hold."""
    return float(f"{number:.7g}") if np.isfinite(number) else None
