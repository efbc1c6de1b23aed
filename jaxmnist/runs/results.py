"""What a run is, and what it leaves behind in numbers: metrics.csv, the weights and summary.json."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmnist.config import Config
from jaxmnist.network import count_parameters
from jaxmnist.runs.checkpoint import save_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.health import guesses, other_steps
from jaxmnist.sources import Splits
from jaxmnist.training import History, TrainState, count_steps

COLUMNS = ("train_cost", "test_cost", "train_accuracy", "test_accuracy")
METRICS = {name: attrgetter(name.replace("_", ".")) for name in COLUMNS}
"""What is known of each epoch: how to find each column of metrics.csv in a `History`."""

PURPOSES = ("load", "compile", "evaluate", "save", "train")
"""What a run's seconds are spent on, in the order of time. A checkpoint has them in the order of the alphabet."""


class Run(NamedTuple):
    """All that decides a training run, and where it is kept."""

    folder: Path  # the run's folder, held against other writers
    metadata: dict[str, Any]  # the content of its config.json
    splits: Splits  # the data, on the device
    config: Config  # the recipe, resolved
    device: jax.Device  # where to compute


class RunState(NamedTuple):
    """How far a run is."""

    state: TrainState  # the state to continue from
    history: list[History]  # one entry before training and one after each epoch; empty before the first measurement
    seconds: dict[str, float]  # seconds spent so far, by purpose, in all sessions of the run


def write(run: Run, progress: RunState, problem: str | None = None) -> dict[str, Any]:
    """Write metrics.csv, the weights and, last, summary.json, whose content it returns.

    A run that was given up because of a `problem` gets no weights.
    """
    summary = summarize(run, progress)
    write_metrics(run.folder / "metrics.csv", progress.history)
    if problem:
        summary |= {"learned": False, "problem": problem}
    else:
        about = {name: run.metadata.get(name) for name in ("dataset", "seed", "command")}
        about |= {name: summary[name] for name in ("test_accuracy", "test_examples")}
        save_network(run.folder / "weights.safetensors", progress.state.params, run.config, about)
    write_json(run.folder / "summary.json", summary)
    return summary


def summarize(run: Run, progress: RunState) -> dict[str, Any]:
    """Make the content of summary.json: costs are means per example, accuracies shares."""
    train_set, test_set, seconds, last = run.splits.train, run.splits.test, progress.seconds, progress.history[-1]
    examples, epochs = train_set.labels.shape[0], len(progress.history) - 1
    steps = count_steps(run.config, examples) // int(run.config.epochs) * epochs
    return {
        **{name: to_json(np.asarray(METRICS[name](last))) for name in sorted(METRICS)},
        "learned": not guesses(last),
        "epochs": epochs,
        "steps": steps,
        "parameters": count_parameters(progress.state.params),
        "dataset": run.splits.name,
        "origin": run.splits.origin,
        "train_examples": examples,
        "test_examples": test_set.labels.shape[0],
        "seed": run.metadata["seed"],
        "seconds": {purpose: round(spent, 4) for purpose, spent in seconds.items()},
        "examples_per_second": round(steps * int(run.config.batch_size) / seconds["train"]),
        "platform": run.device.platform,
        "device": run.device.device_kind,
        "jax": jax.__version__,
    }


def report(summary: Mapping[str, Any], learning_rate: float) -> str:
    """Describe the results of a run that learned, in two lines, with a note if it doesn't do better than guessing."""
    cost = "not finite" if summary["test_cost"] is None else f"{summary['test_cost']:.4f}"
    right = round(summary["test_accuracy"] * summary["test_examples"])
    seconds = summary["seconds"]
    times = ", ".join(f"{purpose} {seconds[purpose]:.2f} s" for purpose in PURPOSES if purpose in seconds)
    advice = f"try more epochs, or {other_steps(learning_rate).removeprefix('try ')}"
    note = f"note: after {summary['steps']:,} steps it does no better than guessing yet; {advice}\n"
    return (
        f"{'' if summary['learned'] else note}test accuracy {summary['test_accuracy']:.2%} "
        f"({right:,} of {summary['test_examples']:,}) · test cost {cost} · train cost "
        f"{summary['train_cost']:.4f}\n{times} · {summary['examples_per_second']:,} examples a second"
    )


def write_metrics(path: Path, history: Sequence[History]) -> None:
    """Write metrics.csv: one line per epoch; epoch 0 is before training."""
    rows = [",".join(["epoch", *METRICS])]
    for epoch, entry in enumerate(history):
        rows.append(",".join([str(epoch), *(f"{value(entry):.7g}" for value in METRICS.values())]))
    write_atomically(path, "\n".join([*rows, ""]).encode())


def read_metrics(path: Path, column: str, epoch: int) -> str | None:
    """Read a number of an epoch from metrics.csv, as it is written there; None if the file or the epoch isn't there."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        return next((row.get(column) for row in csv.DictReader(lines) if row.get("epoch") == str(epoch)), None)


def to_json(result: Any) -> Any:
    """Convert any study's result to values that JSON can hold.

    NamedTuples become objects and arrays become lists. Floats keep seven significant digits, as float32 knows no more;
    NaN and infinity, which JSON doesn't know, become null.
    """
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        result = result._asdict()
    if isinstance(result, Mapping):
        return {str(name): to_json(value) for name, value in result.items()}
    if isinstance(result, np.ndarray | np.generic | jax.Array):
        result = np.asarray(result).tolist()
    if isinstance(result, list | tuple):
        return [to_json(value) for value in result]
    if isinstance(result, float):
        return float(f"{result:.7g}") if math.isfinite(result) else None
    return result


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON for people and programs; bytes of a file name that aren't UTF-8 become escapes."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode(errors="backslashreplace"))
