"""The command line in this process: what train prints, writes and refuses; subprocesses where streams are the point."""

import csv
import dataclasses
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors
from PIL import Image
from small_data import write_idx_files

import jaxmnist
from jaxmnist.cli import COMMANDS, main
from jaxmnist.cli.train import FIGURES, parse
from jaxmnist.config import RECIPES
from jaxmnist.network import count_parameters
from jaxmnist.runs import loop
from jaxmnist.runs.checkpoint import load_network

ROOT = Path(__file__).parent.parent
SMALL = ("--dataset", "custom", "--sizes", "784", "4", "10", "--batch-size", "10", "--learning-rate", "0.1")
"""A network that trains in milliseconds an epoch on the small data."""


@pytest.fixture(scope="session")
def small_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    return folder


@pytest.fixture(autouse=True)
def own_folder(tmp_path, tmp_path_factory, small_dir, monkeypatch):
    """Each test runs in an empty folder, with the small data and one cache for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXMNIST_DATA_DIR", str(small_dir))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def drawn():
    """For tests of the figures."""


@pytest.fixture(autouse=True)
def figures_only_if_drawn(request, monkeypatch):
    """Other tests get empty files, since drawing takes two seconds a run."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("jaxmnist.plots.style.png", lambda figure: bytes)


@pytest.fixture
def run(capsys):
    """Runs train.py in this process: exit code, stdout, stderr."""

    def run(*arguments, command="train"):
        code = main(list(map(str, arguments)), command)
        return code, *capsys.readouterr()

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def words_of(text):
    """A drawn help text as one line."""
    return " ".join(text.replace("│", " ").split())


def test_help_and_readme_name_the_same_options_and_help_says_how_to_resume(run):
    code, out, _err = run("--help")
    assert code == 0
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Options of train")[1].split("\n\n")[1]
    options = set(re.findall(r"`(--[a-z-]+)`", "".join(line.split("|")[1] for line in table.splitlines())))
    assert len(options) == 23
    assert options == set(re.findall(r"--[a-z][a-z-]+", out)) - {"--help", "--resume"}
    assert "--resume RUN --epochs N" in words_of(out)
    code, out, _err = run("--resume", "r", "--help")
    assert code == 0
    assert "--epochs" in out
    assert "--seed" not in out


def test_the_overview_names_every_command_in_one_line(run):
    for arguments in ((), ("--help",)):
        code, out, _err = run(*arguments, command=None)
        assert code == 0
        assert all(any(line.split()[:1] == [name] for line in out.splitlines()) for name in COMMANDS)


@pytest.mark.usefixtures("drawn")
def test_a_run_writes_its_folder_and_reports(run, tmp_path, small_dir):
    code, out, err = run("--cost", "cross_entropy", "--batch-size", 10, "--epochs", 60)
    note = f"note: the files in {small_dir} are no known data set as published, so they are called custom"
    assert (code, err) == (0, f"{note}; if they are meant, say --dataset custom\n")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-nesterov")
    checkpoints = ("checkpoint.safetensors", "checkpoint.safetensors.previous")
    assert sorted(contents(folder)) == sorted(
        ["config.json", "metrics.csv", "summary.json", "weights.safetensors", *checkpoints, *FIGURES]
    )
    lines = out.splitlines()
    assert "240 training and 60 test examples" in lines[0]
    assert "13,002 parameters" in lines[0]
    epochs = [int(line.split()[0]) for line in lines if " of 60 epochs in " in line]
    assert epochs == [1, *range(2, 61, 2)]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["dataset"], summary["origin"]) == ("custom", str(small_dir))
    assert set(summary["seconds"]) == {"load", "compile", "train", "evaluate", "save"}
    for field in ("test_cost", "train_cost", "examples_per_second", "origin", "platform", "device", "jax", "seed"):
        assert field in summary
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(61))
    assert float(rows[-1]["test_accuracy"]) == summary["test_accuracy"]
    assert float(rows[0]["test_accuracy"]) < 0.3 < summary["test_accuracy"]
    network = load_network(folder)
    assert count_parameters(network.params) == 13_002
    assert network.config.optimizer == "nesterov"
    for figure in FIGURES:
        with Image.open(folder / figure) as image:
            assert min(image.size) > 400


