import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # all workers and subprocesses share it
if "slow" not in sys.argv and "measured" not in sys.argv:  # quick tests compile more than they compute
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# A shell's background job ignores Ctrl-C, and under nohup hang-ups, and so would the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))  # where the NumPy epoch is

DATA_DIR = os.environ.get("JAXMNIST_DATA_DIR")
"""The folder that the caller's environment names, read before `own_environment` hides it from the tests."""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Neither the caller's data folder nor the caller's proxies decide what a test sees."""
    monkeypatch.delenv("JAXMNIST_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def mnist_dir():
    """The folder with the real MNIST's four IDX files."""
    folder = Path(DATA_DIR).resolve() if DATA_DIR else Path(__file__).parents[2] / "shared" / "mnist"
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"the real MNIST is not in {folder}; name its folder with JAXMNIST_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's small digits, which are always there."""
    from jaxmnist.sources import load  # only now, when the hook that checks types is in place

    return load("digits")


@pytest.fixture(scope="module")
def browser():
    """A real browser, for all tests of a module."""
    from browser import executable, launched

    if executable() is None:
        if "CI" in os.environ:
            pytest.fail("no Chromium, which the gate must have")
        pytest.skip("no Chromium; install it, as Debian's package chromium")
    with launched() as started:
        yield started


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a network's page from a file; at the end nothing may have been asked for, refused or complained about."""
    from pages import RECORD_VIOLATIONS, page_of

    contexts, complaints, asked, pages = [], [], [], []

    def open_(*trained, address="", content=None, **options):
        path = tmp_path / f"{len(pages)}.html"
        path.write_text(page_of(*trained, **(content or {})), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        shown = contexts[-1].new_page()
        shown.add_init_script(RECORD_VIOLATIONS)
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("dialog", lambda dialog: complaints.append(dialog.message))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(path.as_uri() + address)
        pages.append((shown, path.as_uri()))
        return shown

    yield open_
    violations = [shown.evaluate("violations") for shown, _address in pages]
    for context in contexts:
        context.close()
    assert complaints == []
    assert violations == [[] for _page in pages]
    assert {url.split("#")[0] for url in asked} <= {address for _page, address in pages}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `jaxmnist WORDS…` in this process and an empty folder; returns its exit code, output and errors."""
    from jaxmnist.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))

    def run(*words):
        code = main([*map(str, words)])
        output, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return code, output, errors

    return run
