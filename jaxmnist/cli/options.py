"""The options that commands share: the recipe, the data, the device, and whose network."""

import dataclasses
import os
import re
import warnings
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import jax
from tyro.conf import DisallowNone, OmitArgPrefixes, arg

from jaxmnist import devices
from jaxmnist.cli import field_names, with_options
from jaxmnist.cli.console import download_bars, say, show_warning
from jaxmnist.config import Config
from jaxmnist.cost import COSTS
from jaxmnist.network import ACTIVATIONS, SIZES, Params
from jaxmnist.sources import DatasetName, Splits, cache_dir, load_with_notice
from jaxmnist.training import start

OptionalPath = Annotated[Path | None, DisallowNone, arg(help_behavior_hint="")]
"""A path that may be left out; its help says what happens then."""
Count = Annotated[int | None, DisallowNone, arg(help_behavior_hint="")]
"""A number that may be left out; its help says what happens then."""
RunName = Annotated[str, arg(metavar="RUN")]
"""Whose network: a run's folder, its weights file, or the name of a network that comes with this package."""

# mypy takes only literal names here.
ActivationName: TypeAlias = Literal[tuple(ACTIVATIONS)]  # type: ignore[valid-type]
CostName: TypeAlias = Literal[tuple(COSTS)]  # type: ignore[valid-type]


@dataclasses.dataclass(frozen=True)
class SharedRecipe:
    """The part of a recipe that all networks of a grid share."""

    sizes: tuple[int, ...] = SIZES
    """Neurons per layer, from the 784 pixels to the 10 digits."""
    activation: ActivationName = "sigmoid"
    """Activation function of the hidden layers. (The outputs are sigmoids, or a softmax with cross_entropy.)"""
    cost: CostName = "squared_error"
    """Cost C of one example: squared_error is the sum of (a - y)² over the ten outputs."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """The learning rate over the run: constant, or cosine, which falls from η to 0 in half a wave."""
    augmentation: Literal["none", "jitter"] = "none"
    """jitter turns, stretches and shifts every training image a little at random, anew in every epoch."""


Shared = Annotated[OmitArgPrefixes[SharedRecipe], arg(name="common", help="What all networks have in common.")]


@dataclasses.dataclass(frozen=True)
class Recipe(SharedRecipe):
    """How to train one network; a `Config` as options."""

    optimizer: Literal["sgd", "momentum", "nesterov"] = "nesterov"
    """How a gradient becomes a step: sgd, momentum (heavy ball) or nesterov (momentum that looks ahead)."""
    learning_rate: float = 0.08
    """Learning rate η: the length of a step along the negative gradient."""
    momentum: float = 0.9
    """Momentum coefficient μ in [0, 1): how much of the last step is kept. sgd has none and ignores it."""
    batch_size: int | Literal["full"] = 32
    """Examples in a minibatch; full is gradient descent on the whole training set, one step an epoch."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the training set; auto is 30 for MNIST's 60,000 examples and more for a smaller set."""

    def config(self) -> Config:
        """The recipe that these options describe."""
        return Config(**vars(self))


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which data, and which device computes."""

    dataset: DatasetName = "auto"
    """What to learn. auto is what the folder holds; without a folder mnist, or digits (scikit-learn's small ones) where MNIST can't be had, and says so. custom is your own data; it and qmnist need a folder. A set asked for by name never falls back."""  # noqa: E501
    data_dir: OptionalPath = None
    """Folder with the four IDX files, gzipped or plain (default: $JAXMNIST_DATA_DIR, else download into a cache)."""
    platform: devices.Platform = "auto"
    """Where to compute. auto is the fastest that JAX finds; gpu or tpu is an error where there is none."""


Data = Annotated[OmitArgPrefixes[DataOptions], arg(name="data", help="What to learn, and where.")]


def select_device(options: DataOptions) -> jax.Device:
    """Select the device that the options ask for; JAX starts only here.

    From then on, JAX keeps compiled programs in a folder that only this user can write: a second start saves a second.
    """
    folder = None
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with suppress(OSError):
            folder = _private(cache_dir() / "compiled")
            jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]
    warnings.showwarning = partial(_show_or_mend, folder)
    return devices.select(options.platform)


def _private(folder: Path) -> Path:
    """Make a folder in this user's cache, whatever the umask; raise OSError if others can change what is in it."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()  # Windows has neither such modes nor numbers of owners
        if hasattr(os, "getuid") and (path.is_symlink() or found.st_mode & 0o022 or found.st_uid != os.getuid()):
            raise PermissionError(f"{path}: others can write there")
    return folder


def _show_or_mend(folder: Path | None, message: Warning | str, *_origin: object) -> None:
    """Show a warning, but not JAX's of its cache: it never replaces a damaged program, so that is removed instead."""
    problem = re.match("Error (reading|writing) persistent compilation cache entry for '(.+?)'", str(message))
    if not problem:
        show_warning(message)
    elif folder and problem[1] == "reading":
        for path in folder.glob(f"{problem[2]}-*"):
            with suppress(OSError):
                path.unlink()


def load_data(options: DataOptions) -> Splits:
    """Load the data that the options ask for onto JAX's default device, and print what the user must know about it."""
    with download_bars() as show:
        splits = load_with_notice(options.dataset, options.data_dir, show)
    if splits.notice and jax.process_index() == 0:
        say(f"note: {with_options(splits.notice, field_names(DataOptions))}", on_stderr=True)
    return splits


def data_of_run(options: DataOptions, about: Mapping[str, Any]) -> DataOptions:
    """The data asked for, where auto means what the run was trained on, by its weights file."""
    trained_on = about.get("dataset", "mnist")
    if options.dataset != "auto" or trained_on == "mnist":
        return options
    return dataclasses.replace(options, dataset=trained_on)


def run_name(run: str) -> str:
    """What a figure calls a network: the name of its folder, without the path, which may be private."""
    path = Path(run).resolve()
    return path.parent.name if path.is_file() else path.name


def words(options: Any, leave_out: Collection[str] = ()) -> list[str]:
    """Return the words of a command line that give these options, all of them spelled out."""
    line = []
    for field in dataclasses.fields(options):
        value, name = getattr(options, field.name), f"--{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            line += words(value, leave_out)
        elif field.name in leave_out or value is None:
            continue
        elif isinstance(value, bool):
            line.append(name if value else name.replace("--", "--no-", 1))
        else:
            values = value if isinstance(value, tuple) else (value,)
            line += [name, *(str(item.absolute() if isinstance(item, Path) else item) for item in values)]
    return line


def check_seed(seed: int) -> None:
    """Reject seeds outside uint32, which `jax.random.key` would silently wrap."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed}: expected a whole number from 0 to {2**32 - 1:,}; for example seed=0")


def untrained(seed: int, config: Config, device: jax.Device) -> Params:
    """The network that a training run with this seed starts from."""
    with jax.default_device(device):
        params: Params = start(jax.random.key(seed), config).params
    return params
