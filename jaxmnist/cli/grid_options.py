"""The options of the commands that train a grid, and which shard of it they ask for."""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmnist.cli.cluster import Cluster, ClusterOptions
from jaxmnist.cli.options import Count, Data, DataOptions, OptionalPath, Shared, SharedRecipe
from jaxmnist.population import GROUP_SIZE

Shard = Annotated[str | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="I/N", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class GridOptions:
    """The options of all commands that train a grid."""

    common: Shared = dataclasses.field(default_factory=SharedRecipe)
    seeds: int = 4
    """Random starts for every setting: so many seeds, from the first one on."""
    first_seed: int = 0
    """The first of the seeds."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the examples that are learnt from; auto is 30 for MNIST, 5 for its cross-validation, and more for a smaller set."""  # noqa: E501
    group_size: int = GROUP_SIZE
    """Most networks that a device trains at once; memory grows with it."""
    devices: Count = None
    """How many of this machine's devices share the networks, or of each process (default: all)."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results, which shards may share (default: one in runs/, named after the time and the command)."""  # noqa: E501
    cluster: Cluster = dataclasses.field(default_factory=ClusterOptions)
    shard: Shard = None
    """Train only shard I of N, counted from 0, as in 2/4. In /4 the I is SLURM's or Kubernetes' number of this task (default: everything, or a SLURM array's task its share)."""  # noqa: E501


@dataclasses.dataclass(frozen=True)
class ResumeOptions:
    """Go on with a grid that was stopped, by its own options; what is finished is kept.

    Several shards' folders become one by copying their groups: cp runs/b/groups/* runs/a/groups. On one kind of machine
    the results are, bit for bit, those of a grid that was never stopped.
    """

    resume: Path
    """Folder of the run."""
    cluster: Cluster = dataclasses.field(default_factory=ClusterOptions)
    shard: Shard = None
    """Train only the missing part of shard I of N, as with a new run (default: all that is missing)."""


def shard_of(given: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return which shard of how many to train; 0 of 1 is everything.

    Args:
        given: I/N, or /N for the number that a cluster gave this task, or None for a SLURM array's own numbers.
        environment: of SLURM's arrays, whose tasks are numbered one after the other, and Kubernetes' indexed jobs.
    """
    number, count = environment.get("JOB_COMPLETION_INDEX"), environment.get("SLURM_ARRAY_TASK_COUNT")
    if "SLURM_ARRAY_TASK_ID" in environment:
        with suppress(ValueError):
            first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0"))
            number = str(int(environment["SLURM_ARRAY_TASK_ID"]) - first)
    if given is None and (number is None or count is None):
        return 0, 1
    text = f"/{count}" if given is None else given
    before, _, after = text.partition("/")
    expected = "expected I/N, with I from 0 and below N; for example shard=0/4"
    if not before and number is None:
        raise ValueError(f"shard={text}: neither SLURM nor Kubernetes has given this task a number; {expected}")
    shard, shards = ((int(word) if word.isdecimal() else -1) for word in (before or str(number), after))
    if not 0 <= shard < shards:
        raise ValueError(f"shard={before or number}/{after}: {expected}")
    return shard, shards
