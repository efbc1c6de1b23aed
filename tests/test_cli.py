import csv
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import command_line
import numpy as np
import pytest
from command_line import refusal
from PIL import Image

from jaxmnist.config import RECIPES
from jaxmnist.network import count_parameters
from jaxmnist.runs.checkpoint import load_network

ROOT = Path(__file__).parent.parent
PICTURES = ("curves.png", "weights.png", "confusion.png", "mistakes.png")


@pytest.fixture
def run(tmp_path):
    """Runs a program of ours, train.py if no other is named, in an empty folder."""
    return partial(command_line.run, tmp_path, program=[ROOT / "train.py"])


def test_help_teaches(run):
    result = run("--help")
    assert result.returncode == 0
    for option in (
        *("--dataset", "--data-dir", "--seed", "--run-dir", "--platform", "--sizes", "--activation", "--cost"),
        *("--optimizer", "--learning-rate", "--momentum", "--schedule", "--batch-size", "--epochs"),
        *("--recipe", "--augmentation"),
    ):
        assert option in result.stdout
    assert "η" in result.stdout
    assert "μ" in result.stdout
    for program in (["-m", "jaxmnist"], [str(Path(sys.executable).parent / "jaxmnist")]):
        found = (
            run("--help", program=program)
            if program[0] == "-m"
            else subprocess.run([*program, "--help"], capture_output=True, text=True)
        )
        assert found.returncode == 0
        assert "train" in found.stdout


def test_a_run_on_the_embedded_digits(run, tmp_path):
    result = run()
    assert result.returncode == 0, result.stderr
    assert "NOT MNIST" in result.stderr
    assert "--data-dir" in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-nesterov")
    checkpoints = ("checkpoint.safetensors", "checkpoint.safetensors.previous")
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == sorted(
        ["config.json", "metrics.csv", "summary.json", "weights.safetensors", *checkpoints, *PICTURES]
    )
    lines = result.stdout.splitlines()
    assert "13,002 parameters" in lines[0]
    assert "scikit-learn" in lines[0]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test_accuracy"] >= 0.93
    assert summary["dataset"] == "digits"
    assert set(summary["seconds"]) == {"load", "compile", "train", "evaluate", "save"}
    for field in ("test_cost", "train_cost", "examples_per_second", "origin", "platform", "device", "jax", "seed"):
        assert field in summary
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(summary["epochs"] + 1))
    assert sum(line.startswith("epoch ") for line in lines) == summary["epochs"]
    assert float(rows[-1]["test_accuracy"]) == summary["test_accuracy"]
    assert float(rows[0]["test_accuracy"]) < 0.3
    network = load_network(folder)
    assert count_parameters(network.params) == 13_002
    assert network.config.optimizer == "nesterov"
    for picture in PICTURES:
        with Image.open(folder / picture) as image:
            assert min(image.size) > 400


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.slow
def test_a_recipe_sets_what_the_options_leave_open(run, tmp_path):
    result = run(
        "--dataset", "digits", "--recipe", "best", "--epochs", 2, "--batch-size", 20, "--run-dir", tmp_path / "b"
    )
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "b" / "config.json").read_text())["config"]
    assert found == RECIPES["best"].to_json() | {"epochs": 2, "batch_size": 20}
    assert "bogus" in refusal(run("--recipe", "bogus"))


def test_help_shows_what_a_recipe_sets(run):
    words = " ".join(run("--recipe", "best", "--help").stdout.replace("│", " ").split())
    assert "(default: silu)" in words
    assert "(default: jitter)" in words
    assert "(default: sigmoid)" in " ".join(run("--help").stdout.replace("│", " ").split())


