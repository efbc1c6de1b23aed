"""Minibatches divided among devices and processes: the same steps, and with logical shards the same bits."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxmnist.devices.batches import check_division
from jaxmnist.runs.checkpoint import load_network

EPOCH = """
import hashlib, sys
import jax, numpy as np
from jaxmnist import devices
from jaxmnist.config import Config
from jaxmnist.devices import batches
from jaxmnist.sources import load
from jaxmnist.training import start, train_epoch
port, processes, number = map(int, sys.argv[1:])
if processes > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, number, coordinator_bind_address=f"127.0.0.1:{port}")
data = jax.tree.map(lambda column: column[:640], load("digits").train)
config = Config(epochs=2).resolved(640)
state = start(jax.random.key(0), config)
expected, costs = train_epoch(state, data, config)

def epoch(count=None, shards=None):
    row = devices.mesh(jax.devices()[:count], batches.AXIS)
    made, its_costs = batches.compile_epoch(state, data, config, row, shards)(state)
    assert jax.random.key_data(made.key).tolist() == jax.random.key_data(expected.key).tolist()
    np.testing.assert_allclose(its_costs, costs, rtol=1e-5)
    return made.params

def far(params):
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(expected.params))
    return max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs)

def sha256(params):
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))).hexdigest()
"""
ALONE = (
    EPOCH
    + """
assert far(epoch(1)) == 0
print(max(far(epoch(2)), far(epoch(4))), len({sha256(epoch(count, 8)) for count in (1, 2, 4)}))
"""
)
TOGETHER = (
    EPOCH
    + """
params = epoch(None, 4)
print(far(params), sha256(params))
"""
)


def processes(program, count, devices):
    """Run a program as so many processes, each of whose CPU counts as so many devices; return the first one's words."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, port, str(count), str(number)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    results = [process.communicate(timeout=300) for process in started]
    assert not any(process.returncode for process in started), results
    return results[0][0].splitlines()[-1].split()


@pytest.mark.slow
def test_devices_that_share_minibatches_make_the_steps_of_one():
    far, different = processes(ALONE, 1, 4)
    # Sums of 32 float32 in another order, over 20 steps.
    assert float(far) <= 1e-5
    assert different == "1"  # 8 logical shards on 1, 2 and 4 devices: the same bits


@pytest.mark.slow
def test_logical_shards_give_the_same_bits_however_processes_divide_them():
    results = [processes(TOGETHER, count, 4 // count) for count in (1, 2, 4)]
    assert max(float(far) for far, _ in results) <= 1e-5
    assert len({sha256 for _, sha256 in results}) == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((32, 5, None), "batch_size=32: expected a multiple of the 5 devices .* example batch_size=30"),
        ((32, 2, 6), "batch_size=32: expected a multiple of the 6 logical shards .* example batch_size=30"),
        ((2, 4, None), "batch_size=2: .* example batch_size=4"),
        ((32, 4, 2), "logical_shards=2: expected a multiple of the 4 devices; for example logical_shards=4"),
        ((32, 1, 0), "logical_shards=0: expected"),
    ],
)
def test_unequal_shares_are_refused(given, problem):
    with pytest.raises(ValueError, match=problem):
        check_division(*given)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--devices", 99), "--devices 99: expected from 1 to"),
        (("--logical-shards", 3), "--batch-size 32: expected a multiple of the 3 logical shards"),
        (("--logical-shards", -1), "--logical-shards -1: expected a multiple"),
    ],
)
def test_the_command_refuses_them_and_leaves_nothing(command, tmp_path, words, problem):
    code, _output, errors = command("train", "--dataset", "digits", *words)
    assert (code, problem in errors) == (2, True), errors
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_in_logical_shards_goes_on_in_them(command, tmp_path):
    options = ("--dataset", "digits", "--schedule", "constant", "--logical-shards", 4)
    assert command("train", *options, "--epochs", 2, "--run-dir", "whole")[0] == 0
    assert command("train", *options, "--epochs", 1, "--run-dir", "parts")[0] == 0
    code, _output, errors = command("train", "--resume", "parts", "--epochs", 2)
    assert code == 0, errors
    whole, parts = (load_network(tmp_path / name)[0] for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["command"].endswith(" --logical-shards 4")