@pytest.mark.slow
def test_the_recorded_command_trains_the_same_network(run, tmp_path):
    assert run(*SMALL, "--epochs", 3, "--seed", 1, "--run-dir", "one")[0] == 0
    command = json.loads((tmp_path / "one" / "config.json").read_text())["command"].split()
    assert command[:2] == ["jaxmnist", "train"]
    assert run(*command[2:], "--run-dir", "same")[0] == 0
    assert run(*SMALL, "--epochs", 3, "--seed", 2, "--run-dir", "other")[0] == 0
    for file in ("weights.safetensors", "metrics.csv", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()
    weights = [load_network(tmp_path / name).params[0].weights for name in ("one", "other")]
    assert not np.array_equal(*weights)
    before = contents(tmp_path / "one")
    code, _out, err = run("--run-dir", "one")
    assert code == 2
    assert "error: --run-dir one: holds " in err
    assert "never overwrites" in err
    assert before == contents(tmp_path / "one")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trian",), "error: trian: expected one of train, explain"),
        (("swep", "--seeds", "2"), "did you mean sweep?"),
        (("xyz",), "see jaxmnist --help"),
        (("train", "--epoch", "3"), "--epochs"),
        (("train", "--run-dir", ""), 'error: --run-dir "": expected a value after it; is a shell variable unset?'),
        (("train", "--run-dir="), '--run-dir "": expected a value'),
        (("sweep", "--data-dir", "", "--seeds", "1"), '--data-dir "": expected a value'),
        (("sweep", "--momentum", "0.9", "0.99999999"), "--momentum 0.99999999: expected"),
        (("sweep", "--sizes", "784", "100000", "10"), "in all; for example --group-size 12"),
        (("cross-validate", "--epochs", "1000000000000"), "--epochs 1000000000000: expected at most"),
        (("compare", "--seeds", "1000000000"), "--seeds 1000000000: expected a whole number from 2 to 1,000"),
        (("compare", "--steps", "1000000000000"), "--steps 1000000000000: expected"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused_and_leaves_nothing(run, tmp_path, words, said):
    code, out, err = run(*words, command=None)
    assert (code, out) == (2, "")
    assert said in words_of(err)
    assert not list(tmp_path.iterdir())


def test_the_version_is_printed(run):
    assert run("--version", command=None) == (0, f"jaxmnist {jaxmnist.__version__}\n", "")


@pytest.mark.parametrize("columns", [1, 10**9])
def test_help_is_as_wide_as_can_be_read(run, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _err = run("--help")
    assert code == 0
    assert "--run-dir" in out
    assert 30 < max(map(len, out.splitlines())) < 300


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError("Unable to allocate 2 TiB"),
        RecursionError("too deep"),
        OverflowError("int too large"),
        FloatingPointError("invalid value (nan)"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        safetensors.SafetensorError("no header"),
    ],
)
def test_what_the_machine_lacks_is_one_line_that_names_jax_settings(run, tmp_path, monkeypatch, problem):
    def fail(*_):
        raise problem

    monkeypatch.setattr(loop, "run_epochs", fail)
    monkeypatch.setenv("JAX_TRANSFER_GUARD", "disallow")
    code, _out, err = run(*SMALL)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert f"error: {type(problem).__name__}: {problem}; try again without " in err
    assert "JAX_TRANSFER_GUARD=disallow" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("problem", "words", "less"),
    [
        pytest.param(
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 160000000000 bytes."),
            "train --sizes 784 4 10 --batch-size full",
            "--batch-size full, --sizes 784 4 10",
            id="cpu",
        ),
        pytest.param(
            jax.errors.JaxRuntimeError(
                "INTERNAL: Error dispatching computation: Out of memory allocating 379842052 bytes."
            ),
            "sweep --group-size 8 --seeds 2",
            "--group-size 8, --batch-size 32, --sizes 784 16 16 10",
            id="cpu, asynchronously",
        ),
        pytest.param(
            jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 149.01GiB.\n"
                "BufferAssignment OOM Debugging:\n..."
            ),
            "cross-validate --sizes 784 10",
            "--group-size 64, --batch-size 32, --sizes 784 10",
            id="gpu",
        ),
        pytest.param(
            jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 29.80G of 15.48G hbm.\n\n"
                "Total hbm usage >="
            ),
            "compare --seeds 3 --batch-size 8",
            "--seeds 3, --batch-size 8, --examples 3000",
            id="tpu",
        ),
        pytest.param(
            MemoryError(
                "Unable to allocate 7.11 PiB for an array with shape (1000000000000000,) and data type float64"
            ),
            "evaluate best",
            None,
            id="host",
        ),
    ],
)
def test_out_of_memory_says_which_options_to_lower(monkeypatch, capsys, problem, words, less):
    def fail(*_):
        raise problem

    for name in [name for name in os.environ if name.startswith(("JAX_", "XLA_"))]:
        monkeypatch.delenv(name)
    command, *options = words.split()
    module = importlib.import_module(f"jaxmnist.cli.{command.replace('-', '_')}")
    monkeypatch.setattr(module, "run", fail)
    assert main([command, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    first = str(problem).partition("\n")[0]
    remedy = f"less than {less}" if less else "more memory"
    assert line == f"error: {type(problem).__name__}: {first}; try again with {remedy}"


def test_a_fault_of_the_program_stays_a_traceback(run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "run_epochs", lambda *_: [][0])
    with pytest.raises(IndexError):
        run(*SMALL)
    assert not list(tmp_path.iterdir())


def test_a_recipe_gives_the_defaults_of_the_other_options(run):
    code, out, _err = run("--recipe", "best", "--help")
    assert code == 0
    assert "(default: silu)" in words_of(out)
    assert "(default: jitter)" in words_of(out)
    assert "(default: sigmoid)" in words_of(run("--help")[1])
    options = parse(["--recipe", "best", "--epochs", "1", "--batch-size", "20"], "train.py")
    assert options.config.config() == dataclasses.replace(RECIPES["best"], epochs=1, batch_size=20)


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
    assert run("--dataset", "digits", *arguments)[::2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sizes", "783", "16", "10"), "--sizes 783 16 10: expected"),
        (("--sizes", "784", "x"), "--sizes"),
        (("--learning-rate", "0"), "--learning-rate 0.0: expected"),
        (("--learning-rate", "-1"), "-1"),
        (("--learning-rate", "fast"), "fast"),
        (("--momentum", "1"), "--momentum 1.0: expected"),
        (("--momentum", "0.99999999"), "--momentum 0.99999999: expected a number in [0, 1) in float32"),
        (("--learning-rate", "1e-46"), "--learning-rate 1e-46: expected a number above 0 in float32"),
        (("--learning-rate", "1e39"), "--learning-rate 1e+39: expected"),
        (("--sizes", "784", "100000000", "10"), "and 100,000,000 parameters"),
        (("--sizes", "784", "9" * 30, "10"), "and 100,000,000 parameters"),
        (("--sizes", "784", *["4"] * 1_000, "10"), "at most 1,000 layers"),
        (("--epochs", "1000000000"), "--epochs 1000000000: expected at most 306,783,378"),
        (("--epochs", "9" * 30), ": expected at most 306,783,378"),
        (("--batch-size", "0"), "--batch-size 0: expected"),
        (("--batch-size", "half"), "half"),
        (("--batch-size", "241"), "--batch-size 241: expected at most the 240 examples"),
        (("--epochs", "0"), "--epochs 0: expected"),
        (("--dataset", "cifar"), "cifar"),
        (("--seed", "-1"), "--seed -1: expected"),
        (("--seed", "99999999999"), "99999999999"),
        (("--recipe", "bogus"), "bogus"),
        (("--recipe",), "--recipe"),
        (("--bogus",), "--bogus"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--dataset", "digits", "--data-dir", "nowhere"), "nowhere"),
        (("--run-dir", "/proc/run"), "/proc/run: can't be written"),
        (("--run-dir", __file__), "can't be written"),
        (("--resume", "nowhere"), "nowhere/config.json: No such file"),
        (("--resume=nowhere", "--epochs", "0"), "nowhere/config.json"),
        (("--resume", "nowhere", "--seed", "1"), "--seed"),
        (("--learning-rate", "0.1", "--resume", "nowhere"), "--learning-rate"),
        (("--resume", "nowhere", "--run-dir", "r"), "--run-dir"),
    ],
)
def test_bad_input_is_explained_with_exit_code_2_and_leaves_nothing(run, tmp_path, arguments, said):
    code, _out, err = run(*arguments)
    assert code == 2
    assert said in words_of(err)
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_an_absent_accelerator_is_an_error_and_never_a_silent_cpu(run, platform):
    if jax.default_backend() == platform:
        pytest.skip(f"this machine has a {platform}")
    code, _out, err = run("--platform", platform)
    assert code == 2
    assert f"--platform {platform}: JAX can't use one on this machine, it found cpu" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--learning-rate", "1e20"), "try a smaller learning rate, or --momentum 0.9 --cost squared"),
        (("--learning-rate", "1e-12"), "try a larger learning rate"),
    ],
)
def test_a_run_that_does_not_learn_ends_with_exit_code_3_and_advice(run, tmp_path, arguments, said):
    code, _out, err = run(*SMALL, *arguments, "--run-dir", "bad")
    assert code == 3
    assert "error: does not learn: " in err
    assert said in err
    assert len(err.splitlines()) == 1
    assert json.loads((tmp_path / "bad" / "summary.json").read_text())["learned"] is False
    assert not (tmp_path / "bad" / "weights.safetensors").exists()
    code, _out, err = run("--resume", "bad")
    assert code == 3
    assert "was given up" in err


