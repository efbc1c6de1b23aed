"""A grid that is stopped, killed, divided and put together again: real processes, real signals."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_data import write_idx_files

from jaxmnist.cli import main
from jaxmnist.cli.grid_options import shard_of
from jaxmnist.runs.files import TEMPORARY

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
GRID = ("--dataset", "custom", "--epochs", 1, "--sizes", 784, 10, "--learning-rate", 0.1, 0.3, "--group-size", 4)
"""Networks that train in milliseconds, in groups of four."""
FEW, MANY = ("--seeds", 12), ("--seeds", 1_000)
"""24 and 2,000 networks: 6 and 500 groups."""
SECONDS = 2.0
"""Longest that a command may take to end."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    cache = tmp_path_factory.mktemp("cache")
    cluster = ("SLURM_", "JOB_COMPLETION_INDEX")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(cluster)}
    return {**inherited, "JAXMNIST_DATA_DIR": str(folder), "JAX_COMPILATION_CACHE_DIR": str(cache)}


@pytest.fixture
def begin(environment):
    """Starts a sweep."""

    def begin(*words, **variables):
        command = [sys.executable, "-m", "jaxmnist", "sweep", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**environment, **variables}, **pipes)

    return begin


@pytest.fixture
def sweep(begin):
    """Runs a sweep to its end, and returns its exit code, output and errors."""

    def sweep(*words, **variables):
        with begin(*words, **variables) as process:
            out, err = process.communicate()
        return process.returncode, out, err

    return sweep


