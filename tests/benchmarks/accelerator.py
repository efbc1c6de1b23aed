"""What an accelerator makes of this training: `python tests/benchmarks/accelerator.py --help`. It runs on a CPU, too.

All takes turns in one run, on one device, at one batch size:

- one network's epoch, whole in one program, beside PyTorch eager on the same device (left out where PyTorch isn't
  installed, or has no CUDA on a GPU);
- many networks' epoch, as one program, sharing their minibatches: how many times as long as one's?
- the same epoch with its steps unrolled: what does a turn of the loop cost?
- a whole run of several epochs with its evaluations as one program, beside epoch by epoch as `train.py` runs it.

The floor is the larger of two times: the epoch's floating point operations at the rate of large matrix products, and
each example read once at the memory's bandwidth, both measured in the same run. First it is proved that all do the same
work: their parameters agree, in full float32. The times are taken in each library's own default precision.
"""

from functools import partial

import jax
import jax.numpy as jnp
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
    memory_bandwidth,
    milliseconds,
    parser,
    write,
)
from trainers import AGREE, Work, agreement, difference, orders, ours, ours_together, torch_eager

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, minibatch_order, take
from jaxmnist.devices import select
from jaxmnist.network import count_parameters
from jaxmnist.training import GATHERED, count_steps, make_optimizer, measure, start, train, train_epoch, train_step


def main():
    asked = parser(__doc__, "accelerator", rounds=7)
    asked.add_argument("--platform", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="where to compute")
    asked.add_argument("--batch-size", type=int, default=32)
    asked.add_argument("--networks", type=int, help="in the population (default 1024; 64 on a CPU)")
    asked.add_argument("--unroll", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="steps in a turn of the loop")
    asked.add_argument("--epochs", type=int, default=5, help="of the whole run (default 5)")
    asked.add_argument("--quick", action="store_true", help="2,000 examples, one round: only that it runs and agrees")
    options = asked.parse_args()
    examples = 2_000 if options.quick else 60_000
    if options.quick:
        options.rounds, options.networks, options.unroll, options.epochs = 1, 2, [1, 2], 2
    device = select(options.platform)
    networks = options.networks or (64 if device.platform == "cpu" else 1024)
    with jax.default_device(device):
        config = Config(schedule="constant", batch_size=options.batch_size, epochs=options.epochs)
        images, labels, what = data(options.data_dir, examples)
        work = Work(images, labels, config, jax.random.key(0))
        print(f"{device.device_kind} ({device.platform}) of {machine()}\n{what}", flush=True)
        peers = {"one network": ours}
        if torch_device := where_torch_computes(device):
            peers["PyTorch eager"] = lambda work: torch_eager(work, device=torch_device)
        with jax.default_matmul_precision("highest"):
            differences = agreement(peers, work) | proofs(work._replace(images=images[:2_000], labels=labels[:2_000]))
        print("same work: " + ", ".join(f"{name} {off:.0e}" for name, off in differences.items()) + "\n", flush=True)
        floor = floor_of(work, 512 if options.quick else 2048 if device.platform == "cpu" else 8192)
        todo = orders(work, options.rounds + 1)
        trainers = {name: make(work).epoch for name, make in peers.items()} | in_other_ways(
            work, networks, options.unroll
        )
        turns = {name: lambda number, epoch=epoch: epoch(todo[number]) for name, epoch in trainers.items()}
        seconds = in_turns(turns, options.rounds, "rounds")
    base = figures(seconds["one network"])["median"]
    rows = {name: figures(times, base) for name, times in seconds.items()}
    show(rows, floor, config, examples)
    report = {"device": device.device_kind, "machine": machine(), "data": what, "batch_size": config.batch_size}
    report |= {"differences": differences, "floor": floor, "networks": networks, "rows": rows}
    write(options.output, "accelerator", report, picture(rows, floor, device))


def where_torch_computes(device):
    """PyTorch's name for the device that JAX computes on, or None."""
    if not has_torch():
        return None
    import torch

    if device.platform == "cpu":
        return "cpu"
    if device.platform == "gpu" and torch.cuda.is_available():
        return "cuda"
    print(f"PyTorch: left out, it can't compute on {device.device_kind} here")
    return None


def proofs(work):
    """How far our other ways are, after an epoch, from `train_epoch`; refuses those that do other work."""
    train_set, config = on_device(work), work.config
    state = start(work.key, config)
    found = {}

    expected = leaves(train_epoch(state, train_set, config)[0])
    found["unrolled"] = difference(leaves(unrolled_epoch(state, train_set, config, 2)[0]), expected)

    together, states = ours_together(2, train_set, config)
    first = jax.tree.map(lambda leaf: leaf[0], states._replace(key=states.key[None], epoch=states.epoch[None]))
    alone = leaves(train_epoch(first, train_set, config)[0])
    found["together"] = difference([leaf[0] for leaf in leaves(together(states)[0])], alone)

    whole, _history = jax.jit(train)(work.key, train_set, train_set, config)
    found["whole run"] = difference(leaves(epoch_by_epoch(work)()), leaves(whole))

    wrong = {name: off for name, off in found.items() if off > AGREE}
    if wrong:
        raise SystemExit(f"error: not the same work: parameters differ by {wrong}, at most {AGREE}")
    return found


