"""The train command: a network from random start to trained, in one go or in several."""

import argparse
import dataclasses
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import tyro

from jaxmnist import devices
from jaxmnist.cli import console, field_names, with_options
from jaxmnist.cli import options as shared
from jaxmnist.cli.cluster import Cluster, ClusterOptions, Member, own_words, together
from jaxmnist.cli.drawing import figures_of, import_meanwhile, write_figures
from jaxmnist.cli.recorded import FIGURES, command, finished, recorded_data, with_epochs
from jaxmnist.config import RECIPES, Config, validate
from jaxmnist.dataset import Dataset
from jaxmnist.devices import batches, cluster
from jaxmnist.devices.cluster import is_first, share
from jaxmnist.metrics import outputs
from jaxmnist.network import count_parameters
from jaxmnist.runs import folder, loop, records, results
from jaxmnist.runs.unfinished import note_how_to_go_on
from jaxmnist.training import History, TrainState

figures = figures_of("training")
RecipeOptions = Annotated[tyro.conf.OmitArgPrefixes[shared.Recipe], tyro.conf.arg(name="recipe", help="How to train.")]


@dataclasses.dataclass(frozen=True)
class Options:
    """Train the digit network and leave its numbers, weights and figures in a run folder.

    Without options: 3Blue1Brown's network on MNIST, in seconds. Ctrl-C stops a run; --resume RUN goes on with it, and
    --resume RUN --epochs N makes it longer.
    """

    recipe: Literal["source", "best"] = "source"
    """Defaults for the options below. source: the rules of 3Blue1Brown's lessons; best: silu, cross_entropy, jitter and long training (add --help to see all)."""  # noqa: E501
    config: RecipeOptions = dataclasses.field(default_factory=shared.Recipe)
    data: shared.Data = dataclasses.field(default_factory=shared.DataOptions)
    seed: int = 0
    """Decides the random start and every shuffle: the same seed gives the same weights, bit for bit."""
    run_dir: shared.OptionalPath = None
    """New folder for the results (default: runs/<time>-<optimizer>)."""
    devices: shared.Count = None
    """How many of this machine's devices, or of each process's, share each minibatch (default: one, which is fastest unless layers are wide or batches large; of several processes all)."""  # noqa: E501
    logical_shards: shared.Count = None
    """Divide each minibatch into so many fixed shards, whose gradients are added one by one: the same weights, bit for bit, on any number of devices that divides them (default: one shard a device)."""  # noqa: E501
    cluster: Cluster = dataclasses.field(default_factory=ClusterOptions)


