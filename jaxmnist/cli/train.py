"""The train command: a network from random start to trained, in one go or in several."""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jaxmnist.cli.exit_codes import NOT_LEARNING
from jaxmnist.cli.options import Data, DataOptions, OptionalPath, check_seed, load_data, select_device
from jaxmnist.config import RECIPES, Config, RecipeName, config_from, validate
from jaxmnist.runs import folder as run_folder

if TYPE_CHECKING:
    from jaxmnist.sources import Splits

Recipe = Annotated[tyro.conf.OmitArgPrefixes[Config], tyro.conf.arg(name="recipe", help="How to train.")]


@dataclasses.dataclass(frozen=True)
class Options:
    """Train the digit network and leave its numbers, weights and pictures in a run folder.

    Without options: 3Blue1Brown's network on MNIST, in seconds.
    """

    recipe: RecipeName = "source"
    """What the recipe options are where they aren't given. source: the rules of 3Blue1Brown's lessons; best: silu, cross_entropy, jitter and long training (add --help to see all)."""  # noqa: E501
    config: Recipe = dataclasses.field(default_factory=Config)
    data: Data = dataclasses.field(default_factory=DataOptions)
    seed: int = 0
    """Decides the random start and every shuffle: the same seed gives the same weights, bit for bit."""
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-<optimizer>)."""
    resume: OptionalPath = None
    """Folder of a run that was stopped, to go on with; its own recipe, seed and data set count. On a CPU the result is, bit for bit, that of a run that was never stopped. With --epochs N it goes on to N."""  # noqa: E501
    checkpoint_every: int | Literal["auto"] = "auto"
    """Epochs from one checkpoint to the next; auto is every epoch of a set of MNIST's size, and of a smaller one as many as see 60,000 examples."""  # noqa: E501


def defaults(options: Options) -> Options:
    """What the options default to, given those of the command line: those of the recipe, or of the run resumed.

    Raises:
        ValueError: when there is no run to resume.
    """
    if options.resume is None:
        return dataclasses.replace(options, config=RECIPES[options.recipe])
    return _saved(options.resume, options)


