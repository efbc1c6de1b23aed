"""A training run in its folder: epoch by epoch on the host, so that progress shows and a stop loses next to nothing."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.devices.batches import Epoch
from jaxmnist.runs import checkpoint, health, records
from jaxmnist.runs.files import previous
from jaxmnist.runs.results import Run, RunState, write_json, write_metrics
from jaxmnist.sources import Splits
from jaxmnist.training import History, TrainState, measure, start, train_epoch

CHECKPOINT = "checkpoint.safetensors"
SAVE_INTERVAL = 1.0
"""Least seconds from one checkpoint to the next. A checkpoint takes 1 to 10 ms, a short epoch less."""


def first_state(run: Run) -> RunState:
    """Make the state of a new run: the random start."""
    return RunState(start(jax.random.key(run.metadata["seed"]), run.config), [], {})


def compile_epoch(state: TrainState, train_set: Dataset, config: Config) -> Epoch:
    """Compile `training.train_epoch` for a training set."""
    compiled = train_epoch.lower(state, train_set, config).compile()
    return lambda state: compiled(state, train_set, config)


def _compile_measure(run: Run, state: TrainState) -> Callable[[TrainState], History]:
    """Compile `training.measure` for a run's data; its results come to the host."""
    data = (run.splits.train, run.splits.test, run.config)
    compiled = jax.jit(measure).lower(state, *data).compile()
    return lambda state: cast(History, jax.device_get(compiled(state, *data)))


class Ended(NamedTuple):
    """An epoch that has been trained, and is being measured."""

    before: TrainState  # the state before it
    costs: Float[Array, "steps"]  # each minibatch's mean cost before its step
    entry: Future[History]  # its measurements, to come


def run_epochs(
    run: Run,
    progress: RunState,
    on_epoch: Callable[[int, History], object] = lambda epoch, entry: None,
    stop_requested: Callable[[], bool] = lambda: False,
    compile_epoch: Callable[[TrainState, Dataset, Config], Epoch] = compile_epoch,
) -> tuple[RunState, str | None]:
    """Train to the recipe's last epoch and save checkpoints: about once a second, and at the end.

    An epoch is measured while the next one is trained. That takes a second thread: on a CPU, JAX runs the programs of
    one thread one after the other.

    Args:
        run: what to train, and where to keep it.
        progress: how far it is.
        on_epoch: called after each epoch with its number and its measurements.
        stop_requested: asked before each epoch; if true, training stops there.
        compile_epoch: makes the function that trains for an epoch.

    Returns:
        The state afterwards, and why the run was given up, or None.
    """
    if len(progress.history) > int(run.config.epochs):
        return progress, None
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        raise ValueError("JAX_DISABLE_JIT is set: expected it unset, as a run compiles its epochs")
    with timed("compile", seconds := dict(progress.seconds)):
        epoch = compile_epoch(progress.state, run.splits.train, run.config)
        measured = _compile_measure(run, progress.state)
    write_json(run.folder / "config.json", run.metadata)
    state, history, ended = progress.state, list(progress.history), None
    if not history:
        with timed("evaluate", seconds):
            history.append(measured(state))
        _save(run, RunState(state, history, seconds))
    note = _notes(run, history, seconds, on_epoch)
    with ThreadPoolExecutor(1) as other_thread:
        while len(history) + bool(ended) <= int(run.config.epochs) and not stop_requested():
            with timed("train", seconds):
                after, costs = epoch(state)  # begins
            if ended and (problem := note(ended, state, "train")):
                return RunState(state, history, seconds), problem
            with timed("train", seconds):
                costs.block_until_ready()  # signals are heard meanwhile
            ended, state = Ended(state, costs, other_thread.submit(measured, after)), after
        problem = note(ended, state, "evaluate") if ended else None
    if not problem:
        _save(run, RunState(state, history, seconds))
    return RunState(state, history, seconds), problem


def _notes(
    run: Run, history: list[History], seconds: dict[str, float], on_epoch: Callable[[int, History], object]
) -> Callable[[Ended, TrainState, str], str | None]:
    """Make the function that adds an epoch to the history, saves it if it is time, and may say why to give up."""
    saved_at = time.monotonic()

    def note(ended: Ended, state: TrainState, waiting_for: str) -> str | None:
        nonlocal saved_at
        with timed(waiting_for, seconds):
            history.append(ended.entry.result())
        if problem := _why_give_up(run, ended.before, ended.costs, history):
            return problem
        if time.monotonic() - saved_at >= SAVE_INTERVAL:
            _save(run, RunState(state, history, seconds))
            saved_at = time.monotonic()
        on_epoch(len(history) - 1, history[-1])
        return None

    return note