@pytest.mark.slow
def test_a_rate_that_saturates_at_once_is_not_advised_to_grow(run):
    code, out, _err = run("--learning-rate", "1e38", "--epochs", 2)
    assert code == 0
    assert "try more epochs, or a smaller learning rate, or --momentum" in out


def test_few_steps_are_neither_a_failure_nor_a_success(run, tmp_path):
    code, out, err = run(*SMALL, "--batch-size", "full", "--learning-rate", 0.08, "--epochs", 3, "--run-dir", "r")
    assert (code, err) == (0, "")
    assert "note: after 3 steps it does no better than guessing yet; try more epochs" in out
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["learned"] is False
    code, out, _err = run("--resume", "r")
    assert code == 0
    assert "is finished: 3 epochs" in out


@pytest.mark.slow
def test_resuming_makes_a_finished_run_longer_and_draws_missing_figures(run, tmp_path):
    assert run(*SMALL, "--epochs", 2, "--run-dir", "r")[0] == 0
    code, out, _err = run("--resume", "r", "--epochs", 4)
    assert code == 0
    assert "note: the cosine now ends at epoch 4 instead of 2" in out
    assert "going on after epoch 2 of 4" in out
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["config"]["epochs"] == 4
    assert config["command"].endswith("--epochs 2; then with --resume --epochs 4")
    before = contents(tmp_path / "r")
    assert "is finished: 4 epochs" in run("--resume", "r")[1]
    (tmp_path / "r" / "curves.png").unlink()
    assert run("--resume", "r")[0] == 0
    assert contents(tmp_path / "r")["weights.safetensors"] == before["weights.safetensors"]
    assert contents(tmp_path / "r")["curves.png"] == before["curves.png"]
    code, _out, err = run("--resume", "r", "--epochs", 3)
    assert code == 2
    assert "error: --epochs 3: r has made 4 already" in err


