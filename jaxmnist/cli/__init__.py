"""The commands: the only place that prints, and that turns errors into exit codes.

A command is a module with `Options`, a plain dataclass, and `run`. It is imported only when it is named, so that
`jaxmnist --help` answers at once.
"""

import dataclasses
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from jaxmnist.cli.console import BAD_INPUT, PIPE_CLOSED, STOPPED, complain

COMMANDS = {
    "train": "train a network from random start, and leave its numbers, weights and figures",
    "explain": "show all that back-propagation does with one digit",
    "predict": "read the digits in your own pictures",
    "evaluate": "measure a network: accuracy, calibration, how sure it is of noise",
    "page": "make a page to draw digits on, which any browser opens offline",
    "compare": "race gradient descent, SGD, momentum and Nesterov, and test what is claimed of them",
    "cross-validate": "choose momentum and learning rate by k-fold cross-validation",
    "sweep": "train a grid of settings, each from several random starts",
}
OVERVIEW = """usage: jaxmnist COMMAND [OPTIONS]

3Blue1Brown's digit network in functional JAX.

{}

jaxmnist COMMAND --help explains a command's options."""


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Parse the command line, run one command, and return the exit code: 0, 2 for bad input, or the command's own.

    Args:
        arguments: the words after the program's name; those of this process if None.
        command: the one command that the program is, as `train.py` is train; None if the first argument names it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    program, known = f"{command}.py", set[str]()
    try:
        if command is None:
            command, *words = words or ["--help"]
            if command in ("-h", "--help"):
                print(OVERVIEW.format("\n".join(f"  {name:<14}  {line}" for name, line in COMMANDS.items())))
                return 0
            program = f"jaxmnist {command}"
        if command not in COMMANDS:
            raise ValueError(f"{command}: expected a command, one of {', '.join(COMMANDS)}; see jaxmnist --help")
        module = importlib.import_module(f"jaxmnist.cli.{command.replace('-', '_')}")
        known = field_names(module.Options)
        parse = getattr(module, "parse", None)
        options = parse(words, program) if parse else tyro.cli(module.Options, args=words, prog=program)
        return int(module.run(options))
    except SystemExit as stop:  # tyro has printed its help, or what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:  # as in `python train.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, OSError) as problem:
        complain(with_options(str(problem), known))
        return BAD_INPUT
    except KeyboardInterrupt:
        complain("interrupted")
        return STOPPED


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `python train.py >&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The terminal may lack a file name's characters; a closed pipe must be noticed before the end.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def field_names(options: type) -> set[str]:
    """The names of a command's options, those of nested groups included."""
    names = set()
    for field in dataclasses.fields(options):
        default = field.default_factory() if callable(field.default_factory) else None
        names |= field_names(type(default)) if dataclasses.is_dataclass(default) else {field.name}
    return names


def with_options(problem: str, names: set[str]) -> str:
    """Name options in an error instead of arguments: `batch_size=0` becomes `--batch-size 0`."""
    argument = re.compile(rf"\b({'|'.join(sorted(names, key=len, reverse=True))})=") if names else re.compile("(?!)")
    return argument.sub(lambda match: f"--{match[1].replace('_', '-')} ", problem)
