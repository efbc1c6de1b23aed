"""The benchmarks run, and the peers do the same work; how long they take is not asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.slow
def test_the_peers_do_the_same_work(tmp_path):
    command = [sys.executable, BENCHMARKS / "peers.py", "--quick", "--output", tmp_path]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (found,) = json.loads((tmp_path / "peers.json").read_text())["results"]
    assert {"this project", "tight NumPy", "scikit-learn", "the usual JAX way"} <= found["peers"].keys()
    differences = {name: peer["difference_after_50_steps"] for name, peer in found["peers"].items()}
    assert differences["this project"] == 0
    assert 0 < differences["tight NumPy"] < 1e-4
    assert differences["scikit-learn"] > 1e-2  # another cost: the comparison can tell other work from the same
    assert (tmp_path / "peers.png").stat().st_size > 10_000
