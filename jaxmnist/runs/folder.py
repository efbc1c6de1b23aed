"""A run's folder: made for one run, written by one process at a time, and never used for another run."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from jaxmnist.runs.files import clear_temporaries, write_atomically

LOCK, WRITER = ".jaxmnist-lock", ".jaxmnist-writer"
"""Files that are there while a process writes to the folder: its lock, and its number."""


def refuse_used(run_dir: Path | None) -> None:
    """Reject, before anything slow, a folder that has something in it or that a process writes to."""
    if run_dir is None or not run_dir.is_dir():
        return
    if (run_dir / LOCK).exists():
        with held(run_dir):
            pass
    _refuse_files(run_dir)


def create(run_dir: Path | None, label: str) -> Path:
    """Make the folder of a new run: `run_dir`, or if that is None `runs/<time>-<label>`; reject one that is used."""
    refuse_used(run_dir)
    name, number = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{label}", 1
    try:
        if run_dir is not None:
            run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            return run_dir
        while True:  # until the name is new
            folder = Path("runs", name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                folder.mkdir(mode=0o755, parents=True)
                return folder
            number += 1
    except OSError as problem:
        raise _not_writable(run_dir or Path("runs"), problem) from problem


@contextmanager
def created(run_dir: Path | None, label: str) -> Iterator[Path]:
    """Make the folder of a new run, as `create`, and hold it, as `held`; remove it if it stays empty."""
    existed = run_dir is not None and run_dir.exists()
    folder = create(run_dir, label)
    try:
        with held(folder):
            _refuse_files(folder)  # again, as another run may have been quicker
            yield folder
    finally:
        if not existed:
            with suppress(OSError):  # it isn't empty
                folder.rmdir()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder against other writers, until the block or this process ends, however it ends.

    Raises:
        ValueError: if another process holds it; names the process.
        OSError: if it can't be written.
    """
    lock, writer = FileLock(folder / LOCK, timeout=0), folder / WRITER
    try:
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError, ValueError):  # it may have ended since
            holder = f"process {int(writer.read_text())}"
        raise ValueError(f"{folder}: {holder} is writing there; wait for it to end, or choose another folder") from None
    except OSError as problem:
        raise _not_writable(folder, problem) from problem
    try:
        write_atomically(writer, str(os.getpid()).encode())  # which follows no link
        clear_temporaries(folder)
        yield
    finally:
        for path in (writer, folder / LOCK):  # safe while we hold it: filelock takes no lock on a removed file
            with suppress(OSError):
                path.unlink()
        lock.release()


def listed(folder: Path) -> str:
    """List the files of a run's folder, in words."""
    return ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))


def _refuse_files(folder: Path) -> None:
    files = listed(folder)
    if files:
        remedy = "resume it, or choose" if (folder / "config.json").exists() else "choose"
        raise ValueError(
            f"run_dir={folder}: holds {files} already, expected a new or an empty folder, as a run never overwrites "
            f"another; {remedy} another folder"
        )


def _not_writable(folder: Path, problem: OSError) -> OSError:
    return OSError(f"{folder}: can't be written ({problem.strerror or problem}); choose another folder")
