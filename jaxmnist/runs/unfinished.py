"""What ends the process before its command ends must know: what to take back, and how to go on with the command."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ACTIONS: list[Callable[[], object]] = []
_ENDING = threading.Lock()
_RESUMED_BY: list[tuple[str, Path | None]] = []


@contextmanager
def taken_back_by(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` when the block ends, however it ends; it may be called twice, and may find nothing to do."""
    _ACTIONS.append(action)
    try:
        yield
    finally:
        _attempt(action)
        _ACTIONS.remove(action)


def take_back_all() -> None:
    """Call the actions of all blocks that have not ended, the last first: the process is about to end."""
    for action in reversed(_ACTIONS):
        _attempt(action)


def note_how_to_go_on(command: str, record: Path | None = None) -> None:
    """Note the command that goes on with what the process does, once its record is written, until the process ends.

    Without a record another process keeps what is done.
    """
    _RESUMED_BY[:] = [(command, record)]


def how_to_go_on() -> str:
    """Return the command that goes on with what the process does, or "" if nothing is kept."""
    return "".join(command for command, record in _RESUMED_BY if record is None or record.exists())


def first_to_end() -> bool:
    """Whether this call is the first: a signal and the loss of another process may come at the same time."""
    return _ENDING.acquire(blocking=False)


def _attempt(action: Callable[[], object]) -> None:
    with suppress(OSError):
        action()
