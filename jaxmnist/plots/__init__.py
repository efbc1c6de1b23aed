"""The pictures: values in, figures out; the only place that draws. One module for each command's pictures.

A user's configuration of matplotlib can stop its import, so the import is made here, before the modules' own. What is
drawn doesn't depend on that configuration: see `style.own_settings`.
"""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence matplotlib's log: what it says of a user's configuration and of its cache changes nothing here."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _import_matplotlib() -> None:
    """Import matplotlib; if the user's configuration stops that, import it without."""
    with quiet():
        try:
            importlib.import_module("matplotlib.figure")
        except (ValueError, OSError):  # MPLBACKEND is unknown, or the configuration file isn't text or can't be read
            for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
                del sys.modules[name]
            saved = {name: os.environ.pop(name) for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ}
            os.environ["MATPLOTLIBRC"] = os.devnull  # goes before all files but the current folder's
            try:
                with contextlib.chdir(Path(__file__).parent):
                    importlib.import_module("matplotlib.figure")
            finally:
                del os.environ["MATPLOTLIBRC"]
                os.environ.update(saved)


_import_matplotlib()
