"""Ctrl-C at any moment: real processes and signals, and no cache, so that compilers run when the signal comes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import small_splits, write_idx_files

from jaxmnist import cli
from jaxmnist.runs.folder import WRITER

COMMANDS = {
    "train": ("--sizes", 784, 4, 10, "--batch-size", 10, "--epochs", 400),
    "sweep": ("--epochs", 3, "--seeds", 1, "--learning-rate", 0.1, 0.2),
    "compare": ("--steps", 100, "--full-batch-steps", 20, "--seeds", 2, "--learning-rates", 0.5),
    "cross-validate": ("--epochs", 3, "--seeds", 1, "--folds", 2, "--momentum", 0.9),
    "predict": ("../digit.png", "--show"),
    "evaluate": (),
    "explain": (),
    "page": ("--output", "pages/page.html"),
    "rates": (),
    "plan": ("--topology", "cpu:1", "--networks", 2, "--sizes", 784, 10, "--batch-size", 500),
}
SECONDS = 2.0
"""Longest that a command may take to end."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    return folder


@pytest.fixture
def begin(data, tmp_path):
    """Starts a command in an empty folder; returns when it hears signals, some 30 ms after its interpreter's start."""
    digit = np.asarray(small_splits().test.images[0]).reshape(28, 28)
    Image.fromarray(digit).resize((280, 280)).save(tmp_path / "digit.png")
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0", "JAXMNIST_DATA_DIR": str(data)}

    def begin(folder, name, *more):
        folder.mkdir()
        command = [sys.executable, "-m", "jaxmnist", name, *map(str, (*COMMANDS[name], *more))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)
        while process.poll() is None and not hears(process.pid):
            time.sleep(0.001)
        return process

    return begin


def hears(pid):
    """Whether a process handles SIGTERM, which Python itself doesn't."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1


def unfinished(folder):
    """What a command that was interrupted mustn't leave: empty folders, locks, parts of files.

    A grid that can be gone on with may have no group yet.
    """
    paths = [path for path in folder.rglob("*") if not (path.parent / "config.json").exists() or path.name != "groups"]
    return [path for path in paths if path.name.startswith(".") or (path.is_dir() and not list(path.iterdir()))]


FEW = {"train": 4, "cross-validate": 3, "predict": 6, "rates": 1}
SLOW = [pytest.param(name, count, marks=pytest.mark.slow) for name, count in FEW.items()]
MEASURED = [pytest.param(name, 100, marks=pytest.mark.measured) for name in COMMANDS]


def test_every_command_is_here():
    assert {*COMMANDS} == {*cli.COMMANDS}


@pytest.mark.parametrize(("name", "count"), SLOW + MEASURED)
def test_an_interrupt_at_a_random_moment_ends_a_command_at_once(begin, tmp_path, name, count):
    random, begun = np.random.default_rng(0), time.monotonic()
    with begin(tmp_path / "whole", name) as process:
        deaf = time.monotonic() - begun
        _out, err = process.communicate()
    duration = time.monotonic() - begun
    assert process.returncode == 0, err
    took, codes = [], []
    for number in range(count):
        folder = tmp_path / str(number)
        with begin(folder, name) as process:
            time.sleep(random.uniform(0, duration))
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            _out, err = process.communicate()
        took.append(time.monotonic() - sent)
        codes.append(process.returncode)
        assert process.returncode in (0, 130, *([75] if name in ("train", "sweep", "cross-validate") else [])), err
        assert "Traceback" not in err
        assert "Fatal" not in err
        assert (process.returncode == 130) == ("error: interrupted" in err)
        assert not unfinished(folder)
    ends = {code: codes.count(code) for code in sorted(set(codes))}
    slowest = ", ".join(f"{seconds:.2f}" for seconds in sorted(took)[-3:])
    print(f"{name}: {ends}, median {np.median(took):.3f} s, slowest {slowest} s; deaf for the first {deaf:.3f} s")
    assert max(took) <= SECONDS * (1 if count == 100 else 4)  # few are sent where other tests compute meanwhile


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_imports_ends_a_command_with_the_code_of_a_shell(begin, tmp_path, number):
    with begin(tmp_path / "r", "sweep") as process:
        process.send_signal(number)
        _out, err = process.communicate()
    assert (process.returncode, err) == (128 + number, "error: interrupted\n")
    assert not list((tmp_path / "r").iterdir())


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path):
    """As nohup and a shell's background jobs ask for."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import sys; sys.argv = ['jaxmnist', '--help']; "
    )
    code += "from jaxmnist.__main__ import program; import os; program(); os.kill(os.getpid(), signal.SIGINT)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_no_signal_leaves_an_empty_folder(begin, tmp_path, number):
    with begin(tmp_path / "r", "compare", "--run-dir", "a/b") as process:
        while not (tmp_path / "r" / "a" / "b" / WRITER).exists():
            time.sleep(0.001)
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 128 + number
    assert not list((tmp_path / "r").iterdir())