def test_a_run_stopped_by_an_earlier_version_is_resumed_from_a_moved_folder(run, tmp_path):
    """It has a checkpoint of format 1, made after 6 epochs, and a `checkpoint_every` in its config.json."""
    for source in (Path(__file__).parent / "data" / "stopped-by-0.1").iterdir():
        (tmp_path / "r").mkdir(exist_ok=True)
        (tmp_path / "r" / source.name).write_bytes(source.read_bytes())
    code, out, err = run("--resume", "r")
    assert (code, err) == (0, "")
    assert "going on after epoch 6 of 100" in out
    assert run(*SMALL, "--epochs", 100, "--seed", 3, "--run-dir", "whole")[0] == 0
    networks = [load_network(tmp_path / name) for name in ("r", "whole")]
    for ours, theirs in zip(*(network.params for network in networks), strict=True):
        # The first six epochs may come from another kind of processor, and rounding grows along 2,400 steps.
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-3)


@pytest.mark.slow
def test_a_run_remembers_the_folder_that_held_its_data(run, tmp_path, small_dir, monkeypatch):
    monkeypatch.delenv("JAXMNIST_DATA_DIR")
    shutil.copytree(small_dir, tmp_path / "data" / "kmnist")
    assert run(*SMALL, "--dataset", "kmnist", "--data-dir", "data", "--epochs", 1, "--run-dir", "r")[0] == 0
    shutil.copytree(small_dir, tmp_path / "data" / "mnist")  # which comes first where no data set is named
    (tmp_path / "data" / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 60]) + bytes(60))
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert (config["dataset"], config["data_dir"]) == ("custom", str(tmp_path / "data" / "kmnist"))
    code, _out, err = run("--resume", "r", "--epochs", 2)
    assert (code, err) == (0, "")


