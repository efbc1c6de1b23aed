import csv

import numpy as np
import pytest
from scipy.stats import ttest_rel

from jaxmnist.config import Config
from jaxmnist.runs.results import to_json
from jaxmnist.studies.grid import Grid, Result, combine
from jaxmnist.studies.grid_report import at_the_edge, conclusion, not_told_apart, order, rank, report, to_csv


def make(costs, rates, momenta=(0.9,), metric="cost", diverged_at=None):
    """The result of these costs, by 2 folds × 2 seeds for each momentum and rate, as if accuracy were 1 − cost."""
    costs = np.array(costs, float).reshape(len(momenta) * len(rates), -1, 2 if np.size(costs) > len(rates) else 1)
    configs = combine(Config(epochs=3), ["nesterov"], [32], momenta, rates)
    diverged_at = np.zeros(costs.shape, int) if diverged_at is None else np.array(diverged_at).reshape(costs.shape)
    grid = Grid(configs, seeds=costs.shape[2], folds=2, held_out=costs.shape[1], metric=metric)
    accuracy, digests = np.nan_to_num(1 - costs, nan=0.1, neginf=0.1), np.full((*costs.shape, 32), 255, np.uint8)
    return Result(grid, 100, costs, accuracy, costs, diverged_at, digests)


def test_rows_are_means_with_standard_errors_the_best_first():
    result = make([[0.2, 0.3, 0.4, 0.51], [0.1, 0.2, 0.3, 0.4], [0.15, 0.2, 0.2, 0.49]], [0.1, 0.2, 0.4])
    rows = rank(result)
    assert order(result) == [1, 2, 0]
    assert [row.learning_rate for row in rows] == [0.2, 0.4, 0.1]
    assert rows[0].cost == pytest.approx(0.25)
    assert rows[0].cost_error == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / 2)
    assert rows[0].accuracy == pytest.approx(0.75)
    assert rows[0].standard_deviation == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1))
    assert (rows[0].lowest, rows[0].highest) == (0.6, 0.9)
    assert (rows[0].behind, rows[0].behind_error) == (0, 0)
    assert rows[0].effective_rate == 2
    assert rows[2].behind == pytest.approx(0.1025)  # compared in pairs, the spread over folds and seeds cancels
    assert rows[2].behind_error == pytest.approx(0.0025)
    assert not_told_apart(rows) == [rows[1]]


def test_accuracy_ranks_if_asked():
    result = make([[0.2] * 4, [0.1] * 4], [0.1, 0.2], metric="accuracy")
    result = result._replace(accuracy=result.accuracy[::-1])
    assert order(result) == [0, 1]
    assert rank(result)[1].behind == pytest.approx(0.1)
    assert conclusion(result).splitlines() == [
        "Best: nesterov, batch 32, μ 0.9, η 0.1, by highest mean accuracy (accuracy 90.00%).",
        "Better than the next, nesterov, batch 32, μ 0.9, η 0.2: 10.00 to 10.00 points worse "
        "(95% confidence interval).",
    ]


def test_a_setting_with_a_diverged_network_comes_last_and_json_has_no_nan():
    costs = [[np.nan, 0.01, 0.01, 0.01], [0.5, 0.5, 0.5, 0.6]]
    result = make(costs, [9.0, 0.1], diverged_at=[[7, 0, 0, 0], [0] * 4])
    rows = rank(result)
    assert [(row.learning_rate, row.diverged, row.diverged_at_step) for row in rows] == [(0.1, 0, None), (9.0, 1, 7)]
    assert to_json(rows)[1]["cost"] is None
    assert not_told_apart(rows) == []
    assert "1 of 4 networks diverged, the first at step 7" in report(result, 0.15)


def test_infinite_costs_of_every_setting_are_reported():
    result = make([[np.inf] * 4, [np.nan] * 4], [9.0, 8.0], diverged_at=np.ones(8, int))
    assert report(result, 0.15).count("4 of 4 networks diverged") == 2
    assert conclusion(result) == "Every setting diverged: try smaller learning rates."


def test_the_best_rate_of_a_momentum_is_at_the_edge_if_no_rate_beyond_was_tried():
    costs = [[0.3] * 4, [0.2] * 4, [0.4] * 4, [0.3] * 4, [0.2] * 4, [0.1] * 4]
    rows = rank(make(costs, [0.1, 0.2, 0.4], momenta=(0.5, 0.9)))
    assert [(row.momentum, row.learning_rate) for row in at_the_edge(rows)] == [(0.9, 0.4)]
    assert at_the_edge(rank(make([[0.2] * 4], [0.1]))) == []
    larger_diverged = make([[0.2] * 4, [0.1] * 4, [0.1] * 4], [0.1, 0.2, 0.4], diverged_at=[0] * 8 + [1] * 4)
    assert at_the_edge(rank(larger_diverged)) == []


