"""The plan command: what training and sweeps would take on other devices, a pod of TPUs for example."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmnist import devices
from jaxmnist.cli.console import BAD_INPUT, progress
from jaxmnist.cli.options import Shared, SharedRecipe
from jaxmnist.cli.sweep import FOLDS
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.devices.compiled import Program, compile_ahead
from jaxmnist.devices.topology import Speed, Topology, describe
from jaxmnist.population import GROUP_SIZE, make_members, train_group
from jaxmnist.runs.results import to_json
from jaxmnist.studies import plan
from jaxmnist.training import start, train_epoch

MATRIX_PRODUCTS = 200
"""In a row, of which the fastest of 5 rows counts."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Plan a sweep for devices that this machine need not have, such as a pod of TPUs.

    Compiles the programs of train and sweep for them, and prints whether they compile, the memory that they need, how
    often the devices communicate, and what a small model predicts of the time. For TPUs, install jaxmnist[tpu]. For
    this machine's own devices, the model is compared with what is measured.
    """

    topology: str = "v5e:16x16"
    """The devices: a TPU's generation and shape in chips, as in v5e:2x4 or v4:2x2x2, or this machine's, as in cpu:1."""
    networks: int = 1_000_000
    """How many networks to sweep, all with the recipe below but for their learning rates and momenta."""
    common: Shared = dataclasses.field(default_factory=SharedRecipe)
    optimizer: Literal["sgd", "momentum", "nesterov"] = "nesterov"
    """How a gradient becomes a step."""
    batch_size: int | Literal["full"] = 32
    """Examples in a minibatch; full is gradient descent on all."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the training set; auto is 30."""
    group_size: int = GROUP_SIZE
    """Most networks that a device trains at once; memory grows with it."""
    json: bool = False
    """Print the results as one JSON object instead of text."""


def run(options: Options) -> int:
    """Compile, and print the report; return 0, or BAD_INPUT if a program doesn't compile."""
    config = Config(
        **vars(options.common), optimizer=options.optimizer, batch_size=options.batch_size, epochs=options.epochs
    )
    sweep = plan.Sweep(config, options.networks, options.group_size, FOLDS)
    topology = describe(options.topology)
    plan.layout(sweep, topology)
    platform, programs, measured = topology.devices[0].platform, dict[str, Program | str](), dict[str, float]()
    traced = plan.trace(sweep, topology)
    with progress(len(traced), f"programs compiled for {options.topology}") as advance:
        for name, function in traced.items():
            advance(0, name)
            try:
                programs[name] = compile_ahead(function, platform)
            except jax.errors.JaxRuntimeError as problem:
                programs[name] = f"{problem!s:.300}"
            advance(1, name)
    if topology.speed is None and platform != "tpu":
        topology = topology._replace(speed=_measure_speed(sweep, topology))
        measured = _measure(sweep, topology)
    seconds = plan.predict(sweep, topology, programs)
    if options.json:
        about = {**topology._asdict(), "devices": len(topology.devices), "config": config.to_json()}
        about |= {"networks": options.networks, **plan.layout(sweep, topology)._asdict(), "programs": programs}
        print(json.dumps(to_json({**about, "predicted_seconds": seconds, "measured_seconds": measured})))
    else:
        print(plan.report(sweep, topology, programs, measured))
    return BAD_INPUT if any(isinstance(program, str) for program in programs.values()) else 0


def _measure_speed(sweep: plan.Sweep, topology: Topology) -> Speed:
    """Measure how fast a device is at the matrix products of a group's first layer, forward and back."""
    split = plan.layout(sweep, topology)
    rows, threads = split.rows // split.teams // len(topology.devices), min(split.teams, devices.cores())
    neurons, pixels = rows * sweep.config.sizes[1], sweep.config.sizes[0]
    ones = jnp.ones((neurons, pixels)), jnp.ones((pixels, split.batch_size))
    matrices = jax.device_put(ones, topology.devices[0])

    def forward_and_back(matrices: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        weights, images = matrices
        return (weights, 1e-9 * (weights.T @ (weights @ images))), None

    products = jax.jit(lambda matrices: jax.lax.scan(forward_and_back, matrices, None, length=MATRIX_PRODUCTS // 2)[0])

    def multiply(matrices: tuple[jax.Array, jax.Array]) -> None:
        products(matrices)[1].block_until_ready()

    spent = min(_seconds(lambda: devices.at_once(multiply, [matrices] * threads)) for _ in range(6))
    flops = threads * MATRIX_PRODUCTS * 2 * neurons * pixels * split.batch_size
    together = f", {threads} at once" if threads > 1 else ""
    return Speed(
        "FLOPs",
        flops / spent,
        f"matrix products of {neurons:,} × {pixels} × {split.batch_size}{together}, measured here",
    )


def _measure(sweep: plan.Sweep, topology: Topology) -> dict[str, float]:
    """Measure a second epoch of one network, and of a group, which has its evaluation too, on random pixels."""
    split = plan.layout(sweep, topology)
    config = dataclasses.replace(sweep.config, epochs=2).resolved(split.learnt)
    generator = np.random.default_rng(0)

    pixels = generator.integers(0, 256, (plan.EXAMPLES, 784), np.uint8)
    labels = generator.integers(0, 10, plan.EXAMPLES, np.uint8)
    train_set, alone = Dataset(jnp.asarray(pixels), jnp.asarray(labels)), sweep.config.resolved(plan.EXAMPLES)
    state = start(jax.random.key(0), alone)
    spent = min(_seconds(lambda: train_epoch(state, train_set, alone)[1].block_until_ready()) for _ in range(5))
    members = make_members([(0.9, 0.1)], range(split.rows))
    learnt, held_out = (Dataset(*(leaf[:count] for leaf in train_set)) for count in (split.learnt, split.held_out))
    mesh, times = devices.mesh(topology.devices, "population"), list[float]()

    def note(_networks: int) -> None:
        times.append(time.perf_counter())

    train_group(members, split.rows, jax.random.key(1), learnt, held_out, config, note, mesh)
    return dict(zip(plan.CHECKED, (spent, times[1] - times[0]), strict=True))


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
