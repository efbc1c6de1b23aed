"""What to take back when a block ends, or when a signal ends the process inside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ACTIONS: list[Callable[[], object]] = []


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


def _attempt(action: Callable[[], object]) -> None:
    with suppress(OSError):
        action()
