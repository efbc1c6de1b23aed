"""SIGINT and SIGTERM: the first asks a run to stop when it is convenient, the second ends it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from jaxmnist.cli.exit_codes import INTERRUPTED

PATIENCE_SECONDS = 4.0
"""How long the step in hand may take to finish after the first signal, so that the process ends within 5 s."""


@contextmanager
def postponed(how_to_resume: str) -> Iterator[Callable[[], bool]]:
    """Inside the block a signal only sets a flag, and the block ends when it is ready.

    Args:
        how_to_resume: is told when the step in hand takes too long and is given up.

    Yields:
        Whether a signal came.
    """
    asked = threading.Event()

    def give_up() -> None:
        _say(f"the step in hand takes too long and is given up. {how_to_resume}")
        os._exit(INTERRUPTED)

    timer = threading.Timer(PATIENCE_SECONDS, give_up)
    timer.daemon = True

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            os._exit(128 + number)
        asked.set()
        timer.start()
        _say("stopping after the step in hand; once more stops at once")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(what: str) -> None:
    """Straight to the terminal, since a signal may come in the middle of another print."""
    os.write(2, f"\n{what}\n".encode(errors="backslashreplace"))