def in_other_ways(work, networks, unrolls):
    """Name → a function that trains on, and returns when all is computed; each with its own state."""
    train_set, config = on_device(work), work.config
    found = {}

    together, states = ours_together(networks, train_set, config)

    def many(_order):
        nonlocal states
        states, costs = together(states)
        costs.block_until_ready()

    found[f"{networks:,} networks"] = many
    for unroll in unrolls:
        state = start(work.key, config)
        compiled = unrolled_epoch.lower(state, train_set, config, unroll).compile()
        found[f"unrolled {unroll} ×"] = lambda _order, state=state, compiled=compiled: jax.block_until_ready(
            compiled(state, train_set, config)
        )
    whole = jax.jit(train).lower(work.key, train_set, train_set, config).compile()
    found["run, one program"] = lambda _order: jax.block_until_ready(whole(work.key, train_set, train_set, config))
    by_epoch = epoch_by_epoch(work)
    found["run, by epoch"] = lambda _order: by_epoch()
    return found


@partial(jax.jit, static_argnames="unroll")
def unrolled_epoch(state, train_set, config, unroll):
    """`train_epoch` with so many steps written out in each turn of its inner loop."""
    examples = train_set.labels.shape[0]
    optimizer = make_optimizer(config, count_steps(config, examples))
    key, shuffle_key = jax.random.split(state.key)
    order = minibatch_order(shuffle_key, examples, config.batch_size)
    most = max(1, GATHERED // config.batch_size)
    at_once = max(count for count in range(1, most + 1) if len(order) % count == 0)

    def several_steps(state, places):
        return jax.lax.scan(
            lambda state, batch: train_step(state, batch, config, optimizer),
            state,
            take(train_set, places),
            unroll=unroll,
        )

    state, costs = jax.lax.scan(several_steps, state, order.reshape(-1, at_once, config.batch_size))
    return state._replace(key=key, epoch=state.epoch + 1), costs.reshape(-1)


def epoch_by_epoch(work):
    """A function that makes a whole run as the command line does: the host looks at the cost after every epoch."""
    train_set, config = on_device(work), work.config
    state = start(work.key, config)
    epoch = train_epoch.lower(state, train_set, config).compile()
    look = jax.jit(measure).lower(state, train_set, train_set, config).compile()

    def run():
        state = start(work.key, config)
        jax.device_get(look(state, train_set, train_set, config))
        for _ in range(config.epochs):
            state, _costs = epoch(state, train_set, config)
            jax.device_get(look(state, train_set, train_set, config))
        return state

    return run


def floor_of(work, side):
    """What an epoch cannot do without, and how long that takes this device at the least.

    Args:
        work: its parameters and examples count.
        side: of the square matrices whose product is timed; large enough to keep the device busy.
    """
    state = start(work.key, work.config)
    parameters, steps = count_parameters(state.params), len(work.labels) // work.config.batch_size
    flops = flops_of_an_example(work.config.sizes) * steps * work.config.batch_size
    bytes_once = steps * work.config.batch_size * (784 + 1)
    # read for the products and for the update, written once; the velocities read and written
    bytes_of_steps = steps * 5 * 4 * parameters
    rate, bandwidth = matrix_product_rate(side), memory_bandwidth(side // 8)
    return {
        "flops": flops,
        "bytes": bytes_once,
        "bytes_if_parameters_stayed_in_memory": bytes_once + bytes_of_steps,
        "gflops": rate,
        "gigabytes_per_second": bandwidth,
        "seconds": max(flops / rate, bytes_once / bandwidth) / 1e9,
    }


def on_device(work):
    return Dataset(jnp.asarray(work.images), jnp.asarray(work.labels))


def leaves(state):
    return jax.tree.leaves(state.params)


def show(rows, floor, config, examples):
    steps = examples // config.batch_size
    kept, all_bytes = floor["bytes"], floor["bytes_if_parameters_stayed_in_memory"]
    print(f"floor of an epoch: {floor['flops'] / 1e9:.2f} GFLOP at {floor['gflops']:,.0f} GFLOP/s, ", end="")
    print(f"{kept / 1e6:.0f} MB at {floor['gigabytes_per_second']:,.0f} GB/s: {1e3 * floor['seconds']:.2f} ms")
    print(f"  ({all_bytes / 1e6:,.0f} MB if every step fetched the parameters from memory and put them back)")
    print(f"epochs of {examples:,} examples, batches of {config.batch_size}; runs of {config.epochs} epochs")
    print(f"  {'':18} {HEADINGS.replace('× ours', '× one')} {'µs a step':>9} {'floor':>6}")
    for name, row in rows.items():
        epochs = config.epochs if name.startswith("run") else 1
        step = f"{1e6 * row['median'] / steps / epochs:9.1f}"
        share = f"{floor['seconds'] / row['median']:6.1%}" if name in ("one network", "PyTorch eager") else ""
        print(f"  {name:18} {columns(row)} {step} {share}".rstrip())
    print(flush=True)


def picture(rows, floor, device):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    names = list(rows)
    heights = [1e3 * rows[name]["median"] for name in names]
    bars = axes.barh(names, heights, color=[COLOURS[1] if name.startswith("PyTorch") else COLOURS[0] for name in names])
    axes.bar_label(bars, [milliseconds(rows[name]["median"]) for name in names], padding=3, fontsize=9)
    axes.axvline(1e3 * floor["seconds"], color="black", linestyle="--", label="floor of one network's epoch")
    axes.set(xscale="log", xlabel="ms", title=f"On {device.device_kind}: shorter is better")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


if __name__ == "__main__":
    main()