def test_the_same_seed_gives_the_same_bytes_and_no_run_is_overwritten(run, tmp_path):
    for name, seed in (("one", 1), ("other", 1), ("third", 2)):
        result = run("--dataset", "digits", "--epochs", 3, "--seed", seed, "--run-dir", tmp_path / name)
        assert result.returncode == 0, result.stderr
    for file in ("weights.safetensors", "metrics.csv", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    weights = [load_network(tmp_path / name).params[0].weights for name in ("one", "third")]
    assert not np.array_equal(*weights)
    before = contents(tmp_path / "one")
    assert "never overwrites" in refusal(run("--dataset", "digits", "--run-dir", tmp_path / "one"))
    assert before == contents(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--optimizer", "sgd", "--learning-rate", "0.5", "--epochs", "20"),
        ("--optimizer", "momentum", "--epochs", "20"),
        ("--batch-size", "full", "--epochs", "5"),
        ("--sizes", "784", "10", "--epochs", "2"),
        ("--activation", "relu", "--cost", "cross_entropy", "--schedule", "constant", "--epochs", "3"),
    ],
)
def test_every_kind_of_run_works(run, arguments):
    result = run("--dataset", "digits", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sizes", "783", "16", "10"), "sizes 783 16 10"),
        (("--sizes", "784", "16", "9"), "sizes 784 16 9"),
        (("--sizes", "784", "x"), "--sizes"),
        (("--learning-rate", "0"), "learning rate"),
        (("--learning-rate", "-1"), "-1"),
        (("--learning-rate", "nan"), "nan"),
        (("--learning-rate", "fast"), "fast"),
        (("--momentum", "1"), "momentum"),
        (("--momentum", "-0.5"), "-0.5"),
        (("--batch-size", "0"), "batch size 0"),
        (("--batch-size", "half"), "half"),
        (("--epochs", "0"), "epochs 0"),
        (("--epochs", "-2"), "-2"),
        (("--dataset", "cifar"), "cifar"),
        (("--activation", "step"), "step"),
        (("--seed", "-1"), "seed -1"),
        (("--seed", "99999999999"), "99999999999"),
        (("--checkpoint-every", "0"), "checkpoint every 0"),
        (("--bogus",), "--bogus"),
        (("--dataset", "digits", "--batch-size", "100000"), "1,437"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--dataset", "mnist"), "offline"),
        (("--dataset", "digits", "--data-dir", "nowhere"), "data dir nowhere: contradicts the data set digits"),
        (("--dataset", "digits", "--run-dir", "/proc/run"), "/proc/run"),
        (("--dataset", "digits", "--run-dir", __file__), "run dir"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    line = refusal(run(*arguments))
    assert said in line
    assert not (tmp_path / "runs").exists()


def test_a_data_dir_without_the_files_names_them(run, tmp_path):
    (tmp_path / "empty").mkdir()
    line = refusal(run("--data-dir", tmp_path / "empty"))
    assert "train-images-idx3-ubyte" in line
    assert "expected" in line
    assert "train-images" in refusal(run(JAXMNIST_DATA_DIR=str(tmp_path / "empty")))


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_an_absent_accelerator_is_an_error_at_once_never_a_silent_cpu(run, platform):
    import jax

    if jax.default_backend() == platform:
        pytest.skip(f"this machine has a {platform}")
    begin = time.monotonic()
    line = refusal(run("--platform", platform))
    assert time.monotonic() - begin < 5
    assert f"platform {platform}" in line
    assert "found cpu" in line


def test_a_platform_that_the_environment_forbids_is_an_error(run):
    assert "platform" in refusal(run("--dataset", "digits", JAX_PLATFORMS="cuda"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--learning-rate", "1e20"),
        ("--learning-rate", "1e20", "--batch-size", "full"),
        ("--activation", "relu", "--cost", "cross_entropy", "--learning-rate", "1e6"),
        ("--activation", "relu", "--cost", "cross_entropy", "--learning-rate", "1e30"),
        ("--learning-rate", "1e-12"),
    ],
)
def test_a_run_that_does_not_learn_ends_with_exit_code_3_and_advice(run, tmp_path, arguments):
    result = run("--dataset", "digits", *arguments, "--run-dir", tmp_path / "bad")
    assert result.returncode == 3, result.stdout
    assert "Traceback" not in result.stderr
    assert "does not learn" in result.stderr
    assert "try" in result.stderr
    summary = json.loads((tmp_path / "bad" / "summary.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert summary["learned"] is False
    assert summary["problem"]
    assert not (tmp_path / "bad" / "weights.safetensors").exists()


def test_a_reader_that_leaves_is_no_traceback(run, tmp_path):
    command = f"{sys.executable} {ROOT / 'train.py'} --dataset digits --run-dir {tmp_path / 'r'} | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert "13,002" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", ["train --help", "train --dataset digits --run-dir r"])
def test_without_anywhere_to_print_it_runs_all_the_same(tmp_path, arguments):
    command = f"{sys.executable} -m jaxmnist {arguments} >&-"
    result = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_few_steps_are_no_failure_but_no_success_either(run, tmp_path):
    result = run("--dataset", "digits", "--batch-size", "full", "--epochs", "3", "--run-dir", tmp_path / "r")
    assert result.returncode == 0, result.stderr
    assert "note: after 3 steps it does no better than guessing yet; try more --epochs" in result.stdout
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["learned"] is False
    result = run("--resume", tmp_path / "r")
    assert result.returncode == 0, result.stderr
    assert "is finished: 3 epochs" in result.stdout


def test_a_reader_that_has_left_before_the_first_line_is_no_traceback(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "jaxmnist", "--help"]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, env=environment)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.slow
def test_compiled_programs_are_kept_only_where_nobody_else_can_put_any(run, tmp_path):
    def kept(folder):
        result = run("--dataset", "digits", "--epochs", "1", XDG_CACHE_HOME=str(tmp_path / folder))
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        return list((tmp_path / folder / "jaxmnist" / "compiled").glob("*train_epoch*"))

    assert kept("new")
    assert (tmp_path / "new" / "jaxmnist" / "compiled").stat().st_mode & 0o777 == 0o700
    (tmp_path / "open" / "jaxmnist" / "compiled").mkdir(parents=True)
    (tmp_path / "open" / "jaxmnist" / "compiled").chmod(0o777)
    assert not kept("open")


def test_mnist_to_the_promised_accuracy(run, tmp_path, mnist_dir):
    result = run("--seed", 1, "--run-dir", tmp_path / "r", JAXMNIST_DATA_DIR=str(mnist_dir))
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["test_accuracy"] >= 0.945
    assert summary["origin"] == str(mnist_dir)
    assert (summary["train_examples"], summary["test_examples"]) == (60_000, 10_000)
