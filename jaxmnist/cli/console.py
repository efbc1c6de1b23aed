"""What the commands show: progress, errors, exit codes, and drawings made of characters."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

BAD_INPUT = 2
"""Exit code for what the user can fix: an option, the data, a file or folder."""
NOT_LEARNING = 3
"""Exit code of a run that diverges or doesn't learn."""
INTERRUPTED = 75
"""Exit code of a run that was stopped and can be resumed: BSD's EX_TEMPFAIL, try again later."""
STOPPED, PIPE_CLOSED = 130, 141
"""Exit codes after SIGINT and SIGPIPE: 128 + the signal's number, as in a shell."""

Advance = Callable[..., None]
"""`advance(count, note="")`: called with the number of units done since the last call, and how it goes."""


@contextmanager
def progress(total: int, unit: str, lines: int = 10, file: TextIO | None = None, done: int = 0) -> Iterator[Advance]:
    """Show how far long work is: a bar on a terminal, evenly spaced lines in a pipe or file.

    Args:
        total: units of work in all.
        unit: their name, in the plural.
        lines: about how many lines to print where there is no terminal.
        file: where to; standard error by default.
        done: units done already.

    Yields:
        The function to call as the work advances.
    """
    file = file or sys.stderr
    begin = time.perf_counter()
    with tqdm(total=total, initial=done, unit=f" {unit}", unit_scale=total > 10_000, dynamic_ncols=True, file=file,
              disable=not file.isatty()) as bar:  # fmt: skip

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            before, done = done, done + count
            bar.set_postfix_str(note, refresh=False)
            bar.update(count)
            if bar.disable and done * lines // total > before * lines // total:
                spent = time.perf_counter() - begin
                end = f" · {note}" if note else ""
                print(f"{done:,} of {total:,} {unit} in {spent:.1f} s{end}", file=file, flush=True)

        yield advance


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each file of a download, where there is a terminal.

    Yields:
        A function of a file's name, the bytes expected and the bytes that have arrived.
    """
    bars: dict[str, tqdm[None]] = {}

    def show(file: str, expected: int, arrived: int) -> None:
        if file not in bars:
            bars[file] = tqdm(total=expected, desc=file, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
        bars[file].update(arrived - bars[file].n)

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


def complain(problem: str) -> None:
    """Print an error as one line on standard error."""
    print(f"error: {' '.join(problem.split())}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of a table: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if index == 0 else f"{cell:>{width}}"
                  for index, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )  # fmt: skip
