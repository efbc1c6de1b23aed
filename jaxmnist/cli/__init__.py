"""The commands: the only place that prints, and that turns errors into exit codes.

A command is a module with `Options`, a plain dataclass, and `run`. It is imported only when it is named, so that
`jaxmnist --help` answers at once.
"""

import dataclasses
import difflib
import gc
import importlib
import io
import os
import re
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import tyro

from jaxmnist import __version__
from jaxmnist.cli.console import BAD_INPUT, PIPE_CLOSED, STOPPED, complain, show_warning

NARROWEST = 40
"""Least width of a help text, in characters."""
COMMANDS = {
    "train": "train a network from random start, and leave its numbers, weights and figures",
    "explain": "show all that back-propagation does with one digit",
    "predict": "read the digits in your own pictures",
    "evaluate": "measure a network: accuracy, calibration, how sure it is of noise",
    "page": "make a page to draw digits on, which any browser opens offline",
    "compare": "race gradient descent, SGD, momentum and Nesterov, and test what is claimed of them",
    "rates": "measure how fast gradient descent, momentum and Nesterov are, beside the theory",
    "cross-validate": "choose momentum and learning rate by k-fold cross-validation",
    "sweep": "train a grid of settings, each from several random starts",
    "plan": "compile a sweep for a pod of TPUs, without one, and predict what it takes",
}
OVERVIEW = """usage: jaxmnist COMMAND [OPTIONS]

3Blue1Brown's digit network in functional JAX.

{}

jaxmnist COMMAND --help explains a command's options; jaxmnist --version prints the version."""
OVERVIEW = OVERVIEW.format("\n".join(f"  {name:<14}  {line}" for name, line in COMMANDS.items()))
MEMORY = ("group_size", "seeds", "batch_size", "examples", "sizes")
"""The options that memory grows with, in the order in which to try less; seeds only where they aren't in groups."""
ABOUT = {"--help": OVERVIEW, "-h": OVERVIEW, "--version": f"jaxmnist {__version__}"}
"""What the first word may be instead of a command, and what is then printed."""


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Parse the command line, run one command, and return the exit code: 0, 2 for bad input, or the command's own.

    Args:
        arguments: the words after the program's name; those of this process if None.
        command: the one command that the program is, as `train.py` is train; None if the first argument names it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    program, known, options = f"{command}.py", set[str](), None
    try:
        if command is None:
            command, *words = words or ["--help"]
            program = f"jaxmnist {command}"
        if command in ABOUT:
            print(ABOUT[command])
            return 0
        _check_words(command, words)
        module = importlib.import_module(f"jaxmnist.cli.{command.replace('-', '_')}")
        known = field_names(module.Options)
        parse = getattr(module, "parse", None)
        options = parse(words, program) if parse else tyro.cli(module.Options, args=words, prog=program)
        if not gc.isenabled():  # by `__main__`
            gc.freeze()  # what is imported stays, so that the collector need not look through it again and again
            gc.enable()
        with warnings.catch_warnings():
            warnings.showwarning = show_warning  # type: ignore[assignment]
            return int(module.run(options))
    except SystemExit as stop:  # tyro has printed its help, or what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:  # as in `python train.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, OSError) as problem:
        complain(with_options(str(problem), known))
        return BAD_INPUT
    except KeyboardInterrupt:  # in another program, which has its own handlers; ours is in `__main__`
        complain("interrupted")
        return STOPPED
    except Exception as problem:
        if not is_of_the_machine(problem):
            raise
        complain(f"{_with_environment(problem)} {_smaller(problem, _values(options))}")
        return BAD_INPUT


def _check_words(command: str, words: Sequence[str]) -> None:
    """Reject an unknown command, and the empty words that unset shell variables leave: `Path("")` is this folder."""
    if command not in COMMANDS:
        near = "".join(f"; did you mean {name}?" for name in difflib.get_close_matches(command, COMMANDS, 1))
        raise ValueError(f"{command}: expected one of {', '.join(COMMANDS)}{near or '; see jaxmnist --help'}")
    for option, value in pairwise([*words, "-"]):
        option = option if value else f"{option}="
        if option.startswith("--") and option.endswith("="):
            raise ValueError(f'{option[:-1]} "": expected a value after it; is a shell variable unset?')


def is_of_the_machine(problem: Exception) -> bool:
    """Whether memory, a number's range or JAX gave out, and not this program: what else is raised is a fault in it."""
    jax, safetensors = (importlib.import_module(name) for name in ("jax", "safetensors"))
    foreign = (jax.errors.JaxRuntimeError, safetensors.SafetensorError)
    return isinstance(problem, (MemoryError, RecursionError, OverflowError, FloatingPointError, *foreign))


def _with_environment(problem: Exception) -> str:
    """Shorten a problem that JAX has, and name the variables in the environment that may be its cause."""
    named = ", ".join(f"{name}={value}" for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_")))
    first, *_details = f"{type(problem).__name__}: {problem}".splitlines()
    return f"{first:.300}; try again {f'without {named}, or ' if named else ''}with"


def _smaller(problem: Exception, given: Mapping[str, Any]) -> str:
    """Say what takes less: where memory gave out, less than those of the given options that it grows with."""
    if not isinstance(problem, MemoryError) and not re.search("RESOURCE_EXHAUSTED|out of memory", str(problem), re.I):
        return "smaller sizes and numbers"
    options = []
    for name in MEMORY:
        value = () if name == "seeds" and "group_size" in given else given.get(name, ())
        if words := " ".join(map(str, value if isinstance(value, tuple) else [value])):
            options.append(f"--{name.replace('_', '-')} {words}")
    return f"less than {', '.join(options)}" if options else "more memory"


def _values(options: Any) -> dict[str, Any]:
    """The values of a command's options by their names, those of nested groups included."""
    values = dict[str, Any]()
    for field in dataclasses.fields(options) if dataclasses.is_dataclass(options) else ():
        value = getattr(options, field.name)
        values |= _values(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `python train.py >&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The terminal may lack a file name's characters; a closed pipe must be noticed before the end.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    if shutil.get_terminal_size().columns < NARROWEST:  # tyro's help would never end
        os.environ["COLUMNS"] = str(NARROWEST)


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
