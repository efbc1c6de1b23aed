"""A run's folder: made for one run, never used for another, and what is in it."""

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmnist.files import write_atomically

if TYPE_CHECKING:
    from jaxmnist.training import History

METRICS: dict[str, Callable[["History"], Any]] = {
    "train_cost": lambda entry: entry.train.cost,
    "test_cost": lambda entry: entry.test.cost,
    "train_accuracy": lambda entry: entry.train.accuracy,
    "test_accuracy": lambda entry: entry.test.accuracy,
}
"""What is known of each epoch: the columns of metrics.csv."""


def create(run_dir: Path | None, label: str) -> Path:
    """Make the folder of a new run.

    Args:
        run_dir: where the user wants it; None for `runs/<time>-<label>`.
        label: what tells the run from others at a glance.

    Raises:
        ValueError: when there is already something in it.
        OSError: when it can't be made or written.
    """
    if run_dir is None:
        return _create_named(Path("runs"), f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{label}")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        entries = sorted(entry.name for entry in run_dir.iterdir())
        if entries:
            raise ValueError(
                f"run dir {run_dir}: holds {entries[0]!r} already, expected a new or an empty folder, as a run never "
                f"overwrites another; choose another --run-dir, or leave it out"
            )
        write_atomically(run_dir / ".writable", b"")
        (run_dir / ".writable").unlink()
    except OSError as problem:
        raise OSError(
            f"run dir {run_dir}: can't be written ({problem.strerror}), expected a folder to write to; choose another "
            f"--run-dir"
        ) from problem
    return run_dir


def _create_named(parent: Path, name: str) -> Path:
    """The first of name, name-2, name-3, … that nobody has made yet."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as problem:
        raise OSError(
            f"run dir {parent / name}: can't be made ({problem.strerror}), expected a folder to write to; choose "
            f"one with --run-dir"
        ) from problem


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write values that a person and a program can read."""
    write_atomically(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def write_metrics(path: Path, history: Sequence["History"]) -> None:
    """Write one line per epoch; epoch 0 is before training. Costs are means per example, accuracies shares."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *METRICS])
    for epoch, entry in enumerate(history):
        table.writerow([epoch, *(f"{column(entry):.7g}" for column in METRICS.values())])
    write_atomically(path, text.getvalue().encode())