def test_a_failing_figure_loses_no_numbers_and_is_drawn_later(run, tmp_path, monkeypatch):
    assert run(*SMALL, "--epochs", 1, "--run-dir", "r")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr("jaxmnist.cli.train.figures", lambda *_: 1 / 0)
        code, printed, errors = run("--resume", "r", "--epochs", 2)
    assert (code, errors) == (0, "warning: no figures, all else is written (ZeroDivisionError: division by zero)\n")
    assert "test accuracy" in printed
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["epochs"] == 2
    assert load_network(tmp_path / "r").config.epochs == 2
    assert not (tmp_path / "r" / "curves.png").exists()
    assert run("--resume", "r")[0] == 0
    assert (tmp_path / "r" / "curves.png").exists()


def test_an_interrupt_before_the_first_checkpoint_leaves_no_folder(run, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run_epochs", interrupt)
    assert run(*SMALL, "--run-dir", "r")[0] == 130
    assert not (tmp_path / "r").exists()


def test_a_run_in_another_thread_needs_no_signals(run, tmp_path):
    codes = []
    arguments = [*SMALL, "--epochs", "1", "--run-dir", "r"]
    thread = threading.Thread(target=lambda: codes.append(main(arguments, "train")))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.slow
def test_closed_output_is_no_error():
    command = f"{sys.executable} -m jaxmnist train --dataset custom --sizes 784 4 10 --epochs 1 --run-dir r >&-"
    result = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_traceback():
    command = f"{sys.executable} {ROOT / 'train.py'} --sizes 784 4 10 --run-dir r | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "parameters" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_reader_that_has_left_before_the_first_line_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "jaxmnist", "--help"]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.slow
def test_compiled_programs_are_kept_in_a_folder_that_only_the_user_can_write(tmp_path):
    def kept(folder):
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / folder)}
        del environment["JAX_COMPILATION_CACHE_DIR"]  # the tests' own
        command = [sys.executable, ROOT / "train.py", *SMALL, "--epochs", "1"]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        return list((tmp_path / folder / "jaxmnist" / "compiled").glob("*train_epoch*"))

    assert kept("new")
    assert (tmp_path / "new" / "jaxmnist" / "compiled").stat().st_mode & 0o777 == 0o700
    (tmp_path / "open" / "jaxmnist" / "compiled").mkdir(parents=True)
    (tmp_path / "open" / "jaxmnist" / "compiled").chmod(0o777)
    assert not kept("open")


@pytest.mark.measured
def test_mnist_to_the_promised_accuracy(run, tmp_path, mnist_dir):
    assert run("--seed", 1, "--data-dir", mnist_dir, "--run-dir", "r")[0] == 0
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["test_accuracy"] >= 0.945
    assert summary["origin"] == str(mnist_dir)
    assert (summary["train_examples"], summary["test_examples"]) == (60_000, 10_000)
