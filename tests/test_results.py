import csv
import json
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmnist.metrics import Metrics
from jaxmnist.runs.results import read_metrics, report, to_json, write_json, write_metrics
from jaxmnist.training import History


class Inner(NamedTuple):
    names: dict[str, float]
    flag: bool


class Outer(NamedTuple):
    array: np.ndarray
    scalar: jnp.ndarray
    several: tuple[Inner, ...]
    missing: None = None


def test_results_become_json_and_only_what_json_can_hold():
    inner = Inner({"third": 1 / 3, "infinite": float("-inf")}, True)
    values = to_json(Outer(np.array([[1.5, np.nan], [2, 3]]), jnp.float32(0.1), (inner,)))
    assert values == {
        "array": [[1.5, None], [2.0, 3.0]],
        "scalar": 0.1,
        "several": [{"names": {"third": 0.3333333, "infinite": None}, "flag": True}],
        "missing": None,
    }
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert to_json([np.int64(3), np.bool_(True), "η"]) == [3, True, "η"]


def test_json_is_written_for_people_and_programs(tmp_path):
    content = {"η": 0.08, "name": "\udce9", "list": [1, None]}
    write_json(tmp_path / "file", content)
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert "η" in text
    assert json.loads(text) == content


def test_metrics_have_one_row_per_epoch(tmp_path):
    train, test = Metrics(np.float32(0.1), np.float32(0.25)), Metrics(np.float32(1 / 3), np.float32(0.5))
    write_metrics(tmp_path / "metrics.csv", [History(train, test)] * 2)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    values = {"train_cost": "0.1", "test_cost": "0.3333333", "train_accuracy": "0.25", "test_accuracy": "0.5"}
    assert rows == [{"epoch": "0", **values}, {"epoch": "1", **values}]
    assert read_metrics(tmp_path / "metrics.csv", "test_cost", 1) == "0.3333333"
    assert read_metrics(tmp_path / "metrics.csv", "test_cost", 2) is None
    assert read_metrics(tmp_path / "none.csv", "test_cost", 0) is None
    (tmp_path / "metrics.csv").write_bytes(b"epoch,\xff\n0,1\n")
    assert read_metrics(tmp_path / "metrics.csv", "test_cost", 0) is None


def test_the_report_says_when_a_network_only_guesses_and_when_a_cost_is_not_finite():
    summary = {
        **{"test_accuracy": 0.9504, "test_examples": 10_000, "test_cost": 0.078, "train_cost": 0.05},
        **{"learned": True, "steps": 3, "seconds": {"train": 2.0}, "examples_per_second": 1_000},
    }
    assert report(summary, 0.08).startswith("test accuracy 95.04% (9,504 of 10,000)")
    resumed = report(
        {**summary, "seconds": {"compile": 0.5, "load": 0.1, "train": 2.0}}, 0.08
    )  # sorted by a checkpoint
    assert "\nload 0.10 s, compile 0.50 s, train 2.00 s · " in resumed
    assert "test cost not finite" in report({**summary, "test_cost": None}, 0.08)
    for rate, change in ((0.08, "a larger"), (1e38, "a smaller")):
        note = f"note: after 3 steps it does no better than guessing yet; try more epochs, or {change} learning rate"
        assert report({**summary, "learned": False}, rate).startswith(note)
