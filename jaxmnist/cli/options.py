"""What commands have in common: which data, which device computes, which network."""

import dataclasses
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jaxmnist.config import DatasetName, Platform

if TYPE_CHECKING:
    import jax

    from jaxmnist.config import Config
    from jaxmnist.network import Params
    from jaxmnist.sources import Progress, Splits

OptionalPath = Annotated[Path | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="")]
"""A path that may be left out; its help says what happens then."""

Run = Annotated[str, tyro.conf.arg(metavar="RUN")]
"""Whose network: a run's folder, its weights file, or the name of a network that comes with this package."""


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which data, and which device computes."""

    dataset: DatasetName = "auto"
    """What to learn. auto is mnist, or digits (scikit-learn's small ones) where MNIST can't be had, and says so; a set asked for by name never falls back."""  # noqa: E501
    data_dir: OptionalPath = None
    """Folder with the four IDX files, gzipped or plain (default: $JAXMNIST_DATA_DIR, else download into a cache)."""
    platform: Platform = "auto"
    """Where to compute. auto is the fastest that JAX finds; gpu or tpu is an error where there is none."""


Data = Annotated[tyro.conf.OmitArgPrefixes[DataOptions], tyro.conf.arg(name="data", help="What to learn, and where.")]


def select_device(options: DataOptions) -> "jax.Device":
    """The device that the options ask for; JAX starts only here.

    Raises:
        ValueError: when there is none.
    """
    if options.platform == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"  # before JAX starts, so that it leaves an accelerator to others

    from jaxmnist import devices

    _remember_compiled()
    return devices.select(options.platform)


def load_data(options: DataOptions) -> "Splits":
    """The data that the options ask for, on JAX's default device; says what the user must know about it.

    Raises:
        ValueError: when the data isn't what it should be.
        OSError: when it can't be had.
    """
    from jaxmnist import sources

    splits = sources.load(options.dataset, options.data_dir, _download_bars())
    if splits.notice:
        print(f"note: {splits.notice}", file=sys.stderr, flush=True)
    return splits


def data_of_run(options: DataOptions, about: Mapping[str, Any]) -> DataOptions:
    """The data asked for; auto is what a run was trained on, by what its weights file says."""
    trained_on = about.get("dataset", "mnist")
    if options.dataset != "auto" or trained_on == "mnist":
        return options
    return dataclasses.replace(options, dataset=trained_on)


def check_seed(seed: int) -> None:
    """Refuse a seed that is none: `jax.random.key` would take another in its place.

    Raises:
        ValueError: naming the seed.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed}: expected a whole number from 0 to {2**32 - 1:,}; try --seed 0")


def untrained(seed: int, config: "Config", device: "jax.Device") -> "Params":
    """The network that a training run with this seed starts from, whatever the number of examples."""
    import jax

    from jaxmnist.training import start

    with jax.default_device(device):
        params: Params = start(jax.random.key(seed), config, examples=60_000).params
    return params


def _remember_compiled() -> None:
    """Let JAX keep compiled programs for the next run, where nobody else can put any: a second start saves a second.

    Without a folder that is this user's alone nothing is kept. JAX's own JAX_COMPILATION_CACHE_DIR goes first.
    """
    import jax

    from jaxmnist.sources import cache_dir

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_dir() / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
        jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]


def _download_bars() -> "Progress":
    """One bar for each file of a download, drawn where there is a terminal."""
    from tqdm import tqdm

    bars: dict[str, tqdm] = {}

    def show(file: str, expected: int, arrived: int) -> None:
        if file not in bars:
            bars[file] = tqdm(total=expected, desc=file, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
        bars[file].update(arrived - bars[file].n)
        if arrived == expected:
            bars[file].close()

    return show
