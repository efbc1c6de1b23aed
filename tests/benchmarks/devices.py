"""What a second device, and a second shard, make of a population: `python tests/benchmarks/devices.py --help`.

Every turn is a process of its own, held to its cores from before JAX starts:

- one device on one core: the population in groups of --group-size;
- two virtual CPU devices on two cores: the same networks in groups of twice that size, as `jaxmnist sweep` has it, so
  that each device has as many; two devices train theirs as one program each, one device in teams of eight;
- two shards as two processes on a core each, half of the networks each; the slower one's time counts. Both begin to
  train at one moment.

A turn's time is that of training once more what was just trained, which compiled and warmed up. Each device has the
same work in all three, so at most the ratio is 2. XLA's CPU client has one pool of threads for all devices of a
process: as many as it finds cores that the process may use. So one device on one core has one thread, and two devices
have two, one each if nothing is divided within a program; what is divided there can take a core from the other device,
and both wait for memory together. That is what is measured. Threads of linear algebra libraries are set to one.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
from measuring import COLOURS, columns, data, figures, machine, parser, write
from tqdm import tqdm

from jaxmnist import devices
from jaxmnist.config import Config
from jaxmnist.dataset import as_dataset, take
from jaxmnist.population import make_members, train_population

WAYS = {"one device on one core": (1, 1), "two devices on two cores": (1, 2), "two shards on two cores": (2, 1)}
"""Processes, and devices of each."""


def main():
    asked = parser(__doc__, "devices", rounds=5)
    asked.add_argument("--cores", type=int, nargs=2, help="which cores (default: the first two of this process)")
    asked.add_argument("--group-size", type=int, default=64, help="networks that a device trains at once (default 64)")
    asked.add_argument("--groups", type=int, default=4, help="groups of one device, an even number (default 4)")
    asked.add_argument("--examples", type=int, default=60_000)
    asked.add_argument("--quick", action="store_true", help="few networks and examples, one round: only that it runs")
    asked.add_argument("--turn", help=argparse.SUPPRESS)  # the process that measures: its networks and devices
    options = asked.parse_args()
    if options.quick:
        options.rounds, options.group_size, options.groups, options.examples = 1, 4, 2, 500
    if options.turn:
        measure(*json.loads(options.turn), options)
        return
    cores = options.cores or sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("error: this process may use one core, expected two; see taskset")
    seconds = {name: [] for name in WAYS}
    print(f"{machine()}\ncores {cores}, groups of {options.group_size} networks a device", flush=True)
    for _ in tqdm(range(options.rounds), desc="rounds", leave=False, disable=None):
        accuracies = {}
        for name, (processes, count) in WAYS.items():
            spent, accuracies[name] = turn(processes, count, cores, options)
            seconds[name].append(spent)
    same = {
        name: float(np.abs(np.subtract(found, accuracies[next(iter(WAYS))])).max())
        for name, found in accuracies.items()
    }
    base = figures(seconds[next(iter(WAYS))])["median"]
    rows = {name: figures(times, base) for name, times in seconds.items()}
    for name, row in rows.items():
        ratios = np.divide(seconds[next(iter(WAYS))], row["seconds"])
        row["times_as_fast"] = {"median": float(np.median(ratios)), "least": ratios.min(), "most": ratios.max()}
        print(
            f"  {name:26} {columns(row)}   {np.median(ratios):.2f} × as fast ({ratios.min():.2f} to {ratios.max():.2f})"
        )
    report = {"machine": machine(), "cores": cores, "rows": rows, "accuracy_differs_by": same}
    write(options.output, "devices", report, picture(rows))


def turn(processes, count, cores, options):
    """Seconds of training, of the slowest process, and the accuracy of every network."""
    half = options.groups * options.group_size // processes
    started = []
    for number in range(processes):
        own = cores if count == 2 else [cores[number]]
        words = [sys.executable, __file__, "--turn", json.dumps([number * half, half, count, own])]
        words += ["--group-size", str(options.group_size), "--examples", str(options.examples)]
        words += ["--data-dir", options.data_dir] if options.data_dir else []
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        environment = {**os.environ, **threads, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        started.append(subprocess.Popen(words, **pipes))
    for process in started:
        process.stdout.readline()  # it is ready
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in started]
    return max(seconds for seconds, _ in found), [accuracy for _, all_of in found for accuracy in all_of]


def measure(first, networks, count, cores, options):
    """Train networks on some devices, held to some cores, and say how long it took."""
    os.sched_setaffinity(0, cores)  # JAX has started no thread yet
    images, labels, _what = data(options.data_dir, options.examples)
    examples = as_dataset(images, labels)
    learnt, held_out = take(examples, np.arange(len(labels) - 100)), take(examples, np.arange(100))
    row = devices.mesh(jax.devices(), "population")
    if row.size != count:
        raise SystemExit(f"error: {row.size} devices, expected {count}")

    def train(seeds):
        size = options.group_size * count
        members = make_members([(0.9, 0.08)], seeds)
        return train_population(members, jax.random.key(1), learnt, held_out, Config(epochs=1), size, mesh=row)

    train(range(first, first + networks))
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    trained = train(range(first, first + networks))
    print(json.dumps([time.perf_counter() - begin, trained.held_out.accuracy[:, -1].tolist()]))


def picture(rows):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(rows), [row["times_as_fast"]["median"] for row in rows.values()], color=COLOURS[0])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(2, color="black", linestyle="--", label="twice the cores")
    axes.set(xlabel="times as fast as one device on one core")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


if __name__ == "__main__":
    main()
