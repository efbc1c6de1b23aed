"""A plan: what `train` and `sweep` would take on other devices, from their very programs, compiled but not run.

The model of time: a program's seconds are its work over a device's speed. On TPUs the work is XLA's estimate in cycles,
and the speed the clock. Elsewhere the work is the FLOPs of matrix products, and the speed what such a product reaches.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmnist import devices
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.devices.batches import AXIS, train_epoch_divided
from jaxmnist.devices.compiled import Program, placed
from jaxmnist.devices.topology import Topology
from jaxmnist.population import evaluate_many, start_many, teams_of, train_group_epoch, with_rates
from jaxmnist.studies.grid import MAX_NETWORKS, group_of
from jaxmnist.training import count_steps, measure, start, train_epoch

EXAMPLES, TEST_EXAMPLES = 60_000, 10_000
"""MNIST's."""
TRAIN_EPOCH, TRAIN_MEASURE, TRAIN_DIVIDED = "train: an epoch", "train: measuring", "train, divided: an epoch"
START, SWEEP_EPOCH, EVALUATE = "sweep: random starts", "sweep: an epoch", "sweep: evaluation"
CHECKED = {TRAIN_EPOCH: (TRAIN_EPOCH,), "sweep: an epoch, evaluated": (SWEEP_EPOCH, EVALUATE)}
"""What a measurement, by its name, consists of."""


class Sweep(NamedTuple):
    """What to plan: a sweep, and the training of one of its networks."""

    config: Config  # the recipe
    networks: int  # how many, all of this recipe but for their learning rates and momenta
    group_size: int  # most networks that a device trains at once
    folds: int  # parts of the training set, of which one is held out


class Layout(NamedTuple):
    """How a sweep is divided over devices."""

    groups: int  # trained one after the other
    teams: int  # of a group, each a program; several if a CPU's cores share it
    rows: int  # networks of a group, copies that fill it up included
    learnt: int  # examples
    held_out: int  # examples
    epochs: int
    batch_size: int


class Seconds(NamedTuple):
    """What the model predicts."""

    programs: dict[str, float]  # each one's run
    train: float  # one network on one device
    sweep: float
    chip_hours: float | None  # of the sweep; None without chips


