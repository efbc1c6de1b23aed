import contextlib
import csv
import io
import json
import resource
import time

import command_line
import numpy as np
import pytest
from PIL import Image

from jaxmnist.cli import main
from jaxmnist.studies.claims import quartiles

FIGURES = ("curves.png", "path_gd_sgd.png", "path_momentum_nesterov.png", "path_sgd_momentum.png", "race.webp")
SMALL = (
    "--dataset digits --seeds 6 --steps 60 --batch-size 10 --full-batch-steps 20 --examples 100 "
    "--thresholds 1.2 0.8 0.1 --learning-rates 3.2 0.4 0.4 1e30"
)
CLAIMS = (
    "SGD needs far fewer computations than gradient descent",
    "momentum needs fewer steps than SGD",
    "Nesterov's method gets there sooner than momentum",
)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """What a small race printed, and its folder."""
    folder = tmp_path_factory.mktemp("compare") / "r"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["compare", *SMALL.split(), "--run-dir", str(folder)]) == 0
    return printed.getvalue(), folder


@pytest.fixture(scope="module")
def content(raced):
    return json.loads((raced[1] / "comparison.json").read_text())


@pytest.fixture(scope="module")
def rows(raced):
    return list(csv.DictReader((raced[1] / "comparison.csv").read_text().splitlines()))


@pytest.mark.slow
def test_it_writes_numbers_and_figures_and_names_them(raced):
    printed, folder = raced
    files = sorted(path.name for path in folder.iterdir() if path.name != ".lock")
    assert files == ["comparison.csv", "comparison.json", *FIGURES]
    assert f"in {folder}: {', '.join(files)}" in printed
    for figure in FIGURES:
        with Image.open(folder / figure) as image:
            assert image.width >= 800
            assert image.height >= 480


@pytest.mark.slow
def test_it_says_what_races_before_the_results(raced, content):
    printed, _folder = raced
    assert content["dataset"] == "digits"
    assert content["examples"] == {"racing": 100, "measured": 100, "validation": 287}
    assert (content["seeds"], content["batch_size"], content["momentum"]) == (6, 10, 0.9)
    assert (content["grid"], content["thresholds"], content["tuning_seeds"]) == ([0.4, 3.2, 1e30], [1.2, 0.8, 0.1], 4)
    before = printed[: printed.index("mean validation cost")]
    for words in ("6 random starts", "100 of the 1,437 training examples", "minibatches of 10", "100 of the 100"):
        assert words in before
    assert "287 other training examples" in before
    assert "test set takes no part" in before


@pytest.mark.slow
def test_json_has_each_method_s_rate_and_its_scores(content):
    assert list(content["methods"]) == ["gd", "sgd", "momentum", "nesterov"]
    for method in content["methods"].values():
        scores = {float(rate): score for rate, score in method["validation_cost"].items()}
        assert list(scores) == [0.4, 3.2, 1e30]
        assert method["learning_rate"] == min(scores, key=scores.get) != 1e30
        assert method["at_edge_of_grid"] == (method["learning_rate"] == 0.4)
    rate = content["methods"]["momentum"]["learning_rate"]
    assert {name: method["learning_rate"] for name, method in content["same_rate"].items()} == {
        "sgd": rate,
        "momentum": rate,
        "nesterov": rate,
    }
    assert content["methods"]["gd"]["examples_per_step"] == 100
    assert 0 < content["methods"]["sgd"]["seconds_per_step"] < content["methods"]["gd"]["seconds_per_step"]