def resume(run: Run) -> tuple[RunState, str]:
    """Read the last checkpoint, or the one before if that is damaged, or make the start if there is none.

    Returns:
        The state, and a warning about a damaged checkpoint, or "".

    Raises:
        ValueError: if the data has changed, or all checkpoints are damaged or belong to another run or a longer one.
    """
    check_data(run.folder, run.metadata, run.splits)
    latest, problems = run.folder / CHECKPOINT, list[str]()
    for path in filter(Path.exists, (latest, previous(latest))):
        try:
            progress = _read_checkpoint(path, run)
        except (ValueError, OSError) as problem:
            problems.append(f"{path}: {str(problem).removeprefix(f'{path}: ')}")
            continue
        done, epochs = len(progress.history) - 1, int(run.config.epochs)
        if done > epochs:
            raise ValueError(f"epochs={epochs}: {run.folder} has made {done} already; expected at least as many")
        if not problems:
            return progress, ""
        # Moved away, since the next checkpoint would put the damaged file in the good one's place.
        damaged = latest.replace(latest.with_name(f"{CHECKPOINT}.damaged"))
        return progress, f"{problems[0]}; going on from {path.name}, the damaged file is now {damaged.name}"
    if problems:
        raise ValueError("; ".join(problems))
    return first_state(run), ""


def check_data(folder: Path, metadata: Mapping[str, Any], splits: Splits) -> None:
    """Raise a ValueError unless this is the data that the run in a folder was trained on, by its config.json."""
    if digest(splits) != metadata.get("data_sha256"):
        raise ValueError(
            f"{folder}: was trained on other data than {splits.name} from {splits.origin}, expected that of "
            f"{metadata.get('origin')}; name its folder with the environment variable JAXMNIST_DATA_DIR"
        )


def digest(splits: Splits) -> str:
    """Compute the sha256 of all images and labels, by which a resumed run knows its data."""
    sha256 = hashlib.sha256()
    for array in (*splits.train, *splits.test):
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


@contextmanager
def timed(purpose: str, seconds: dict[str, float]) -> Iterator[None]:
    """Add the seconds that the block takes to those spent for this purpose."""
    begin = time.perf_counter()
    yield
    seconds[purpose] = seconds.get(purpose, 0.0) + time.perf_counter() - begin


def _save(run: Run, progress: RunState) -> None:
    with timed("save", progress.seconds):
        about = {**run.metadata, "epoch": len(progress.history) - 1, "seconds": progress.seconds}
        history = jax.tree.map(lambda *entries: np.stack(entries), *progress.history)
        tree = {"state": progress.state, "history": history}
        checkpoint.save(run.folder / CHECKPOINT, tree, about, keep_previous=True)
        write_metrics(run.folder / "metrics.csv", progress.history)


def _read_checkpoint(path: Path, run: Run) -> RunState:
    tensors, about = checkpoint.read(path)
    same = {name: _as_in_config(run.metadata.get(name)) for name in ("seed", "dataset", "data_sha256")}
    records.check_record(path, about, {**same, **records.PROGRESS})
    if about["epoch"]:
        records.check_record(path, about["seconds"], records.TRAINED)
    config = records.recipe(path, about).resolved(run.splits.train.labels.shape[0])
    if dataclasses.replace(config, epochs=run.config.epochs) != run.config:
        recipes = [str(recipe.to_json()) for recipe in (config, run.config)]
        raise ValueError(f"{path}: recipe {recipes[0]:.500}, expected {recipes[1]:.500} as in config.json")
    shape: Any = jax.ShapeDtypeStruct
    state = jax.eval_shape(lambda: first_state(run).state)
    entry = jax.eval_shape(measure, state, run.splits.train, run.splits.test, run.config)
    columns = jax.tree.map(lambda leaf: shape((about["epoch"] + 1,), leaf.dtype), entry)
    tree = checkpoint.restore(path, tensors, {"state": state, "history": columns})
    history = jax.device_get(tree["history"])
    entries = [jax.tree.map(lambda column, index=index: column[index], history) for index in range(about["epoch"] + 1)]
    return RunState(tree["state"], entries, about["seconds"])


def _as_in_config(expected: Any) -> records.Rule:
    return lambda found: bool(found == expected), f"{expected!r} as in config.json"


def _why_give_up(run: Run, before: TrainState, costs: Float[Array, "steps"], history: list[History]) -> str | None:
    """Say why to give the run up after its last epoch, or None; keep the network from before a bad step."""
    epoch, steps = len(history) - 1, costs.shape[0]
    if np.isfinite(costs).all() and np.isfinite(history[-1].train.cost):
        share = epoch / int(run.config.epochs)
        rate = np.asarray(run.config.learning_rate).item()
        return health.why_not_learning(history[0], history[-2], history[-1], epoch * steps, share, rate)
    good, index = health.last_good_step(before, run.splits.train, run.config)
    bad = f"step {int(index) + 1:,} of epoch {epoch}"
    if index == steps:  # all steps are finite, but the cost of all examples after them isn't
        bad, good = f"epoch {epoch}", before
    path = run.folder / "last_good.safetensors"
    checkpoint.save_network(path, good.params, run.config, run.metadata)
    return f"{bad} gives numbers that are not finite (the network before it: {path}); {health.SMALLER_STEPS}"
