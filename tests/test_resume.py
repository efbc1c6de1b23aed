"""A run that is stopped, killed, starved of disk or damaged, and gone on with: real processes, real signals."""

import fcntl
import json
import os
import re
import resource
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxmnist.cli.training_run import CHECKPOINT
from jaxmnist.runs import checkpoint
from jaxmnist.runs.files import previous

TRAIN = Path(__file__).parent.parent / "train.py"
SMALL = ("--sizes", "784", "4", "10", "--batch-size", "10", "--learning-rate", "0.1", "--checkpoint-every", "1")
"""A training whose epochs take a few milliseconds, so that most of the time goes into saving."""


@pytest.fixture(scope="session")
def small_dir(tmp_path_factory):
    """300 real digits as IDX files: a data set that loads at once."""
    folder = tmp_path_factory.mktemp("small")
    digits = load_digits()
    images = np.zeros((300, 28, 28), np.uint8)
    images[:, 6:22, 6:22] = np.kron(digits.images[:300], np.ones((2, 2))) * (255 / 16)
    labels = digits.target[:300].astype(np.uint8)
    for name, part in (("train", slice(0, 240)), ("t10k", slice(240, 300))):
        count = len(labels[part]).to_bytes(4)
        side = (28).to_bytes(4)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            (0x803).to_bytes(4) + count + side + side + images[part].tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes((0x801).to_bytes(4) + count + labels[part].tobytes())
    return folder


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """A cache that all runs share, so that each compiles only what is new to it."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture
def begin(small_dir, compiled):
    """Starts a training."""

    def begin(*arguments):
        command = [sys.executable, "-u", TRAIN, *arguments, "--data-dir", small_dir]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(list(map(str, command)), env={**os.environ, **compiled}, **pipes)

    return begin


@pytest.fixture
def run(begin):
    """Runs a training to its end: exit code, stdout, stderr."""

    def run(*arguments):
        with begin(*arguments) as process:
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    return run


def announced(line):
    """The number of the epoch that a line of progress tells of."""
    found = re.match(r"epoch +(\d+)/", line)
    return int(found[1]) if found else None


def until_epoch(process, epoch):
    for line in process.stdout:
        if announced(line) == epoch:
            return
    pytest.fail(f"ended before epoch {epoch}: {process.stderr.read()}")


def result(folder):
    """All that must be the same whether a run was stopped or not."""
    tensors, about = checkpoint.read(folder / CHECKPOINT)
    summary = json.loads((folder / "summary.json").read_text())
    return (
        (folder / "weights.safetensors").read_bytes(),
        (folder / "metrics.csv").read_bytes(),
        {name: tensor.tobytes() for name, tensor in tensors.items()},
        about["epoch"],
        {name: value for name, value in summary.items() if name not in ("seconds", "examples_per_second")},
    )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_a_resumed_run_is_bit_for_bit_one_that_was_never_stopped(run, begin, tmp_path, optimizer):
    recipe = (*SMALL, "--optimizer", optimizer, "--epochs", "300", "--seed", "5")
    assert run(*recipe, "--run-dir", tmp_path / "whole")[0] == 0
    parts = tmp_path / "parts"
    arguments = (*recipe, "--run-dir", parts)
    for number, at in ((signal.SIGINT, 20), (signal.SIGTERM, 100)):
        with begin(*arguments) as process:
            until_epoch(process, at)
            process.send_signal(number)
            asked = time.monotonic()
            out, err = process.communicate()
        assert process.returncode == 75, err
        assert time.monotonic() - asked < 5
        assert f"python train.py --resume {parts}" in err
        assert re.search(r"interrupted after epoch \d+ of 300", err)
        arguments = ("--resume", parts)
    code, out, err = run("--resume", parts)
    assert code == 0, err
    assert "going on after epoch" in out
    assert result(parts) == result(tmp_path / "whole")
    code, out, err = run("--resume", parts)
    assert code == 0
    assert "is finished: 300 epochs" in out


@pytest.mark.slow
def test_a_finished_run_can_be_made_longer(run, tmp_path):
    recipe = (*SMALL, "--schedule", "constant", "--run-dir")
    assert run(*recipe, tmp_path / "long", "--epochs", "12")[0] == 0
    assert run(*recipe, tmp_path / "short", "--epochs", "5")[0] == 0
    code, out, err = run("--resume", tmp_path / "short", "--epochs", "12")
    assert code == 0, err
    assert "going on after epoch 5 of 12" in out
    assert result(tmp_path / "short") == result(tmp_path / "long")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--learning-rate", "0.3"), "--learning-rate 0.3 (it has 0.1)"),
        (("--learning-rate", "0.08"), "--learning-rate 0.08 (it has 0.1)"),  # what is the default without --resume
        (("--seed", "1"), "--seed 1 (it has 0)"),
        (("--optimizer", "sgd", "--batch-size", "5"), "--batch-size 5"),
        (("--dataset", "digits"), "--dataset digits (it has mnist)"),
        (("--epochs", "2"), "has made 3 already"),
        (("--epochs", "auto"), "epochs auto"),
        (("--run-dir", "elsewhere"), "leave --run-dir out"),
        (("--recipe", "best"), "leave --recipe out"),
    ],
)
def test_a_resume_that_contradicts_the_run_says_so_and_changes_nothing(run, finished, options, said):
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.name != ".lock"}
    code, _out, err = run("--resume", finished, *options)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert before == {path.name: path.read_bytes() for path in finished.iterdir() if path.name != ".lock"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_dir, compiled):
    folder = tmp_path_factory.mktemp("finished") / "run"
    command = [sys.executable, TRAIN, *SMALL, "--epochs", "3", "--data-dir", small_dir, "--run-dir", folder]
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, **compiled}, capture_output=True)
    return folder


def test_what_is_no_run_is_refused(run, tmp_path):
    for folder, said in ((tmp_path / "none", "none"), (tmp_path, "holds no run")):
        code, _out, err = run("--resume", folder)
        assert code == 2
        assert said in err
    (tmp_path / "config.json").write_text("[]")
    assert "expected an object" in run("--resume", tmp_path)[2]
    (tmp_path / "config.json").write_text('{"config": {"sizes": [784, 10], "momentum": "much"}}')
    assert "momentum 'much'" in run("--resume", tmp_path)[2]


@pytest.mark.slow
def test_other_data_is_refused(run, finished, tmp_path, small_dir):
    for path in small_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x09")
    with subprocess.Popen(
        [sys.executable, TRAIN, "--resume", finished, "--epochs", "5", "--data-dir", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert "other data" in process.communicate()[1]
    assert process.returncode == 2


def damage(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_two_are_refused(run, tmp_path):
    for name in ("whole", "hurt"):
        assert run(*SMALL, "--schedule", "constant", "--epochs", "4", "--run-dir", tmp_path / name)[0] == 0
    assert run("--resume", tmp_path / "whole", "--epochs", "6")[0] == 0
    latest = tmp_path / "hurt" / CHECKPOINT
    damage(latest)
    code, out, err = run("--resume", tmp_path / "hurt", "--epochs", "6")
    assert code == 0, err
    assert err.startswith("warning: ")
    assert "another sha256 than expected in" in err
    assert "going on after epoch 3 of 6" in out
    assert result(tmp_path / "hurt") == result(tmp_path / "whole")
    assert (tmp_path / "hurt" / f"{CHECKPOINT}.damaged").exists()

    damage(latest)
    damage(previous(latest))
    code, _out, err = run("--resume", tmp_path / "hurt", "--epochs", "8")
    assert code == 2
    assert err.count("(bytes ") == 2
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused(run, tmp_path):
    for seed in (0, 1):
        assert run(*SMALL, "--epochs", "2", "--seed", seed, "--run-dir", tmp_path / str(seed))[0] == 0
    for name in (CHECKPOINT, f"{CHECKPOINT}.previous"):
        (tmp_path / "0" / name).write_bytes((tmp_path / "1" / name).read_bytes())
    code, _out, err = run("--resume", tmp_path / "0", "--epochs", "3")
    assert code == 2
    assert "seed 1, expected 0" in err


@pytest.mark.slow  # those run one at a time, as its second needs
def test_one_writer_and_the_second_is_told_who_the_first_is(begin, tmp_path):
    folder = tmp_path / "r"
    with begin(*SMALL, "--epochs", "100000", "--run-dir", folder) as first:
        until_epoch(first, 1)
        for arguments in (("--run-dir", folder), ("--resume", folder)):
            start_time = time.monotonic()
            with begin(*arguments) as second:
                _out, err = second.communicate()
            assert second.returncode == 2
            assert f"process {first.pid} is writing there" in err
            assert time.monotonic() - start_time < 1
        first.kill()
    with begin("--resume", folder) as third:  # the lock died with its process
        assert any("going on after epoch" in line for _, line in zip(range(2), third.stdout, strict=False))
        third.kill()


LONG_STEP = ("--sizes", "784", "6000", "6000", "10", "--batch-size", "1", "--epochs", "3")
"""A training whose first epoch takes far over five seconds."""


def compiling(process):
    """Wait for the first line, and then for what comes before the first epoch."""
    assert "parameters" in process.stdout.readline()
    time.sleep(4)


@pytest.mark.slow
def test_a_step_in_hand_that_takes_too_long_is_given_up(begin, tmp_path):
    with begin(*LONG_STEP, "--run-dir", tmp_path / "r") as process:
        compiling(process)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        _out, err = process.communicate()
    assert process.returncode == 75, err
    assert time.monotonic() - asked < 5
    assert "--resume" in err


@pytest.mark.slow
def test_a_second_sigint_stops_at_once(begin, tmp_path):
    with begin(*LONG_STEP, "--run-dir", tmp_path / "r") as process:
        compiling(process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        process.communicate()
    assert time.monotonic() - asked < 0.5
    assert process.returncode == 130


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_the_checkpoint_before_it_loads(run, begin, tmp_path):
    """The limit on a file's size is the kernel's own; the file that breaks it is a checkpoint."""
    folder = tmp_path / "r"
    assert run(*SMALL, "--schedule", "constant", "--epochs", "3", "--run-dir", folder)[0] == 0
    size = (folder / CHECKPOINT).stat().st_size

    with begin("--resume", folder, "--epochs", "9") as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size - 1_000, size - 1_000))  # long before it saves
        _out, err = process.communicate()
    assert process.returncode == 2, err
    assert f"{CHECKPOINT}: can't be written (File too large); what stood there stays" in err
    assert checkpoint.read(folder / CHECKPOINT)[1]["epoch"] == 3
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]
    code, out, err = run("--resume", folder, "--epochs", "9")
    assert code == 0, err
    assert "going on after epoch 3 of 9" in out


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_file_system_is_an_error_and_the_checkpoint_before_it_loads(run, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        code, _out, err = run(*SMALL, "--epochs", "9", "--run-dir", folder)
        assert code == 2
        assert "No space left on device" in err
        assert checkpoint.read(folder / CHECKPOINT)[1]["epoch"] >= 1
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(run, tmp_path):
    tmp_path.chmod(0o500)
    code, _out, err = run(*SMALL, "--run-dir", tmp_path / "r")
    tmp_path.chmod(0o700)
    assert code == 2
    assert "can't be written" in err


def test_nobody_else_may_write_to_a_run(finished):
    for path in (finished, *finished.iterdir()):
        assert path.stat().st_mode & 0o022 == 0, path


@pytest.mark.slow
def test_a_run_that_diverges_tells_the_step_and_keeps_the_network_before_it(run, tmp_path):
    recipe = ("--activation", "relu", "--cost", "cross_entropy", "--learning-rate", "1e30", "--batch-size", "10")
    code, _out, err = run(*recipe, "--run-dir", tmp_path / "r")
    assert code == 3
    assert re.search(r"step \d+ of epoch 1 gives numbers that are not finite", err)
    network = checkpoint.load_network(tmp_path / "r" / "last_good.safetensors")
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(network.params))
    assert not (tmp_path / "r" / "weights.safetensors").exists()
    code, _out, err = run("--resume", tmp_path / "r")
    assert code == 3
    assert "was given up" in err


@pytest.mark.slow
def test_the_epochs_that_an_interrupted_run_tells_of_are_on_the_disk(begin, tmp_path):
    """Also where no checkpoint is due, and the signal comes while a line of progress waits for its reader."""
    with begin(*SMALL[:-1], 1_000_000, "--epochs", 1_000_000, "--run-dir", tmp_path / "r") as process:
        until_the_pipe_is_full(process)
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate()
    assert process.returncode == 75, err
    said = int(re.search(r"interrupted after epoch (\d+) of", err)[1])
    assert checkpoint.read(tmp_path / "r" / CHECKPOINT)[1]["epoch"] == said > 0


def until_the_pipe_is_full(process):
    waiting = [0, 1]
    while waiting[-1] == 0 or waiting[-2] != waiting[-1]:
        time.sleep(1)  # many epochs long
        count = fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4))
        waiting.append(int.from_bytes(count, sys.byteorder))


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_nothing(run, begin, tmp_path):
    """Start-up, compiling, steps and saving are all hit: an epoch here is shorter than its save."""
    recipe = (*SMALL, "--epochs", "400", "--run-dir")
    begun = time.monotonic()
    assert run(*recipe, tmp_path / "whole")[0] == 0
    assert run(*recipe, tmp_path / "warm")[0] == 0
    longest = (time.monotonic() - begun) / 2
    expected, random = result(tmp_path / "whole"), np.random.default_rng(0)
    kills, runs, killed_while_training, interval = 0, 0, 0, 1
    while kills < 50:
        folder = tmp_path / f"run-{runs}"
        runs += 1
        told = 0
        while not (folder / "summary.json").exists():
            resumable = (folder / "config.json").exists()
            arguments = ("--resume", folder) if resumable else (*recipe, folder)
            with begin(*arguments) as process:
                if kills < 50:
                    time.sleep(random.uniform(0, longest))
                    process.kill()
                out, err = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), err
            kills += process.returncode != 0
            epochs = [epoch for epoch in map(announced, out.splitlines()) if epoch]
            if epochs:
                assert epochs[0] >= told + 1 - interval, "more than a checkpoint interval was done again"
                told = epochs[-1]
                killed_while_training += process.returncode != 0
        assert result(folder) == expected
        assert not list(folder.glob(".*.part"))
    assert killed_while_training >= 10, "the moments were not spread over the run"
    print(f"{kills} kills, {killed_while_training} of them after a first epoch, {runs} runs, all bit-identical")


@pytest.mark.slow
def test_saving_costs_little(mnist_dir, tmp_path):
    command = [sys.executable, TRAIN, "--data-dir", mnist_dir, "--epochs", "20", "--run-dir", tmp_path / "r"]
    subprocess.run(command, check=True, capture_output=True)
    seconds = json.loads((tmp_path / "r" / "summary.json").read_text())["seconds"]
    share = seconds["save"] / sum(seconds.values())
    print(f"saving: {1e3 * seconds['save'] / 20:.2f} ms a checkpoint, {share:.1%} of a run of 20 epochs")
    assert seconds["save"] / 20 <= 0.002
    assert share <= 0.02
