"""Many networks at once: `vmap` of the same pure training functions over keys, learning rates and momenta.

Whether the members share the minibatches is one question: is the key of the shuffles mapped or not? Where it is
not, every minibatch is one array for all members, and their first layers become one large matrix product, which
a processor does at several times the speed of many small ones. Where it is, each member shuffles for itself, as
it would alone.

However many members there are, memory stays within a budget: they go through in groups of equal size, one after the
other, by a loop on the host. `jax.lax.map` would do too, but tells nothing before the end.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.config import Config, validate
from jaxmnist.dataset import Dataset
from jaxmnist.metrics import CHUNK, Metrics, evaluate
from jaxmnist.network import Params
from jaxmnist.training import GATHERED, TrainState, start, train_epoch

MEMORY_BUDGET = 1_000_000_000
"""Bytes that a group may take beside the data."""

GROUP = 64
"""Members in a group at the most: on a CPU larger groups are no faster, as they leave its caches."""


class Members(NamedTuple):
    """What tells the networks of a population apart; all else is the recipe's.

    Attributes:
        keys: shape (members,), decides each one's random start, and its shuffles where it has its own.
        learning_rates: shape (members,), η.
        momenta: shape (members,), μ in [0, 1).
    """

    keys: Key[Array, "members"]
    learning_rates: Float[Array, "members"]
    momenta: Float[Array, "members"]


class Population(NamedTuple):
    """A trained population, on the host; entry m is member m.

    Attributes:
        params: every network, each leaf with a leading axis of members.
        running_cost: shape (members, epochs), the mean over an epoch of each minibatch's mean cost before its step.
        measured: shape (members, epochs + 1), cost and accuracy on the examples held out; entry 0 before training.
        diverged_at: shape (members,), the first step, counted from 1, whose cost was no finite number, or the last,
            where only what was measured after it isn't; 0 for none.
    """

    params: Params
    running_cost: Float[np.ndarray, "members epochs"]
    measured: Metrics
    diverged_at: Int[np.ndarray, "members"]


def grid(settings: Sequence[tuple[float, float]], seeds: Sequence[int]) -> Members:
    """Every setting, a momentum and a learning rate, with every seed; the seed changes fastest.

    Raises:
        ValueError: when there is no setting or no seed.
    """
    if not (len(settings) and len(seeds)):
        raise ValueError(f"grid of {len(settings)} settings and {len(seeds)} seeds: expected at least one of each")
    momenta, rates = jnp.repeat(jnp.array(settings, float), len(seeds), axis=0).T
    keys = jax.vmap(jax.random.key)(np.tile(np.array(seeds, np.uint32), len(settings)))
    return Members(keys, rates, momenta)


def train_population(
    members: Members,
    order: Key[Array, ""] | None,
    train_set: Dataset,
    held_out: Dataset,
    config: Config,
    memory_budget: int = MEMORY_BUDGET,
    show: Callable[[int], object] = lambda epochs: None,
) -> Population:
    """Train all members of a population.

    A member that diverges changes nothing in the others: no sum of theirs has a term of its.

    Args:
        members: what tells them apart.
        order: the key of all shuffles, for members that share their minibatches; None to let each have its own
            from its key, which takes longer and, for each member of a group, memory for a whole shuffled pass.
        train_set: what they learn from.
        held_out: what they are measured on after every epoch.
        config: the recipe; `members` has its learning rate and momentum.
        memory_budget: bytes that a group may take beside the data.
        show: called after each epoch of a group, with the number of networks' epochs made since the last call.

    Raises:
        ValueError: when the recipe or a member breaks a rule of `config.validate`, or the budget is too small.
    """
    examples = train_set.labels.shape[0]
    for rate, momentum in sorted(set(zip(members.learning_rates.tolist(), members.momenta.tolist(), strict=True))):
        validate(dataclasses.replace(config, learning_rate=rate, momentum=momentum), examples)
    count = len(members.learning_rates)
    size = group_size(count, config, examples, order is None, memory_budget)
    groups = []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)  # the last group is filled up: one shape for all
        some: Members = jax.tree.map(lambda column, rows=rows: column[rows], members)
        trained = _train_group(some, order, train_set, held_out, config, partial(show, min(size, count - first)))
        groups.append(jax.tree.map(lambda leaf, first=first: leaf[: count - first], trained))
    population: Population = jax.tree.map(lambda *parts: np.concatenate(parts), *groups)
    return population


def group_size(members: int, config: Config, examples: int, own_order: bool, memory_budget: int) -> int:
    """How many members to train at once: as many as the budget and GROUP allow, spread evenly over the groups.

    Raises:
        ValueError: when the budget doesn't hold one.
    """
    shared, each = footprint(config, examples, own_order)
    most = min(GROUP, (memory_budget - shared) // each)
    if most < 1:
        raise ValueError(
            f"memory budget of {memory_budget / 1e6:,.1f} MB: too small for one network, expected at least "
            f"{(shared + each) / 1e6:,.1f} MB at batch size {config.batch_size} for {examples:,} examples"
        )
    return math.ceil(members / math.ceil(members / most))


def footprint(config: Config, examples: int, own_order: bool) -> tuple[int, int]:
    """What a group takes beside the data, from above: bytes whatever its size, and bytes for each member.

    The order, the examples gathered at a time and the pixels of a minibatch are shared where the order is. Each member
    has its parameters six times (themselves, velocity, gradient, and what XLA copies), and for every neuron eight
    values an example of a minibatch, or of the CHUNK that is measured at a time.
    """
    batch, pixels = config.examples_per_step(examples), config.sizes[0]
    passed = examples * 16 + 4 * max(GATHERED, batch) * (pixels + 1) + 8 * batch * pixels
    if config.augmentation != "none":
        passed += 2 * examples * pixels + 24 * CHUNK * pixels
    parameters = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(config.sizes))
    each = 4 * (6 * parameters + 8 * max(batch, CHUNK) * sum(config.sizes[1:]) + 4 * examples // batch)
    measuring = 8 * CHUNK * pixels
    return (measuring, each + passed) if own_order else (measuring + passed, each)


def _train_group(
    members: Members,
    order: Key[Array, ""] | None,
    train_set: Dataset,
    held_out: Dataset,
    config: Config,
    show: Callable[[], object],
) -> Population:
    """All epochs of one group, as NumPy arrays."""
    examples = train_set.labels.shape[0]
    config = _with(config, members.learning_rates, members.momenta)
    states = _start_group(members.keys, config, examples)
    states = states._replace(key=states.key if order is None else order)
    measured = [_measure_group(states.params, held_out, config)]
    running, first_bad = [], []
    for _ in range(config.epochs_for(examples)):
        states, cost, bad = _group_epoch(states, train_set, config)
        measured.append(_measure_group(states.params, held_out, config))
        running.append(cost)
        first_bad.append(bad)
        measured[-1].cost.block_until_ready()  # so that progress is told when it is made
        show()
    measures: Metrics = jax.tree.map(lambda *epochs: np.stack(epochs, axis=1), *jax.device_get(measured))
    steps = config.steps_per_epoch(examples)
    diverged_at = _first_step(np.stack(jax.device_get(first_bad), axis=1), steps)
    unseen = (diverged_at == 0) & ~np.isfinite(measures.cost[:, -1])  # no step follows the bad one
    return Population(
        jax.device_get(states.params),
        np.stack(jax.device_get(running), axis=1),
        measures,
        np.where(unseen, steps * len(running), diverged_at),
    )


def _first_step(in_epoch: Int[np.ndarray, "members epochs"], steps_per_epoch: int) -> Int[np.ndarray, "members"]:
    """The first step of the run from the first of each epoch, both counted from 1; 0 for none."""
    epoch = (in_epoch > 0).argmax(axis=1)
    step = in_epoch[np.arange(len(epoch)), epoch]
    return np.where(step > 0, step + steps_per_epoch * epoch, 0)


def _with(config: Config, learning_rates: Any, momenta: Any) -> Config:
    """A recipe whose rate and momentum are one for each member, or `vmap`'s axes for such."""
    return dataclasses.replace(config, learning_rate=learning_rates, momentum=momenta)