CLOSE = [0.2, 0.3, 0.4, 0.5], [0.21, 0.29, 0.41, 0.49]


def test_the_report_says_what_the_measurement_shows():
    close = report(make(CLOSE, [0.1, 0.2]), 0.15)
    assert "3 epochs each on 100 training examples, measured on 100 others" in close
    assert [line.endswith(" =") for line in close.splitlines() if line.startswith("nesterov")] == [False, True]
    clear = report(make([[0.2, 0.3, 0.4, 0.5], [0.9] * 4], [0.1, 0.2]), 0.15)
    assert "4 of 8 networks only guess: accuracy up to 15%." in clear
    assert "±" not in report(make([0.2, 0.3], [0.1, 0.2]), 0.15)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        (CLOSE, ["Not told apart from the next", "-0.0184 to 0.0184 worse", "1 of 1 others may be as good (=)"]),
        ([[0.2, 0.3, 0.4, 0.5], [0.9] * 4], ["Better than the next", "worse (95% confidence interval)."]),
        ([0.2, 0.3], ["One network a setting can't show whether settings differ"]),
        ([[0.2] * 4], ["by lowest mean cost (cost 0.2000)."]),
    ],
)
def test_the_conclusion_names_the_best_and_whether_it_is_told_apart_from_the_next(costs, said):
    text = conclusion(make(costs, [0.1, 0.2][: len(costs)]))
    assert text.startswith("Best: nesterov, batch 32, μ 0.9, η 0.1, by lowest mean cost")
    assert all(words in text for words in said)


@pytest.mark.parametrize("losses", [(0.05, 0.15, 0.25, 0.15), (0.1, 0.1, 0.1, 0.2), (0.0, 0.3, 0.1, 0.2)])
def test_settings_are_told_apart_by_a_paired_t_test(losses):
    best = np.array([0.2, 0.3, 0.4, 0.5])
    worse = best + np.array(losses)
    rows = rank(make([best, worse], [0.1, 0.2]))
    interval = ttest_rel(worse, best).confidence_interval(0.95)
    assert rows[1].behind - rows[1].behind_margin == pytest.approx(interval.low, rel=1e-6)
    assert (rows[1] in not_told_apart(rows)) == (interval.low <= 0)


def test_csv_has_a_line_for_each_network():
    result = make([[0.2, 0.3, 0.4, 0.5], [np.nan, 0.2, 0.2, 1 / 3]], [0.1, 1e38], diverged_at=[0] * 4 + [7, 0, 0, 0])
    rows = list(csv.DictReader(to_csv(result)))
    assert len(rows) == 8
    assert [(row["fold"], row["seed"]) for row in rows[:4]] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    assert [float(row["cost"]) for row in rows[:4]] == [0.2, 0.3, 0.4, 0.5]
    assert rows[4]["diverged_at_step"] == "7"
    assert rows[7] == {
        "optimizer": "nesterov",
        "batch_size": "32",
        "momentum": "0.9",
        "learning_rate": "1e+38",
        "fold": "1",
        "seed": "1",
        "accuracy": "0.6666667",
        "cost": "0.3333333",
        "training_cost": "0.3333333",
        "diverged_at_step": "",
        "weights_sha256": 64 * "f",
    }


def test_sgd_has_no_momentum():
    configs = combine(Config(epochs=3), ["sgd"], [32], [0.9], [0.1])
    result = make([0.2], [0.1])
    result = result._replace(grid=result.grid._replace(configs=configs))
    assert rank(result)[0].effective_rate == 0.1
    assert "sgd           32  none      0.1      0.1" in report(result, 0.15)
    assert conclusion(result).startswith("Best: sgd, batch 32, η 0.1, by ")


def test_csv_has_the_finished_networks_alone_and_their_own_seeds():
    result = make([[0.2, 0.3, 0.4, 0.5]], [0.1])
    result.weights_sha256[0, 1, 0] = 0
    result = result._replace(grid=result.grid._replace(first_seed=7))
    rows = list(csv.DictReader(to_csv(result)))
    assert [(row["fold"], row["seed"]) for row in rows] == [("0", "7"), ("0", "8"), ("1", "8")]


def test_the_table_of_many_settings_is_cut():
    rates = [0.001 * (number + 1) for number in range(60)]
    lines = report(make([[0.2]] * 60, rates), 0.15).splitlines()
    assert len([line for line in lines if line.startswith("nesterov")]) == 50
    assert "and 10 more, in the CSV file" in lines


def test_a_report_of_many_settings_is_short():
    momenta = [number / 200 for number in range(200)]
    lines = report(make(np.tile([[0.2] * 4, [0.1] * 4], (200, 1)), [0.1, 0.2], momenta), 0.15).splitlines()
    assert max(map(len, lines)) < 700
    assert lines[-1].endswith("; and 190 more.")
