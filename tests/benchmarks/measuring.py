"""What the benchmarks share: turns, medians, what the machine can do, and the files that remain."""

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxmnist.sources import load

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's, which colour-blind readers can tell apart too."""

REST = 0.3
"""Seconds between turns, in which the threads of the one before go to sleep: OpenMP's spin for 0.2 s."""


def parser(description, name, rounds):
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds, help=f"turns of each; the median counts (default {rounds})")
    made.add_argument("--data-dir", help="MNIST's files; without them the digits are tiled to as many examples")
    made.add_argument(
        "--output", type=Path, default=Path("runs", name), help=f"folder for {name}.json and .png (default runs/{name})"
    )
    return made


def in_turns(calls, rounds, label, rest=REST, warm_up=True):
    """Seconds of each call in each round; in a round all take their turn, so that what the machine does hits all alike.

    Args:
        calls: name → function of the round's number, which returns when all is computed.
        rounds: that count.
        label: for the progress bar.
        rest: seconds before each turn.
        warm_up: a round before the first, which doesn't count.
    """
    seconds = {name: [] for name in calls}
    for number in tqdm(range(rounds + warm_up), desc=label, leave=False, disable=None):
        for name, call in calls.items():
            time.sleep(rest)
            spent = timed(lambda call=call, number=number: call(number))
            if number >= warm_up:
                seconds[name].append(spent)
    return seconds


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def figures(times, base=None):
    """The median of some turns, with their range and, where there is a base, how many times as long it takes."""
    median = statistics.median(times)
    return {"seconds": times, "median": median, "ratio": median / base if base else None}


def columns(found):
    """Milliseconds, their range and the ratio, as a table's columns under `HEADINGS`."""
    times, ratio = found["seconds"], found["ratio"]
    span = f"{milliseconds(min(times))}-{milliseconds(max(times))}"
    return f"{milliseconds(found['median']):>9} {span:>17} {f'{ratio:.2f}' if ratio else '':>7}"


def milliseconds(seconds):
    return f"{1e3 * seconds:,.{2 if seconds < 0.01 else 1 if seconds < 0.1 else 0}f}"


HEADINGS = f"{'ms':>9} {'(range)':>17} {'× ours':>7}"


def data(data_dir, examples):
    """So many examples as NumPy arrays, tiled if there are fewer, and what they are."""
    splits = load("mnist" if data_dir or os.environ.get("JAXMNIST_DATA_DIR") else "digits", data_dir)
    images, labels = map(np.asarray, splits.train)
    return np.resize(images, (examples, 784)), np.resize(labels, examples), f"{splits.name} from {splits.origin}"


def has_torch():
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch: left out, it isn't installed; pip install '.[bench]'", file=sys.stderr)
        return False
    return True


def matrix_product_rate(size=2048):
    """GFLOP/s of JAX's own large float32 matrix product, the best of several: what this machine can do."""
    square = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(jnp.matmul)
    product(square, square).block_until_ready()
    best = min(timed(lambda: product(square, square).block_until_ready()) for _ in range(10))
    return 2 * size**3 / best / 1e9


def flops_of_an_example(sizes):
    """What one example costs a step in floating point operations, of the matrix products alone.

    2 for each weight on the way forward, 2 for its slope, and 2 for what goes back through it to the layer before; the
    first layer, which has nearly all weights, has nothing before it that could change.
    """
    weights = [inputs * outputs for inputs, outputs in itertools.pairwise(sizes)]
    return 6 * sum(weights) - 2 * weights[0]


def memory_bandwidth(megabytes=256):
    """GB/s that go through memory when an array much larger than the caches is read and written.

    It is written in place: a new one's pages would have to be had from the system first.
    """
    numbers = jnp.zeros(megabytes * 250_000)
    add = jax.jit(lambda numbers: numbers + 1, donate_argnums=0)

    def turn():
        nonlocal numbers
        numbers = add(numbers).block_until_ready()

    return 2 * numbers.nbytes / min(timed(turn) for _ in range(10)) / 1e9


def environment(cache):
    """That of a process whose compiled programs are kept in this folder and nowhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION_CACHE")}
    return kept | {"XDG_CACHE_HOME": str(cache)}


def peak_memory():
    """Bytes that this process has had in memory at the most.

    Linux's getrusage begins with what the parent had when it started this process, so its own record goes first.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine():
    devices = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    return f"{platform.machine()}, {os.cpu_count()} cores, {devices}, jax {jax.__version__}, numpy {np.__version__}"


def write(folder, name, report, figure):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=2))
    figure.savefig(folder / f"{name}.png", dpi=100)
    print(f"in {folder}: {name}.json, {name}.png")