@pytest.mark.slow
def test_json_s_quartiles_are_those_of_csv_s_seeds(content, rows):
    races = {"own best rate": content["methods"], "same rate": content["same_rate"]}
    assert len(rows) == 6 * 3 * (4 + 3)
    arrived = set()
    for race, methods in races.items():
        for method, entry in methods.items():
            for reached in entry["reached"]:
                cost = reached["cost"]
                mine = [row for row in rows if (row["race"], row["method"], float(row["cost"])) == (race, method, cost)]
                assert [int(row["seed"]) for row in mine] == list(range(6))
                assert {float(row["learning_rate"]) for row in mine} == {entry["learning_rate"]}
                steps = np.array([float(row["steps"]) for row in mine])
                assert reached["seeds"] == np.isfinite(steps).sum()
                arrived.add(reached["seeds"])
                assert set(steps[np.isfinite(steps)] % entry["measured_every"]) <= {0}
                each = {
                    "steps": 1,
                    "examples": entry["examples_per_step"],
                    "seconds": entry["seconds_per_step"],
                }
                for unit, amount in each.items():
                    values = np.array([float(row[unit]) for row in mine])
                    np.testing.assert_allclose(values, amount * steps, rtol=1e-5)  # seven digits are written
                    written = [np.inf if value is None else value for value in reached[unit].values()]
                    assert written == pytest.approx(list(quartiles(values)), rel=1e-5)
    assert {0, 6} <= arrived  # some thresholds were reached by all seeds, some by none


@pytest.mark.slow
def test_verdicts_are_printed_and_written(raced, content):
    printed, _folder = raced
    assert [claim["says"] for claim in content["claims"]] == list(CLAIMS)
    before, *conclusions = printed.splitlines()[-4:]
    assert before == ""
    for claim, line in zip(content["claims"], conclusions, strict=True):
        assert line.startswith(f"{claim['verdict'].upper()}: {claim['says']}. ")
    for claim in content["claims"]:
        assert f"\n{claim['says']}" in printed
        for finding, threshold in zip(claim["findings"], content["thresholds"], strict=True):
            assert finding["cost"] == threshold
            assert {"ratio", "wins", "losses", "p_value", "outcome"} < finding.keys()
    assert any(finding["losses"] for claim in content["claims"] for finding in claim["findings"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--learning-rates", "--learning-rates none: expected one or more numbers above 0"),
        ("--learning-rates 0.4 0", "--learning-rates 0.0: expected"),
        ("--momentum 1", "--momentum 1.0: expected a number in [0, 1)"),
        ("--seeds 1", "--seeds 1: expected a whole number from 2 to 1,000; for example --seeds 16"),
        ("--full-batch-steps 0", "--full-batch-steps 0: expected"),
        ("--dataset digits --examples 20", "--batch-size 32: expected at most the 20 examples"),
        ("--data-dir nowhere", "nowhere"),
        (f"--dataset digits --run-dir {__file__}", __file__),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments.split()]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_help_explains_every_option(capsys):
    assert main(["compare", "--help"]) == 0
    printed = capsys.readouterr().out
    for option in ("--learning-rates", "--momentum", "--batch-size", "--examples", "--steps", "--full-batch-steps"):
        assert option in printed
    assert "Random starts 0, 1, 2" in printed


@pytest.mark.measured
def test_the_race_on_mnist_is_quick_small_and_confirms_the_claims(tmp_path, mnist_dir):
    begin = time.monotonic()
    result = command_line.run(tmp_path, "compare", "--data-dir", mnist_dir, "--run-dir", tmp_path / "r")
    seconds = time.monotonic() - begin
    assert result.returncode == 0, result.stderr
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{result.stdout}\nwhole {seconds:.1f} s, at most {memory:.0f} MB")
    assert seconds <= 90
    assert memory <= 2_000
    content = json.loads((tmp_path / "r" / "comparison.json").read_text())
    assert not any(method["at_edge_of_grid"] for method in content["methods"].values())
    sgd, momentum, nesterov = content["claims"]
    # that SGD is ahead of gradient descent, and Nesterov of momentum, is far beyond what seeds and processors change
    assert sgd["verdict"] == "supported"
    assert nesterov["verdict"] == "supported"
    assert momentum["verdict_at_the_same_rate"] == "supported"
