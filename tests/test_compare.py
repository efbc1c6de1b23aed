import csv
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxmnist.studies.claims import quartiles

ROOT = Path(__file__).parent.parent
PICTURES = ("curves.png", "path_gd_sgd.png", "path_sgd_momentum.png", "path_momentum_nesterov.png")
SMALL = ("--seeds", 6, "--steps", 240, "--full-batch-steps", 60, "--learning-rates", 3.2, 0.4, 0.4, 1e30)
CLAIMED = (
    "SGD needs far fewer computations than gradient descent",
    "momentum needs fewer steps than SGD",
    "Nesterov's method gets there sooner than momentum",
)


def compare(folder, *arguments):
    command = [sys.executable, "-m", "jaxmnist", "compare", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """One small race on the digits: what it said, and its folder."""
    folder = tmp_path_factory.mktemp("compare")
    result = compare(folder, "--dataset", "digits", *SMALL, "--run-dir", folder / "r")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout, folder / "r"


def rows_of(folder):
    return list(csv.DictReader((folder / "comparison.csv").read_text().splitlines()))


@pytest.mark.slow
def test_it_leaves_numbers_and_pictures_and_says_where(raced):
    said, folder = raced
    files = sorted(path.name for path in folder.iterdir() if path.name != ".lock")
    assert files == sorted(["comparison.csv", "comparison.json", *PICTURES])
    assert f"in {folder}: {', '.join(files)}" in said
    for picture in PICTURES:
        with Image.open(folder / picture) as image:
            assert image.width >= 800
            assert image.height >= 480


@pytest.mark.slow
def test_what_was_raced_is_said_before_the_results(raced):
    said, folder = raced
    found = json.loads((folder / "comparison.json").read_text())
    assert found["examples"] == {"racing": 1_150, "measured": 1_000, "validation": 287}
    assert (found["seeds"], found["batch_size"], found["momentum"], found["grid"]) == (6, 32, 0.9, [0.4, 3.2, 1e30])
    before = said[: said.index("gradient descent: choosing")]
    for told in ("6 random starts", "1,150 of the 1,437 training examples", "minibatches of 32", "1,000 of the 1,150"):
        assert told in before
    assert "287 other training examples" in before
    assert "test set takes no part" in before
    for name in ("gradient descent", "SGD", "momentum", "Nesterov"):  # progress, before any result
        assert f"{name}: choosing a learning rate\n{name}: the race at η = " in said


@pytest.mark.slow
def test_each_method_has_the_rate_with_the_least_validation_cost_and_the_grid_is_printed(raced):
    said, folder = raced
    methods = json.loads((folder / "comparison.json").read_text())["methods"]
    assert list(methods) == ["gd", "sgd", "momentum", "nesterov"]
    for method, name in zip(methods.values(), ("gradient descent", "SGD", "momentum", "Nesterov"), strict=True):
        scores = {float(rate): score for rate, score in method["validation_cost"].items()}
        assert list(scores) == [0.4, 3.2, 1e30]
        assert method["learning_rate"] == min(scores, key=scores.get) != 1e30
        assert method["at_edge_of_grid"] == (method["learning_rate"] == 0.4)
        (printed,) = (line for line in said.splitlines() if line.strip().startswith(f"{name} ") and "*" in line)
        assert printed.split()[-3:] == [
            f"{score:.3f}{'*' if rate == method['learning_rate'] else ''}" for rate, score in scores.items()
        ]
        assert (f"the η of {name} is at the grid's edge" in said) == method["at_edge_of_grid"]


@pytest.mark.slow
def test_the_medians_are_those_of_the_seeds_in_the_table(raced):
    _said, folder = raced
    found = json.loads((folder / "comparison.json").read_text())
    rows = rows_of(folder)
    races = {"own best rate": found["methods"], "same rate": found["same_rate"]}
    assert len(rows) == 6 * 5 * (4 + 3)
    arrived = set()
    for race, methods in races.items():
        for method, entry in methods.items():
            for reached in entry["reached"]:
                mine = [
                    row
                    for row in rows
                    if (row["race"], row["method"], float(row["cost"])) == (race, method, reached["cost"])
                ]
                assert [int(row["seed"]) for row in mine] == list(range(6))
                assert {float(row["learning_rate"]) for row in mine} == {entry["learning_rate"]}
                steps = np.array([float(row["steps"]) for row in mine])
                assert reached["seeds"] == np.isfinite(steps).sum()
                arrived.add(reached["seeds"])
                assert set(steps[np.isfinite(steps)] % entry["measured_every"]) <= {0}
                for unit, each in (
                    ("steps", 1),
                    ("examples", entry["examples_per_step"]),
                    ("seconds", entry["seconds_per_step"]),
                ):
                    values = np.array([float(row[unit]) for row in mine])
                    np.testing.assert_allclose(values, each * steps, rtol=1e-5)  # seven digits are written
                    written = [np.inf if value is None else value for value in reached[unit].values()]
                    assert written == pytest.approx(list(quartiles(values)), rel=1e-5)
    assert {0, 6} <= arrived  # some thresholds nobody reached, some everybody: both kinds are in the table
    assert {found["same_rate"][method]["learning_rate"] for method in ("sgd", "momentum", "nesterov")} == {
        found["methods"]["momentum"]["learning_rate"]
    }
    assert found["methods"]["gd"]["examples_per_step"] == 1_150
    assert 0 < found["methods"]["sgd"]["seconds_per_step"] < found["methods"]["gd"]["seconds_per_step"]


@pytest.mark.slow
def test_every_claim_gets_the_verdict_that_its_seeds_give(raced):
    said, folder = raced
    found = json.loads((folder / "comparison.json").read_text())
    rows = rows_of(folder)
    assert [claim["says"] for claim in found["claims"]] == list(CLAIMED)
    for claim in found["claims"]:
        line = next(line for line in said.splitlines() if line.startswith(claim["says"]))
        assert line.endswith(f": {claim['verdict'].upper()}")
        outcomes = set()
        for finding in claim["findings"]:
            faster, slower = (
                [
                    float(row[claim["counts"]])
                    for row in rows
                    if (row["race"], row["method"], float(row["cost"])) == ("own best rate", method, finding["cost"])
                ]
                for method in (claim["faster"], claim["slower"])
            )
            pairs = list(zip(faster, slower, strict=True))
            wins = sum(slow > claim["factor"] * fast for fast, slow in pairs)
            losses = sum(slow < claim["factor"] * fast for fast, slow in pairs)
            assert (finding["wins"], finding["losses"]) == (wins, losses)
            if any(math.isfinite(steps) for pair in pairs for steps in pair):
                outcomes.add(finding["outcome"])
            if wins + losses:
                assert f"in {wins} of {wins + losses} seeds" in said
        expected = "supported" if outcomes == {"yes"} else "supported in part" if "yes" in outcomes else None
        assert claim["verdict"] == (expected or ("not supported" if "no" in outcomes else "not decided"))
    assert any(finding["wins"] for claim in found["claims"] for finding in claim["findings"])
    assert "not reached" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--learning-rates",), "learning rates: none given"),
        (("--learning-rates", "0.4", "0"), "learning rate η = 0.0"),
        (("--learning-rates", "-0.4"), "-0.4"),
        (("--learning-rates", "inf"), "inf"),
        (("--learning-rates", "1e39"), "at most 1e+38"),
        (("--learning-rates", "fast"), "fast"),
        (("--momentum", "1"), "momentum μ = 1.0"),
        (("--momentum", "-0.1"), "-0.1"),
        (("--momentum", "nan"), "nan"),
        (("--seeds", "1"), "seeds 1: expected a whole number from 2"),
        (("--batch-size", "0"), "batch size 0"),
        (("--steps", "0"), "steps 0"),
        (("--full-batch-steps", "0"), "full batch steps 0"),
        (("--examples", "0"), "examples 0"),
        (("--dataset", "digits", "--examples", "20"), "batch size 32: expected at most the 20 examples"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--dataset", "cifar"), "cifar"),
        (("--dataset", "digits", "--run-dir", __file__), "run dir"),
        (("--bogus",), "--bogus"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(tmp_path, arguments, said):
    result = compare(tmp_path, *arguments)
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_help_teaches(tmp_path):
    result = compare(tmp_path, "--help")
    assert result.returncode == 0
    for option in ("--learning-rates", "--momentum", "--batch-size", "--examples", "--steps", "--full-batch-steps"):
        assert option in result.stdout
    assert "η" in result.stdout
    assert (
        "compare" in subprocess.run([sys.executable, "-m", "jaxmnist", "--help"], capture_output=True, text=True).stdout
    )


@pytest.mark.measured
def test_the_race_on_mnist_is_quick_small_and_in_the_source_s_words(tmp_path, mnist_dir):
    begin = time.monotonic()
    result = compare(tmp_path, "--data-dir", mnist_dir, "--run-dir", tmp_path / "r")
    seconds = time.monotonic() - begin
    assert result.returncode == 0, result.stderr
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{result.stdout}\nwhole {seconds:.1f} s, at most {memory:.0f} MB")
    assert seconds <= 90
    assert memory <= 2_000
    found = json.loads((tmp_path / "r" / "comparison.json").read_text())
    assert not any(method["at_edge_of_grid"] for method in found["methods"].values())
    sgd, momentum, nesterov = found["claims"]
    # that SGD is ahead of gradient descent, and Nesterov of momentum, is far beyond what seeds and processors change
    assert sgd["verdict"] == "supported"
    assert nesterov["verdict"] == "supported"
    assert momentum["verdict_at_the_same_rate"] == "supported"
