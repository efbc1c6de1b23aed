"""Runs that stop, go on, break and are damaged, in this process."""

import dataclasses
import errno
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from small_data import small_splits

from jaxmnist.config import Config
from jaxmnist.runs import checkpoint, loop, records, results
from jaxmnist.runs.files import previous
from jaxmnist.runs.loop import CHECKPOINT, first_state, resume, run_epochs

CONFIG = Config(sizes=(784, 4, 10), batch_size=10, learning_rate=0.1, epochs=6)


@pytest.fixture(scope="module")
def splits():
    return small_splits()


@pytest.fixture
def make_run(tmp_path, splits):
    """Makes the record of a run in a folder, as its command does."""

    def make_run(name, seed=0, splits=splits, **changes):
        config = dataclasses.replace(CONFIG, **changes).resolved(len(splits.train.labels))
        metadata = {"dataset": "mnist", "origin": "here", "data_sha256": loop.digest(splits), "seed": seed}
        (tmp_path / name).mkdir(exist_ok=True)
        return results.Run(
            tmp_path / name, {**metadata, "config": config.to_json()}, splits, config, jax.devices("cpu")[0]
        )

    return make_run


@pytest.fixture
def save_every_epoch(monkeypatch):
    monkeypatch.setattr(loop, "SAVE_INTERVAL", 0.0)


def stop_after(epochs):
    """Requests a stop when so many epochs have begun."""
    answers = iter([False] * epochs)
    return lambda: next(answers, True)


def finished(run, progress=None):
    """Train a run to its end; return all that must be the same whether it was stopped or not."""
    progress, problem = run_epochs(run, progress or first_state(run))
    assert problem is None
    results.write(run, progress)
    summary = records.read_json(run.folder / "summary.json", records.SUMMARY)
    timeless = {name: value for name, value in summary.items() if name not in ("seconds", "examples_per_second")}
    files = [(run.folder / name).read_bytes() for name in ("weights.safetensors", "metrics.csv")]
    tensors, about = checkpoint.read(run.folder / CHECKPOINT)
    return timeless, files, {name: tensor.tobytes() for name, tensor in tensors.items()}, about["epoch"]


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_a_run_stopped_twice_equals_one_never_stopped_bit_for_bit(make_run, optimizer):
    expected = finished(make_run("whole", optimizer=optimizer))
    run = make_run("parts", optimizer=optimizer)
    for done in (2, 3):
        progress, problem = run_epochs(run, resume(run)[0], stop_requested=stop_after(done - len(_history(run))))
        assert problem is None
        assert len(progress.history) == done + 1
        assert checkpoint.read(run.folder / CHECKPOINT)[1]["epoch"] == done
    progress, warning = resume(run)
    assert warning == ""
    assert finished(run, progress) == expected
    assert not list(run.folder.glob(".*"))


def _history(run):
    return resume(run)[0].history[1:]


def test_a_run_stopped_before_its_first_epoch_can_be_resumed(make_run):
    run = make_run("r")
    progress, _ = run_epochs(run, first_state(run), stop_requested=lambda: True)
    assert len(progress.history) == 1
    assert finished(run, resume(run)[0]) == finished(make_run("whole"))


def test_a_finished_run_made_longer_equals_a_long_one(make_run):
    expected = finished(make_run("long", schedule="constant", epochs=9))
    finished(make_run("short", schedule="constant", epochs=4))
    longer = make_run("short", schedule="constant", epochs=9)
    assert finished(longer, resume(longer)[0]) == expected


def test_epochs_are_reported_and_saved_about_once_a_second(make_run, monkeypatch):
    clock, saved, reported = [0.0], [], []
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0], perf_counter=lambda: clock[0]))
    monkeypatch.setattr(loop.checkpoint, "save", lambda path, tree, about, keep_previous: saved.append(about["epoch"]))

    def on_epoch(epoch, entry):
        reported.append((epoch, float(entry.test.cost)))
        clock[0] += 0.3

    run = make_run("r", epochs=10)
    progress, _ = run_epochs(run, first_state(run), on_epoch)
    assert reported == [(epoch, float(entry.test.cost)) for epoch, entry in enumerate(progress.history)][1:]
    assert saved == [0, 5, 9, 10]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)


@pytest.mark.usefixtures("save_every_epoch")
def test_a_damaged_checkpoint_gives_way_to_the_one_before(make_run):
    expected = finished(make_run("whole"))
    run = make_run("damaged")
    run_epochs(run, first_state(run), stop_requested=stop_after(2))
    latest = run.folder / CHECKPOINT
    for _ in range(2):  # each stop saves its last epoch twice
        run_epochs(run, resume(run)[0], stop_requested=stop_after(1))
    damage(latest)
    progress, warning = resume(run)
    assert "going on from checkpoint.safetensors.previous" in warning
    assert (run.folder / f"{CHECKPOINT}.damaged").exists()
    assert finished(run, progress) == expected


