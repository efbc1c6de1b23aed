"""Several processes as one program: the options, and how such a process starts and ends."""

import atexit
import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import jax
import tyro

from jaxmnist.cli import is_of_the_machine
from jaxmnist.cli.console import BAD_INPUT, INTERRUPTED, PIPE_CLOSED, complain
from jaxmnist.cli.options import Count, words
from jaxmnist.devices import cluster
from jaxmnist.devices.cluster import GIVE
from jaxmnist.devices.lifelines import SILENCE
from jaxmnist.devices.meeting import MissingError
from jaxmnist.runs.unfinished import first_to_end, how_to_go_on, take_back_all

EXPLAINED = (
    "Several processes as one program, each with this command; only process 0 prints and writes. For private networks "
    "only: nothing is authenticated or encrypted."
)
START_TIMEOUT = 300
Text = Annotated[str | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    """Several processes, on one machine or on many, as one program."""

    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    """Be one of the processes that SLURM, Open MPI, Kubernetes or Cloud TPU has started with this command, and that it tells which one each is. Elsewhere give the next three options instead."""  # noqa: E501
    coordinator: Text = None
    """Address of process 0, the same in all processes. Process 0 listens there, and nowhere else."""
    processes: Count = None
    """How many processes there are, the same in all."""
    process_id: Count = None
    """Which one this is, counted from 0: the one option that differs."""
    start_timeout: int = START_TIMEOUT
    """Seconds to wait until all processes have come."""


Cluster = Annotated[tyro.conf.OmitArgPrefixes[ClusterOptions], tyro.conf.arg(name="cluster", help=EXPLAINED)]
Member = cluster.Membership | None
"""This process's part in a program of several; None if it is alone."""
NAMES = tuple(field.name for field in dataclasses.fields(ClusterOptions))


def settings(options: ClusterOptions) -> cluster.Settings | None:
    """Return which process this one is, or None if it is alone; raises ValueError for options that don't fit."""
    three = {name: getattr(options, name) for name in ("coordinator", "processes", "process_id")}
    there = [f"{name}={value}" for name, value in three.items() if value is not None]
    if options.start_timeout < 1:
        raise ValueError(f"start_timeout={options.start_timeout}: expected at least 1 second; for example 300")
    if not there:
        if options.distributed:
            return cluster.found(os.environ, options.start_timeout)
        if options.start_timeout != START_TIMEOUT:
            raise ValueError(f"start_timeout={options.start_timeout}: expected only with distributed, or with {GIVE}")
        return None
    if len(there) < len(three):
        raise ValueError(f"{', '.join(there)}: expected {GIVE} together, or distributed alone")
    return cluster.given(*three.values())


def together(options: ClusterOptions, run: Callable[[Member], int]) -> int:
    """Run a command, as one of several processes if the options say so, and return its exit code."""
    chosen = settings(options)
    if chosen is None:
        return run(None)
    _keep_output(chosen.process)
    try:
        member = cluster.join(chosen, options.start_timeout, _end_as_lost, _end_as_process_0)
    except MissingError as problem:
        complain(f"{problem} within {options.start_timeout} s; start all processes at about the same time")
        return INTERRUPTED  # the same command can succeed later
    try:
        code = run(member)
    except Exception as problem:
        if isinstance(problem, jax.errors.JaxRuntimeError):  # of a process that was lost, perhaps
            threading.Event().wait(SILENCE + 2)
        handled = isinstance(problem, (ValueError, OSError)) or is_of_the_machine(problem)  # see `jaxmnist.cli.main`
        code = PIPE_CLOSED if isinstance(problem, BrokenPipeError) else BAD_INPUT if handled else 1
        cluster.leave(member, code, failed=True)
        atexit.register(_end, code)  # before JAX's own end, which would wait for all others
        raise
    cluster.leave(member, code)
    atexit.register(_end, code)
    return code


def own_words(options: ClusterOptions) -> str:
    """The options' words to end a command with, or "" if this process is alone."""
    if options == ClusterOptions():
        return ""
    return " ".join(["", *words(options, leave_out=() if options.distributed else ("distributed",))])


def _keep_output(process: int) -> None:
    """Keep the standard output for what process 0 prints: libraries write to it, too."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.stdout = open(nowhere if process else kept, "w", buffering=1, errors="backslashreplace")  # noqa: PTH123, SIM115


def _end_as_lost(problem: str) -> None:
    """End this process as another one was lost; called from another thread than the main one."""
    if not first_to_end():
        return
    command = how_to_go_on()
    complain(f"{problem}. To go on: {command}" if command else f"{problem}; start all processes again")
    take_back_all()
    _end(INTERRUPTED)


def _end_as_process_0(code: int) -> None:
    """End this process as process 0 has ended, in good order."""
    if code in (1, BAD_INPUT):
        complain("process 0 ended with an error; see what it says")
    _end(code)


def _end(code: int) -> None:
    """End this process at once: Python's and JAX's own ends could wait for other processes."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
