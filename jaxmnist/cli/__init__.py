"""The commands: the only place that prints, and that turns errors into exit codes.

A command is a module with `Options`, a plain dataclass, and `run`. What computes is imported when a command
runs, so that `--help` answers at once.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from jaxmnist.cli import compare, train

BAD_INPUT, INTERRUPTED, READER_LEFT = 2, 130, 141
"""Exit codes: 2 for what the user can mend; 128 + n for the signal n that ended it, as in a shell."""

COMMANDS: dict[str, Callable[..., Any]] = {"train": train.Options, "compare": compare.Options}
RUN: dict[type, Callable[[Any], int]] = {train.Options: train.run, compare.Options: compare.run}


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Parse the command line and run one command.

    Args:
        arguments: the words after the program's name; those of this process if None.
        command: the one command that the program is, as `train.py` is train; None for `jaxmnist`, whose first
            argument names it.

    Returns:
        The exit code: 0, 2 for bad input, or the command's own.
    """
    try:
        options = _parse(arguments, command)
        return RUN[type(options)](options)
    except BrokenPipeError:  # as in `python train.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except (ValueError, OSError) as problem:
        _complain(str(problem))
        return BAD_INPUT
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED


def _parse(arguments: Sequence[str] | None, command: str | None) -> Any:
    """The options of one command; a box of tyro's that tells of a mistake becomes one line."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            if command:
                return tyro.cli(COMMANDS[command], args=arguments, prog=f"{command}.py")
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS, args=arguments, prog="jaxmnist", description="The digit network in functional JAX."
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_unboxed(box.getvalue())) from None


def _unboxed(box: str) -> str:
    """The message in a box: what stands between its borders, above the first rule."""
    rows = [line.strip("│ ") for line in box.splitlines() if line.startswith("│")]
    rule = next((place for place, row in enumerate(rows) if row.startswith("──")), len(rows))
    return " ".join(rows[:rule]) + "; see --help" if rows else box


def _complain(problem: str) -> None:
    print(f"error: {' '.join(problem.split())}", file=sys.stderr)
