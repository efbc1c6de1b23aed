"""What the commands that train many networks share: their common recipe, the checks of a grid, and progress."""

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxmnist.config import Method
from jaxmnist.runs.files import write_atomically

Common = Annotated[
    tyro.conf.OmitArgPrefixes[Method], tyro.conf.arg(name="common", help="What all networks have in common.")
]

LINES = 10
"""Lines that tell of progress where there is no terminal to draw a bar on."""


def check_grid(name: str, values: Sequence[Any]) -> None:
    """Refuse a list of values that is empty or has a value twice.

    Raises:
        ValueError: naming the list.
    """
    if not values:
        raise ValueError(f"{name}: no value given, expected at least one after --{name.replace(' ', '-')}")
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{name} {twice[0]}: given twice, expected each value once")


def check_seeds(seeds: int) -> None:
    """Refuse a number of seeds that is none.

    Raises:
        ValueError: naming it.
    """
    if not 1 <= seeds <= 2**32:
        raise ValueError(
            f"seeds {seeds}: expected a whole number from 1, how many random starts to train; try --seeds 3"
        )


@contextmanager
def progress(epochs: int) -> Iterator[Callable[[int], None]]:
    """How far it is, on stderr: a bar on a terminal, a few lines in a pipe or file.

    Args:
        epochs: epochs to make, of all networks together; what is yielded is told how many have been made since.
    """
    from tqdm import tqdm

    live = sys.stderr.isatty()
    begin, done = time.perf_counter(), 0
    with tqdm(total=epochs, unit="epoch", disable=not live, dynamic_ncols=True, smoothing=0.1) as bar:

        def show(made: int) -> None:
            nonlocal done
            before, done = done, done + made
            bar.update(made)
            if not live and done * LINES // epochs > before * LINES // epochs:
                spent = time.perf_counter() - begin
                print(f"{done:,} of {epochs:,} networks' epochs in {spent:.1f} s", file=sys.stderr, flush=True)

        yield show


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table: the rows' keys as the head, then a line for each."""
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, text.getvalue().encode())