@partial(jax.jit, static_argnames="examples")
def _start_group(keys: Key[Array, "members"], config: Config, examples: int) -> TrainState:
    # a loop, as nothing here takes time but the compiling, and `vmap` would double that
    states: TrainState = jax.lax.map(lambda key: start(key, config, examples), keys)
    return states._replace(epoch=jnp.zeros((), jnp.int32))


@jax.jit
def _group_epoch(
    states: TrainState, train_set: Dataset, config: Config
) -> tuple[TrainState, Float[Array, "members"], Int[Array, "members"]]:
    """One epoch of a group: the new states, each member's running cost, and its first step that was not finite."""
    axes = TrainState(params=0, optimizer_state=0, key=0 if states.key.ndim else None, epoch=None)  # type: ignore[arg-type]
    states, costs = jax.vmap(train_epoch, in_axes=(axes, None, _with(config, 0, 0)), out_axes=(axes, 0))(
        states, train_set, config
    )
    finite = jnp.isfinite(costs)
    first_bad = jnp.where(finite.all(axis=1), 0, 1 + jnp.argmin(finite, axis=1))
    return states, costs.mean(axis=1), first_bad


@jax.jit
def _measure_group(params: Params, held_out: Dataset, config: Config) -> Metrics:
    def one(params: Params) -> Metrics:
        found: Metrics = evaluate(params, held_out, config.activation, config.cost)
        return found

    measured: Metrics = jax.vmap(one)(params)
    return measured