def run(options: Options) -> int:
    """Train, and write the run folder.

    Returns:
        The exit code: 0, 3 for a run that diverges or doesn't learn, or 75 for one that was interrupted.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    every = options.checkpoint_every
    if every != "auto" and every < 1:
        raise ValueError(f"checkpoint every {every}: expected a whole number of epochs from 1; try 1")
    if options.resume is not None:
        return _resume(options.resume, options)
    validate(options.config)
    check_seed(options.seed)
    run_folder.refuse_used(options.run_dir)
    device = select_device(options.data)

    import jax

    from jaxmnist.cli import training_run

    with jax.default_device(device), training_run.timed("load") as load_seconds:
        splits = load_data(options.data)
    examples = splits.train.labels.shape[0]
    config = dataclasses.replace(options.config, epochs=options.config.epochs_for(examples))
    validate(config, examples)
    with run_folder.created(options.run_dir, config.optimizer) as folder:
        record = {
            "dataset": splits.name,
            "data_dir": options.data.data_dir and str(options.data.data_dir.absolute()),
            "origin": splits.origin,
            "data_sha256": _digest(splits),
            "seed": options.seed,
            "checkpoint_every": every,
            "config": config.to_json(),
            "command": _command(config, splits.name, options.seed),
        }
        with jax.default_device(device):
            return training_run.train_in(folder, record, splits, config, device, load_seconds)


def _resume(folder: Path, options: Options) -> int:
    """Go on with a run where its last checkpoint is."""
    with run_folder.held(folder):
        record = _record(folder)
        saved = _saved(folder, options)
        _refuse_contradictions(options, saved)
        config = options.config
        summary = run_folder.read_json(folder / "summary.json") if (folder / "summary.json").is_file() else {}
        if summary.get("epochs") == config.epochs or "problem" in summary:
            return _tell_finished(folder, summary)
        device = select_device(options.data)

        import jax

        from jaxmnist.cli import training_run

        with jax.default_device(device), training_run.timed("load") as load_seconds:
            splits = load_data(options.data)
        if _digest(splits) != record.get("data_sha256"):
            raise ValueError(
                f"run dir {folder}: was trained on other data than {splits.name} from {splits.origin}, expected that "
                f"of {record['origin']}; name its folder with --data-dir"
            )
        if config.epochs == saved.config.epochs or config.schedule == "constant":
            command = _command(config, splits.name, saved.seed)
        else:  # the rate fell for another end
            command = f"{record.get('command')}; then with --resume --epochs {config.epochs}"
        changed = {"checkpoint_every": options.checkpoint_every, "config": config.to_json(), "command": command}
        record = {**record, **changed}
        with jax.default_device(device):
            return training_run.train_in(folder, record, splits, config, device, load_seconds)


def _command(config: Config, dataset: str, seed: int) -> str:
    """What to type to train the same network again, whatever the defaults will be then."""
    words = ["python train.py", f"--dataset {dataset}", f"--seed {seed}"]
    for name, value in config.to_json().items():
        values = " ".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"--{name.replace('_', '-')} {values}")
    return " ".join(words)


def _record(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        raise ValueError(f"run dir {folder}: holds no run (no config.json); expected the folder of one, as runs/<name>")
    return run_folder.read_json(folder / "config.json")


def _saved(folder: Path, options: Options) -> Options:
    """The options that a run was made with; where its data is and where to compute may change."""
    record = _record(folder)
    config = config_from(record.get("config"), f"{folder / 'config.json'}: ")
    data_dir = record.get("data_dir")
    try:
        data = dataclasses.replace(options.data, dataset=record["dataset"])
        if options.data.data_dir is None and data_dir:
            data = dataclasses.replace(data, data_dir=Path(data_dir))
        every = record["checkpoint_every"]
        return dataclasses.replace(options, config=config, data=data, seed=record["seed"], checkpoint_every=every)
    except (KeyError, TypeError) as problem:
        raise ValueError(f"{folder / 'config.json'}: {problem!r}; expected what a run wrote") from problem


def _refuse_contradictions(options: Options, saved: Options) -> None:
    """A resumed run is the same run: only its length may be changed."""
    asked = {**dataclasses.asdict(options.config), "seed": options.seed, "dataset": options.data.dataset}
    had = {**dataclasses.asdict(saved.config), "seed": saved.seed, "dataset": saved.data.dataset}
    other = [name for name in asked if name != "epochs" and asked[name] != had[name]]
    if options.run_dir is not None and options.run_dir != options.resume:
        raise ValueError(f"run dir {options.run_dir}: --resume goes on in {options.resume}; leave --run-dir out")
    if other:
        said = ", ".join(f"--{name.replace('_', '-')} {asked[name]} (it has {had[name]})" for name in other)
        raise ValueError(f"run dir {options.resume}: contradicted by {said}; leave out, or start a new run")
    if options.recipe != Options.recipe:
        raise ValueError(f"recipe {options.recipe}: --resume goes on by the run's own recipe; leave --recipe out")
    if options.config.epochs == "auto":
        raise ValueError(f"run dir {options.resume}: epochs auto: expected a number; leave --epochs out to go on")


def _tell_finished(folder: Path, summary: Mapping[str, Any]) -> int:
    if "problem" in summary:
        print(f"error: {folder} was given up, it does not learn: {summary['problem']}", file=sys.stderr)
        return NOT_LEARNING
    print(
        f"{folder} is finished: {summary['epochs']} epochs, test accuracy {summary['test_accuracy']:.2%}; to go on, "
        f"add --epochs N"
    )
    return 0


def _digest(splits: "Splits") -> str:
    """sha256 of all images and labels: what tells whether a resumed run learns from the same data."""
    import numpy as np

    digest = hashlib.sha256()
    for part in (splits.train, splits.test):
        for array in part:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