def lie(path, **changed):
    """Write a checkpoint anew, with right digests but another record: a value of ... is left out."""
    tensors, true = checkpoint.read(path)
    checkpoint.save(path, tensors, {name: value for name, value in (true | changed).items() if value is not ...})


LIES = {
    "epoch": [..., None, "x", True, -1, 1.5, 3, 10**12, 10**400],
    "seconds": [..., None, "x", [], {}, {"train": "x"}, {"train": 0}, {"train": 1, "save": None}],
    "seed": [..., None, "0", 2**70],
    "data_sha256": [..., None, [[]]],
    "config": [..., None, [1], {}, {"sizes": [784, 10]}, {"sizes": "x"}, {"sizes": [784, [10], 10], "epochs": {}}],
}


@pytest.mark.parametrize("name", LIES)
def test_a_checkpoint_that_lies_is_named_and_gives_way_to_the_one_before(make_run, name):
    run = make_run("r")
    run_epochs(run, first_state(run), stop_requested=stop_after(2))
    latest = run.folder / CHECKPOINT
    good = latest.read_bytes()
    previous(latest).write_bytes(good)
    for value in LIES[name]:
        latest.write_bytes(good)
        lie(latest, **{name: value})
        progress, warning = resume(run)
        assert len(progress.history) == 3
        assert warning.startswith(f"{latest}: ")
        assert "expected " in warning
        assert warning.endswith(f"going on from {CHECKPOINT}.previous, the damaged file is now {CHECKPOINT}.damaged")
        assert len(warning) < 2_000


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(make_run, monkeypatch):
    run = make_run("r")
    run_epochs(run, first_state(run), stop_requested=stop_after(2))
    latest, read_bytes = run.folder / CHECKPOINT, Path.read_bytes
    previous(latest).write_bytes(latest.read_bytes())

    def read(path):
        if path == latest:
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    progress, warning = resume(run)
    assert len(progress.history) == 3
    assert "Input/output error; going on from" in warning


def test_two_damaged_checkpoints_are_refused_by_name(make_run):
    run = make_run("r")
    finished(run)
    for path in (run.folder / CHECKPOINT, previous(run.folder / CHECKPOINT)):
        damage(path)
    with pytest.raises(ValueError, match=rf"{CHECKPOINT}: .*; .*{CHECKPOINT}.previous: "):
        resume(run)


def test_checkpoints_of_another_run_are_refused(make_run):
    run = make_run("r")
    finished(run)
    for changes, said in (
        ({"seed": 1}, "seed is 0, expected 1 as in config.json"),
        ({"learning_rate": 0.2}, "recipe .*, expected .*0.2"),
    ):
        with pytest.raises(ValueError, match=said):
            resume(make_run("r", **changes))
    with pytest.raises(ValueError, match=r"epochs=2: .* has made 6 already"):
        resume(make_run("r", epochs=2))


def test_other_data_is_refused(make_run, splits):
    run = make_run("r")
    run_epochs(run, first_state(run), stop_requested=lambda: True)
    other = splits._replace(test=splits.test._replace(labels=splits.test.labels.at[0].set(9)), origin="elsewhere")
    with pytest.raises(
        ValueError, match=r"other data than mnist from elsewhere, expected that of here; .*JAXMNIST_DATA"
    ):
        resume(run._replace(splits=other))


@pytest.mark.usefixtures("save_every_epoch")
def test_a_full_disk_is_an_error_and_the_checkpoint_before_it_loads(make_run, monkeypatch):
    run, write, written = make_run("r"), checkpoint.write_atomically, []

    def fill_the_disk(path, content, keep_previous=False):
        written.append(path)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, keep_previous)

    monkeypatch.setattr(checkpoint, "write_atomically", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        run_epochs(run, first_state(run))
    assert len(resume(run)[0].history) == 3


def test_a_diverging_run_keeps_the_network_from_before_the_bad_step(make_run):
    run = make_run("r", activation="relu", cost="cross_entropy", learning_rate=1e30)
    progress, problem = run_epochs(run, first_state(run))
    assert "of epoch 1 gives numbers that are not finite" in problem
    assert "last_good.safetensors" in problem
    network = checkpoint.load_network(run.folder / "last_good.safetensors")
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(network.params))
    summary = results.write(run, progress, problem)
    assert (summary["learned"], summary["problem"]) == (False, problem)
    json.loads((run.folder / "summary.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert not (run.folder / "weights.safetensors").exists()
