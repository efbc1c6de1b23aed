"""What a signal that ends the process must know: what to take back, and how to go on with the command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ACTIONS: list[Callable[[], object]] = []
_COMMANDS: list[str] = []


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


@contextmanager
def resumed_by(command: str) -> Iterator[None]:
    """Note, during a block that keeps what it has done, the command that goes on with it."""
    _COMMANDS.append(command)
    try:
        yield
    finally:
        _COMMANDS.pop()


def to_go_on() -> str:
    """Return the command that goes on with what the process does, or "" if nothing would be kept."""
    return _COMMANDS[-1] if _COMMANDS else ""


def _attempt(action: Callable[[], object]) -> None:
    with suppress(OSError):
        action()
