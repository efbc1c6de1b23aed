"""How a grid's time and memory grow with its networks: real processes, each with its own peak."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from PIL import Image
from small_data import write_idx_files

from jaxmnist.config import Config
from jaxmnist.studies.grid import Grid, combine, groups, resolved, train_groups

PROGRAM = """
import atexit, sys, time
from measuring import peak_memory
atexit.register(lambda: print(f"measured {peak_memory()} {time.process_time()}", file=sys.stderr))
from jaxmnist.__main__ import program
sys.exit(program())
"""
"""Is `jaxmnist`, and says at its end what it took."""
SETTINGS = ("--learning-rate", 0.05, 0.1, 0.2, 0.3, 0.5, "--momentum", 0.5, 0.9)
"""Ten of them, which train a network of one layer for one epoch of 200 digits."""
GROUP = 100
"""Networks of a group: 3 MB of weights, so that it hardly matters how many groups are in memory at a moment."""
GROWTH = 600 * 90_000
"""Most bytes that 90,000 more networks may take; they took 450 each, most of it while the settings are ranked."""


class Took(NamedTuple):
    """What a sweep took."""

    peak: int  # bytes
    seconds: float  # of processor time, which other processes don't stretch as much as the clock's
    output: str


@pytest.fixture
def begin(tmp_path):
    """Starts a sweep, or one to go on with."""
    write_idx_files(tmp_path)
    path = os.pathsep.join([str(Path(__file__).parent / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "JAXMNIST_DATA_DIR": str(tmp_path), "PYTHONPATH": path}

    def begin(*words):
        command = [sys.executable, "-c", PROGRAM, "sweep", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **pipes)

    return begin


def grid(networks, folder):
    words = ("--dataset", "custom", "--epochs", 1, "--sizes", 784, 10, "--group-size", GROUP, "--run-dir", folder)
    return (*words, *SETTINGS, "--seeds", networks // 10)


def wait(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    peak, seconds = re.search(r"^measured (\d+) ([\d.]+)$", errors, re.MULTILINE).groups()
    return Took(int(peak), float(seconds), output)


def stop_in_the_middle(process, folder, group_count):
    while process.poll() is None and len(list(folder.glob("groups/*.safetensors"))) < group_count // 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 75


@pytest.mark.slow
def test_twice_the_networks_take_no_more_memory_and_at_most_twice_the_time(begin, tmp_path):
    wait(begin(*grid(1_000, tmp_path / "first")))  # compiles
    few, many = (wait(begin(*grid(networks, tmp_path / str(networks)))) for networks in (2_500, 5_000))
    print(few[:2], many[:2])
    # weights take 31 kB a network, so 78 MB if they were kept; like processes differ by less than 5 MB
    assert many.peak - few.peak < 20e6
    assert many.seconds < 2.2 * few.seconds  # a part doesn't grow; 10 % for what a busy machine adds


@pytest.mark.measured
def test_a_hundred_thousand_networks_at_constant_memory_in_linear_time(begin, tmp_path):
    wait(begin(*grid(1_000, tmp_path / "first")))
    counts, took = (10_000, 30_000, 100_000), []
    for networks in counts:
        took.append(wait(begin(*grid(networks, tmp_path / str(networks)))))
        print(f"{networks:,}: {took[-1].seconds:.1f} s of processor time, peak {took[-1].peak / 1e6:.0f} MB")
    per_network = np.diff([each.seconds for each in took]) / np.diff(counts)
    assert per_network[1] < 1.3 * per_network[0]
    assert took[-1].peak - took[0].peak < GROWTH
    whole, parts = tmp_path / str(counts[-1]), tmp_path / "parts"
    stop_in_the_middle(begin(*grid(counts[-1], parts)), parts, counts[-1] // GROUP)
    resumed = wait(begin("--resume", parts))
    print(f"resumed in the middle: {resumed.seconds:.1f} s, peak {resumed.peak / 1e6:.0f} MB")
    assert resumed.peak - took[0].peak < GROWTH
    tables = [hashlib.sha256((folder / "sweep.csv").read_bytes()).hexdigest() for folder in (whole, parts)]
    assert tables[0] == tables[1]
    assert (whole / "sweep.csv").read_bytes().count(b"\n") == 1 + counts[-1]
    assert resumed.output.count("\n") < 80
    with Image.open(whole / "accuracy.png") as image:
        assert image.width * image.height < 4e6


def test_all_groups_of_a_size_are_one_compiled_program(digits, caplog):
    configs = combine(Config(sizes=(784, 10), epochs=1), ["sgd"], [32], [0.0], [0.1, 0.2])
    asked = resolved(Grid(configs, seeds=3, folds=3, held_out=1, group_size=2), digits.train)
    trained = train_groups(jax.random.key(0), asked, digits.train, groups(asked))
    next(trained)
    with jax.log_compiles():
        next(trained)
    assert [record.message for record in caplog.records if "Compiling" in record.message] == []
    caplog.clear()
    with jax.log_compiles():  # what is compiled is seen here
        jax.jit(lambda x: x + 1)(1.0)
    assert any("Compiling" in record.message for record in caplog.records)
