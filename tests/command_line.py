"""Runs our commands as a user does, but offline and with a cache of the tests' own."""

import os
import subprocess
import sys


def run(folder, *arguments, program=("-m", "jaxmnist"), timeout=300, **environment):
    """`python -m jaxmnist`, or another program, with these arguments in this folder."""
    command = [sys.executable, *map(str, (*program, *arguments))]
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
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