def layout(sweep: Sweep, topology: Topology) -> Layout:
    """Divide a sweep over devices, as `grid.groups` and `population.train_group` do.

    Raises:
        ValueError: if the recipe or a number breaks a rule.
    """
    if not 1 <= sweep.networks <= MAX_NETWORKS:
        raise ValueError(
            f"networks={sweep.networks}: expected from 1 to {MAX_NETWORKS:,}; for example networks={MAX_NETWORKS}"
        )
    count = len(topology.devices)
    size = group_of(sweep.networks, sweep.group_size, count, sweep.config.sizes)
    held_out = EXAMPLES // sweep.folds
    learnt = held_out * (sweep.folds - 1)
    config = sweep.config.resolved(learnt)
    teams, rows = teams_of(size, topology.devices)
    groups = -(-sweep.networks // size)
    return Layout(groups, teams, teams * rows, learnt, held_out, int(config.epochs), int(config.batch_size))


def trace(sweep: Sweep, topology: Topology) -> dict[str, Any]:
    """Trace the programs of `train`, for one device and for all, and those of `sweep`; see `jax.stages.Traced`.

    All devices can train one network if they can share each minibatch evenly.
    """
    return {**_trace_train(sweep.config, topology), **_trace_sweep(sweep, topology)}


def _trace_train(config: Config, topology: Topology) -> dict[str, Any]:
    one, every = (devices.mesh(found, AXIS) for found in (topology.devices[:1], topology.devices))
    config = config.resolved(EXAMPLES)
    state, train_set = jax.eval_shape(start, _key(), config), _images(EXAMPLES)
    alone = placed((state, train_set), one)
    traced = {
        TRAIN_EPOCH: train_epoch.trace(*alone, config),
        TRAIN_MEASURE: jax.jit(measure).trace(*alone, placed(_images(TEST_EXAMPLES), one), config),
    }
    if every.size > 1 and int(config.batch_size) % every.size == 0:
        traced[TRAIN_DIVIDED] = train_epoch_divided.trace(*placed((state, train_set), every), config, every)
    return traced


def _trace_sweep(sweep: Sweep, topology: Topology) -> dict[str, Any]:
    """Trace what `population.train_group` runs, with its arguments as they are divided there."""
    mesh, plan = devices.mesh(topology.devices, "population"), layout(sweep, topology)
    config = sweep.config.resolved(plan.learnt)
    learnt, held_out = (placed(_images(count), mesh) for count in (plan.learnt, plan.held_out))
    rows = plan.rows // plan.teams
    keys = placed(jax.eval_shape(lambda: jax.random.split(jax.random.key(0), rows)), mesh, "population")
    rates = np.zeros(rows, jnp.result_type(float))
    members = placed(with_rates(config, rates, rates), mesh, "population")
    starts = jax.jit(devices.each_on_its_share(start_many, mesh)).trace(keys, config)
    states = placed(jax.eval_shape(start_many, keys, config), mesh, "population")
    states = states._replace(key=placed(_key(), mesh), epoch=placed(_shape((), jnp.int32), mesh))
    return {
        START: starts,
        SWEEP_EPOCH: train_group_epoch.trace(states, learnt, members),
        EVALUATE: evaluate_many.trace(states.params, held_out, config.activation, config.cost),
    }


def _key() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def _shape(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _images(count: int) -> Any:
    return Dataset(_shape((count, 784), jnp.uint8), _shape((count,), jnp.uint8))


def predict(sweep: Sweep, topology: Topology, programs: Mapping[str, Program | str]) -> Seconds | None:
    """Predict how long it takes; None if a device's speed or a program's work isn't known."""
    if topology.speed is None or any(isinstance(program, str) for program in programs.values()):
        return None
    plan, took = layout(sweep, topology), dict[str, float]()
    for name, program in programs.items():
        sharing = 1 if name in (TRAIN_EPOCH, TRAIN_MEASURE) else len(topology.devices)
        work = program.cycles if topology.speed.unit == "cycles" else program.flops / sharing  # type: ignore[union-attr]
        took[name] = float(work or 0) / topology.speed.per_second
    epochs = plan.epochs
    train = epochs * took[TRAIN_EPOCH] + (epochs + 1) * took[TRAIN_MEASURE]
    total = plan.groups * plan.teams * (took[START] + epochs * took[SWEEP_EPOCH] + (epochs + 1) * took[EVALUATE])
    return Seconds(took, train, total, topology.chips and total * topology.chips / 3600)


def report(
    sweep: Sweep, topology: Topology, programs: Mapping[str, Program | str], measured: Mapping[str, float]
) -> str:
    """Say what the programs take, what the model predicts, and how far that is from seconds that were measured."""
    plan, config, seconds = layout(sweep, topology), sweep.config, predict(sweep, topology, programs)
    chips = f" on {_count(topology.chips, 'chip')}" if topology.chips else ""
    memory = f", {topology.memory / 1e9:.0f} GB a device" if topology.memory else ""
    lines = [
        f"{topology.name}: {_count(len(topology.devices), 'device')}{chips}{memory}; data of MNIST's size",
        f"{'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}, {config.optimizer}, batch size "
        f"{config.batch_size}, {_count(plan.epochs, 'epoch')}",
        f"sweep: {_count(sweep.networks, 'network')} in {_count(plan.groups, 'group')} of {plan.rows:,}, "
        f"{plan.rows // plan.teams // len(topology.devices):,} a {'device' if plan.teams == 1 else 'core'}",
        "",
        _aligned("", "MB a device: arguments,", "share of", "GFLOP", "cycles", "seconds,", "communication"),
        _aligned("a run of", "outputs, temporaries", "memory", "in all", "a device", "predicted", "between devices"),
        *(_row(name, program, topology, seconds) for name, program in programs.items()),
        "",
        *_steps(sweep, plan, programs),
        *_times(plan, topology, seconds),
        *(_compared(name, plan, seconds, spent) for name, spent in measured.items()),
    ]
    return "\n".join(lines)


def _row(name: str, program: Program | str, topology: Topology, seconds: Seconds | None) -> str:
    if isinstance(program, str):
        return f"{name:<25} doesn't compile: {program}"
    parts = " + ".join(f"{part / 1e6:,.1f}" for part in (program.arguments, program.outputs, program.temporaries))
    share = f"{program.bytes / topology.memory:.2%}" if topology.memory else "?"
    cycles = "?" if program.cycles is None else f"{program.cycles:,}"
    shared = ", ".join(f"{count:,} {kind}" for kind, count in program.collectives.items()) or "none"
    took = f"{seconds.programs[name]:.2g}" if seconds else "?"
    return _aligned(name, parts, share, f"{program.flops / 1e9:,.1f}", cycles, took, shared)


def _aligned(name: str, parts: str, share: str, flops: str, cycles: str, seconds: str, shared: str) -> str:
    return f"{name:<25}{parts:>25}{share:>10}{flops:>11}{cycles:>14}{seconds:>11}  {shared}"


def _steps(sweep: Sweep, plan: Layout, programs: Mapping[str, Program | str]) -> list[str]:
    """Say what a step takes, and which operations XLA's estimates leave out."""
    lines, missing = [], Counter[str]()
    for name, examples in ((TRAIN_EPOCH, EXAMPLES), (SWEEP_EPOCH, plan.learnt)):
        program = programs[name]
        if not isinstance(program, str):
            steps = count_steps(sweep.config.resolved(examples), examples) // plan.epochs
            cycles = "" if program.cycles is None else f", {program.cycles / steps:,.0f} cycles a device"
            lines.append(f"{name}: {steps:,} steps of {program.flops / steps / 1e6:,.2f} MFLOP{cycles}")
            missing.update(program.unestimated)
    if missing:
        kinds = ", ".join(_count(count, kind) for kind, count in missing.items())
        lines.append(
            f"Cycles are XLA's estimates, not measurements. Sorts, gathers and communication have none: {kinds}"
        )
    return lines


def _times(plan: Layout, topology: Topology, seconds: Seconds | None) -> list[str]:
    if seconds is None:
        return ["No time is predicted, as a device's speed or a program's work isn't known"]
    speed, epochs = topology.speed, plan.epochs
    assert speed is not None
    teams = f"{plan.teams} × " if plan.teams > 1 else ""
    hours = "" if seconds.chip_hours is None else f", {seconds.chip_hours:.3g} chip-hours"
    return [
        f"The model: seconds of a run = {speed.unit} of a device / {speed.per_second / 1e9:.3g} · 10⁹, {speed.source}",
        f"train on one device: {epochs} epochs, measured {epochs + 1} times: {_duration(seconds.train)}",
        f"sweep: {plan.groups} × {teams}(random starts + {epochs} epochs + {epochs + 1} evaluations): "
        f"{_duration(seconds.sweep)}{hours}",
        "Loading and compiling, starting each program and fetching its results come on top",
    ]


def _compared(name: str, plan: Layout, seconds: Seconds | None, spent: float) -> str:
    times = 1 if name == TRAIN_EPOCH else plan.teams
    predicted = times * sum(seconds.programs[part] for part in CHECKED[name]) if seconds else 0.0
    return f"{name}: predicted {predicted:.3g} s, measured {spent:.3g} s here, error {predicted / spent - 1:+.0%}"


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 600 else f"{seconds / 3600:.3g} h"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + "s" * (number != 1)