def results(folder):
    """What must not depend on how a grid was trained: its table, in which each network has its weights' sha256."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("sweep.csv", "weights.safetensors")
    }


def after_groups(folder, count, process):
    """Wait until a process has finished some groups."""
    while process.poll() is None and len(list(folder.glob("groups/*.safetensors"))) < count:
        time.sleep(0.01)


def after_config(folder, process):
    """Wait until a process has written what it can be gone on with."""
    while process.poll() is None and not (folder / "config.json").exists():
        time.sleep(0.001)


def kill_and_go_on(begin, folder, grid, kills, random):
    """Start the four shards of a grid, again and again kill one and start it anew; return the exit codes at the end."""
    words = [(*grid, "--run-dir", folder, "--shard", f"{number}/4") for number in range(4)]
    processes = [begin(*shard) for shard in words]
    for _ in range(kills):
        time.sleep(random.uniform(0, 1.5))
        number = random.integers(4)
        processes[number].kill()
        processes[number].communicate()
        processes[number] = begin(*words[number])
    for process in processes:
        process.communicate()
    return [process.returncode for process in processes]


@pytest.mark.parametrize(
    ("grid", "kills"),
    [pytest.param(FEW, 4, marks=pytest.mark.slow), pytest.param(MANY, 100, marks=pytest.mark.measured)],
)
def test_shards_killed_at_random_moments_train_every_network_once(begin, sweep, tmp_path, grid, kills):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    code, _out, err = sweep(*GRID, *grid, "--run-dir", whole)
    assert code == 0, err
    assert kill_and_go_on(begin, parts, (*GRID, *grid), kills, np.random.default_rng(kills)) == [0] * 4
    code, out, err = sweep("--resume", parts)
    assert code == 0, err
    assert "To train it on the whole training set" in out
    assert results(parts) == results(whole)
    assert not list(parts.glob(".*"))


@pytest.mark.parametrize(
    "count", [pytest.param(4, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.measured)]
)
def test_a_signal_at_a_random_moment_ends_at_once_and_loses_a_group_at_most(begin, sweep, tmp_path, count):
    random, whole = np.random.default_rng(0), tmp_path / "whole"
    for _ in range(2):  # the second one finds its programs compiled, as all that follow do
        shutil.rmtree(whole, ignore_errors=True)
        with begin(*GRID, *FEW, "--run-dir", whole) as process:
            after_config(whole, process)
            started = time.monotonic()
            _out, err = process.communicate()
        assert process.returncode == 0, err
    lasts = time.monotonic() - started
    codes, took = [], []
    for number in range(3 * count):  # some come when all is done
        folder = tmp_path / str(number)
        with begin(*GRID, *FEW, "--run-dir", folder) as process:
            after_config(folder, process)
            time.sleep(random.uniform(0, lasts))
            process.send_signal([signal.SIGTERM, signal.SIGINT][number % 2])
            sent = time.monotonic()
            _out, err = process.communicate()
        took.append(time.monotonic() - sent)
        codes.append(process.returncode)
        if process.returncode:
            assert err.endswith(f"interrupted. To go on: python -m jaxmnist sweep --resume {folder}\n")
            code, _out, err = sweep("--resume", folder)
            assert code == 0, err
        assert results(folder) == results(whole)
        shutil.rmtree(folder)
        if codes.count(75) == count:
            break
    print({code: codes.count(code) for code in set(codes)}, f"slowest {max(took):.2f} s")
    assert set(codes) <= {75, 0}
    assert codes.count(75) == count
    assert max(took) <= SECONDS


@pytest.mark.slow
def test_groups_of_several_folders_are_put_together_and_gaps_filled(sweep, tmp_path):
    for number in (0, 2):
        code, out, err = sweep(*GRID, *FEW, "--run-dir", tmp_path / str(number), "--shard", f"{number}/3")
        assert code == 0, err
        assert "2 of 6 groups are finished" in out
        assert out.endswith(f"When all shards are: python -m jaxmnist sweep --resume {tmp_path / str(number)}\n")
    shutil.copytree(tmp_path / "2" / "groups", tmp_path / "0" / "groups", dirs_exist_ok=True)
    killed = tmp_path / "0" / "groups" / f".0123abcd{TEMPORARY}"  # as a kill leaves it
    killed.write_bytes(b"half")
    damaged = tmp_path / "0" / "groups" / "000000.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    code, out, err = sweep("--resume", tmp_path / "0")
    assert code == 0, err
    assert "000000.safetensors: damaged" in err
    assert not killed.exists()
    assert sweep(*GRID, *FEW, "--run-dir", tmp_path / "whole")[0] == 0
    assert results(tmp_path / "0") == results(tmp_path / "whole")
    # a group of another grid is no group of this one
    assert sweep(*GRID, "--seeds", 8, "--run-dir", tmp_path / "other")[0] == 0
    shutil.copy(tmp_path / "other" / "groups" / "000001.safetensors", tmp_path / "0" / "groups")
    code, _out, err = sweep("--resume", tmp_path / "0")
    assert (code, err.count("\n")) == (2, 1)
    assert "000001.safetensors: is a group of another grid" in err


@pytest.mark.slow
def test_shards_of_different_grids_and_second_writers_are_refused(begin, sweep, tmp_path):
    folder = tmp_path / "shared"
    with begin(*GRID, *MANY, "--run-dir", folder, "--shard", "0/2") as process:
        after_groups(folder, 1, process)
        process.send_signal(signal.SIGSTOP)  # it would be done before all have tried
        for words, problem in (
            ((*GRID, *FEW, "--run-dir", folder, "--shard", "1/2"), "config.json: is of another grid or other data"),
            ((*GRID, *MANY, "--run-dir", folder, "--shard", "0/2"), f"process {process.pid} is writing there"),
            (("--resume", folder), "is writing there"),
            ((*GRID, *MANY, "--run-dir", folder), "expected a new or an empty folder"),
        ):
            code, _out, err = sweep(*words)
            assert (code, problem in err, err.count("\n")) == (2, True, 1), err
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.communicate()
    assert process.returncode == 75


@pytest.mark.slow
def test_the_array_script_of_the_readme_runs(environment, tmp_path):
    """Under a stand-in for sbatch, which starts an array's tasks here."""
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", README, re.DOTALL)
    script = script.replace("--seeds 64", " ".join(map(str, (*FEW, *GRID[:7], "--group-size", 4))))
    first, last = map(int, re.search(r"#SBATCH --array=(\d+)-(\d+)", script).groups())
    (tmp_path / "array.sh").write_text(script)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'jaxmnist() {{ {sys.executable} -m jaxmnist "$@"; }}\n')
    given = {"SLURM_ARRAY_TASK_COUNT": str(last - first + 1), "SLURM_ARRAY_TASK_MIN": str(first)}
    tasks = [
        subprocess.Popen(
            ["bash", "array.sh"],
            env={**environment, **given, "SLURM_ARRAY_TASK_ID": str(number)},
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(first, last + 1)
    ]  # fmt: skip
    outputs = [task.communicate()[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0] * len(tasks), outputs
    assert (tmp_path / "runs" / "big" / "summary.json").exists(), outputs  # the last one finds all groups there


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        (None, {}, (0, 1)),
        ("2/4", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "9"}, (2, 4)),
        (None, {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, (2, 4)),
        ("/4", {"SLURM_ARRAY_TASK_ID": "3"}, (3, 4)),
        ("/4", {"JOB_COMPLETION_INDEX": "1"}, (1, 4)),
        (None, {"JOB_COMPLETION_INDEX": "1"}, (0, 1)),  # of how many, Kubernetes doesn't say
        (None, {"SLURM_ARRAY_TASK_COUNT": "4"}, (0, 1)),  # a shell inside a job
    ],
)
def test_a_shard_is_given_or_the_clusters_own(given, environment, expected):
    assert shard_of(given, environment) == expected


@pytest.mark.parametrize("given", ["4/4", "-1/4", "1", "a/b", "1/0", "/4", "1.0/2"])
def test_a_shard_that_there_is_not_is_refused(given, monkeypatch, capsys):
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    assert main(["sweep", "--shard", given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --shard ")
    assert "expected I/N, with I from 0 and below N; for example --shard 0/4" in line


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", "command is missing, expected text"),
        ('{"command": "train", "arguments": [], "grid_sha256": "a"}', "is of train, expected sweep"),
        (
            '{"command": "sweep", "arguments": ["--nonsense"], "grid_sha256": "a"}',
            "arguments are ['--nonsense'], expected",
        ),
        ('{"command": "sweep", "arguments": "--seeds 2", "grid_sha256": "a"}', "expected a list of words"),
    ],
)
def test_a_config_that_lies_is_one_line(content, problem, tmp_path, capsys):
    (tmp_path / "config.json").write_text(content)
    assert main(["sweep", "--resume", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line


def test_more_devices_than_there_are_are_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "--dataset", "digits", "--devices", "99"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--devices 99: expected from 1 to" in line
