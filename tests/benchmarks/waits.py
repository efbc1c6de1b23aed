"""How long a user waits, beside another checkout: `python tests/benchmarks/waits.py --against ../base`.

Whole processes of this checkout and of the other take turns: first this, then the other, and in the next round the
other first. Each checkout has folders and a cache of compiled programs of its own; a round that doesn't count fills the
cache. Each round gives one ratio, this by the other. The table has their median and range, and whether the median is
within the row's target. Most rows are the time from a process's start to its end. The others:

- first-step, first-95: until the process says that it is there, and is stopped. For the first step `inside.py` wraps
  the training loop's `timed`; the accuracy is in the line that train.py prints after each epoch. A seed that never
  gets there counts with its whole run.
- evaluations, pictures: parts of the run of the row train, which tells them itself: its summary.json has the seconds of
  all evaluations, and one of its last lines those of the pictures. Only what the run waits for counts.
- best: the row is only met if the accuracy isn't lower either, by more than two standard errors of the seeds'
  differences. --best-epochs shortens it; without, each of its 22 runs takes minutes.
- epoch-10 to epoch-512: a process each, the median of 15 epochs after 3 others.
- population: the time of a network and epoch of 64 divided by that of one network's epoch, in one process. The target
  is for this quotient, not for its ratio to the other checkout's.

Rounds are 7, but 20 for first-95 and 10 for best, which take another seed in each. MNIST is read from the folder that
the variable JAXMNIST_DATA_DIR names.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import inside
import numpy as np
from measuring import REST, environment, machine, milliseconds
from PIL import Image
from tqdm import tqdm
from waits_rows import PROGRAMS, ROWS, Finished, program_of

from jaxmnist.sources import load

ROOT = Path(__file__).resolve().parents[2]
LAST_LINES = 10
"""Lines shown of a process that fails."""


class Side(NamedTuple):
    """A checkout, and the folder in which its processes run."""

    name: str
    checkout: Path
    folder: Path


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--against", type=Path, required=True, help="the other checkout: a worktree of an older commit")
    asked.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"rows to measure, of {', '.join(ROWS)}")
    asked.add_argument("--rounds", type=int, help="of every row (default: 7, of first-95 20 and of best 10)")
    asked.add_argument("--best-epochs", type=int, help="epochs of the row best (default: the recipe's)")
    asked.add_argument("--json", type=Path, help="file for the numbers, every single round's among them")
    asked.add_argument("--quick", action="store_true", help="one short round on the embedded digits: only that it runs")
    options = asked.parse_args()
    data = os.environ.get("JAXMNIST_DATA_DIR")
    if data:
        os.environ["JAXMNIST_DATA_DIR"] = str(Path(data).resolve())  # the processes run in other folders
    if options.quick:
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # it compiles more than it computes
    elif not data:
        raise SystemExit("error: JAXMNIST_DATA_DIR is not set, expected the folder of MNIST's four files; see --quick")
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = measure(options, Path(folder))
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


def measure(options, folder):
    """Measure the rows that are asked for, and print each when it is done."""
    sides = [Side("this", ROOT, folder / "this"), Side("other", options.against.resolve(), folder / "other")]
    commits = {side.name: prepared(side) for side in sides}
    names, found, values = options.only or list(ROWS), {}, values_of(options, folder)
    print(f"{machine()}\nthis: {commits['this']}, other: {commits['other']}\n\n{HEADINGS}", flush=True)
    for program in dict.fromkeys(program_of(name) for name in names):
        figures = in_turns(program, sides, options, values)
        for name in names:
            if program_of(name) == program:
                found[name] = judged(name, *(figures[side.name] for side in sides))
                print(line_of(name, found[name]), flush=True)
    return {"machine": machine(), "quick": options.quick, "commits": commits, "rows": found}


def prepared(side):
    """Make a side's folder and see that it imports its own package; return its commit, or its path if it has none."""
    side.folder.mkdir()
    imported = run(side, ["-c", "import jaxmnist; print(jaxmnist.__file__)"]).lines[-1]
    if not (Path(imported).is_relative_to(side.checkout) and (side.checkout / "train.py").is_file()):
        raise SystemExit(f"error: {side.checkout}: expected a checkout of this project; there jaxmnist is {imported}")
    git = ["git", "-C", str(side.checkout), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or str(side.checkout)


def values_of(options, folder):
    """What fills the templates of both sides; 1,000 images of the test set, or ten, become picture files for it."""
    dataset, pictures = "digits" if options.quick else "mnist", folder / "pictures"
    pictures.mkdir()
    images = np.asarray(load(dataset).test.images)[: 10 if options.quick else 1_000]
    for number, image in enumerate(images.reshape(-1, 28, 28)):
        Image.fromarray(image).save(pictures / f"{number:04}.png")
    networks = 4 if options.quick else 64
    return {"inside": inside.__file__, "dataset": dataset, "pictures": pictures, "networks": networks}


def in_turns(name, sides, options, values):
    """Run a program on both sides in turns; return the figures of each side's rounds."""
    program, figures = PROGRAMS[name], {side.name: [] for side in sides}
    more = f"--epochs {options.best_epochs}" if name == "best" and options.best_epochs else ""
    words = f"{program.words} {program.quick if options.quick else more}".split()
    rounds = range(1 if options.quick else options.rounds or program.rounds)
    for number in tqdm(rounds if options.quick else [-1, *rounds], desc=name, leave=False, disable=None):
        for side in sides[:: 1 if number % 2 == 0 else -1]:
            filling = {**values, "program": name, "train": side.checkout / "train.py", "seed": max(number, 0)}
            results = side.folder / f"{name}{number}"
            filled = [word.format(**filling, results=results) for word in words]
            time.sleep(REST)
            finished = run(side, filled, results, lambda line: program.until(line, 0.5 if options.quick else 0.95))
            try:
                found = {name: finished.seconds, **program.figures(finished)}
            except (ValueError, LookupError, OSError) as problem:
                raise failed(side, filled, f"left no figure ({problem})", finished.lines) from problem
            if number >= 0:
                figures[side.name].append(found)
    return figures


def run(side, words, results=None, until=lambda line: False):
    """Run Python with these words in a side's folder, to its end or to a line at which to stop it."""
    own = {**environment(side.folder / "cache"), "PYTHONPATH": str(side.checkout)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    begin, lines, reached = time.perf_counter(), [], False
    with subprocess.Popen([sys.executable, *words], cwd=side.folder, env=own, **streams) as process:
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if reached := until(lines[-1]):
                    break
            else:
                process.wait()
            seconds = time.perf_counter() - begin
        finally:
            process.kill()  # if it was stopped, or Ctrl-C stops us
    if process.returncode and not reached:
        raise failed(side, words, f"ended with exit code {process.returncode}", lines)
    return Finished(seconds, lines, reached, results)


def failed(side, words, why, lines):
    told = "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
    return SystemExit(f"error: in {side.checkout}, python {' '.join(words)} {why}; its last lines:\n{told}")


def judged(name, ours, others):
    """A row's figures and their ratios, round by round, and whether its target is met."""
    row = {"what": ROWS[name].what, "target": ROWS[name].target}
    row["this"], row["other"] = figures = [[found[name] for found in rounds] for rounds in (ours, others)]
    ratios = np.divide(*figures)
    row["ratio"] = {"median": float(np.median(ratios)), "least": float(ratios.min()), "most": float(ratios.max())}
    decisive = statistics.median(figures[0]) if name == "population" else row["ratio"]["median"]
    row["met"] = decisive <= row["target"]
    row["shares"] = {  # of right answers, or of seeds that got there
        share: [[found[share] for found in rounds] for rounds in (ours, others)]
        for share in ours[0].keys() - ROWS.keys()
    }
    if name == "best":
        row["met"] = row["met"] and no_lower(*row["shares"]["accuracy"])
    return row


def no_lower(accuracies, others):
    """Whether these are lower on average by no more than two standard errors of the differences, seed by seed."""
    differences = np.subtract(accuracies, others)
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else 0
    return bool(differences.mean() >= -2 * error)


HEADINGS = f"{'':14} {'this, ms':>9} {'other, ms':>9} {'ratio':>6} {'(range)':>11} {'target':>7}"


def line_of(name, row):
    """A row of the table."""
    medians = [statistics.median(row[side]) for side in ("this", "other")]
    shown = [f"{median:.3f} ×" if name == "population" else milliseconds(median) for median in medians]
    ratio, met = row["ratio"], "met" if row["met"] else "not met"
    line = f"{name:14} {shown[0]:>9} {shown[1]:>9} {ratio['median']:6.2f} "
    line += f"{ratio['least']:6.2f}-{ratio['most']:.2f} {row['target']:7.2f} {met:7}  {row['what']}"
    for share, (ours, others) in row["shares"].items():
        line += f"; {share} {np.mean(ours):.2%} and {np.mean(others):.2%}"
    return line


if __name__ == "__main__":
    main()
