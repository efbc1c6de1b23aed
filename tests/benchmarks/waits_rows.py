"""What `waits.py` measures: the rows of its table, and the programs that give their figures."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import inside

BATCH_SIZES = (10, 32, 128, 512)


class Row(NamedTuple):
    what: str
    target: float  # largest ratio to the other checkout; of population, largest quotient
    program: str = ""  # which gives the figure, if it isn't the one of the row's name


ROWS = {
    "train": Row("python train.py, pictures included", 0.55),
    "first-step": Row("python train.py, to its first step", 0.60),
    "first-95": Row("python train.py, to 95 % test accuracy", 0.60),
    "evaluations": Row("all evaluations of python train.py", 0.50, "train"),
    "pictures": Row("the pictures of python train.py", 0.50, "train"),
    "best": Row("python train.py --recipe best", 0.40),
    "compare": Row("jaxmnist compare", 0.60),
    "cross-validate": Row("jaxmnist cross-validate", 0.60),
    "sweep": Row("jaxmnist sweep, 32 networks", 0.60),
    "explain": Row("jaxmnist explain", 0.70),
    "evaluate": Row("jaxmnist evaluate", 0.70),
    "predict-1": Row("jaxmnist predict, one picture", 0.70),
    "predict-1000": Row("jaxmnist predict, 1,000 pictures", 0.70),
    **{f"epoch-{size}": Row(f"an epoch at batch size {size}", 0.85) for size in BATCH_SIZES},
    "population": Row("a network's epoch of 64, × one's alone", 0.45),
}


class Finished(NamedTuple):
    """A process that has ended, or that was stopped."""

    seconds: float  # from its start
    lines: list[str]  # what it printed
    reached: bool  # whether it was stopped, as it printed what was waited for
    results: Path  # its folder of results, if it left one

    def summary(self):
        return json.loads((self.results / "summary.json").read_text(encoding="utf-8"))


class Program(NamedTuple):
    """A process to measure; its words are a template."""

    words: str
    quick: str = ""  # more words with --quick
    figures: Callable = lambda finished: {}  # by row; else the seconds are the figure of the program's row
    rounds: int = 7
    until: Callable = lambda line, accuracy: False  # whether to stop it at this line of its output


def printed(row):
    return lambda finished: {row: float(finished.lines[-1])}


def parts_of_a_run(finished):
    (pictures,) = re.findall(r"(?:figures|pictures) ([\d.]+) s", "\n".join(finished.lines))
    return {"evaluations": finished.summary()["seconds"]["evaluate"], "pictures": float(pictures)}


def at_first_step(finished):
    if not finished.reached:
        raise ValueError("it never came to its first step")
    return {}


def is_at(line, accuracy):
    found = re.search(r"test accuracy ([\d.]+)%", line)
    return found is not None and float(found[1]) >= 100 * accuracy


TRAIN = "{train} --dataset {dataset} --run-dir {results}"
COMMAND = "-m jaxmnist {program} --dataset {dataset} --run-dir {results}"
PROGRAMS = {
    "train": Program(TRAIN, "--epochs 2", parts_of_a_run),
    "first-step": Program(
        "{inside} first-step " + TRAIN,
        figures=at_first_step,
        until=lambda line, accuracy: line == inside.FIRST_STEP,
    ),
    "first-95": Program(
        TRAIN + " --seed {seed}", "", lambda finished: {"reached": finished.reached}, rounds=20, until=is_at
    ),
    "best": Program(
        TRAIN + " --seed {seed} --recipe best",
        "--epochs 2",
        lambda finished: {"accuracy": finished.summary()["test_accuracy"]},
        rounds=10,
    ),
    "compare": Program(COMMAND, "--learning-rates 0.4 --examples 200 --steps 30 --full-batch-steps 5 --seeds 2"),
    "cross-validate": Program(COMMAND, "--momentum 0.9 --folds 2 --seeds 1 --epochs 1"),
    "sweep": Program(COMMAND + " --momentum 0.5 0.9 --learning-rate 0.1 0.3 --seeds 8", "--seeds 1 --epochs 1"),
    "explain": Program(COMMAND),
    "evaluate": Program(COMMAND),
    "predict-1": Program("-m jaxmnist predict {pictures}/0000.png"),
    "predict-1000": Program("-m jaxmnist predict {pictures}"),
    **{
        f"epoch-{size}": Program(f"{{inside}} epoch {{dataset}} {size}", figures=printed(f"epoch-{size}"))
        for size in BATCH_SIZES
    },
    "population": Program("{inside} population {dataset} {networks}", figures=printed("population")),
}


def program_of(row):
    return ROWS[row].program or row
