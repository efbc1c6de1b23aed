import csv
import json
import time

import jax
import numpy as np
import pytest
from command_line import refusal, run
from PIL import Image

from jaxmnist.cli import cross_validation_table as tables
from jaxmnist.metrics import Metrics, evaluate
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.sources import load
from jaxmnist.studies.cross_validation import CrossValidation
from jaxmnist.training import start, train_epoch

SMALL = ("--dataset", "digits", "--epochs", 8, "--momentum", 0.5, 0.9, "--folds", 3, "--seeds", 2)


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cv")
    result = run(folder, "cross-validate", *SMALL, "--run-dir", folder / "cv")
    assert result.returncode == 0, result.stderr
    return result, folder / "cv"


@pytest.mark.slow
def test_it_leaves_a_table_a_picture_and_the_chosen_network(validated):
    _result, folder = validated
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    assert names == ["cross_validation.csv", "cross_validation.png", "summary.json", "weights.safetensors"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["networks"] == 2 * 2 * 3 * 3 * 2
    assert len(summary["rows"]) == 2 * 2 * 3
    for row in summary["rows"]:
        assert row["effective_rate"] == pytest.approx(row["learning_rate"] / (1 - row["momentum"]))
    assert {row["effective_rate"] for row in summary["rows"]} == {0.25, 1.0, 4.0}
    assert summary["chosen"]["cost"] == min(row["cost"] for row in summary["rows"])
    with Image.open(folder / "cross_validation.png") as image:
        assert image.width >= 800
    table = list(csv.DictReader((folder / "cross_validation.csv").read_text().splitlines()))
    assert [float(row["cost"]) for row in table] == [row["cost"] for row in summary["rows"]]


@pytest.mark.slow
def test_the_test_figure_is_that_of_the_chosen_setting_trained_on_the_whole_training_set(validated):
    _result, folder = validated
    summary = json.loads((folder / "summary.json").read_text())
    network = load_network(folder)
    chosen = summary["chosen"]
    assert network.config.momentum == chosen["momentum"]
    assert network.config.learning_rate == chosen["learning_rate"]
    assert network.config.optimizer == chosen["optimizer"]
    splits = load("digits")
    state = start(jax.random.key(0), network.config, 1_437)
    for _ in range(8):
        state, _costs = train_epoch(state, splits.train, network.config)
    assert all(map(np.array_equal, jax.tree.leaves(state.params), jax.tree.leaves(network.params)))
    assert summary["test_accuracy"] == pytest.approx(float(evaluate(state.params, splits.test).accuracy), rel=1e-6)


@pytest.mark.slow
def test_people_get_the_table_and_what_it_does_not_show(validated):
    result, _folder = validated
    for words in ("validation cost", "Chosen: ", "folds share training examples", "the only look at the test set"):
        assert words in result.stdout
    lines = result.stdout.splitlines()
    assert sum(line.startswith(("momentum ", "nesterov ")) for line in lines) == 12
    assert sum("* chosen" in line for line in lines) == 1
    assert "networks' epochs in" in result.stderr


@pytest.mark.slow
def test_programs_get_json_alone(tmp_path):
    settings = ("--momentum", 0.9, "--learning-rate", 0.2, "--epochs", 1, "--folds", 2, "--seeds", 1)
    result = run(tmp_path, "cross-validate", "--dataset", "digits", *settings, "--json")
    assert result.returncode == 0, result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-cross-validation")
    assert json.loads(result.stdout) == json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--folds", "1"), "folds 1"),
        (("--folds", "-2"), "folds -2"),
        (("--dataset", "digits", "--folds", "142"), "folds 142: expected from 2 to"),
        (("--momentum",), "momentum: no value"),
        (("--momentum", "1"), "momentum μ = 1"),
        (("--momentum", "-0.5"), "-0.5"),
        (("--momentum", "0.9", "0.9"), "given twice"),
        (("--learning-rate",), "learning rate: no value"),
        (("--learning-rate", "slow"), "slow"),
        (("--learning-rate", "0.1", "-1"), "-1"),
        (("--seeds", "0"), "seeds 0"),
        (("--epochs", "0"), "epochs 0"),
        (("--batch-size", "0"), "batch size 0"),
        (("--dataset", "digits", "--batch-size", "1200"), "1,148 examples"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--run-dir", __file__), "run dir"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(tmp_path, arguments, said):
    dataset = () if "--dataset" in arguments or "--data-dir" in arguments else ("--dataset", "digits")
    assert said in refusal(run(tmp_path, "cross-validate", *dataset, *arguments))
    assert not (tmp_path / "runs").exists()


def found(costs, diverged=0):
    """Cross-validation of settings by 2 folds × 2 seeds with these costs, a row for each setting."""
    costs = np.array(costs, float).reshape(-1, 2, 2).swapaxes(0, 1).reshape(2, -1, 1)
    return CrossValidation(Metrics(costs, 1 - costs), np.where(np.isnan(costs[..., 0]), 7, diverged))


def test_the_table_s_figures_are_means_with_standard_errors_over_folds_and_seeds():
    settings = [(0.5, 0.2), (0.9, 0.1)]
    costs = {"momentum": [[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.51]], "nesterov": [[0.9] * 4, [0.15, 0.2, 0.2, 0.49]]}
    table = tables.rows({name: found(values) for name, values in costs.items()}, settings, 2)
    assert [(row.optimizer, row.momentum) for row in table] == [
        ("momentum", 0.5),
        ("momentum", 0.9),
        ("nesterov", 0.5),
        ("nesterov", 0.9),
    ]
    assert table[0].cost == pytest.approx(0.25)
    assert table[0].cost_error == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / 2, rel=1e-5)
    assert table[0].accuracy == pytest.approx(0.75)
    assert tables.best(table) is table[0]
    assert table[1].behind == pytest.approx(0.1025)  # paired: the spread over folds and seeds cancels
    assert table[1].behind_error == pytest.approx(0.0025, rel=1e-3)
    assert tables.as_good(table) == [table[3]]
    assert tables.at_the_edge(table) == []


def test_a_setting_that_diverged_is_never_chosen_and_json_has_no_nan():
    table = tables.rows(
        {"nesterov": found([[np.nan, 0.01, 0.01, 0.01], [0.5, 0.5, 0.5, 0.6]])}, [(0.9, 9.0), (0.9, 0.1)], 2
    )
    assert tables.best(table) is table[1]
    assert table[0].diverged == 1
    assert table[0].to_json()["cost"] is None
    assert "1 networks diverged" in tables.told(table)
    with pytest.raises(ValueError, match="every setting diverged"):
        tables.rows({"nesterov": found([[np.nan] * 4])}, [(0.9, 9.0)], 2)


def test_a_best_rate_at_the_edge_of_those_tried_is_told():
    table = tables.rows({"nesterov": found([[0.5] * 4, [0.4] * 4])}, [(0.9, 0.1), (0.9, 0.2)], 2)
    assert tables.at_the_edge(table) == [table[1]]
    assert "a larger one may be better still" in tables.told(table)


@pytest.mark.measured
def test_mnist_within_a_minute(tmp_path, mnist_dir):
    begin = time.monotonic()
    result = run(tmp_path, "cross-validate", "--run-dir", tmp_path / "cv", "--data-dir", mnist_dir, timeout=600)
    spent = time.monotonic() - begin
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "cv" / "summary.json").read_text())
    # four momenta, five folds, three seeds are 60 networks; both optimizers and three rates make it 360
    per_60 = summary["seconds"] * 60 / summary["networks"]
    print(
        f"{summary['networks']} networks in {spent:.1f} s, {per_60:.1f} s for 60; test {summary['test_accuracy']:.2%}"
    )
    assert summary["networks"] == 360
    assert per_60 <= 60
    assert summary["chosen"]["accuracy"] >= 0.93
    assert summary["test_accuracy"] >= 0.93
