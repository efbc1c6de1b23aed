"""A run's folder: made for one run, written by one process at a time, and never used for another run."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from jaxmnist.runs.files import clear_temporaries

LOCK, WRITER = ".lock", ".writer"
"""Files that are there while a process writes to the folder: its lock, and its number."""


def refuse_used(run_dir: Path | None) -> None:
    """Reject a folder that another run has, before anything slow.

    Raises:
        ValueError: if there is already something in it, or a process writes there; names it.
    """
    if run_dir is None or not run_dir.is_dir():
        return
    if (run_dir / LOCK).exists():
        with held(run_dir):
            pass
    files = listed(run_dir)
    if files:
        goes_on = "; a training goes on with resume" if (run_dir / "config.json").exists() else ""
        raise ValueError(
            f"run_dir={run_dir}: holds {files} already, expected a new or an empty folder, as a run never overwrites "
            f"another; choose another folder, or leave it out{goes_on}"
        )


def create(run_dir: Path | None, label: str) -> Path:
    """Make the folder of a new run.

    Args:
        run_dir: the folder; None for `runs/<time>-<label>`.
        label: distinguishes the run from others at a glance.

    Raises:
        ValueError: if there is already something in it.
        OSError: if it can't be made.
    """
    name = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{label}"
    folder, number = run_dir or Path("runs", name), 1
    while True:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=run_dir is not None)
        except FileExistsError as problem:
            if run_dir is not None:
                raise _not_writable(folder, problem) from problem
            number += 1
            folder = Path("runs", f"{name}-{number}")
        except OSError as problem:
            raise _not_writable(folder, problem) from problem
        else:
            refuse_used(run_dir)
            return folder


@contextmanager
def created(run_dir: Path | None, label: str) -> Iterator[Path]:
    """Make the folder of a new run, as `create`, and hold it, as `held`; remove it if it stays empty."""
    existed = run_dir is not None and run_dir.exists()
    folder = create(run_dir, label)
    try:
        with held(folder):
            yield folder
    finally:
        if not existed:
            with suppress(OSError):  # not empty, or another process took it over
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
        holder = f"process {writer.read_text()}" if writer.exists() else "another process"
        raise ValueError(f"{folder}: {holder} is writing there; wait for it to end, or choose another folder") from None
    except OSError as problem:
        raise _not_writable(folder, problem) from problem
    try:
        writer.write_text(str(os.getpid()))
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


def _not_writable(folder: Path, problem: OSError) -> OSError:
    return OSError(f"{folder}: can't be written ({problem.strerror or problem}); choose another folder")
