"""What the commands show: progress, errors and exit codes; and how a signal stops them."""

import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

BAD_INPUT = 2
"""Exit code for what the user can fix: an option, the data, a file or folder."""
NOT_LEARNING = 3
"""Exit code of a run that diverges or doesn't learn."""
INTERRUPTED = 75
"""Exit code of a run that was stopped and can be resumed: BSD's EX_TEMPFAIL, try again later."""
STOPPED, PIPE_CLOSED = 130, 141
"""Exit codes after SIGINT and SIGPIPE: 128 + the signal's number, as in a shell."""

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters by which a file's name could move the cursor, begin a line, or turn the reading direction."""

Advance = Callable[..., None]
"""`advance(count, note="")`: called with the number of units done since the last call, and how it goes."""


@contextmanager
def progress(total: int, unit: str, lines: int = 10, on_stdout: bool = False, done: int = 0) -> Iterator[Advance]:
    """Show how much of `total` is done: a bar on a terminal, elsewhere about so many `lines`, evenly spaced."""
    file, first, begin = sys.stdout if on_stdout else sys.stderr, done, time.perf_counter()
    with tqdm(total=total, initial=done, unit=f" {unit}", unit_scale=total > 10_000, dynamic_ncols=True, file=file,
              disable=not file.isatty()) as bar:  # fmt: skip

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            before, done = done, done + count
            bar.set_postfix_str(note, refresh=False)
            bar.update(count)
            if bar.disable and lines and (before == first or done * lines // total > before * lines // total):
                spent = f"{time.perf_counter() - begin:.1f} s" + (f" · {note}" if note else "")
                print(f"{done:,} of {total:,} {unit} in {spent}", file=file, flush=True)

        yield advance


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each file of a download, where there is a terminal; yields a `sources.Progress`."""
    bars: dict[str, tqdm[None]] = {}
    with ExitStack() as stack:

        def show(file: str, expected: int, arrived: int) -> None:
            if file not in bars:
                bars[file] = tqdm(total=expected, desc=file, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
                stack.callback(bars[file].close)
            bars[file].update(arrived - bars[file].n)

        yield show


@contextmanager
def stopping(quiet: bool = False) -> Iterator[Callable[[], bool]]:
    """Let the first SIGINT or SIGTERM only request a stop: yields a function that tells whether one did.

    Unless `quiet`, such a signal is answered by a line on standard error.

    This holds from the function's first call to the end of the block. Before, there is nothing that a stop could save,
    and a signal does what it does outside; so does a second one. No handlers are set outside the main thread.
    """
    requested, handlers = threading.Event(), dict[int, Any]()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        requested.set()
        restore()
        with suppress(OSError):  # no `print`, as the signal may interrupt another one
            os.write(2, b"" if quiet else b"\nstopping after this epoch; a second signal ends the run at once\n")

    def stop_requested() -> bool:
        if not handlers and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None):  # None isn't Python's
                    handlers[number] = handler
                    signal.signal(number, on_signal)
        return requested.is_set()

    try:
        yield stop_requested
    finally:
        restore()


def started_as(command: str) -> str:
    """How to start a command again, as words for a shell: as this process was, or else by `jaxmnist`."""
    program = Path(sys.argv[0]).name
    if program == f"{command}.py":
        return f"python {shlex.quote(sys.argv[0])}"
    return f"python -m jaxmnist {command}" if program == "__main__.py" else f"jaxmnist {command}"


def show_warning(message: Warning | str, *_origin: object) -> None:
    """Print a warning as one line on standard error; see `warnings.showwarning`."""
    say(f"warning: {' '.join(str(message).split())}", on_stderr=True)


def complain(problem: str) -> None:
    """Print an error as one line on standard error."""
    say(f"error: {' '.join(problem.split())}", on_stderr=True)


def say(line: str, on_stderr: bool = False) -> None:
    """Print one line, on standard output by default; names in it can't write to the terminal."""
    print(printable(line), file=sys.stderr if on_stderr else sys.stdout, flush=True)


def printable(text: str) -> str:
    """Escape, as JSON does, all that may not reach a terminal; the end of a line is among it."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