@dataclasses.dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run that was stopped, by its own recipe, seed and data: no other options are taken.

    On a CPU the result is, bit for bit, that of a run that was never stopped. JAXMNIST_DATA_DIR names the folder of the
    data if it has moved.
    """

    resume: Path
    """Folder of the run."""
    epochs: shared.Count = None
    """New length of the run, to make a finished run longer (default: its own)."""
    devices: shared.Count = None
    """How many of this machine's devices, or of each process's, share each minibatch (default: one, or all)."""
    cluster: Cluster = dataclasses.field(default_factory=ClusterOptions)


def parse(words: Sequence[str], program: str) -> Options | ResumeOptions:
    """Parse the command line; a recipe gives the defaults of the other options."""
    if any(word.split("=")[0] == "--resume" for word in words):
        return tyro.cli(ResumeOptions, args=words, prog=program)
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", nargs="?")
    config = RECIPES.get(recipe.parse_known_args(words)[0].recipe, RECIPES["source"])
    return tyro.cli(Options, args=words, prog=program, default=Options(config=shared.Recipe(**vars(config))))


def run(options: Options | ResumeOptions) -> int:
    """Train, write the run folder, and return the exit code: 0, NOT_LEARNING or INTERRUPTED."""
    begin = partial(_resume, options) if isinstance(options, ResumeOptions) else partial(_begin, options)
    return together(options.cluster, begin)


def _begin(options: Options, member: Member) -> int:
    config, seconds = options.config.config(), dict[str, float]()
    validate(config)
    shared.check_seed(options.seed)
    if is_first(member):
        folder.refuse_used(options.run_dir)
    device, data_dir = shared.select_device(options.data), options.data.data_dir
    with jax.default_device(device), loop.timed("load", seconds):
        splits = shared.load_data(options.data)
    config = config.resolved(len(splits.train.labels))
    metadata = {
        "dataset": splits.name,
        "data_dir": data_dir and str(Path(splits.origin).absolute()),
        "origin": splits.origin,
        "data_sha256": loop.digest(splits),
        "platform": options.data.platform,
        "seed": options.seed,
        "config": config.to_json(),
        "command": command(config, splits.name, options.seed, options.logical_shards),
        "logical_shards": options.logical_shards,
    }
    new = results.Run(Path(), metadata, splits, config, device)
    if not is_first(member):
        return _follow(new, options, member)
    with folder.created(options.run_dir, config.optimizer) as path, jax.default_device(device):
        new = new._replace(folder=path)
        return _train(new, loop.first_state(new)._replace(seconds=seconds), options, member)


def _resume(options: ResumeOptions, member: Member) -> int:
    path, seconds = options.resume, dict[str, float]()
    metadata = share(member, records.read_json(path / "config.json", records.CONFIG) if is_first(member) else None)
    recorded, data = records.recipe(path / "config.json", metadata), recorded_data(metadata)
    config = recorded if options.epochs is None else dataclasses.replace(recorded, epochs=options.epochs)
    validate(config)
    if not is_first(member):
        device = shared.select_device(data)
        with jax.default_device(device):
            splits = shared.load_data(data)
        resolved = config.resolved(len(splits.train.labels))
        return _follow(results.Run(path, metadata, splits, resolved, device), options, member)
    with folder.held(path):
        code = finished(path, config)
        if code is not None:
            return code
        device = shared.select_device(data)
        with jax.default_device(device):
            with loop.timed("load", seconds):
                splits = shared.load_data(data)
            if config != recorded:
                metadata = with_epochs(metadata, recorded, config)
            run = results.Run(path, metadata, splits, config.resolved(len(splits.train.labels)), device)
            progress, warning = loop.resume(run)
            if warning:
                console.say(f"warning: {warning}", on_stderr=True)
            load = progress.seconds.get("load", 0.0) + seconds["load"]
            return _train(run, progress._replace(seconds={**progress.seconds, "load": load}), options, member)


def _train(run: results.Run, progress: results.RunState, options: Options | ResumeOptions, member: Member) -> int:
    """Train to the end, or until a signal, and show how it goes."""
    (name, origin, train_set, test_set, _), epochs = run.splits, int(run.config.epochs)
    console.say(
        f"{run.device.device_kind} ({run.device.platform}) · {name} from {origin}: "
        f"{len(train_set.labels):,} training and {len(test_set.labels):,} test examples · "
        f"{'-'.join(map(str, run.config.sizes))}, {count_parameters(progress.state.params):,} parameters"
    )
    done = max(0, len(progress.history) - 1)
    resume = f"{console.started_as('train')} --resume {shlex.quote(str(run.folder))}"
    if member:
        note_how_to_go_on(f"{resume}{own_words(options.cluster)}", run.folder / "config.json")
        _check_same(run, options)
        share(member, [done, resume])
        progress = progress._replace(state=cluster.broadcast(progress.state))
    if progress.history:
        print(f"going on after epoch {done} of {epochs}", flush=True)
    shown = console.progress(epochs, "epochs", lines=30, on_stdout=True, done=done)
    with console.stopping() as stop_requested, shown as advance:

        def show(_epoch: int, entry: History) -> None:
            import_meanwhile()
            train_cost, test_cost = entry.train.cost, entry.test.cost
            advance(1, f"test accuracy {entry.test.accuracy:.2%} · cost {test_cost:.4f}, training {train_cost:.4f}")

        progress, problem = loop.run_epochs(
            run, progress, show, lambda: cluster.any_of(stop_requested()), _divided(run, options.devices, member)
        )
    done = len(progress.history) - 1
    if problem or done == epochs:
        return _write_results(run, progress, problem)
    resume += own_words(options.cluster)
    console.say(f"interrupted after epoch {done} of {epochs}. To go on: {resume}", on_stderr=True)
    return console.INTERRUPTED


def _follow(run: results.Run, options: Options | ResumeOptions, member: Member) -> int:
    """As another process than 0: make the epochs that process 0 makes. It alone measures, decides and saves."""
    with jax.default_device(run.device):
        _check_same(run, options)
        done, resume = share(member, None)
        state = cluster.broadcast(loop.first_state(run).state)
        epoch = _divided(run, options.devices, member)(state, run.splits.train, run.config)
        with console.stopping(quiet=True) as stop_requested:
            for _ in range(done, int(run.config.epochs)):
                if cluster.any_of(stop_requested()):
                    break
                note_how_to_go_on(f"{resume}{own_words(options.cluster)}")
                state, costs = epoch(state)
                costs.block_until_ready()
    return 0


def _check_same(run: results.Run, options: Options | ResumeOptions) -> None:
    """Check that all processes have the same data and recipe."""
    cluster.check_same(loop.digest(run.splits), "the data")
    decides = [run.config.to_json(), run.metadata["seed"], run.metadata.get("logical_shards"), options.devices]
    cluster.check_same(hashlib.sha256(json.dumps(decides).encode()).hexdigest(), "an option")


def _divided(
    run: results.Run, device_count: int | None, member: Member
) -> Callable[[TrainState, Dataset, Config], batches.Epoch]:
    """Choose how an epoch is compiled: as it is, or for devices or logical shards that share its minibatches."""
    shards = run.metadata.get("logical_shards")
    if device_count is None and shards is None and member is None:
        return loop.compile_epoch
    mesh = devices.mesh(devices.several(run.device, device_count or (None if member else 1)), batches.AXIS)
    return partial(batches.compile_epoch, mesh=mesh, shards=shards)


def _write_results(run: results.Run, progress: results.RunState, problem: str | None) -> int:
    """Write the numbers and the weights, say how good they are, and only then draw the figures."""
    for name in FIGURES:  # of a shorter run: one that is killed while drawing isn't finished
        (run.folder / name).unlink(missing_ok=True)
    summary = results.write(run, progress, problem)
    if problem:
        console.complain(with_options(f"does not learn: {problem}", field_names(Options)))
        return console.NOT_LEARNING
    report = results.report(summary, np.asarray(run.config.learning_rate).item())
    print(with_options(report, field_names(Options)), flush=True)
    begin, config, params = time.perf_counter(), run.config, progress.state.params
    before = shared.untrained(run.metadata["seed"], config, run.device)
    answers = np.asarray(outputs(params, run.splits.test.images, config.activation, config.cost))
    write_figures(run.folder, figures, run, progress.history, before, params, answers)
    console.say(f"figures {time.perf_counter() - begin:.2f} s · in {run.folder}: {folder.listed(run.folder)}")
    return 0
