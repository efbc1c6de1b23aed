"""The same training beside its peers, in one run: `python tests/benchmarks/peers.py --help`.

First it proves that all do the same work: after 50 steps their parameters agree. Then they take turns, round after
round, so that what the machine does meanwhile hits all alike. It prints a table and writes peers.json and peers.png.
"""

import statistics

import jax
from measuring import (
    COLOURS,
    HEADINGS,
    columns,
    data,
    figures,
    flops_of_an_example,
    has_torch,
    in_turns,
    machine,
    matrix_product_rate,
    parser,
    write,
)
from trainers import OTHER_COST, TRAINERS, Work, agreement, orders

from jaxmnist.config import Config


def main():
    asked = parser(__doc__, "peers", rounds=7)
    asked.add_argument("--batch-sizes", type=int, nargs="+", default=[10, 32, 128, 512])
    asked.add_argument("--peers", nargs="+", choices=list(TRAINERS), default=list(TRAINERS))
    asked.add_argument("--quick", action="store_true", help="2,000 examples, one round: only that it runs and agrees")
    options = asked.parse_args()
    if options.quick:
        options.batch_sizes, options.rounds = [32], 1
    images, labels, what = data(options.data_dir, 2_000 if options.quick else 60_000)
    torch_too = has_torch()
    peers = {name: TRAINERS[name] for name in options.peers if torch_too or not name.startswith("PyTorch")}
    rate = matrix_product_rate()
    print(f"{machine()}\n{what}\nmatrix products: {rate:.0f} GFLOP/s\n", flush=True)
    results = [measure(peers, images, labels, batch_size, options.rounds, rate) for batch_size in options.batch_sizes]
    report = {"machine": machine(), "data": what, "gflops": rate, "results": results}
    write(options.output, "peers", report, picture(results))


def measure(peers, images, labels, batch_size, rounds, rate):
    config = Config(schedule="constant", learning_rate=0.08, batch_size=batch_size, epochs=1)
    work = Work(images, labels, config, jax.random.key(0))
    differences = agreement(peers, work)
    trainers = {name: make(work) for name, make in peers.items()}
    todo = orders(work, rounds + 1)
    turns = {name: lambda number, epoch=trainer.epoch: epoch(todo[number]) for name, trainer in trainers.items()}
    seconds = in_turns(turns, rounds, f"batch {batch_size}")
    flops = flops_of_an_example(config.sizes) * (len(labels) // batch_size * batch_size)
    base = figures(seconds["this project"])["median"] if "this project" in seconds else None
    rows = {}
    print(f"batch {batch_size}: epochs of {len(labels):,} examples, medians of {rounds}")
    print(f"  {'':18} {HEADINGS} {'GFLOP/s':>8} {'share':>6}  agrees to")
    for name, times in seconds.items():
        row = rows[name] = figures(times, base)
        speed = flops / row["median"] / 1e9
        row |= {
            "gflops": speed,
            "share_of_matrix_product_rate": speed / rate,
            "difference_after_50_steps": differences[name],
        }
        agrees = "another cost" if name in OTHER_COST else f"{differences[name]:.0e}"
        print(f"  {name:18} {columns(row)} {speed:8.1f} {speed / rate:6.1%}  {agrees}")
    print(flush=True)
    return {"batch_size": batch_size, "examples": len(labels), "peers": rows}


def picture(results):
    from matplotlib.figure import Figure

    names = list(results[0]["peers"])
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        places = [at + (number - len(names) / 2 + 0.5) * 0.06 for at in range(len(results))]
        times = [[1e3 * seconds for seconds in result["peers"][name]["seconds"]] for result in results]
        middle = [statistics.median(turns) for turns in times]
        reach = [
            [mid - min(turns) for mid, turns in zip(middle, times, strict=True)],
            [max(turns) - mid for mid, turns in zip(middle, times, strict=True)],
        ]
        axes.errorbar(places, middle, reach, color=colour, marker="o", linewidth=1, capsize=3, label=name)
    axes.set(
        xticks=range(len(results)),
        xticklabels=[str(result["batch_size"]) for result in results],
        xlabel="examples in a minibatch",
        ylabel="one epoch (ms)",
        yscale="log",
        title=f"One epoch of {results[0]['examples']:,} examples: medians and ranges, lower is better",
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
