import csv
import json

import jax
import numpy as np
import pytest
from command_line import refusal, run
from PIL import Image

from jaxmnist.config import Config
from jaxmnist.dataset import stratified_folds, take
from jaxmnist.metrics import evaluate
from jaxmnist.sources import load
from jaxmnist.training import start, train_epoch

DIGITS = ("--dataset", "digits", "--epochs", 6)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A small sweep with a setting that diverges, and its folder."""
    folder = tmp_path_factory.mktemp("sweep")
    grid = ("--seeds", 2, "--learning-rate", 0.3, 1.0, 1e38, "--momentum", 0.5, 0.95, "--batch-size", 16, 40)
    result = run(folder, "sweep", *DIGITS, *grid, "--run-dir", folder / "sw")
    assert result.returncode == 0, result.stderr
    return result, folder / "sw"


def rows(folder):
    return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))


@pytest.mark.slow
def test_a_sweep_leaves_a_row_for_each_network_a_map_and_the_best_settings(swept):
    result, folder = swept
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == [
        "accuracy.png",
        "summary.json",
        "sweep.csv",
    ]
    table = rows(folder)
    combinations = {(row["batch_size"], row["momentum"], row["learning_rate"], row["seed"]) for row in table}
    assert len(table) == len(combinations) == 2 * 2 * 3 * 2
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["networks"] == 24
    assert summary["networks_per_second"] == pytest.approx(24 / summary["seconds"], rel=0.01)
    assert (summary["train_examples"], summary["held_out_examples"]) == (1_195, 239)
    best = summary["settings"][0]
    of_best = [
        float(row["accuracy"])
        for row in table
        if all(float(row[name]) == best[name] for name in ("batch_size", "momentum", "learning_rate"))
    ]
    assert best["accuracy"] == pytest.approx(np.mean(of_best), rel=1e-5)
    assert best["deviation"] == pytest.approx(np.std(of_best, ddof=1), rel=1e-3, abs=1e-6)
    assert best["accuracy"] == max(setting["accuracy"] for setting in summary["settings"])
    with Image.open(folder / "accuracy.png") as image:
        assert image.width >= 800
    assert "networks a second" in result.stdout
    assert "24 networks" in result.stdout


@pytest.mark.slow
def test_a_network_that_diverged_is_named_with_its_step(swept):
    result, folder = swept
    table = rows(folder)
    diverged = [row for row in table if row["diverged_at_step"]]
    assert diverged
    assert {float(row["learning_rate"]) for row in diverged} == {1e38}
    for row in diverged:
        assert f"diverged at step {int(row['diverged_at_step']):,}: batch {row['batch_size']}" in result.stdout
    assert any(float(row["accuracy"]) > 0.5 for row in table)


@pytest.mark.slow
def test_a_row_is_the_network_trained_alone_on_the_part_that_is_not_held_out(swept):
    _result, folder = swept
    row = next(
        row for row in rows(folder) if (row["batch_size"], row["learning_rate"], row["seed"]) == ("16", "0.3", "1")
    )
    config = Config(learning_rate=0.3, momentum=float(row["momentum"]), batch_size=16, epochs=6)
    splits = load("digits")
    folds_key, order_key = jax.random.split(jax.random.key(2))
    folds = np.asarray(stratified_folds(folds_key, splits.train.labels, 6))
    learnt, held_out = take(splits.train, folds[1:].ravel()), take(splits.train, folds[0])
    state = start(jax.random.key(1), config, 1_195)._replace(key=order_key)
    for _ in range(6):
        state, _costs = train_epoch(state, learnt, config)
    found = evaluate(state.params, held_out)
    # float32 sums in another order, grown over 444 steps; one of the 239 examples may fall on the other side
    assert float(row["cost"]) == pytest.approx(float(found.cost), rel=1e-3)
    assert float(row["accuracy"]) == pytest.approx(float(found.accuracy), abs=1.5 / 239)


@pytest.mark.slow
def test_each_network_may_have_its_own_order(tmp_path):
    result = run(tmp_path, "sweep", *DIGITS, "--learning-rate", 0.3, "--seeds", 1, "--order", "own", "--run-dir", "sw")
    assert result.returncode == 0, result.stderr
    splits = load("digits")
    folds = np.asarray(stratified_folds(jax.random.split(jax.random.key(1))[0], splits.train.labels, 6))
    config = Config(learning_rate=0.3, epochs=6)
    state = start(jax.random.key(0), config, 1_195)
    for _ in range(6):
        state, _costs = train_epoch(state, take(splits.train, folds[1:].ravel()), config)
    (row,) = rows(tmp_path / "sw")
    expected = evaluate(state.params, take(splits.train, folds[0]))
    assert float(row["cost"]) == pytest.approx(float(expected.cost), rel=1e-3)  # as above
    assert row["diverged_at_step"] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--learning-rate",), "learning rate: no value"),
        (("--momentum",), "momentum: no value"),
        (("--batch-size",), "batch size: no value"),
        (("--momentum", "1.0"), "momentum μ = 1.0"),
        (("--momentum", "-0.1", "0.9"), "-0.1"),
        (("--momentum", "0.9", "0.9"), "momentum 0.9: given twice"),
        (("--learning-rate", "0"), "learning rate η = 0"),
        (("--learning-rate", "nan"), "nan"),
        (("--learning-rate", "fast"), "fast"),
        (("--batch-size", "0"), "batch size 0"),
        (("--seeds", "0"), "seeds 0"),
        (("--epochs", "0"), "epochs 0"),
        (("--dataset", "digits", "--batch-size", "5000"), "1,195 examples"),
        (("--dataset", "digits", "--memory-budget", "1"), "memory budget of 1.0 MB: too small for one network"),
        (("--memory-budget", "-5"), "memory budget"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--run-dir", __file__), "run dir"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(tmp_path, arguments, said):
    dataset = () if "--dataset" in arguments or "--data-dir" in arguments else ("--dataset", "digits")
    assert said in refusal(run(tmp_path, "sweep", *dataset, *arguments))
    assert not (tmp_path / "runs").exists()


def test_help_teaches(tmp_path):
    result = run(tmp_path, "sweep", "--help")
    assert result.returncode == 0
    for field in ("--seeds", "--learning-rate", "--momentum", "--batch-size", "--memory-budget", "--order"):
        assert field in result.stdout
    assert "held out" in " ".join(result.stdout.replace("│", " ").split())
