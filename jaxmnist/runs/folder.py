"""A run's folder: made for one run, written by one process, never used for another, and what is in it."""

import csv
import fcntl
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmnist.runs.files import clear_temporaries, write_atomically

if TYPE_CHECKING:
    from jaxmnist.training import History

METRICS: dict[str, Callable[["History"], Any]] = {
    "train_cost": lambda entry: entry.train.cost,
    "test_cost": lambda entry: entry.test.cost,
    "train_accuracy": lambda entry: entry.train.accuracy,
    "test_accuracy": lambda entry: entry.test.accuracy,
}
"""What is known of each epoch: the columns of metrics.csv."""

LOCK = ".lock"


def refuse_used(run_dir: Path | None) -> None:
    """Refuse a folder that another run has, at once, before anything slow.

    Raises:
        ValueError: when there is already something in it; names the process that writes there, if one does.
    """
    if run_dir is None or not run_dir.is_dir():
        return
    _refuse_held(run_dir)
    entries = sorted(entry.name for entry in run_dir.iterdir() if not entry.name.startswith("."))
    if entries:
        training = " (a training goes on by --resume)" if "config.json" in entries else ""
        raise ValueError(
            f"run dir {run_dir}: holds {entries[0]!r} already, expected a new or an empty folder, as a run never "
            f"overwrites another; choose another --run-dir, or leave it out{training}"
        )


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
    with _explained(run_dir):
        run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        refuse_used(run_dir)
        write_atomically(run_dir / ".writable", b"")
        (run_dir / ".writable").unlink()
    return run_dir


@contextmanager
def created(run_dir: Path | None, label: str) -> Iterator[Path]:
    """Make the folder of a new run, as `create`, and hold it against other writers, as `held`."""
    folder = create(run_dir, label)
    with held(folder):
        yield folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder against other writers; the system lets go of it when this process ends, however it ends.

    Raises:
        ValueError: when another process holds it; names the process.
        OSError: when it can't be written.
    """
    with _explained(folder):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        _lock(descriptor, folder)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        clear_temporaries(folder)
        yield
    finally:
        os.close(descriptor)


def listed(folder: Path) -> str:
    """What is in a run's folder, in words."""
    return ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write values that a person and a program can read; a name's bytes that aren't UTF-8 become JSON's escapes."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode(errors="backslashreplace"))


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        ValueError: when it isn't there, or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path}: {problem}; expected a file that a run wrote") from problem
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def write_metrics(path: Path, history: Sequence["History"]) -> None:
    """Write one line per epoch; epoch 0 is before training. Costs are means per example, accuracies shares."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *METRICS])
    for epoch, entry in enumerate(history):
        table.writerow([epoch, *(f"{column(entry):.7g}" for column in METRICS.values())])
    write_atomically(path, text.getvalue().encode())


def _create_named(parent: Path, name: str) -> Path:
    """The first of name, name-2, name-3, … that nobody has made yet."""
    with _explained(parent / name):
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(mode=0o755)
            except FileExistsError:
                number += 1
            else:
                return folder


@contextmanager
def _explained(run_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise OSError(
            f"run dir {run_dir}: can't be written ({problem.strerror or problem}), expected a folder to write to; "
            f"choose another --run-dir"
        ) from problem


def _refuse_held(folder: Path) -> None:
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # never held, or not ours to write; the latter is told later
        return
    try:
        _lock(descriptor, folder)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
        raise ValueError(
            f"run dir {folder}: process {holder} is writing there; wait for it to end, or choose another --run-dir"
        ) from None
