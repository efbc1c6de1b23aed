"""Where the microseconds of one training step go: `python tests/benchmarks/step.py --help`.

The epoch is compiled as `train.py` compiles it, and runs under JAX's profiler, which notes when each operation of the
compiled program began and ended; the program's own text says what it computes, from which shapes. As the profiler takes
time itself, the step is also timed without it. What that is more than the operations together is the last line.
"""

import gzip
import json
import math
import re
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
from measuring import COLOURS, data, in_turns, machine, matrix_product_rate, parser, write

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.training import start, train_epoch

INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%(\S+) = (\w+\[[\d,]*\])\S* ([\w-]+)\((.*)$")
LONGEST = 12
"""Operations that have a line of their own; the others share one."""


def main():
    asked = parser(__doc__, "step", rounds=15)
    asked.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128])
    asked.add_argument("--quick", action="store_true", help="2,000 examples, one round: only that it runs")
    options = asked.parse_args()
    if options.quick:
        options.batch_sizes, options.rounds = [32], 1
    images, labels, what = data(options.data_dir, 2_000 if options.quick else 60_000)
    train_set = Dataset(jnp.asarray(images), jnp.asarray(labels))
    rate = matrix_product_rate()
    print(f"{machine()}\n{what}\nmatrix products: {rate:.0f} GFLOP/s\n", flush=True)
    results = [measure(train_set, batch_size, options.rounds) for batch_size in options.batch_sizes]
    report = {"machine": machine(), "data": what, "gflops": rate, "results": results}
    write(options.output, "step", report, picture(results))


def measure(train_set, batch_size, rounds):
    """Times of a step and of its operations, in microseconds; prints them."""
    config = Config(schedule="constant", batch_size=batch_size, epochs=1)
    examples = len(train_set.labels)
    steps = examples // batch_size
    state = start(jax.random.key(0), config)
    compiled = train_epoch.lower(state, train_set, config).compile()

    def epoch(_number=None):
        nonlocal state
        state, costs = compiled(state, train_set, config)
        costs.block_until_ready()

    seconds = in_turns({"epoch": epoch}, rounds, f"batch {batch_size}", rest=0)["epoch"]
    whole = 1e6 * statistics.median(seconds) / steps
    operations = described(compiled.as_text(), profiled(epoch), steps)
    named = sum(operation["microseconds"] for operation in operations)
    print(f"batch {batch_size}: a step takes {whole:.1f} µs, the median of {rounds} epochs without the profiler")

    def tell(microseconds, what):
        print(f"  {microseconds:6.1f} µs {microseconds / whole:6.1%}  {what}")

    for operation in operations[:LONGEST]:
        speed = f", {operation['gflops']:.0f} GFLOP/s" if operation["gflops"] else ""
        tell(operation["microseconds"], operation["what"] + speed)
    if few := operations[LONGEST:]:
        tell(sum(operation["microseconds"] for operation in few), f"{len(few)} shorter operations together")
    tell(whole - named, "shuffling, gathering, between operations")
    print(flush=True)
    return {"batch_size": batch_size, "microseconds": whole, "operations": operations}


def profiled(call):
    """Microseconds of everything that the profiler saw in a call: name → durations."""
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        for path in Path(folder).rglob("*.trace.json.gz"):
            for event in json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]:
                if event.get("ph") == "X":
                    found[event["name"]].append(event["dur"])
    return found


def described(program, durations, steps):
    """The operations that run once in every step, longest first: what each does, and its median time."""
    instructions = {found[1]: found for line in program.splitlines() if (found := INSTRUCTION.match(line))}
    operations = []
    for name, shape, opcode, rest in (found.groups() for found in instructions.values()):
        if abs(len(durations.get(name, ())) - steps) > 0.1 * steps:  # the profiler may lose some
            continue
        operands = [
            instructions[word][2] for word in re.findall(r"%([^\s,()]+)", rest.split(")")[0]) if word in instructions
        ]
        product = opcode == "dot" or "__ynn_fusion" in rest or "onednn" in rest
        path = (re.search(r'op_name="([^"]*)"', rest) or ["", name])[1]
        way = "back" if "transpose(" in path else "forward" if "jvp(" in path else "outside the gradient"
        does = "product of " + " and ".join(operands) if product else path.rsplit("/", 1)[-1]
        time = statistics.median(durations[name])
        flops = 2 * math.sqrt(math.prod(map(size, [shape, *operands]))) if product and len(operands) == 2 else 0
        operations.append(
            {"what": f"{does} to {shape}, {way}", "microseconds": time, "gflops": flops / time / 1e3 if flops else None}
        )
    return sorted(operations, key=lambda operation: -operation["microseconds"])


def size(shape):
    """Numbers in an array, by its description as f32[16,784]."""
    return math.prod(map(int, re.findall(r"\d+", shape.split("[")[1])))


def picture(results):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.8 + 0.32 * (LONGEST + 2) * len(results)), layout="constrained")
    for axes, result in zip(figure.subplots(len(results), squeeze=False)[:, 0], results, strict=True):
        operations, whole = result["operations"], result["microseconds"]
        rows = [(operation["what"], operation["microseconds"]) for operation in operations[:LONGEST]]
        shorter = sum(operation["microseconds"] for operation in operations[LONGEST:])
        rows.append((f"{len(operations) - len(rows)} shorter operations", shorter))
        names, times = zip(*reversed(rows), strict=True)
        axes.barh(range(len(rows)), times, color=COLOURS[0])
        axes.set(
            yticks=range(len(rows)),
            yticklabels=names,
            xlabel="µs",
            title=f"One step on {result['batch_size']} examples: {whole:.0f} µs",
        )
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
