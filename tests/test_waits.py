"""`benchmarks/waits.py` runs, and judges times as it says; how long anything takes is not asserted."""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import inside
import pytest
import waits
from waits import Side
from waits_rows import ROWS, Finished

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "benchmarks" / "waits.py"


@pytest.fixture
def side(tmp_path):
    """What passes for a checkout, as long as none of its commands is called."""
    (tmp_path / "jaxmnist").mkdir()
    (tmp_path / "jaxmnist" / "__init__.py").touch()
    return Side("other", tmp_path, tmp_path)


def given_up(call, *arguments):
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    return str(stop.value)


def test_without_the_data_it_says_which_variable_is_missing(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["waits.py", "--against", str(ROOT)])
    message = given_up(waits.main)
    assert message.startswith("error: JAXMNIST_DATA_DIR is not set")
    assert "\n" not in message


def test_another_folder_is_no_checkout(tmp_path):
    message = given_up(waits.prepared, Side("other", tmp_path, tmp_path / "other"))
    assert message.startswith(f"error: {tmp_path}: expected a checkout")


def test_a_process_that_fails_is_named_with_its_last_lines(side):
    (side.checkout / "train.py").write_text("print(*range(20), sep='\\n'); raise SystemExit('no luck')")
    message = given_up(waits.run, side, ["train.py", "--seed", "7"])
    assert message.startswith(f"error: in {side.checkout}, python train.py --seed 7 ended with exit code 1")
    assert message.endswith("    18\n    19\n    no luck") or message.endswith("    no luck\n    18\n    19")
    assert "    9\n" not in message


def test_a_process_is_stopped_at_its_line(side):
    words = ["-c", "import os, time; print(os.getpid()); print('there', flush=True); time.sleep(600)"]
    finished = waits.run(side, words, until=lambda line: line == "there")
    assert finished.reached
    assert finished.seconds < 300
    with pytest.raises(ProcessLookupError):
        os.kill(int(finished.lines[0]), 0)


@pytest.mark.parametrize("module", inside.LOOPS)
def test_the_first_step_is_told_wherever_the_loop_is(module, side):
    path = side.checkout / f"{module.replace('.', '/')}.py"
    path.parent.mkdir()
    path.write_text("def timed(purpose, seconds): print(purpose, seconds)")
    (side.checkout / "train.py").write_text(
        f"import sys\nfrom {module} import timed\ntimed('compile', sys.argv[1])\ntimed('train', 2)"
    )
    words = [inside.__file__, "first-step", str(side.checkout / "train.py"), "--quick"]
    assert waits.run(side, words).lines == ["compile --quick", inside.FIRST_STEP, "train 2"]


def test_sides_take_turns_and_seeds_go_up_with_the_rounds(monkeypatch):
    turns = []

    def run(side, words, results, until):
        turns.append((side.name, words[words.index("--seed") + 1]))
        return Finished(1.0, [], True, results)

    monkeypatch.setattr(waits, "run", run)
    monkeypatch.setattr(waits, "REST", 0)
    sides = [Side(name, Path(name), Path(name)) for name in ("this", "other")]
    options = argparse.Namespace(quick=False, rounds=2, best_epochs=None)
    figures = waits.in_turns("first-95", sides, options, {"dataset": "mnist"})
    assert figures == {name: [{"first-95": 1.0, "reached": True}] * 2 for name in ("this", "other")}
    warm_up = [("other", "0"), ("this", "0")]
    assert turns == [*warm_up, ("this", "0"), ("other", "0"), ("other", "1"), ("this", "1")]


def test_a_row_is_the_median_of_the_rounds_ratios():
    # the ratio of the medians would be 1
    ours, others = ([{"train": seconds} for seconds in side] for side in ((1, 2, 9), (4, 2, 1)))
    row = waits.judged("train", ours, others)
    assert row["ratio"] == {"median": 1, "least": 0.25, "most": 9}
    assert not row["met"]
    assert waits.judged("train", ours[:1], others[:1])["met"]
    assert "2,000     2,000   1.00   0.25-9.00    0.55 not met" in waits.line_of("train", row)


def test_a_population_is_judged_by_its_own_quotient():
    def met(ours):
        return waits.judged("population", [{"population": ours}], [{"population": 0.5}])["met"]

    assert met(0.45)
    assert not met(0.46)


@pytest.mark.parametrize(
    ("accuracies", "met"),
    [
        ((0.974, 0.975, 0.973), True),
        ((0.973, 0.976, 0.971), True),  # on average lower by 0.0007, with a standard error of 0.0009
        ((0.973, 0.974, 0.972), False),  # lower by 0.001 with every seed
    ],
)
def test_a_faster_best_recipe_may_not_be_worse(accuracies, met):
    ours = [{"best": 1.0, "accuracy": accuracy} for accuracy in accuracies]
    others = [{"best": 4.0, "accuracy": accuracy} for accuracy in (0.974, 0.975, 0.973)]
    assert waits.judged("best", ours, others)["met"] == met


FEW = ["train", "evaluations", "first-step", "best", "predict-1", "epoch-10"]  # one of each kind


@pytest.mark.parametrize(
    "names", [pytest.param(FEW, marks=pytest.mark.slow), pytest.param([*ROWS], marks=pytest.mark.measured)]
)
def test_every_row_beside_the_same_checkout(tmp_path, names):
    options = ["--against", ROOT, "--json", tmp_path / "waits.json", "--only", *names]
    command = [sys.executable, SCRIPT, "--quick", *options]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "waits.json").read_text())["rows"]
    assert rows.keys() == {*names}
    for name, row in rows.items():
        assert math.isfinite(row["ratio"]["median"])
        assert min(row["this"] + row["other"]) > 0
        assert f"\n{name} " in result.stdout
    ours, others = rows["best"]["shares"]["accuracy"]
    assert ours == others


@pytest.mark.slow
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path):
    command = [sys.executable, str(SCRIPT), "--against", str(ROOT), "--quick", "--only", "explain"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, **pipes) as process:
        assert any("target" in line for line in process.stdout)  # the first process is running or about to
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "error: interrupted\n"
    assert list(tmp_path.iterdir()) == []
