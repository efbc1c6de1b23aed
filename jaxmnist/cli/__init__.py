"""The commands: the only place that prints, and that turns errors into exit codes.

A command is a module with `Options`, a plain dataclass, and `run`; with `defaults` too where what is given decides
what the rest defaults to. What computes is imported when a command runs, so that `--help` answers at once.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import tyro

from jaxmnist.cli import compare, cross_validate, evaluate, explain, page, predict, sweep, train
from jaxmnist.cli.exit_codes import BAD_INPUT, READER_LEFT, STOPPED

HELP = ("-h", "--help")

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "explain": explain,
    "predict": predict,
    "evaluate": evaluate,
    "page": page,
    "compare": compare,
    "cross-validate": cross_validate,
    "sweep": sweep,
}


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Parse the command line and run one command.

    Args:
        arguments: the words after the program's name; those of this process if None.
        command: the one command that the program is, as `train.py` is train; None for `jaxmnist`, whose first
            argument names it.

    Returns:
        The exit code: 0, 2 for bad input, or the command's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `python train.py >&-`
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may be what this terminal can't show; a reader that left is to be known before the end.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        if command is not None:
            return _run(command, words, f"{command}.py")
        if words and words[0] in COMMANDS:
            return _run(words[0], words[1:], f"jaxmnist {words[0]}")
        return _refuse(words)
    except BrokenPipeError:  # as in `python train.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except (ValueError, OSError) as problem:
        _complain(str(problem))
        return BAD_INPUT
    except KeyboardInterrupt:
        _complain("interrupted")
        return STOPPED


def _run(command: str, words: Sequence[str], program: str) -> int:
    module = COMMANDS[command]
    known = {}
    if hasattr(module, "defaults"):
        with _one_line():  # without --help, which is to show what the defaults become
            given = [word for word in words if word not in HELP]
            known["default"] = module.defaults(tyro.cli(module.Options, args=given, prog=program))
    with _one_line():
        options = tyro.cli(module.Options, args=words, prog=program, **known)
    code: int = module.run(options)
    return code


def _refuse(words: Sequence[str]) -> int:
    """No command: the overview, for those who ask for it, or the mistake."""
    commands: dict[str, Any] = {name: module.Options for name, module in COMMANDS.items()}
    with _one_line():
        tyro.extras.subcommand_cli_from_dict(
            commands, args=words, prog="jaxmnist", description="The digit network in functional JAX."
        )
    raise ValueError(f"{' '.join(words)}: expected one of {', '.join(COMMANDS)} first; see --help")


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """A box of tyro's that tells of a mistake becomes one line."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            yield
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
