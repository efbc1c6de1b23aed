"""What the commands that train a grid share: group by group, in a folder that they go on from, alone or in shards."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from jaxmnist.cli.options import (
    Data,
    DataOptions,
    OptionalPath,
    Shared,
    SharedRecipe,
)
from jaxmnist.network import Params
from jaxmnist.population import GROUP_SIZE
from jaxmnist.sources import Splits
from jaxmnist.studies import grid as study

TABLE_SHARE = 0.02
"""Most share of the time that writing the table of the finished networks may take, while others are trained."""
WORDS = (lambda value: isinstance(value, list) and all(isinstance(word, str) for word in value), "a list of words")

Shard = Annotated[
    str | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="I/N", help_behavior_hint="(default: all of them)")
]


@dataclasses.dataclass(frozen=True)
class GridOptions:
    """The options of all commands that train a grid."""

    common: Shared = dataclasses.field(default_factory=SharedRecipe)
    seeds: int = 4
    """Random starts for every setting: as many seeds, from the first one on."""
    first_seed: int = 0
    """The first of the seeds."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the examples that are learnt from; auto is 30 for MNIST, 5 for its cross-validation, and more for a smaller set."""  # noqa: E501
    group_size: int = GROUP_SIZE
    """Most networks to train at once on a device; memory grows with it."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: one in runs/, named after the time and the command)."""
    shard: Shard = None
    """Train only the groups of shard I of N, counted from 0; shards may share a folder. /N takes I from SLURM's array or Kubernetes' indexed job, and an array's tasks need no option."""  # noqa: E501


@dataclasses.dataclass(frozen=True)
class ResumeOptions:
    """Go on with a grid that was stopped, by its own options: no others are taken.

    The finished groups are kept. They may be those of several shards, whose folders' `groups` were copied together.
    """

    resume: Path
    """Folder of the run."""
    shard: Shard = None
    """Train only the missing groups of shard I of N, as with a new run."""


class Command(NamedTuple):
    """A command that trains a grid."""

    name: str
    options: type[GridOptions]
    table: str  # the name of the CSV file
    grid: Callable[[Any, Splits], study.Grid]  # makes the grid, resolved, of the options and the data
    finish: Callable[["Finished", Any], None]  # writes and prints what follows from the results


class Finished(NamedTuple):
    """A grid whose networks are all trained."""

    folder: Path
    splits: Splits
    result: study.Result
    best: Params | None  # the weights of the best setting's best network, or None if all settings diverged
    summary: dict[str, Any]
    text: str  # the result in words


def parse(command: Command, arguments: Sequence[str], program: str) -> GridOptions | ResumeOptions:
    """Parse the command line of a new run, or of one to go on with."""
    resumes = any(word.split("=")[0] == "--resume" for word in arguments)
    kind: Any = ResumeOptions if resumes else command.options
    parsed: GridOptions | ResumeOptions = tyro.cli(kind, args=arguments, prog=program)
    return parsed


def shard_of(given: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return which shard of how many to train; 0 of 1 is everything.

    A SLURM array's tasks may be numbered from any first number, but one after the other.
    """
    index, count = environment.get("JOB_COMPLETION_INDEX"), environment.get("SLURM_ARRAY_TASK_COUNT")
    if "SLURM_ARRAY_TASK_ID" in environment:
        with suppress(ValueError):
            first = int(environment.get("SLURM_ARRAY_TASK_MIN", 0))
            index = str(int(environment["SLURM_ARRAY_TASK_ID"]) - first)
    if given is None and (index is None or count is None):
        return 0, 1
    text = f"/{count}" if given is None else given
    first, _, last = text.partition("/")
    expected = "expected I/N, a shard I from 0 and their number N; for example shard=0/4"
    if not first and index is None:
        raise ValueError(f"shard={text}: neither SLURM nor Kubernetes says which shard this is; {expected}")
    try:
        shard, shards = int(first or str(index)), int(last)
    except ValueError:
        raise ValueError(f"shard={text}: {expected}") from None
    if not 0 <= shard < shards:
        raise ValueError(f"shard={shard}/{shards}: {expected}")
    return shard, shards
