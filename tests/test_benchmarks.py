"""The benchmarks run, and the peers do the same work; how long they take is not asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def run(script, folder):
    """The quick form of a benchmark; returns what it wrote."""
    command = [sys.executable, BENCHMARKS / f"{script}.py", "--quick", "--output", folder]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (folder / f"{script}.png").stat().st_size > 10_000
    return json.loads((folder / f"{script}.json").read_text())


@pytest.mark.slow
def test_the_peers_do_the_same_work(tmp_path):
    (found,) = run("peers", tmp_path)["results"]
    assert {"this project", "tight NumPy", "scikit-learn", "the usual JAX way"} <= found["peers"].keys()
    differences = {name: peer["difference_after_50_steps"] for name, peer in found["peers"].items()}
    assert differences["this project"] == 0
    assert 0 < differences["tight NumPy"] < 1e-4
    assert differences["scikit-learn"] > 1e-2  # another cost: the comparison can tell other work from the same


@pytest.mark.slow
def test_growth_along_four_axes_from_one_point(tmp_path):
    found = run("growth", tmp_path)
    assert found["left_out"] == {axis: [] for axis in found["results"]}
    for axis, result in found["results"].items():
        place = result["sizes"].index(found["base"][axis])
        # all axes start from the same training, and what grows changes it
        assert result["cost"][place] == pytest.approx(found["results"]["width"]["cost"][0], rel=1e-6)
        assert len(set(result["cost"])) == 2
        assert all(memory > 1e8 for memory in result["memory"])  # Python and JAX alone take more
        assert result["exponent"] == pytest.approx(result["exponent"])  # a number


@pytest.mark.slow
def test_the_parts_of_a_start_add_up(tmp_path):
    found = run("startup", tmp_path)
    for cache in ("cold", "warm"):
        parts = {name: seconds for name, (seconds,) in found["parts"][cache].items()}
        whole, first_step = parts.pop("until the first epoch's end"), parts.pop("until the first step")
        assert sum(parts.values()) == pytest.approx(whole)
        assert 0 < parts["the rest"] < first_step < whole  # nothing is counted twice
        assert min(parts.values()) > 0
    assert {"train.py, cold", "train.py, warm", "jaxmnist --help", "interpreter alone"} <= found["whole"].keys()


@pytest.mark.slow
def test_an_accelerators_ways_do_the_same_work(tmp_path):
    found = run("accelerator", tmp_path)
    assert found["differences"]["one network"] == 0
    # float32 rounding, over 50 steps, one epoch and two epochs
    assert all(off < 1e-4 for off in found["differences"].values())
    assert {"unrolled", "together", "whole run"} <= found["differences"].keys()
    assert {"one network", "2 networks", "unrolled 2 ×", "run, one program", "run, by epoch"} <= found["rows"].keys()
    assert found["floor"]["seconds"] > 0


@pytest.mark.slow
def test_the_operations_of_a_step_are_told(tmp_path):
    (found,) = run("step", tmp_path)["results"]
    told = [operation["what"] for operation in found["operations"]]
    # the first layer's two products; there is no third, as pixels need no gradient
    ends = sorted(what.split(" to ")[1] for what in told if what.startswith("product") and "784" in what)
    assert ends == ["f32[16,784], back", "f32[32,16], forward"]
    assert all(operation["microseconds"] > 0 for operation in found["operations"])
    assert found["microseconds"] > 0


@pytest.mark.slow
def test_devices_and_shards_train_the_same_networks(tmp_path):
    found = run("devices", tmp_path)
    assert set(found["rows"]) == {"one device on one core", "two devices on two cores", "two shards on two cores"}
    assert all(row["times_as_fast"]["median"] > 0 for row in found["rows"].values())
    # two shards have the same programs; another size of group rounds otherwise, and one of 100 examples may tip over
    assert found["accuracy_differs_by"]["two shards on two cores"] == 0
    assert found["accuracy_differs_by"]["two devices on two cores"] <= 0.011
