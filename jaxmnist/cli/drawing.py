"""How commands draw: after everything else is written, so that a figure that fails costs no numbers.

Nothing here imports matplotlib, which takes a third of a second, before it is needed.
"""

import functools
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias

from jaxmnist.cli.console import say
from jaxmnist.runs.files import write_atomically

Draw: TypeAlias = Callable[..., Mapping[str, Any]]
"""A function that makes `plots.style.Figures`."""


def figures_of(module: str) -> Draw:
    """The function `figures` of a module of `jaxmnist.plots`, which is imported when it is called."""

    def figures(*arguments: Any) -> Mapping[str, Any]:
        made: Mapping[str, Any] = importlib.import_module(f"jaxmnist.plots.{module}").figures(*arguments)
        return made

    return figures


@functools.cache
def import_meanwhile() -> None:
    """Begin to import matplotlib in another thread, for a command that is about to wait for a computation."""
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)  # as `plots.quiet`
    Thread(target=_try_to_import_matplotlib, daemon=True).start()


def _try_to_import_matplotlib() -> None:
    with suppress(Exception):  # if the user's configuration stops it, `jaxmnist.plots` does what is needed
        importlib.import_module("matplotlib.figure")
        importlib.import_module("matplotlib.backends.backend_agg")


def write_figures(folder: Path, draw: Draw, *arguments: Any) -> None:
    """Draw figures under our own settings and write them; warn of each that fails, whatever the reason.

    Each is packed in another thread while the next one is drawn.
    """
    style = importlib.import_module("jaxmnist.plots.style")
    with style.own_settings(), ThreadPoolExecutor(1) as other_thread:
        figures: Mapping[str, Any] = {}
        contents: dict[str, Callable[[], bytes]] = {}
        with _warning("figures"):
            figures = draw(*arguments)
        for name, figure in figures.items():
            with _warning(name):
                contents[name] = figure if callable(figure) else other_thread.submit(style.png(figure)).result
        for name, content in contents.items():
            with _warning(name):
                write_atomically(folder / name, content())


@contextmanager
def _warning(name: str) -> Iterator[None]:
    """Warn of a figure that fails, whatever the reason."""
    try:
        yield
    except Exception as problem:
        reason = " ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(":")
        say(f"warning: no {name}, all else is written ({reason})", on_stderr=True)
