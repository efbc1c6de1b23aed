"""The compare command's race: what can be asked for, and what it gives."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from jaxmnist.cli.options import Data, DataOptions, OptionalPath
from jaxmnist.config import Config

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from jaxmnist.studies.race import Field, Lane, Method, Show

THRESHOLDS = (0.6, 0.4, 0.3, 0.2, 0.15)
"""Mean training costs to reach. A random start has about 2.5; a network that always says the same has 0.9."""

LOOKS = 150
"""How often the cost is measured in a race, about."""

TUNING = 4
"""Random starts, others than the race's, from which each rate of the grid is tried."""

LAPS_SEED = 1
"""Decides the minibatches, for all seeds and methods alike."""

TIMED = 300
"""Steps that are timed at a time, of minibatches; one with a full batch is long enough."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Race gradient descent, SGD, momentum and Nesterov's method, and put what is said of them to the test.

    All start from the same random networks, and the last three take the same minibatches. Each runs at its own best
    learning rate of a grid, chosen on training examples outside the race. What counts: the steps, the examples seen
    and the seconds until the mean training cost has come down.
    """

    learning_rates: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
    """The grid of learning rates η from which each method gets its best."""
    momentum: float = 0.9
    """Momentum coefficient μ in [0, 1) of momentum and Nesterov's method: how much of the last step is kept."""
    batch_size: int = 32
    """Examples in a minibatch. (Gradient descent takes all that race.)"""
    examples: int = 3_000
    """Training examples that race, at the most."""
    steps: int = 1_500
    """Steps of the methods that take minibatches. What they don't reach by then counts as not reached."""
    full_batch_steps: int = 400
    """Steps of gradient descent, each of them a pass over all examples."""
    seeds: int = 16
    """Random starts 0, 1, 2, … that race; results are medians and quartiles over them."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-compare)."""


class Entry(NamedTuple):
    """How one method raced.

    Attributes:
        lane: the method.
        learning_rate: η.
        costs: mean training cost of every seed's network, at each look.
        reached: steps to each threshold, for every seed; infinite where it never was.
        seconds_per_step: of one network alone, without looks.
    """

    lane: "Lane"
    learning_rate: float
    costs: "Float[np.ndarray, 'seeds looks']"
    reached: "Float[np.ndarray, 'seeds thresholds']"
    seconds_per_step: float


class Results(NamedTuple):
    """What the races gave.

    Attributes:
        scores: for each method and rate of the grid, the validation cost that it was judged by.
        best: each method at its own best rate.
        same: SGD, momentum and Nesterov's method at one rate, momentum's best.
    """

    scores: "dict[Method, dict[float, float]]"
    best: "dict[Method, Entry]"
    same: "dict[Method, Entry]"


def race(options: Options, field: "Field") -> Results:
    """Choose every method's learning rate, then race all; progress shows on stdout."""
    import jax

    from jaxmnist.studies.race import METHODS, first_at_or_below, make_lane, recipe, record, starts, tune

    grid = sorted(set(options.learning_rates))
    seeds = options.seeds
    racers, others = starts(range(seeds)), starts(range(seeds, seeds + TUNING))
    lanes, seconds = {}, {}
    for method in METHODS:
        config = recipe(method, options.batch_size, options.momentum)
        steps = options.full_batch_steps if method == "gd" else options.steps
        lanes[method] = make_lane(jax.random.key(LAPS_SEED), field.race, config, steps, max(1, steps // LOOKS))
        seconds[method] = _seconds_per_step(config, field)
    heats = -(-len(grid) * TUNING // seeds)
    races = {"gd": heats + 1, "sgd": heats + 2, "momentum": heats + 1, "nesterov": heats + 2}
    whole = sum(races[method] * seeds * lane.steps[-1] * lane.examples_per_step for method, lane in lanes.items())

    def enter(method: "Method", rate: float) -> Entry:
        lane = lanes[method]
        costs = record(racers, [rate] * seeds, lane, field.probe, show(f"{METHODS[method]}: the race at η = {rate:g}"))
        return Entry(lane, rate, costs, first_at_or_below(costs, lane.steps, THRESHOLDS), seconds[method])

    scores, best, same = {}, {}, {}
    with _progress(whole) as show:
        for method, lane in lanes.items():
            telling = show(f"{METHODS[method]}: choosing a learning rate")
            scores[method] = tune(others, grid, lane, field.validation, seeds, telling)
            best[method] = enter(method, min(grid, key=scores[method].__getitem__))
        rate = best["momentum"].learning_rate
        for method in ("sgd", "momentum", "nesterov"):
            same[method] = best[method] if best[method].learning_rate == rate else enter(method, rate)
    return Results(scores, best, same)


def _seconds_per_step(config: Config, field: "Field") -> float:
    """How long one network takes for a step, alone and without looks: the best of 20 runs of the compiled steps."""
    import jax
    import jax.numpy as jnp

    from jaxmnist.studies.race import advance, make_lane, prepare, starts, with_rates

    steps = 1 if config.batch_size == "full" else TIMED
    (batches,) = make_lane(jax.random.key(LAPS_SEED), field.race, config, steps, steps).laps
    config = with_rates(config, jnp.ones(1), config.momentum)
    states = prepare(starts([0]), config)
    compiled = advance.lower(states, batches, config).compile()
    spent = []
    for _ in range(21):
        begin = time.perf_counter()
        compiled(states, batches, config).params[0].weights.block_until_ready()
        spent.append(time.perf_counter() - begin)
    return min(spent[1:]) / steps


@contextmanager
def _progress(examples: int) -> Iterator[Callable[[str], "Show"]]:
    """How the races go: a bar on a terminal, a line for each in a pipe or file."""
    from tqdm import tqdm

    live = sys.stdout.isatty()
    form = {"unit": " examples", "unit_scale": True, "dynamic_ncols": True, "leave": False}
    with tqdm(total=examples, disable=not live, file=sys.stdout, **form) as bar:

        def advance(examples: int) -> None:
            bar.update(examples)

        def show(what: str) -> "Show":
            if live:
                bar.set_description(what)
            else:
                print(what, flush=True)
            return advance

        yield show
