"""Mutated files: see `fuzz.py`."""

import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

FILES = {"idx": 3_000, "network": 1_500, "checkpoint": 1_500, "picture": 3_000}


@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_file_is_refused_or_read_as_another_reader_reads_it(kind, tmp_path):
    outcomes = fuzz.attempt(kind, range(FILES[kind] // 30), tmp_path)
    assert min(outcomes["read"], outcomes["refused"]) > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a limit on memory isn't kept")
@pytest.mark.parametrize("kind", FILES)
def test_thousands_are_refused_or_read_in_little_memory(kind):
    command = [sys.executable, Path(fuzz.__file__), kind, "0", str(FILES[kind])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2_000:]
    print(result.stdout)
