"""How time and memory grow: `python tests/benchmarks/growth.py --help`.

One epoch of 60,000 examples, batches of 32, two hidden layers of 16 neurons and one network; from there one number at
a time grows: the batch size, the width of the hidden layers, the examples (tiled), the networks (which share their
minibatches and are trained in groups, as `jaxmnist sweep` does).

Every turn is a process of its own, so that its peak memory is its own: all that was resident at once, Python, JAX and
the data with it. That counts what a user's machine must have, which a compiler's estimate of the buffers would not. The
processes share a compile cache, which the first round fills. A turn's time is that of one epoch, without start and
compilation.

Time is fitted by size ^ exponent over the upper half of each range (on the logarithmic scale), by least squares of the
logarithms: below, it is the fixed cost of a step that counts.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from measuring import COLOURS, flops_of_an_example, machine, milliseconds, parser, peak_memory, timed, write
from tqdm import tqdm
from trainers import ours_together

from jaxmnist.config import Config
from jaxmnist.dataset import take
from jaxmnist.population import GROUP_SIZE
from jaxmnist.sources import load
from jaxmnist.training import start, train_epoch


class Point(NamedTuple):
    batch_size: int = 32
    width: int = 16
    examples: int = 60_000
    networks: int = 1


AXES = {
    "batch_size": (10, 32, 128, 512, 1024, 2048, 4096),
    "width": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "examples": (1_000, 4_000, 15_000, 60_000, 250_000, 1_000_000),
    "networks": (1, 4, 16, 64, 256, 1024),
}
QUICK = {"batch_size": (32, 128), "width": (16, 32), "examples": (2_000, 4_000), "networks": (1, 2)}
LABELS = {
    "batch_size": "examples in a minibatch",
    "width": "neurons in each hidden layer",
    "examples": "examples",
    "networks": "networks",
}

PYTHON_AND_JAX = 500_000_000
"""Bytes, about, that a process takes beside data and training; they don't grow."""


def main():
    asked = parser(__doc__, "growth", rounds=3)
    asked.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    asked.add_argument("--seconds", type=float, default=60, help="leave out epochs that would take longer (default 60)")
    asked.add_argument("--gigabytes", type=float, default=4, help="leave out points that would need more (default 4)")
    asked.add_argument("--quick", action="store_true", help="two small points an axis, one round: only that it runs")
    asked.add_argument("--point", help=argparse.SUPPRESS)  # a turn: the process that measures
    options = asked.parse_args()
    if options.point:
        print(json.dumps(turn(Point(*json.loads(options.point)), options.data_dir)))
        return
    base, axes = Point(), AXES
    if options.quick:
        base, axes, options.rounds = Point(examples=2_000), QUICK, 1
    print(f"{machine()}\n", flush=True)
    points = {axis: [base._replace(**{axis: size}) for size in axes[axis]] for axis in options.axes}
    turns, left_out = measure(points, options)
    results = {axis: summary(axis, [turns[point] for point in points[axis] if point in turns]) for axis in points}
    for axis in points:
        show(axis, results[axis], left_out[axis])
    report = {"machine": machine(), "base": base._asdict(), "results": results, "left_out": left_out}
    write(options.output, "growth", report, picture(results))


def measure(points, options):
    """Every point's turns, and what was left out with the reason, by axis."""
    turns, left_out = {}, {axis: [] for axis in points}
    with tempfile.TemporaryDirectory() as cache, tqdm(disable=None, leave=False) as bar:
        for number in range(options.rounds):
            for axis, some in points.items():
                before = None
                for point in some:
                    if number == 0 and (why := over_budget(point, before, turns, options)):
                        left_out[axis].append({"size": getattr(point, axis), "why": why})
                        continue
                    if number and point not in turns:
                        continue
                    bar.set_description(f"round {number + 1}, {axis} {getattr(point, axis):,}")
                    if len(turns.get(point, [])) <= number:  # the base point is on every axis
                        turns.setdefault(point, []).append(in_a_process(point, cache, options.data_dir))
                        bar.update()
                    before = point
    return turns, left_out


def over_budget(point, before, turns, options):
    """Why a point is left out, or None: time and memory are those of the point before it, scaled by the arithmetic."""
    if before is None:
        return None
    last, growth = turns[before][0], arithmetic(point) / arithmetic(before)
    seconds = growth * last["seconds"]
    if seconds > options.seconds:
        return f"an epoch would take about {seconds:.0f} s"
    needed = PYTHON_AND_JAX + growth * max(0, last["memory"] - PYTHON_AND_JAX)
    return f"needs about {needed / 1e9:.1f} GB" if needed > 1e9 * options.gigabytes else None


def arithmetic(point):
    """Floating point operations of an epoch's matrix products."""
    return flops_of_an_example((784, point.width, point.width, 10)) * point.examples * point.networks


