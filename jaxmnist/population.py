"""Many networks at once: `vmap` of the same pure training functions over keys, learning rates and momenta.

The members of a population share their minibatches. So every minibatch is one array for all members, and their first
layers become one large matrix product, which a processor does at several times the speed of many small ones.

However many members there are, memory stays bounded: they are trained in groups of equal size, one after the other. A
CPU's cores divide each group into teams, so that every core trains members of its own.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, Shaped

from jaxmnist import devices
from jaxmnist.config import Config, validate
from jaxmnist.dataset import Dataset, check
from jaxmnist.metrics import Metrics, evaluate
from jaxmnist.network import Params
from jaxmnist.training import TrainState, count_steps, start, train_epoch

GROUP_SIZE = 64
"""Most members that a device trains at once; on a CPU larger groups are no faster."""
TEAM_SIZE = 8
"""Most members that a core of a CPU trains at once. It decides the last bits of their sums, so it is the same however
many cores there are."""
PARTS = 50
"""An epoch's costs are averaged over so many parts of it, or somewhat more; over single steps if it has fewer."""


class Members(NamedTuple):
    """What differs between the networks of a population; the rest is the recipe's."""

    keys: Key[Array, "members"]  # decides each one's random start
    learning_rates: Float[Array, "members"]  # η
    momenta: Float[Array, "members"]  # μ in [0, 1)


class Population(NamedTuple):
    """A trained population, on the host; entry m is member m.

    `diverged_at` is the 1-based step at which the cost first became non-finite; the last step if only the final
    evaluation is; 0 if never.
    """

    params: Params  # every network, each leaf with a leading axis of members
    running_cost: Float[np.ndarray, "members epochs"]  # mean over an epoch of its minibatches' costs
    course: Float[np.ndarray, "members epochs parts"]  # means over parts of it, of `steps_of_a_part`; no remainder
    held_out: Metrics  # cost and accuracy on the examples held out; entry 0 before training
    diverged_at: Int[np.ndarray, "members"]


def make_members(settings: Sequence[tuple[float, float]], seeds: Sequence[int]) -> Members:
    """Combine every setting, a momentum and a learning rate, with every seed; the seed changes fastest.

    Raises:
        ValueError: if there is no setting or no seed.
    """
    if not (len(settings) and len(seeds)):
        raise ValueError(f"{len(settings)} settings and {len(seeds)} seeds: expected at least one of each")
    momenta, rates = jnp.repeat(jnp.array(settings, float), len(seeds), axis=0).T
    keys = jax.vmap(jax.random.key)(np.tile(np.array(seeds, np.uint32), len(settings)))
    return Members(keys, rates, momenta)


def with_rates(config: Config, learning_rate: Any, momentum: Any) -> Config:
    """Replace a recipe's rate and momentum: by arrays with an entry for each member, or by `vmap`'s axes for them."""
    return dataclasses.replace(config, learning_rate=learning_rate, momentum=momentum)


@jax.jit
def start_many(keys: Key[Array, "members"], config: Config) -> TrainState:
    """Make the states that `training.start` makes from these keys, with a leading axis of members."""
    # A loop rather than `vmap`: it takes no time to run, and half the time to compile.
    states: TrainState = jax.lax.map(lambda key: start(key, config), keys)
    return states


@partial(jax.jit, static_argnames=("activation", "cost"))
def evaluate_many(
    params: Params, dataset: Dataset, activation: str = "sigmoid", cost: str = "squared_error"
) -> Metrics:
    """Measure every network of a population on a set: cost and accuracy of shape (members,)."""
    metrics: Metrics = jax.vmap(lambda params: evaluate(params, dataset, activation, cost))(params)
    return metrics


def train_population(
    members: Members,
    shuffle_key: Key[Array, ""],
    train_set: Dataset,
    held_out: Dataset,
    config: Config,
    group_size: int = GROUP_SIZE,
    on_progress: Callable[[int], object] = lambda epochs: None,
    mesh: Mesh | None = None,
) -> Population:
    """Train all members of a population.

    A diverging member can't affect the others: they share no sums.

    Args:
        members: what differs between them.
        shuffle_key: decides all shuffles, which the members share.
        train_set: examples that they learn from.
        held_out: examples that they are measured on after every epoch.
        config: the recipe; `members` has its learning rate and momentum.
        group_size: most members to train at once; memory grows with it.
        on_progress: called after each epoch of a group with the number of its networks.
        mesh: a row of devices that share every group; None for the one that the data is on.

    Raises:
        ValueError: if the recipe or a member breaks a rule of `config.validate`, or a set one of `dataset.check`; or if
            the group size isn't positive.
    """
    check(train_set, "train_set.")
    check(held_out, "held_out.")
    config = config.resolved(train_set.labels.shape[0])
    for rate, momentum in sorted(set(zip(members.learning_rates.tolist(), members.momenta.tolist(), strict=True))):
        validate(with_rates(config, rate, momentum))
    count = len(members.learning_rates)
    size = even_size(count, group_size)
    groups = []
    for first in range(0, count, size):
        rows = np.arange(first, min(first + size, count))  # a slice would be compiled anew for every `first`
        group: Members = jax.tree.map(lambda column, rows=rows: column[rows], members)
        groups.append(train_group(group, size, shuffle_key, train_set, held_out, config, on_progress, mesh))
    population: Population = jax.tree.map(lambda *parts: np.concatenate(parts), *groups)
    return population


def even_size(count: int, group_size: int) -> int:
    """The size of the fewest groups of at most `group_size` that `count` members are spread over evenly."""
    if group_size < 1:
        raise ValueError(
            f"group_size={group_size}: expected a whole number from 1; for example group_size={GROUP_SIZE}"
        )
    return math.ceil(count / math.ceil(count / group_size))


