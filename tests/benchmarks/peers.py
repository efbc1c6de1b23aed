"""The same training beside its peers, in one run: `python tests/benchmarks/peers.py --help`.

First it proves that all do the same work: after 50 steps their parameters agree. Then they take turns, round after
round, so that what the machine does meanwhile hits all alike. It prints a table and writes peers.json and peers.png.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm
from trainers import OTHER_COST, TRAINERS, Work, orders

from jaxmnist.config import Config
from jaxmnist.network import count_parameters, init
from jaxmnist.sources import load

AGREE = 1e-4
"""Largest relative difference of a parameter array after 50 steps, by its norm: float32 rounding, 50 times over."""

REST = 0.3
"""Seconds between turns, in which the threads of the one before go to sleep: OpenMP's spin for 0.2 s."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[10, 32, 128, 512])
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each peer; the median counts (default 7)")
    parser.add_argument("--peers", nargs="+", choices=list(TRAINERS), default=list(TRAINERS))
    parser.add_argument("--data-dir", help="MNIST's files; without them the digits are tiled to 60,000 examples")
    parser.add_argument("--output", type=Path, default=Path("runs/peers"), help="folder for peers.json and peers.png")
    parser.add_argument("--quick", action="store_true", help="2,000 examples, one round: only that it runs and agrees")
    options = parser.parse_args()
    if options.quick:
        options.batch_sizes, options.rounds = [32], 1
    images, labels, what = data(options.data_dir, 2_000 if options.quick else 60_000)
    peers = {name: TRAINERS[name] for name in options.peers if available(name)}
    rate = matrix_product_rate()
    print(f"{machine()}\n{what}\nmatrix products: {rate:.0f} GFLOP/s\n", flush=True)
    results = [measure(peers, images, labels, batch_size, options.rounds, rate) for batch_size in options.batch_sizes]
    options.output.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "data": what, "gflops": rate, "results": results}
    (options.output / "peers.json").write_text(json.dumps(report, indent=2))
    picture(results).savefig(options.output / "peers.png", dpi=120)
    print(f"in {options.output}: peers.json, peers.png")


def measure(peers, images, labels, batch_size, rounds, rate):
    config = Config(schedule="constant", learning_rate=0.08, batch_size=batch_size, epochs=1)
    work = Work(images, labels, config, jax.random.key(0))
    differences = agreement(peers, work)
    trainers = {name: make(work) for name, make in peers.items()}
    seconds = {name: [] for name in trainers}
    todo = orders(work, rounds + 1)
    for number, order in enumerate(tqdm(todo, desc=f"batch {batch_size}", leave=False, disable=None)):
        for name, trainer in trainers.items():
            time.sleep(REST)
            begin = time.perf_counter()
            trainer.epoch(order)
            if number:  # the first warms up
                seconds[name].append(time.perf_counter() - begin)
    flops = 6 * count_parameters(init(jax.random.key(0))) * (len(labels) // batch_size * batch_size)
    base = statistics.median(seconds["this project"]) if "this project" in seconds else None
    rows = {}
    print(f"batch {batch_size}: epochs of {len(labels):,} examples, medians of {rounds}")
    print(f"  {'':18} {'ms':>8} {'(range)':>17} {'× ours':>7} {'GFLOP/s':>8} {'share':>6}  agrees to")
    for name, times in seconds.items():
        median = statistics.median(times)
        speed = flops / median / 1e9
        rows[name] = {
            "seconds": times,
            "median": median,
            "ratio": median / base if base else None,
            "gflops": speed,
            "share_of_matrix_product_rate": speed / rate,
            "difference_after_50_steps": differences[name],
        }
        span = f"{1e3 * min(times):.0f}-{1e3 * max(times):.0f}"
        agrees = "another cost" if name in OTHER_COST else f"{differences[name]:.0e}"
        ratio = f"{median / base:.2f}" if base else ""
        print(f"  {name:18} {1e3 * median:8.1f} {span:>17} {ratio:>7} {speed:8.1f} {speed / rate:6.1%}  {agrees}")
    print(flush=True)
    return {"batch_size": batch_size, "examples": len(labels), "peers": rows}


def agreement(peers, work):
    """How far each peer's parameters are from ours after 50 steps; refuses those that do other work."""
    few = 50 * work.config.batch_size
    work = work._replace(images=np.resize(work.images, (few, 784)), labels=np.resize(work.labels, few))
    order = orders(work, 1)[0]
    found = {}
    for name, make in peers.items():
        trainer = make(work)
        trainer.epoch(order)
        found[name] = [np.array(array) for array in trainer.params()]
    expected = found.get("this project", next(iter(found.values())))
    differences = {
        name: max(
            float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))
            for theirs, ours in zip(params, expected, strict=True)
        )
        for name, params in found.items()
    }
    wrong = {name: off for name, off in differences.items() if off > AGREE and name not in OTHER_COST}
    if wrong:
        raise SystemExit(f"error: not the same work: after 50 steps parameters differ by {wrong}, at most {AGREE}")
    return differences


def data(data_dir, examples):
    splits = load("mnist" if data_dir or os.environ.get("JAXMNIST_DATA_DIR") else "digits", data_dir)
    images, labels = map(np.asarray, splits.train)
    return np.resize(images, (examples, 784)), np.resize(labels, examples), f"{splits.name} from {splits.origin}"


def available(name):
    try:
        if name.startswith("PyTorch"):
            import torch  # noqa: F401
    except ImportError:
        print(f"{name}: left out, it isn't installed; pip install '.[bench]'", file=sys.stderr)
        return False
    return True


def matrix_product_rate():
    """GFLOP/s of JAX's own large float32 matrix product, the best of several: what this machine can do."""
    square = jax.random.normal(jax.random.key(0), (2048, 2048))
    product = jax.jit(jnp.matmul)
    product(square, square).block_until_ready()
    best = min(timed(lambda: product(square, square).block_until_ready()) for _ in range(10))
    return 2 * 2048**3 / best / 1e9


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def machine():
    devices = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    return f"{platform.machine()}, {os.cpu_count()} cores, {devices}, jax {jax.__version__}, numpy {np.__version__}"


def picture(results):
    from matplotlib.figure import Figure

    names = list(results[0]["peers"])
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
    for number, (name, colour) in enumerate(zip(names, colours, strict=False)):
        places = [at + (number - len(names) / 2 + 0.5) * 0.8 / len(names) for at in range(len(results))]
        heights = [1e3 * result["peers"][name]["median"] for result in results]
        axes.bar(places, heights, width=0.8 / len(names), color=colour, label=name)
    axes.set(
        xticks=range(len(results)),
        xticklabels=[str(result["batch_size"]) for result in results],
        xlabel="examples in a minibatch",
        ylabel="time of one epoch (ms)",
        yscale="log",
        title=f"One epoch of {results[0]['examples']:,} examples: shorter is better",
    )
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
