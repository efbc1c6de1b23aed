"""Runs our commands as a user does, but offline and with a cache of the tests' own."""

import os
import subprocess
import sys


def run(folder, *arguments, timeout=300, **environment):
    """`python -m jaxmnist` with these arguments in this folder."""
    command = [sys.executable, "-m", "jaxmnist", *map(str, arguments)]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder.parent / "cache"),  # one for all tests: each compiles what is new to it
        "http_proxy": "http://127.0.0.1:9",  # nobody listens there
        "https_proxy": "http://127.0.0.1:9",
        **environment,
    }
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=timeout)


def refusal(result):
    """The one line on stderr of a run that ended with exit code 2."""
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
