"""What a training run records of itself, and how its command reads that to go on."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmnist.cli import console
from jaxmnist.cli import options as shared
from jaxmnist.config import Config
from jaxmnist.devices import Platform
from jaxmnist.runs import loop, records
from jaxmnist.sources import Splits

FIGURES = ("curves.png", "weights.png", "confusion.png", "mistakes.png")
"""What a finished run has drawn."""


def recorded_data(metadata: Mapping[str, Any]) -> shared.DataOptions:
    """Return the data of a run by its config.json; a data folder that is gone isn't named."""
    platform: Platform = "cpu" if metadata.get("platform") == "cpu" else "auto"
    dataset, data_dir = metadata["dataset"], metadata.get("data_dir")
    data_dir = Path(data_dir) if data_dir and Path(data_dir).is_dir() else None
    if dataset == "mnist" and (data_dir or os.environ.get("JAXMNIST_DATA_DIR")):
        dataset = "custom"  # as earlier versions called any folder's data; its sha256 tells whether it is the run's
    return shared.DataOptions(dataset, data_dir, platform)


def run_to_repeat(path: Path, data: shared.DataOptions) -> tuple[Config, dict[str, Any], Splits]:
    """Read what a training run was like, to make it again: its recipe, its config.json, and its data."""
    about = records.read_json(path / "config.json", records.CONFIG)
    if shards := about.get("logical_shards"):
        raise ValueError(f"{path}: was trained in {shards} logical shards; expected a run without, to make it again")
    splits = shared.load_data(shared.data_of_run(data, about))
    loop.check_data(path, about, splits)
    return records.recipe(path / "config.json", about), about, splits


def with_epochs(metadata: Mapping[str, Any], recorded: Config, config: Config) -> dict[str, Any]:
    """Return the metadata of a run with another number of epochs; say so if its schedule then isn't a whole wave."""
    words = command(config, metadata["dataset"], metadata["seed"], metadata.get("logical_shards"))
    if config.schedule == "cosine":
        words = f"{metadata.get('command')}; then with --resume --epochs {config.epochs}"
        effect = "rises again" if int(config.epochs) > int(recorded.epochs) else "drops"
        print(
            f"note: the cosine now ends at epoch {config.epochs} instead of {recorded.epochs}, so the learning rate "
            f"{effect}: this isn't the run that {config.epochs} epochs from the start would be"
        )
    return {**metadata, "config": config.to_json(), "command": words}


def finished(path: Path, config: Config) -> int | None:
    """Say that a run is finished, if it is, and return the exit code; otherwise None."""
    try:
        summary = records.read_json(path / "summary.json", records.SUMMARY) if (path / "summary.json").exists() else {}
    except ValueError as problem:
        raise ValueError(f"{problem}; remove it, and the run makes it anew") from problem
    if summary.get("problem"):
        console.complain(f"{path} was given up, it does not learn: {summary['problem']}")
        return console.NOT_LEARNING
    if summary.get("epochs") != config.epochs or not all((path / name).exists() for name in FIGURES):
        return None
    accuracy = f"test accuracy {summary['test_accuracy']:.2%}"
    console.say(f"{path} is finished: {config.epochs} epochs, {accuracy}; to go on, add --epochs N")
    return 0


def command(config: Config, dataset: str, seed: int, logical_shards: int | None) -> str:
    """Return the command that trains the same network again, whatever the defaults will be then."""
    program = "python train.py" if Path(sys.argv[0]).name == "train.py" else "jaxmnist train"
    words = [program, f"--dataset {dataset}", f"--seed {seed}"]
    for field in dataclasses.fields(shared.Recipe):
        value = getattr(config, field.name)
        values = " ".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{field.name.replace('_', '-')} {values}")
    return " ".join([*words, *([f"--logical-shards {logical_shards}"] if logical_shards else [])])
