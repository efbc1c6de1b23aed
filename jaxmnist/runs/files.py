"""Files that are whole or absent: a reader never meets a half-written one."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from jaxmnist.runs.unfinished import taken_back_by

TEMPORARY = ".jaxmnist-part"
"""Suffix of a partially written file."""


def write_atomically(path: Path, content: bytes | Iterable[bytes], keep_previous: bool = False) -> None:
    """Write a file so that, whenever the machine stops, it holds either all of the new content or all of the old.

    The content goes to a temporary file in the same folder, is forced to the disk, and takes the name in one step.

    Args:
        path: the file; its folder exists.
        content: all of it, or its parts in order, of which only one is in memory.
        keep_previous: whether what stood there stays, as `previous(path)`. Between the two steps that this takes
            only that one is there.

    Raises:
        OSError: when the disk is full or the folder can't be written; the old file stays, and no other.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with taken_back_by(temporary.unlink):  # after the last step there is nothing to unlink
            with temporary.open("xb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            if keep_previous and path.exists():
                path.replace(previous(path))
            temporary.replace(path)
    except OSError as problem:
        raise OSError(f"{path}: can't be written ({problem.strerror}); what stood there stays") from problem
    _sync_folder(path.parent)


def previous(path: Path) -> Path:
    """Where `write_atomically` keeps the old file."""
    return path.with_name(f"{path.name}.previous")


def clear_temporaries(folder: Path) -> None:
    """Remove what a killed process left behind. Nobody may be writing there."""
    for path in folder.glob("." + 8 * "[0-9a-f]" + TEMPORARY):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, if the system can open folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
