"""How commands draw: after everything else is written, so that a figure that fails costs no numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxmnist.cli.console import say
from jaxmnist.plots.style import Figures, own_settings, png
from jaxmnist.runs.files import write_atomically


def write_figures(folder: Path, draw: Callable[..., Figures], *arguments: Any) -> None:
    """Draw figures under our own settings and write them; warn of each that fails, whatever the reason."""
    with own_settings():
        try:
            figures = draw(*arguments)
        except Exception as problem:
            return _warn("figures", problem)
        for name, figure in figures.items():
            try:
                write_atomically(folder / name, figure() if callable(figure) else png(figure))
            except Exception as problem:
                _warn(name, problem)
    return None


def _warn(name: str, problem: Exception) -> None:
    reason = " ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(":")
    say(f"warning: no {name}, all else is written ({reason})", on_stderr=True)
