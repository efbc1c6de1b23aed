"""A run's folder: made for one run, written by one process at a time, and never used for another run."""

import errno
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from jaxmnist.runs.files import clear_temporaries, write_atomically
from jaxmnist.runs.unfinished import taken_back_by

LOCK, WRITER = ".jaxmnist-lock", ".jaxmnist-writer"
"""Files that are there while a process writes to the folder: its lock, and its number."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What a file system without locks answers; some clusters have such."""


def refuse_used(run_dir: Path | None) -> None:
    """Reject, before anything slow, a folder that has something in it or that a process writes to."""
    if run_dir is None or not run_dir.is_dir():
        return
    if (run_dir / LOCK).exists():
        with held(run_dir):
            pass
    refuse_files(run_dir)


@contextmanager
def created(run_dir: Path | None, label: str) -> Iterator[Path]:
    """Make the folder of a new run and hold it, as `held`; remove it again if it stays empty.

    Args:
        run_dir: the folder; if None, a new one `runs/<time>-<label>`.
        label: what kind of run it is.
    """
    made: list[Path] = []
    with taken_back_by(partial(_remove_empty, made)):
        folder = _make(run_dir, label, made)
        with held(folder):
            refuse_files(folder)  # again, as another run may have been quicker
            yield folder


@contextmanager
def parents_made(output: Path) -> Iterator[None]:
    """Make the folder of a file, and remove it again if it stays empty."""
    with taken_back_by(partial(_remove_empty, _missing(output.parent))):
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise OSError(f"output={output}: can't be written ({problem.strerror or problem})") from problem
        yield


def _missing(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, up to one that isn't empty."""
    for folder in folders:
        with suppress(FileNotFoundError):
            folder.rmdir()


def _make(run_dir: Path | None, label: str, made: list[Path]) -> Path:
    """Make the folder, and put it and the parents that it needed into `made`, the innermost first."""
    refuse_used(run_dir)
    name, number = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{label}", 1
    while True:
        folder = run_dir or Path("runs", name if number == 1 else f"{name}-{number}")
        made[:] = _missing(folder)
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=run_dir is not None)
        except FileExistsError as problem:
            made.clear()
            if run_dir is not None:  # it is a file
                raise _not_writable(run_dir, problem) from problem
            number += 1
        except OSError as problem:
            raise _not_writable(run_dir or Path("runs"), problem) from problem
        else:
            return folder


@contextmanager
def joined(folder: Path, part: str) -> Iterator[Path]:
    """Hold one part of a folder that others may hold parts of, as `held`; make the folder if it isn't there."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as problem:
        raise _not_writable(folder, problem) from problem
    with held(folder, part):
        yield folder


@contextmanager
def held(folder: Path, part: str = "") -> Iterator[None]:
    """Hold a folder against other writers, until the block or this process ends, however it ends.

    Args:
        folder: is there.
        part: holds it only against other writers of the same part, and of the whole.

    Raises:
        ValueError: if another process holds it; names the process.
        OSError: if it can't be written.
    """
    suffix = f"-{part}" if part else ""
    name, writer = folder / f"{LOCK}{suffix}", folder / f"{WRITER}{suffix}"
    lock = FileLock(name, timeout=0)

    def remove_names() -> None:  # safe while we hold it: filelock takes no lock on a removed file
        writer.unlink(missing_ok=True)
        name.unlink()

    others = [folder / LOCK] if part else sorted(folder.glob(f"{LOCK}-*"))
    try:
        for other in filter(Path.exists, others):
            with FileLock(other, timeout=0):
                pass
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError, ValueError):  # it may have ended since
            holder = f"process {int(writer.read_text())}"
        raise ValueError(f"{folder}: {holder} is writing there; wait for it to end, or choose another folder") from None
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise _not_writable(folder, problem) from problem
        warnings.warn(
            f"{folder}: can't be locked there ({problem.strerror}); let no other run write to it", stacklevel=3
        )
    try:
        with taken_back_by(remove_names):
            write_atomically(writer, str(os.getpid()).encode())  # which follows no link
            if not part:
                clear_temporaries(folder)
            yield
    finally:
        lock.release()


def listed(folder: Path) -> str:
    """List the files of a run's folder, in words."""
    return ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))


def refuse_files(folder: Path) -> None:
    """Reject a folder that has something in it, besides hidden files."""
    files = listed(folder)
    if files:
        remedy = "resume it, or choose" if (folder / "config.json").exists() else "choose"
        raise ValueError(
            f"run_dir={folder}: holds {files} already, expected a new or an empty folder, as a run never overwrites "
            f"another; {remedy} another folder"
        )


def _not_writable(folder: Path, problem: OSError) -> OSError:
    return OSError(f"{folder}: can't be written ({problem.strerror or problem}); choose another folder")
