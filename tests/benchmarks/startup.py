"""Where the seconds before the first step of `python train.py` go: `python tests/benchmarks/startup.py --help`.

Whole processes take turns: train.py as it is with a cold and with a warm cache of compiled programs; the same with
clocks inside, which tell the parts; `jaxmnist --help`; and an interpreter that does nothing. A cold cache is an empty
folder named by XDG_CACHE_HOME, where the command keeps its compiled programs; a warm one was filled by the round that
doesn't count. The processes are stopped after the first epoch.

With clocks inside, the same modules are imported one after the other before the command runs, and the functions that
it calls are wrapped; what is in none of the parts is `the rest`. That both ways reach the end of the first epoch at
about the same time shows that the clocks change little.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHES = ("cold", "warm")
PARTS = {
    "interpreter": "until the first line of Python",
    "command line": "import of jaxmnist.cli",
    "import jax": "",
    "import the rest": "Matplotlib and our own modules",
    "options": "reading the words of the command line",
    "device": "the backend starts",
    "load": "four IDX files, unzipped, to the device",
    "digest": "sha256 of the data",
    "start": "the random network; compiled on the way",
    "compile": "an epoch and its evaluation: traced, then compiled or found in the cache",
    "evaluate": "cost and accuracy before training",
    "save": "the first checkpoint",
    "the rest": "",
    "first epoch": "begins with the first step",
}
"""In the order of the clock, but for the rest, which lies between the others."""

TOTALS = ("until the first step", "until the first epoch's end")


def clocked(began, words):
    """`train.py` with clocks: prints when each part ended up, in seconds, and leaves after the first epoch.

    Args:
        began: the clock when the process was asked for.
        words: of the command line.
    """
    gc.disable()  # as `jaxmnist.__main__` does
    spent, running, trained = dict.fromkeys(PARTS, 0.0), [], []
    spent["interpreter"] = time.time() - began

    @contextmanager
    def part(name):
        """Of two parts, one inside the other, each counts only its own time."""
        begin = time.time()
        if running:
            spent[running[-1][0]] += begin - running[-1][1]
        running.append([name, begin])
        try:
            yield spent
        finally:
            end = time.time()
            spent[name] += end - running.pop()[1]
            if running:
                running[-1][1] = end

    def wrapped(function, name):
        def call(*arguments, **named):
            with part(name):
                return function(*arguments, **named)

        return call

    @contextmanager
    def timed(name, seconds=None):
        if name == "train":
            spent.setdefault("until the first step", time.time() - began)
        with part("first epoch" if name == "train" else name):
            yield {name: 0.0}
        if name == "train":
            trained.append(name)
        if len(trained) == 2:  # an epoch begins in the first such block, and ends in the second
            spent["until the first epoch's end"] = total = time.time() - began
            named = sum(spent[name] for name in PARTS)
            print(json.dumps({**spent, "the rest": total - named}), flush=True)
            os._exit(0)

    with part("command line"):
        from jaxmnist import cli
    with part("import jax"):
        import jax  # noqa: F401
    with part("import the rest"):
        from jaxmnist.cli import options, train  # noqa: F401
        from jaxmnist.runs import loop
    loop.timed = timed
    loop.start = wrapped(loop.start, "start")
    options.select_device = wrapped(options.select_device, "device")
    loop.digest = wrapped(loop.digest, "digest")
    cli.tyro.cli = wrapped(cli.tyro.cli, "options")
    sys.exit(cli.main(words, command="train"))


def main():
    from measuring import machine, parser, write

    asked = parser(__doc__, "startup", rounds=7)
    asked.add_argument("--quick", action="store_true", help="one round, on the embedded digits: only that it runs")
    options = asked.parse_args()
    words = ["--dataset", "digits"] if options.quick else ["--dataset", "mnist"]
    if options.quick:
        options.rounds = 1
    elif options.data_dir:
        words += ["--data-dir", str(Path(options.data_dir).resolve())]
    print(f"{machine()}\n", flush=True)
    parts, whole = measure(words, options.rounds, warm_up=not options.quick)
    show(parts, whole)
    write(options.output, "startup", {"machine": machine(), "parts": parts, "whole": whole}, picture(parts))


def measure(words, rounds, warm_up):
    """Whole processes in turns, after a round that doesn't count if there is to be a warm-up.

    Returns:
        For each cache and part, and for each whole process, the seconds of all rounds.
    """
    from measuring import in_turns

    parts = {cache: {} for cache in CACHES}
    with tempfile.TemporaryDirectory() as folder:

        def place(cache, number):
            """An empty cache for each cold turn; the warm one is the same in all."""
            return Path(folder, "warm" if cache == "warm" else f"cold{number}")

        def plain(number, cache):
            kept = place(cache, number) if cache == "warm" else Path(folder, f"plain{number}")
            process = started([ROOT / "train.py", *words, "--run-dir", Path(folder, f"run-{cache}-{number}")], kept)
            for line in process.stdout:
                if line.startswith("1 of "):
                    break
            stop(process)

        def with_clocks(number, cache):
            words_too = [*words, "--run-dir", Path(folder, f"clocked-{cache}-{number}")]
            process = started([__file__, "--clocked", time.time(), *words_too], place(cache, number))
            output, _ = process.communicate()
            if number >= warm_up:
                for name, seconds in json.loads(output.splitlines()[-1]).items():
                    parts[cache].setdefault(name, []).append(seconds)

        def finished(_number, *command):
            process = started(command, Path(folder, "warm"))
            process.communicate()
            if process.returncode:
                raise SystemExit(f"error: {command} ended with {process.returncode}")

        turns = {}
        for cache in CACHES:
            turns[f"train.py, {cache}"] = partial(plain, cache=cache)
            turns[f"with clocks, {cache}"] = partial(with_clocks, cache=cache)
        turns["jaxmnist --help"] = lambda number: finished(number, "-m", "jaxmnist", "--help")
        turns["interpreter alone"] = lambda number: finished(number, "-c", "pass")
        whole = in_turns(turns, rounds, "rounds", warm_up=warm_up)
    return parts, whole


def started(words, cache):
    """A Python process whose compiled programs are kept in this folder and nowhere else."""
    from measuring import environment

    command = [sys.executable, *map(str, words)]
    own = {**environment(cache), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own)


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()


def show(parts, whole):
    from measuring import HEADINGS, columns, figures

    print(f"  {'seconds before the first step':31} {'cold':>6} {'warm':>6}")
    for name in [*PARTS, *TOTALS]:
        cold, warm = (statistics.median(parts[cache][name]) for cache in CACHES)
        note = PARTS.get(name, "")
        print(f"  {name:31} {cold:6.3f} {warm:6.3f}  {note}".rstrip())
    print(f"\n  {'whole processes':25} {HEADINGS.replace('× ours', '')}")
    for name, times in whole.items():
        print(f"  {name:25} {columns(figures(times))}".rstrip())
    print(flush=True)


def picture(parts):
    from matplotlib.figure import Figure
    from measuring import COLOURS

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    names = list(PARTS)
    for row, cache in enumerate(CACHES):
        left = 0
        for number, name in enumerate(names):
            width = statistics.median(parts[cache][name])
            hatch = "//" if number >= len(COLOURS) else None  # six colours that all can tell apart, twice
            colour = COLOURS[number % len(COLOURS)]
            label = name if row == 0 else None
            axes.barh(row, width, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
            left += width
    axes.set(yticks=range(len(CACHES)), yticklabels=[f"{cache} cache" for cache in CACHES], xlabel="seconds")
    axes.set_title("From the start of train.py to the end of its first epoch, medians")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clocked"]:
        clocked(float(sys.argv[2]), sys.argv[3:])
    else:
        main()