def in_a_process(point, cache, data_dir):
    command = [sys.executable, __file__, "--point", json.dumps(point), *(["--data-dir", data_dir] if data_dir else [])]
    kept = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **kept})
    return {"point": point._asdict(), **json.loads(result.stdout)}


def turn(point, data_dir):
    """One epoch's time, the mean cost in the first epoch, and the peak of this process's memory."""
    config = config_of(point)
    few = load("mnist" if data_dir or os.environ.get("JAXMNIST_DATA_DIR") else "digits", data_dir).train
    train_set = jax.jit(lambda few: take(few, jnp.arange(point.examples) % len(few.labels)))(few)
    if point.networks == 1:
        states = [start(jax.random.key(0), config)]
        compiled = train_epoch.lower(states[0], train_set, config).compile()
        trained = lambda state: compiled(state, train_set, config)  # noqa: E731
    else:
        size = math.ceil(point.networks / math.ceil(point.networks / GROUP_SIZE))
        trained, state = ours_together(size, train_set, config)
        states = [state] * math.ceil(point.networks / size)
    costs = None

    def epoch():
        nonlocal costs
        for place, state in enumerate(states):
            states[place], costs = trained(state)
            costs.block_until_ready()

    first = timed(epoch)
    cost = float(costs.mean())
    # what takes seconds needs no warming up, and what takes a millisecond is not measured by one
    times = [first] if first > 2 else [timed(epoch) for _ in range(min(50, 1 + int(0.3 / first)))]
    return {"seconds": statistics.median(times), "cost": cost, "memory": peak_memory()}


def config_of(point):
    sizes = (784, point.width, point.width, 10)
    return Config(sizes=sizes, batch_size=point.batch_size, schedule="constant", epochs=1)


def summary(axis, turns):
    """The medians of one axis, and the exponent of time over the upper half of its range."""
    found = {
        "sizes": [point[0]["point"][axis] for point in turns],
        "seconds": [statistics.median(turn["seconds"] for turn in point) for point in turns],
        "ranges": [[reach(turn["seconds"] for turn in point) for reach in (min, max)] for point in map(list, turns)],
        "memory": [statistics.median(turn["memory"] for turn in point) for point in turns],
        "cost": [point[0]["cost"] for point in turns],
    }
    sizes, seconds = np.log(found["sizes"]), np.log(found["seconds"])
    upper = sizes >= (sizes[0] + sizes[-1]) / 2
    upper[-2:] = True  # a line needs two points
    found["fitted_from"] = found["sizes"][int(np.argmax(upper))]
    slope, height = np.polyfit(sizes[upper], seconds[upper], 1) if len(sizes) > 1 else (math.nan, math.nan)
    return {**found, "exponent": float(slope), "factor": float(np.exp(height))}


def show(axis, found, left_out):
    print(f"{LABELS[axis]}: from {found['fitted_from']:,} on, time grows as size ^ {found['exponent']:.2f}")
    print(f"  {'size':>9} {'ms':>9} {'(range)':>17} {'peak MB':>8}")
    for size, seconds, reach, memory in zip(
        found["sizes"], found["seconds"], found["ranges"], found["memory"], strict=True
    ):
        span = "-".join(map(milliseconds, reach))
        print(f"  {size:>9,} {milliseconds(seconds):>9} {span:>17} {memory / 1e6:>8,.0f}")
    for point in left_out:
        print(f"  {point['size']:>9,} left out: {point['why']}")
    print(flush=True)


def picture(results):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.4), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for panel, (axis, found) in zip(panels, results.items(), strict=False):
        memory = panel.twinx()
        memory.plot(found["sizes"], np.array(found["memory"]) / 1e6, "s--", color=COLOURS[1], markersize=4, alpha=0.8)
        memory.set(yscale="log", ylim=(100, 20_000))
        memory.set_ylabel("peak memory (MB)", color=COLOURS[1])
        panel.plot(found["sizes"], found["seconds"], "o-", color=COLOURS[0])
        fitted = np.array([size for size in found["sizes"] if size >= found["fitted_from"]])
        panel.plot(fitted, found["factor"] * fitted ** found["exponent"], color="black", linewidth=4, alpha=0.25)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[axis], title=f"time ~ size ^ {found['exponent']:.2f}")
        panel.set_ylabel("one epoch (s)", color=COLOURS[0])
        panel.grid(alpha=0.3)
        for axes in (panel, memory):
            axes.spines["top"].set_visible(False)
    for panel in panels[len(results) :]:
        panel.remove()
    figure.suptitle("Growth of an epoch's time (●, fit in grey) and of peak memory (■)", fontsize=12)
    return figure


if __name__ == "__main__":
    main()
