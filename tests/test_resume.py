"""A run that is stopped or killed and then resumed: real processes, real signals."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_data import write_idx_files

from jaxmnist.cli.train import FIGURES
from jaxmnist.runs import checkpoint
from jaxmnist.runs.files import TEMPORARY
from jaxmnist.runs.loop import CHECKPOINT
from jaxmnist.runs.records import SUMMARY, read_json

TRAIN = Path(__file__).parent.parent / "train.py"
SMALL = (
    "--dataset",
    "custom",
    "--sizes",
    "784",
    "4",
    "10",
    "--batch-size",
    "10",
    "--learning-rate",
    "0.1",
    "--seed",
    "5",
)
"""A training whose epochs take a few milliseconds."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The small data, and a cache that all runs share, so that each compiles only what is new to it."""
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**os.environ, "JAXMNIST_DATA_DIR": str(folder), "XDG_CACHE_HOME": cache}


@pytest.fixture
def begin(environment):
    """Starts a training."""

    def begin(*arguments):
        command = [sys.executable, "-u", TRAIN, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(list(map(str, command)), env=environment, **pipes)

    return begin


@pytest.fixture
def run(begin):
    """Runs a training to its end: exit code, stdout, stderr."""

    def run(*arguments):
        with begin(*arguments) as process:
            out, err = process.communicate(timeout=240)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    return run


def until_line(process, pattern):
    for line in process.stdout:
        if re.search(pattern, line):
            return
    pytest.fail(f"ended before {pattern}: {process.stderr.read()}")


def result(folder):
    """All that must be the same whether a run was stopped or not."""
    tensors, about = checkpoint.read(folder / CHECKPOINT)
    summary = read_json(folder / "summary.json", SUMMARY)
    return (
        (folder / "weights.safetensors").read_bytes(),
        (folder / "metrics.csv").read_bytes(),
        {name: tensor.tobytes() for name, tensor in tensors.items()},
        about["epoch"],
        {name: value for name, value in summary.items() if name not in ("seconds", "examples_per_second")},
    )


STOPPED = Path(__file__).parent / "data" / "stopped-by-0.1"
CONFIG_LIES = {
    "seed": [..., None, "abc", -1, 2**70],
    "dataset": [..., None, 1, ["mnist"]],
    "data_dir": [1, ["here"], {}],
    "data_sha256": [..., None, 0],
    "origin": [..., None, {}],
    "command": [1, []],
    "config": [..., None, [1], "x", {}, {"sizes": [784, 10], "epochs": "x"}, {"sizes": [784, "x", 10]}],
}
SUMMARY_LIES = [
    {"epochs": 100},
    {"epochs": 100, "test_accuracy": None},
    {"epochs": "x", "test_accuracy": 1},
    {"epochs": 100, "test_accuracy": 1, "problem": 3},
    [],
]


@pytest.fixture
def stopped(tmp_path):
    """A stopped run, in whose JSON files anything can be written."""
    folder = tmp_path / "r"
    folder.mkdir()
    for path in STOPPED.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", CONFIG_LIES)
def test_a_config_that_lies_is_one_line_that_names_the_value(stopped, command, name):
    true = read_json(STOPPED / "config.json", {})
    for value in CONFIG_LIES[name]:
        content = {key: value for key, value in (true | {name: value}).items() if value is not ...}
        (stopped / "config.json").write_text(json.dumps(content))
        code, output, errors = command("train", "--resume", stopped)
        assert (code, output) == (2, "")
        (line,) = errors.splitlines()
        assert line.startswith("error: ")
        assert name in line or "config.json" in line
        assert "expected " in line


def test_a_config_without_a_data_folder_is_of_the_default_one(stopped, command, monkeypatch):
    config = read_json(STOPPED / "config.json", {})
    del config["data_dir"]
    (stopped / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("JAXMNIST_DATA_DIR", str(stopped))
    assert "no train-images" in command("train", "--resume", stopped)[2]


@pytest.mark.parametrize("content", SUMMARY_LIES, ids=range(len(SUMMARY_LIES)))
def test_a_summary_that_lies_is_one_line_with_the_remedy(stopped, command, content):
    (stopped / "summary.json").write_text(json.dumps(content))
    for name in FIGURES:
        (stopped / name).touch()
    code, output, errors = command("train", "--resume", stopped)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith(f"error: {stopped / 'summary.json'}: ")
    assert line.endswith("; remove it, and the run makes it anew")


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
def test_json_that_is_no_record_is_one_line(stopped, command, name):
    for content in ("", "[]", "{}", "[" * 200_000, '{"a":' * 200_000, "{}" + " " * 2_000_000):
        (stopped / name).write_text(content)
        code, _output, errors = command("train", "--resume", stopped)
        assert code == 2
        (line,) = errors.splitlines()
        assert f"{stopped / name}: " in line


@pytest.mark.slow
def test_a_run_stopped_by_signals_equals_one_never_stopped_bit_for_bit(run, begin, tmp_path):
    recipe = (*SMALL, "--epochs", "2000")
    assert run(*recipe, "--run-dir", tmp_path / "whole")[0] == 0
    parts = tmp_path / "parts"
    arguments = (*recipe, "--run-dir", parts)
    for number in (signal.SIGINT, signal.SIGTERM):
        with begin(*arguments) as process:
            until_line(process, r" of 2,000 epochs in ")
            process.send_signal(number)
            _out, err = process.communicate()
        assert process.returncode == 75, err
        assert f"To go on: python {TRAIN} --resume {parts}" in err
        done = int(re.search(r"interrupted after epoch (\d+) of 2000", err)[1])
        assert checkpoint.read(parts / CHECKPOINT)[1]["epoch"] == done > 0
        arguments = ("--resume", parts)
    code, out, err = run("--resume", parts)
    assert code == 0, err
    assert f"going on after epoch {done} of 2000" in out
    assert result(parts) == result(tmp_path / "whole")
    assert not list(parts.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_long_epoch_at_once(begin, tmp_path, number):
    long_epoch = ("--dataset", "custom", "--sizes", 784, 3000, 3000, 10, "--batch-size", 1, "--epochs", 3)
    with begin(*long_epoch, "--run-dir", tmp_path / "r") as process:
        while not (tmp_path / "r" / CHECKPOINT).exists():  # written just before the first epoch
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(number)
        assert "stopping after this epoch" in process.stderr.readline() + process.stderr.readline()
        process.send_signal(number)
        asked = time.monotonic()
        process.communicate()
    assert process.returncode == 128 + number
    assert time.monotonic() - asked < 1


@pytest.mark.slow
def test_a_second_writer_is_refused_by_the_number_of_the_first(begin, tmp_path):
    folder = tmp_path / "r"
    with begin(*SMALL, "--epochs", "100000", "--run-dir", folder) as first:
        until_line(first, " epochs in ")
        for arguments in (("--run-dir", folder), ("--resume", folder)):
            with begin(*arguments) as second:
                _out, err = second.communicate()
            assert second.returncode == 2
            assert f"process {first.pid} is writing there" in err
        first.kill()
    with begin("--resume", folder) as third:  # the lock ended with its process
        until_line(third, "going on after epoch")
        third.kill()


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_the_checkpoint_before_it_loads(run, begin, tmp_path):
    """The limit on a file's size is the kernel's own; the file that exceeds it is a checkpoint."""
    folder = tmp_path / "r"
    recipe = ("--schedule", "constant", "--epochs", "3", "--run-dir", folder)
    assert run(*SMALL, *recipe)[0] == 0
    size = (folder / CHECKPOINT).stat().st_size
    with begin("--resume", folder, "--epochs", "9") as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size - 1_000, size - 1_000))  # long before it saves
        _out, err = process.communicate()
    assert process.returncode == 2, err
    assert f"{CHECKPOINT}: can't be written (File too large); what stood there stays" in err
    assert checkpoint.read(folder / CHECKPOINT)[1]["epoch"] == 3
    assert not list(folder.glob(".*"))
    code, out, err = run("--resume", folder, "--epochs", "9")
    assert code == 0, err
    assert "going on after epoch 3 of 9" in out


@pytest.mark.slow
def test_nobody_else_may_write_to_a_run(run, tmp_path):
    folder = tmp_path / "r"
    assert run(*SMALL, "--epochs", "1", "--run-dir", folder)[0] == 0
    for path in (folder, *folder.iterdir()):
        assert path.stat().st_mode & 0o022 == 0, path


@pytest.mark.parametrize(
    "wanted", [pytest.param(4, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.measured)]
)
def test_kills_at_random_moments_lose_nothing(run, begin, tmp_path, wanted):
    """Start, compiling, epochs, saving and drawing are all hit."""
    recipe = (*SMALL, "--epochs", "1000", "--run-dir")
    assert run(*recipe, tmp_path / "whole")[0] == 0
    begun = time.monotonic()
    assert run(*recipe, tmp_path / "warm")[0] == 0
    duration = time.monotonic() - begun
    expected, random = result(tmp_path / "whole"), np.random.default_rng(0)
    kills, runs = 0, 0
    while kills < wanted:
        folder = tmp_path / f"run-{runs}"
        runs += 1
        code = None
        while code != 0:
            arguments = ("--resume", folder) if (folder / "config.json").exists() else (*recipe, folder)
            with begin(*arguments) as process:
                if kills < wanted:
                    time.sleep(random.uniform(0, duration))
                    process.kill()
                _out, err = process.communicate()
            code = process.returncode
            assert code in (0, -signal.SIGKILL), err
            kills += code != 0
        assert result(folder) == expected
        assert not list(folder.glob(f".*{TEMPORARY}"))
    print(f"{kills} kills, {runs} runs, all bit-identical")


@pytest.mark.measured
def test_saving_costs_little(mnist_dir, tmp_path):
    command = [sys.executable, TRAIN, "--data-dir", mnist_dir, "--epochs", "20", "--run-dir", tmp_path / "r"]
    subprocess.run(command, check=True, capture_output=True)
    seconds = read_json(tmp_path / "r" / "summary.json", SUMMARY)["seconds"]
    share = seconds["save"] / sum(seconds.values())
    print(f"saving: {1e3 * seconds['save']:.0f} ms, {share:.1%} of a run of 20 epochs")
    assert share <= 0.02
