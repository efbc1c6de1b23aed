import json
import shlex
import time

import jax
import numpy as np
import pytest

from jaxmnist.cli import main
from jaxmnist.metrics import evaluate
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.training import start, train_epoch

SMALL = "--dataset digits --epochs 2 --batch-size 16 --folds 3 --sizes 784 10"
"""With six networks for each optimizer, all tests need the same compiled programs."""


@pytest.fixture
def cross_validate(tmp_path, monkeypatch, capsys):
    """A function that runs the command, and returns its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return lambda arguments: (main(["cross-validate", *shlex.split(arguments)]), *capsys.readouterr())


@pytest.mark.slow
def test_cross_validation_leaves_a_table_a_figure_and_the_chosen_network(cross_validate, tmp_path, digits):
    code, out, err = cross_validate(f"{SMALL} --momentum 0.5 --seeds 2 --run-dir results")
    assert code == 0, err
    folder = tmp_path / "results"
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    files = ["config.json", "cross_validation.csv", "cross_validation.png", "groups", "summary.json"]
    assert names == [*files, "weights.safetensors"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["networks"] == 2 * 3 * 3 * 2
    assert {row["effective_rate"] for row in summary["rows"]} == {0.25, 1.0, 4.0}
    assert summary["chosen"] == summary["rows"][0]
    assert summary["chosen"]["cost"] == min(row["cost"] for row in summary["rows"])
    assert len((folder / "cross_validation.csv").read_text().splitlines()) == 1 + summary["networks"]
    for words in ("cost above best", "Best: ", "Folds share training examples", "test set was used for nothing else"):
        assert words in out

    # the test figure is that of the chosen setting, trained on the whole training set
    network = load_network(folder)
    for name in ("optimizer", "momentum", "learning_rate", "batch_size"):
        assert getattr(network.config, name) == summary["chosen"][name]
    state = start(jax.random.key(0), network.config)
    for _ in range(2):
        state, _costs = train_epoch(state, digits.train, network.config)
    assert all(map(np.array_equal, jax.tree.leaves(state.params), jax.tree.leaves(network.params)))
    test = evaluate(state.params, digits.test)
    assert (summary["test_accuracy"], summary["test_cost"]) == pytest.approx((float(test.accuracy), float(test.cost)))


@pytest.mark.slow
def test_programs_get_json_alone(cross_validate, tmp_path):
    code, out, err = cross_validate(f"{SMALL} --momentum 0.9 --learning-rate 0.1 0.2 --seeds 3 --json")
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-cross-validation")
    assert json.loads(out) == json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--folds 1", "--folds 1: expected from 2 to"),
        ("--momentum 1", "--momentum 1.0: expected a number in [0, 1)"),
        ("--learning-rate 0.1 0.1", "--learning-rate 0.1 0.1: expected each value once"),
        ("--seeds 4294967296", "--seeds 4294967296: expected from 1 to 8,333"),
        ("--batch-size 1200", "--batch-size 1200: expected at most the 1,148 examples"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(cross_validate, tmp_path, arguments, problem):
    code, out, err = cross_validate(f"--dataset digits {arguments}")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert problem in err
    assert not list(tmp_path.glob("runs/*"))


def test_no_setting_is_chosen_if_all_diverge(cross_validate):
    code, _out, err = cross_validate(f"{SMALL} --momentum 0.95 --learning-rate 1e38 --seeds 6")
    assert code == 2
    assert "every setting diverged" in err


@pytest.mark.measured
def test_mnist_within_a_minute(cross_validate, tmp_path, mnist_dir):
    begin = time.monotonic()
    code, _out, err = cross_validate(f"--run-dir results --data-dir {shlex.quote(str(mnist_dir))}")
    seconds = time.monotonic() - begin
    assert code == 0, err
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    # four momenta, five folds, three seeds are 60 networks; both optimizers and three rates make it 360
    per_60 = summary["seconds"] * 60 / summary["networks"]
    print(f"{summary['networks']} networks in {seconds:.1f} s, {per_60:.1f} s for 60; {summary['test_accuracy']:.2%}")
    assert summary["networks"] == 360
    assert per_60 <= 60
    assert summary["chosen"]["accuracy"] >= 0.93
    assert summary["test_accuracy"] >= 0.93
