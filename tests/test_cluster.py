"""Several processes as one program: real processes, killed and frozen; sockets only on 127.0.0.1."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_data import write_idx_files

from jaxmnist.cli import main
from jaxmnist.devices.cluster import found, given
from jaxmnist.devices.meeting import Address

SECONDS = 15.0
"""Longest that a process may take to end when another one is lost."""
GRID = ("sweep", "--dataset", "custom", "--platform", "cpu", "--epochs", 1, "--sizes", 784, 10, "--learning-rate")
GRID = (*GRID, 0.1, 0.3, "--group-size", 4)
FEW, MANY = ("--seeds", 8), ("--seeds", 1_000)
"""Two groups, and 250 on two devices."""
TRAIN = ("train", "--dataset", "custom", "--platform", "cpu", "--sizes", 784, 16, 10, "--batch-size", 16)


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    cache = tmp_path_factory.mktemp("cache")
    clusters = ("SLURM_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION_INDEX", "XLA_FLAGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(clusters)}
    proxies = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # lead nowhere
    return {**inherited, **proxies, "JAXMNIST_DATA_DIR": str(folder), "JAX_COMPILATION_CACHE_DIR": str(cache)}


@pytest.fixture
def begin(environment, tmp_path):
    """Starts a command in several processes, each in its own folder; ends what is left of them."""
    begun = []

    def begin(words, processes=2, only=None, devices=1, **variables):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        own = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        started = []
        for number in range(processes) if only is None else only:
            folder = tmp_path / f"{len(begun)}-{number}"
            folder.mkdir()
            options = ("--coordinator", f"127.0.0.1:{port}", "--processes", processes, "--process-id", number)
            command = [sys.executable, "-m", "jaxmnist", *map(str, (*words, *(options if processes > 1 else ())))]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen(command, env={**environment, **own, **variables}, cwd=folder, **pipes)
            process.folder, process.number = folder, number
            started.append(process)
        begun.extend(started)
        return started

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ended(processes, seconds=120):
    """Wait until all have ended; return their exit codes, outputs and errors."""
    results = [process.communicate(timeout=seconds) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, results, strict=True)]


def digests(folder):
    """What must not depend on how often a run was stopped."""
    names = ("sweep.csv", "weights.safetensors")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if (folder / name).exists()}


def after(folder, pattern, count, process):
    """Wait until there are so many files."""
    while process.poll() is None and len(list(folder.glob(pattern))) < count:
        time.sleep(0.01)


def lose(processes, victim, number):
    """Kill or freeze a process, and return the seconds until all others have ended, with how they did."""
    processes[victim].send_signal(number)
    sent = time.monotonic()
    others = [process for process in processes if process.number != victim]
    results = ended(others, 60)
    took = time.monotonic() - sent
    processes[victim].kill()
    return took, results


def check_lost(results, victim, processes=2):
    for code, _out, err in results:
        assert code == 75, err
        assert "Traceback" not in err
        assert "Fatal" not in err
        last = err.splitlines()[-1]
        assert re.match(rf"error: process {victim} of {processes} (was lost|does not answer)", last), err
        assert ". To go on: python -m jaxmnist" in last, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number"),
    [(0, signal.SIGKILL), (1, signal.SIGKILL), (0, signal.SIGSTOP), (1, signal.SIGSTOP)],
    ids=["coordinator killed", "worker killed", "coordinator frozen", "worker frozen"],
)
def test_a_lost_process_ends_all_others_which_name_it(begin, victim, number):
    processes = begin((*GRID, *MANY, "--run-dir", "r"))
    after(processes[0].folder, "r/groups/*", 2, processes[0])
    took, results = lose(processes, victim, number)
    print(f"{took:.1f} s")
    check_lost(results, victim)
    assert took <= SECONDS
    assert not list(processes[1].folder.iterdir())


@pytest.mark.slow
def test_a_sweep_of_two_processes_goes_on_in_one_and_only_process_0_writes(begin, tmp_path):
    processes = begin((*GRID, *FEW, "--run-dir", "r"))
    after(processes[0].folder, "r/groups/*", 1, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    (code, _out, err), (worker_code, worker_out, worker_err) = ended(processes)
    assert (code, worker_code, worker_out) == (75, 75, ""), (err, worker_err)
    assert worker_err.startswith("interrupted. To go on: ")
    folder = processes[0].folder / "r"
    (alone,) = begin(("sweep", "--resume", folder), processes=1)
    ((code, _out, err),) = ended([alone])
    assert code == 0, err
    whole = begin((*GRID, *FEW, "--run-dir", "r"))
    (code, out, err), worker = ended(whole)
    assert code == 0, err
    assert worker == (0, "", "")
    assert "Gloo" not in out
    assert not list(whole[1].folder.iterdir())
    lines, again = ((place / "r" / "sweep.csv").read_text().splitlines() for place in (whole[0].folder, folder.parent))
    assert [line.split(",")[:6] for line in lines] == [line.split(",")[:6] for line in again]


@pytest.mark.slow
@pytest.mark.parametrize(("only", "missing"), [((0, 2), "1"), ((1, 2), "0")], ids=["a worker", "process 0"])
def test_a_process_that_never_comes_is_named(begin, only, missing):
    begun = time.monotonic()
    for code, out, err in ended(begin((*GRID, *FEW, "--start-timeout", 5), 3, only)):
        assert (code, out) == (75, "")
        assert err.startswith(f"error: process {missing} of 3 did not come (they count from 0)"), err
        assert err.count("\n") == 1
    assert time.monotonic() - begun < SECONDS
