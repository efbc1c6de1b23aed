"""The process: `python -m jaxmnist`, and what the commands `jaxmnist` and `train.py` start.

Ctrl-C must end it at any moment, so nothing heavy is imported before the signals are handled.
"""

import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from jaxmnist.runs.unfinished import first_to_end, how_to_go_on, take_back_all

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends the process at once; `train` lets the first two only request a stop."""
INTERRUPTED = 75
"""Exit code if the command can be resumed; see `jaxmnist.cli.console`, which is imported too late for this."""


def program(command: str | None = None) -> int:
    """Run the command line of this process, and return its exit code; see `jaxmnist.cli.main`."""
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and a shell's background jobs have it
            signal.signal(number, _end_at_once)
    # Imports make no garbage, but looking for some in them, and again at the end, takes 0.2 s of every command.
    gc.disable()  # `main` enables it
    from jaxmnist.cli import main  # here, as the import takes 0.1 s

    code = main(command=command)
    gc.freeze()
    for number in numbers:  # all is done; Python's own end could be interrupted
        signal.signal(number, signal.SIG_IGN)
    return code


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    """End the process, with the exit code that a shell shows for the signal, or INTERRUPTED if it can be resumed.

    No exception does it: it could be lost in a callback of JAX, and Python's end would free what a compiler still uses.
    """
    if not first_to_end():
        return
    command = how_to_go_on()
    told = f"interrupted. To go on: {command}" if command else "error: interrupted"
    if sys.__stderr__ is not None:  # else the descriptor 2 is closed, or another file
        with suppress(OSError):
            line = f"\n{told}\n" if os.isatty(2) else f"{told}\n"
            os.write(2, line.encode(errors="backslashreplace"))
    take_back_all()
    os._exit(INTERRUPTED if command else 128 + number)


if __name__ == "__main__":
    sys.exit(program())