def teams_of(size: int, devices: Sequence[Any]) -> tuple[int, int]:
    """How many teams a group of so many members has, each a program, and for how many members the program is.

    There is one team unless a CPU trains the group alone; then an even number, as most have an even number of cores.
    Every device and every team has an equal share, if need be of a few more members.
    """
    on_one_cpu = len(devices) == 1 and devices[0].platform == "cpu"
    teams = min(size, 2 * math.ceil(size / (2 * TEAM_SIZE))) if on_one_cpu else 1
    return teams, math.ceil(size / (teams * len(devices))) * len(devices)


def steps_of_a_part(steps: int) -> int:
    """The number of steps over which costs are averaged in an epoch of so many."""
    return max(1, steps // PARTS)


def train_group(
    members: Members,
    size: int,
    shuffle_key: Key[Array, ""],
    train_set: Dataset,
    held_out: Dataset,
    config: Config,
    on_progress: Callable[[int], object] = lambda epochs: None,
    mesh: Mesh | None = None,
) -> Population:
    """Train one group for all epochs, and bring the results to the host; the other arguments are `train_population`'s.

    The program is compiled for a team of a group of `size` members; see `teams_of`. Copies of the last member fill a
    smaller group up, so that it needs no program of its own.
    """
    mesh = mesh or devices.mesh(list(train_set.images.devices())[:1], "population")
    count, (teams, of_team) = len(members.learning_rates), teams_of(size, list(mesh.devices.flat))
    rows = np.minimum(np.arange(teams * of_team), count - 1).reshape(teams, of_team)
    shuffle_key, train_set, held_out = devices.replicated((shuffle_key, train_set, held_out), mesh)
    started = [_start_team(members, team, shuffle_key, config, mesh) for team in rows]
    compiling = Lock()  # so that one team compiles, and the others find its program

    def measure(states: TrainState, config: Config) -> Metrics:
        metrics: Metrics = evaluate_many(states.params, held_out, config.activation, config.cost)
        metrics.cost.block_until_ready()  # so that progress is reported when it is made
        return metrics

    def train(states: TrainState, config: Config) -> tuple[TrainState, Any]:
        with compiling:
            states, *costs = train_group_epoch(states, train_set, config)
        return states, (*costs, measure(states, config))

    def whole(of_teams: Sequence[Any]) -> Any:
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *devices.fetched(of_teams))

    states, configs = zip(*started, strict=True)
    before, epochs = list(map(measure, states, configs)), []
    for _ in range(int(config.epochs)):
        states, results = zip(*devices.at_once(train, states, configs), strict=True)
        epochs.append(results)
        on_progress(count)
    stacked = jax.tree.map(lambda *entries: np.stack(entries, axis=1), *map(whole, epochs))
    running_cost, course, bad_steps, after = stacked
    metrics: Metrics = jax.tree.map(lambda first, rest: np.insert(rest, 0, first, axis=1), whole(before), after)
    steps = count_steps(config, train_set.labels.shape[0])
    diverged_at = _diverged_at(bad_steps, np.isfinite(metrics.cost[:, -1]), steps)
    return Population(whole([team.params for team in states]), running_cost, course, metrics, diverged_at)


def _start_team(
    members: Members, rows: Int[np.ndarray, "rows"], shuffle_key: Key[Array, ""], config: Config, mesh: Mesh
) -> tuple[TrainState, Config]:
    """The states of some members of a group at their random starts, and the recipe with their rates."""
    team = devices.divided(jax.tree.map(lambda column: column[rows], members), mesh)
    states = devices.each_on_its_share(start_many, mesh)(team.keys, config)
    states = states._replace(key=shuffle_key, epoch=devices.replicated(jnp.zeros((), jnp.int32), mesh))
    return states, with_rates(config, team.learning_rates, team.momenta)


@jax.jit
def train_group_epoch(
    states: TrainState, train_set: Dataset, config: Config
) -> tuple[TrainState, Float[Array, "members"], Float[Array, "members parts"], Int[Array, "members"]]:
    """Train a group for one epoch: the new states, its costs' means over all and in parts, and the first bad steps.

    A step is bad if its cost isn't finite; they are counted from 1, and 0 is none.
    """
    axes: Any = TrainState(params=0, optimizer_state=0, key=None, epoch=None)  # type: ignore[arg-type]
    states, costs = jax.vmap(train_epoch, in_axes=(axes, None, with_rates(config, 0, 0)), out_axes=(axes, 0))(
        states, train_set, config
    )
    finite = jnp.isfinite(costs)
    bad_step = jnp.where(finite.all(axis=1), 0, 1 + jnp.argmin(finite, axis=1))
    part = steps_of_a_part(costs.shape[1])
    parts = costs[:, : costs.shape[1] // part * part].reshape(costs.shape[0], -1, part)
    return states, costs.mean(axis=1), parts.mean(axis=2), bad_step


def _diverged_at(
    bad_steps: Int[np.ndarray, "members epochs"], finite_at_end: Shaped[np.ndarray, "members"], steps: int
) -> Int[np.ndarray, "members"]:
    """The first bad step of the run, from each epoch's first bad step; the last one if only the end isn't finite."""
    epochs = bad_steps.shape[1]
    epoch = (bad_steps > 0).argmax(axis=1)
    step = bad_steps[np.arange(len(epoch)), epoch]
    first = np.where(step > 0, step + steps // epochs * epoch, 0)
    return np.where((first == 0) & ~finite_at_end, steps, first)
