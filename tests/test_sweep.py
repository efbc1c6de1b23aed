import csv
import json
import shlex
from pathlib import Path

import pytest

from jaxmnist.cli import main, train
from jaxmnist.cli.options import DataOptions
from jaxmnist.cli.sweep import _train_command
from jaxmnist.config import Config

GRID = "--epochs 2 --seeds 2 --learning-rate 0.3 1e38 --momentum 0.95 --batch-size 16 --sizes 784 10"


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """A function that runs the command, and returns its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return lambda arguments: (main(["sweep", *shlex.split(arguments)]), *capsys.readouterr())


@pytest.mark.slow
def test_a_sweep_leaves_a_table_a_map_and_a_summary(sweep, tmp_path):
    code, out, err = sweep(f"--dataset digits {GRID} --run-dir results")
    assert code == 0, err
    folder = tmp_path / "results"
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    assert names == ["accuracy.png", "config.json", "groups", "summary.json", "sweep.csv", "weights.safetensors"]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["networks"], summary["seeds"], summary["epochs"]) == (4, 2, 2)
    assert (summary["train_examples"], summary["held_out_examples"]) == (1_195, 239)
    assert (summary["dataset"], summary["optimizer"], summary["sizes"]) == ("digits", "nesterov", [784, 10])
    best, diverged = summary["settings"]
    assert (best["learning_rate"], best["diverged"]) == (0.3, 0)
    assert (diverged["learning_rate"], diverged["diverged"]) == (1e38, 2)
    table = list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))
    accuracies = [float(row["accuracy"]) for row in table if row["learning_rate"] == "0.3"]
    assert best["accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert min(int(row["diverged_at_step"]) for row in table[2:]) == diverged["diverged_at_step"]
    assert f"2 of 2 networks diverged, the first at step {diverged['diverged_at_step']}" in out
    assert "4 networks in" in out
    assert "8 of 8 epochs (4 networks × 2) in" in err
    *_, blank, name, told, last = out.splitlines()
    assert (blank, told) == ("", "In all other settings, networks diverged.")
    assert name.startswith("Best: nesterov, batch 16, μ 0.95, η 0.3, by highest mean accuracy (accuracy ")
    assert last == (
        "To train it on the whole training set: jaxmnist train --sizes 784 10 --learning-rate 0.3 --momentum 0.95 "
        "--batch-size 16 --epochs 2 --dataset digits --seed 0"
    )


@pytest.mark.parametrize(
    ("config", "data"),
    [
        (Config(), DataOptions()),
        (
            Config(optimizer="sgd", batch_size="full", learning_rate=1e-05, epochs=7),
            DataOptions("kmnist", platform="cpu"),
        ),
        (Config(activation="silu", cost="cross_entropy", sizes=(784, 10)), DataOptions(data_dir=Path("a 'b' $c"))),
    ],
)
def test_the_command_that_trains_the_best_setting_can_be_pasted(config, data):
    program, command, *words = shlex.split(_train_command(config, data))
    assert (program, command) == ("jaxmnist", "train")
    options = train.parse(words, "jaxmnist train")
    assert (options.config.config(), options.data, options.seed) == (config, data, 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--learning-rate", "--learning-rate (none): expected at least one value"),
        ("--momentum 0.9 0.9", "--momentum 0.9 0.9: expected each value once"),
        ("--learning-rate nan", "--learning-rate nan: expected"),
        ("--seeds 300000000", "--seeds 300000000: expected from 1 to 200,000"),
        ("--batch-size 5000", "--batch-size 5000: expected at most the 1,195 examples"),
        ("--group-size 0", "--group-size 0: expected"),
        (f"--run-dir {shlex.quote(__file__)}", __file__),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(sweep, tmp_path, arguments, problem):
    code, out, err = sweep(f"--dataset digits {arguments}")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert problem in err
    assert not list(tmp_path.glob("runs/*"))
