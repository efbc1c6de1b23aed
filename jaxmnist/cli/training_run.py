"""A run in its folder: epoch by epoch on the host, so that progress shows and nothing is lost."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmnist.cli import results
from jaxmnist.cli.exit_codes import INTERRUPTED, NOT_LEARNING
from jaxmnist.cli.interruption import postponed
from jaxmnist.config import Config
from jaxmnist.metrics import Metrics
from jaxmnist.network import count_parameters
from jaxmnist.runs import checkpoint
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.files import previous
from jaxmnist.runs.health import SMALLER_STEPS, last_good_step, why_not_learning
from jaxmnist.sources import Splits
from jaxmnist.training import History, TrainState, measure, start, train_epoch

CHECKPOINT = "checkpoint.safetensors"

Seconds = dict[str, float]


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        state: what training carries on from.
        history: one entry before training and one after each epoch; empty before the first look.
        seconds: what has been spent so far, by name, in all sessions of the run.
    """

    state: TrainState
    history: list[History]
    seconds: Seconds


def train_in(
    folder: Path,
    record: Mapping[str, Any],
    splits: Splits,
    config: Config,
    device: jax.Device,
    load_seconds: Seconds,
) -> int:
    """Train from the folder's last checkpoint, or from the start, to the recipe's last epoch, and write the results.

    Args:
        folder: the run's, held against other writers.
        record: what is known of the run, as its config.json has it.
        splits: the data.
        config: the recipe; its `epochs` is a number.
        device: for the first line.
        load_seconds: what has been spent on loading.

    Returns:
        The exit code: 0, 3 for a run that doesn't learn, 75 for one that was interrupted.

    Raises:
        ValueError: when the folder's checkpoints can't be believed.
        OSError: when a file can't be written; the last checkpoint stays.
    """
    examples, epochs = splits.train.labels.shape[0], config.epochs_for(splits.train.labels.shape[0])
    every = record["checkpoint_every"]
    interval = max(1, round(60_000 / examples)) if every == "auto" else every
    first = start(jax.random.key(record["seed"]), config, examples)
    start_weights = np.array(first.params[0].weights)
    resumed = restored(folder, record, config, examples)
    state, history, seconds = resumed or Progress(first, [], defaultdict(float))
    run_folder.write_json(folder / "config.json", record)
    seconds["load"] += load_seconds["load"]
    print(
        f"{device.device_kind} ({device.platform}) · {splits.name} from {splits.origin}: {examples:,} training and "
        f"{splits.test.labels.shape[0]:,} test examples · {'-'.join(map(str, config.sizes))}, "
        f"{count_parameters(state.params):,} parameters",
        flush=True,
    )
    if resumed:
        print(f"going on after epoch {len(history) - 1} of {epochs}", flush=True)
    how_to_resume = f"To go on: python train.py --resume {folder}"

    with postponed(how_to_resume) as asked, ThreadPoolExecutor(1) as writer:
        with timed("compile", seconds):
            compiled_epoch = train_epoch.lower(state, splits.train, config).compile()
            compiled_measure = jax.jit(measure).lower(state, splits.train, splits.test, config).compile()
        if not history:
            with timed("evaluate", seconds):
                history = [jax.device_get(compiled_measure(state, splits.train, splits.test, config))]

        kept, problem, saved = _on_host(state), None, _done()
        on_disk = len(history) - 1
        with _progress(len(history) - 1, epochs) as show:
            for epoch in range(len(history), epochs + 1):
                if asked():
                    break
                with timed("train", seconds):
                    state, costs = compiled_epoch(state, splits.train, config)
                    _wait(costs)
                with timed("evaluate", seconds):
                    history.append(jax.device_get(compiled_measure(state, splits.train, splits.test, config)))
                if not np.all(np.isfinite(costs)) or not np.isfinite(history[-1].train.cost):
                    problem = _diverged(folder, record, kept, splits, config, epoch)
                else:
                    steps = epoch * config.steps_per_epoch(examples)
                    problem = why_not_learning(history[0], history[-2], history[-1], steps, epoch / epochs)
                if problem:
                    break
                kept = _on_host(state)
                if epoch % interval == 0 or epoch == epochs:
                    with timed("save", seconds):
                        saved.result()  # what was told before this epoch is on the disk
                        now = Progress(kept, list(history), dict(seconds))
                        saved = writer.submit(save, folder, record, now)
                    on_disk = epoch
                show(epoch, history[-1])
            with timed("save", seconds):
                saved.result()
                if not problem and on_disk < len(history) - 1:
                    save(folder, record, Progress(kept, history, seconds))
        if not problem and (asked() or len(history) <= epochs):
            done = len(history) - 1
            print(f"interrupted after epoch {done} of {epochs}. {how_to_resume}", file=sys.stderr)
            return INTERRUPTED
        results.write(folder, record, splits, config, history, seconds, start_weights, state.params, device, problem)
    return NOT_LEARNING if problem else 0


