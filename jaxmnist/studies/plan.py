"""A plan: what `train` and `sweep` would take on other devices, from their very programs, compiled but not run.

The model of time: a program takes its work over the speed of a device. On TPUs work is what XLA estimates, in cycles, and
speed the clock. Elsewhere work is the matrix products' FLOPs, and speed what a matrix product reaches.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxmnist import devices
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.devices.compiled import Program, placed
from jaxmnist.devices.topology import Topology
from jaxmnist.population import evaluate_many, even_size, start_many, train_group_epoch, with_rates
from jaxmnist.training import measure, start, train_epoch

EXAMPLES, TEST_EXAMPLES = 60_000, 10_000
"""MNIST's."""
TRAIN_EPOCH, TRAIN_MEASURE = "train: an epoch", "train: measuring"
START, SWEEP_EPOCH, EVALUATE = "sweep: random starts", "sweep: an epoch", "sweep: evaluation"


class Sweep(NamedTuple):
    """What to plan: a sweep, and the training of one of its networks."""

    config: Config  # the recipe
    networks: int  # how many, all of this recipe but for their learning rates and momenta
    group_size: int  # most networks that a device trains at once
    folds: int  # parts of the training set, of which one is held out


class Layout(NamedTuple):
    """How a sweep is divided over devices."""

    groups: int  # trained one after the other
    rows: int  # networks of a group, copies that fill it up included
    learnt: int  # examples
    held_out: int  # examples
    epochs: int
    batch_size: int


class Seconds(NamedTuple):
    """What the model predicts."""

    train: float  # one network on one device
    sweep: float
    chip_hours: float  # of the sweep
    group_epoch: float  # a group of one epoch, with its random starts and both evaluations


def layout(sweep: Sweep, topology: Topology) -> Layout:
    """Divide a sweep over devices, as `grid.groups` and `population.train_group` do.

    Raises:
        ValueError: if the recipe or a number breaks a rule.
    """
    if sweep.networks < 1:
        raise ValueError(f"networks={sweep.networks}: expected a whole number from 1; for example networks=1000000")
    count = len(topology.devices)
    even_size(1, sweep.group_size)  # checks it
    size = even_size(sweep.networks, sweep.group_size * count)
    held_out = EXAMPLES // sweep.folds
    learnt = held_out * (sweep.folds - 1)
    config = sweep.config.resolved(learnt)
    rows = -(-size // count) * count
    return Layout(-(-sweep.networks // size), rows, learnt, held_out, int(config.epochs), int(config.batch_size))


def trace(sweep: Sweep, topology: Topology) -> dict[str, Any]:
    """Trace the programs of `train`, for one device, and those of `sweep`, for all; see `jax.stages.Traced`."""
    return {**_trace_train(sweep.config, topology), **_trace_sweep(sweep, topology)}


def _trace_train(config: Config, topology: Topology) -> dict[str, Any]:
    mesh, config = devices.mesh(topology.devices[:1], "batch"), config.resolved(EXAMPLES)
    state = placed(jax.eval_shape(start, _key(), config), mesh)
    train_set, test_set = (placed(_images(count), mesh) for count in (EXAMPLES, TEST_EXAMPLES))
    return {
        TRAIN_EPOCH: train_epoch.trace(state, train_set, config),
        TRAIN_MEASURE: jax.jit(measure).trace(state, train_set, test_set, config),
    }


def _trace_sweep(sweep: Sweep, topology: Topology) -> dict[str, Any]:
    """Trace what `population.train_group` runs, with its arguments as they are divided there."""
    mesh, plan = devices.mesh(topology.devices, "population"), layout(sweep, topology)
    config = sweep.config.resolved(plan.learnt)
    learnt, held_out = (placed(_images(count), mesh) for count in (plan.learnt, plan.held_out))
    keys = placed(jax.eval_shape(lambda: jax.random.split(jax.random.key(0), plan.rows)), mesh, "population")
    rates = placed(jax.ShapeDtypeStruct((plan.rows,), jnp.result_type(float)), mesh, "population")
    starts = jax.jit(devices.each_on_its_share(start_many, mesh)).trace(keys, config)
    states = placed(jax.eval_shape(start_many, keys, config), mesh, "population")
    states = states._replace(key=placed(_key(), mesh), epoch=placed(jax.ShapeDtypeStruct((), jnp.int32), mesh))
    return {
        START: starts,
        SWEEP_EPOCH: train_group_epoch.trace(states, learnt, with_rates(config, rates, rates)),
        EVALUATE: evaluate_many.trace(states.params, held_out, config.activation, config.cost),
    }


def _key() -> Key[Array, ""]:
    key: Any = jax.eval_shape(lambda: jax.random.key(0))
    return key


def _images(count: int) -> Any:
    return Dataset(*(jax.ShapeDtypeStruct(shape, jnp.uint8) for shape in ((count, 784), (count,))))  # type: ignore[arg-type]


def predict(sweep: Sweep, topology: Topology, programs: Mapping[str, Program | str]) -> Seconds | None:
    """Predict how long it takes; None if a device's speed or a program's work isn't known."""
    if topology.speed is None or any(isinstance(program, str) for program in programs.values()):
        return None
    plan, speed, work = layout(sweep, topology), topology.speed, dict[str, float]()
    for name, program in programs.items():
        across = 1 if name.startswith("train") else len(topology.devices)
        amount = program.cycles if speed.unit == "cycles" else program.flops / across  # type: ignore[union-attr]
        work[name] = float(amount or 0) / speed.per_second
    epochs = plan.epochs
    train = int(sweep.config.resolved(EXAMPLES).epochs) * work[TRAIN_EPOCH]
    train += (int(sweep.config.resolved(EXAMPLES).epochs) + 1) * work[TRAIN_MEASURE]
    total = plan.groups * (work[START] + epochs * work[SWEEP_EPOCH] + (epochs + 1) * work[EVALUATE])
    one = work[START] + work[SWEEP_EPOCH] + 2 * work[EVALUATE]
    return Seconds(train, total, total * topology.chips / 3600, one)