def save(folder: Path, record: Mapping[str, Any], now: Progress) -> None:
    """Write the checkpoint and the metrics so far; `now` is on the host."""
    about = {**record, "epoch": len(now.history) - 1, "seconds": now.seconds}
    history = jax.tree.map(lambda *entries: np.stack(entries), *now.history)
    tree = {"state": now.state, "history": history}
    checkpoint.save(folder / CHECKPOINT, tree, about, keep_previous=True)
    run_folder.write_metrics(folder / "metrics.csv", now.history)


def restored(folder: Path, record: Mapping[str, Any], config: Config, examples: int) -> Progress | None:
    """What the folder's checkpoint holds, or, if that is damaged, the one before; None when there is none yet.

    Raises:
        ValueError: when no checkpoint can be believed, or it belongs to another run.
    """
    latest = folder / CHECKPOINT
    damages: list[str] = []
    for path in (latest, previous(latest)):
        if path.exists():
            try:
                progress = _loaded(path, record, config, examples)
            except ValueError as damage:
                damages.append(str(damage))
                continue
            if damages:  # set aside, lest the next checkpoint put the damaged file in the good one's place
                aside = latest.replace(latest.with_name(f"{CHECKPOINT}.damaged"))
                print(f"warning: {damages[0]}; going on from {path.name}, it is now {aside.name}", file=sys.stderr)
            done, epochs = len(progress.history) - 1, config.epochs_for(examples)
            if done > epochs:
                raise ValueError(f"epochs {epochs}: {folder} has made {done} already; expected at least as many")
            return progress
    if damages:
        raise ValueError("; ".join(damages))
    return None


def _loaded(path: Path, record: Mapping[str, Any], config: Config, examples: int) -> Progress:
    tensors, about = checkpoint.read(path)
    for name in ("seed", "dataset", "data_sha256"):
        if about.get(name) != record.get(name):
            raise ValueError(f"{path}: {name} {about.get(name)!r}, expected {record.get(name)!r} as in config.json")
    recipe = {**config.to_json(), "epochs": about.get("config", {}).get("epochs")}
    if about.get("config") != recipe:
        raise ValueError(f"{path}: recipe {about.get('config')}, expected {recipe} as in config.json")
    epoch = about["epoch"]
    key = jax.random.key(0)

    def made() -> dict[str, Any]:
        numbers = jnp.zeros(epoch + 1)
        history = History(Metrics(numbers, numbers), Metrics(numbers, numbers))
        return {"state": start(key, config, examples), "history": history}

    template = jax.eval_shape(made)
    tree = checkpoint.restore(path, tensors, template)
    entries = [jax.tree.map(lambda leaf, at=at: np.asarray(leaf[at]), tree["history"]) for at in range(epoch + 1)]
    return Progress(tree["state"], entries, defaultdict(float, about["seconds"]))


def _diverged(
    folder: Path, record: Mapping[str, Any], before: TrainState, splits: Splits, config: Config, epoch: int
) -> str:
    """Find the first bad step of an epoch, keep the network from before it, and say so."""
    state = before._replace(key=jax.random.wrap_key_data(before.key))
    good, index = jax.device_get(last_good_step(jax.device_put(state), splits.train, config))
    if index < config.steps_per_epoch(len(splits.train.labels)):
        what = f"step {index + 1:,} of epoch {epoch}"
    else:  # every step was finite, and the cost of all examples after them isn't
        what, good = f"epoch {epoch}", before
    path = folder / "last_good.safetensors"
    checkpoint.save_network(path, good.params, config, record)
    return f"{what} gives numbers that are not finite (the network before it: {path}); {SMALLER_STEPS}"


def _on_host(state: TrainState) -> TrainState:
    """A copy that lives on when the state is donated; the key as its data."""
    copied: TrainState = jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))
    return copied


def _wait(array: jax.Array) -> None:
    """Wait in small steps, so that a signal is heard meanwhile."""
    while not array.is_ready():  # type: ignore[attr-defined]
        time.sleep(0.0005)


def _done() -> "Future[None]":
    future: Future[None] = Future()
    future.set_result(None)
    return future


@contextmanager
def timed(name: str, seconds: Seconds | None = None) -> Iterator[Seconds]:
    """Add the time that the block takes to what has been spent under this name."""
    spent = {name: 0.0} if seconds is None else seconds
    begin = time.perf_counter()
    yield spent
    spent[name] += time.perf_counter() - begin


@contextmanager
def _progress(done: int, epochs: int) -> Iterator[Callable[[int, History], None]]:
    """How the run goes, epoch by epoch: a bar on a terminal, a line each in a pipe or file."""
    from tqdm import tqdm

    live = sys.stdout.isatty()
    with tqdm(total=epochs, initial=done, unit="epoch", disable=not live, file=sys.stdout, dynamic_ncols=True) as bar:

        def show(epoch: int, now: History) -> None:
            if live:
                bar.set_postfix_str(f"test accuracy {now.test.accuracy:.2%}, cost {now.test.cost:.4f}", refresh=False)
                bar.update()
            else:
                print(
                    f"epoch {epoch:>{len(str(epochs))}}/{epochs} · train cost {now.train.cost:.4f} · test cost "
                    f"{now.test.cost:.4f} · test accuracy {now.test.accuracy:.2%}",
                    flush=True,
                )

        yield show
