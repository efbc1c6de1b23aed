import dataclasses
import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.config import RECIPES, Config
from jaxmnist.metrics import evaluate
from jaxmnist.population import (
    _group_epoch,
    _start_group,
    _with,
    footprint,
    grid,
    group_size,
    train_population,
)
from jaxmnist.sources import load
from jaxmnist.training import start, train_epoch

ROOT = Path(__file__).parent.parent
ORDER = jax.random.key(99)
ONE_EPOCH = Config(batch_size=10, epochs=1)
SETTINGS = list(itertools.product((0.5, 0.9, 0.99), (0.05, 0.2)))


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def apart(one, other):
    """For each parameter array the relative distance: the 2-norm of the difference over the 2-norm."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return [float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)) for a, b in pairs]


def member(population, index):
    return jax.tree.map(lambda leaf: leaf[index], population.params)


@pytest.mark.parametrize("order", [ORDER, None], ids=["shared", "own"])
def test_a_member_is_the_network_that_it_would_be_alone(order, digits):
    members = grid(SETTINGS, (3, 4))
    population = train_population(members, order, digits.train, digits.test, ONE_EPOCH)
    for index, ((momentum, rate), seed) in enumerate(itertools.product(SETTINGS, (3, 4))):
        config = dataclasses.replace(ONE_EPOCH, learning_rate=rate, momentum=momentum)
        state = start(jax.random.key(seed), config, 1_437)
        if order is not None:
            state = state._replace(key=order.copy())
        state, costs = train_epoch(state, digits.train, config)
        # float32 sums in another order: about 1e-7, which 143 steps have not grown past 1e-5
        assert max(apart(member(population, index), state.params)) <= 1e-5
        assert population.running_cost[index, 0] == pytest.approx(float(costs.mean()), rel=1e-5)
        found = evaluate(state.params, digits.test)
        assert population.measured.cost[index, -1] == pytest.approx(float(found.cost), rel=1e-5)


def test_the_same_population_twice_is_the_same_bits(digits):
    once, again = (
        train_population(grid(SETTINGS, (0, 1)), ORDER, digits.train, digits.test, ONE_EPOCH) for _ in range(2)
    )
    assert all(map(np.array_equal, jax.tree.leaves(once), jax.tree.leaves(again)))


@pytest.mark.parametrize("groups_of", [1, 5])
def test_groups_of_another_size_give_the_same_networks(groups_of, digits, monkeypatch):
    members = grid(SETTINGS, (0, 1))
    together = train_population(members, ORDER, digits.train, digits.test, ONE_EPOCH)
    told = []
    monkeypatch.setattr("jaxmnist.population.GROUP", groups_of)
    apart_groups = train_population(members, ORDER, digits.train, digits.test, ONE_EPOCH, show=told.append)
    assert sum(told) == 12
    assert len(told) == -(-12 // groups_of)
    for index in range(12):
        assert max(apart(member(apart_groups, index), member(together, index))) <= 1e-5  # as above
    assert apart_groups.measured.accuracy.shape == together.measured.accuracy.shape == (12, 2)


def test_a_member_that_diverges_is_named_and_changes_nothing_in_its_neighbours(digits):
    tame, wild = (0.9, 0.05), (0.95, 1e38)
    config = Config(batch_size=16, epochs=2)
    with_it, without = (
        train_population(grid([tame, middle, tame], (0,)), ORDER, digits.train, digits.test, config)
        for middle in (wild, tame)
    )
    assert with_it.diverged_at[[0, 2]].tolist() == without.diverged_at[[0, 2]].tolist() == [0, 0]
    for index in (0, 2):
        neighbours = member(with_it, index), member(without, index)
        assert all(map(np.array_equal, *map(jax.tree.leaves, neighbours)))

    state = start(jax.random.key(0), config, 1_437)._replace(key=ORDER.copy())
    _state, costs = train_epoch(
        state, digits.train, dataclasses.replace(config, momentum=wild[0], learning_rate=wild[1])
    )
    first = int(np.argmin(np.isfinite(costs)))
    assert not np.isfinite(costs[first])
    assert with_it.diverged_at[1] == first + 1


def test_a_member_that_only_its_last_step_spoils_is_named_too(digits):
    config = Config(batch_size=1_000, epochs=1, activation="relu")  # one step
    trained = train_population(grid([(0.9, 0.05), (0.9, 1e38)], (0,)), ORDER, digits.train, digits.test, config)
    assert np.isfinite(trained.running_cost).all()
    assert np.isfinite(trained.measured.cost[:, -1]).tolist() == [True, False]
    assert trained.diverged_at.tolist() == [0, 1]


def test_a_divergence_in_a_later_epoch_counts_all_steps():
    from jaxmnist.population import _first_step

    found = _first_step(np.array([[0, 0, 0], [0, 7, 1], [3, 1, 1], [0, 0, 10]]), 10)
    assert found.tolist() == [0, 17, 3, 30]


def test_one_compilation_serves_every_grid_of_a_size(digits):
    train_population(grid(SETTINGS, (0,)), ORDER, digits.train, digits.test, ONE_EPOCH)
    compiled = _group_epoch._cache_size()
    other = [(momentum / 2, rate / 3) for momentum, rate in SETTINGS]
    train_population(grid(other, (7,)), jax.random.key(1), digits.train, digits.test, ONE_EPOCH)
    assert _group_epoch._cache_size() == compiled


def test_members_that_share_minibatches_share_one_product(digits):
    members = grid([(0.9, 0.1)], range(8))
    config = _with(Config(batch_size=32, epochs=1), members.learning_rates, members.momenta)
    states = _start_group(members.keys, config, 1_437)._replace(key=ORDER)
    text = _group_epoch.lower(states, digits.train, config).compile().as_text()
    assert "f32[128,784]" in text.replace(" ", "")  # 8 networks × 16 neurons: one gradient of all first layers
    images = [line for line in text.splitlines() if "f32[8,32,784]" in line]
    assert not images  # nobody has images of its own


@pytest.mark.parametrize(
    ("plain", "own_order"),
    [
        (Config(batch_size=1, epochs=1), False),
        (Config(batch_size=512, epochs=1), False),
        (Config(batch_size=32, epochs=1), True),
        (dataclasses.replace(RECIPES["best"], epochs=1), False),
    ],
    ids=["one by one", "large batches", "own order", "jitter"],
)
def test_the_footprint_is_no_less_than_what_the_compiler_says(plain, own_order, digits):
    count = 16
    members = grid([(0.9, 0.1)], range(count))
    config = _with(plain, members.learning_rates, members.momenta)
    states = _start_group(members.keys, config, 1_437)
    states = states if own_order else states._replace(key=ORDER)
    said = _group_epoch.lower(states, digits.train, config).compile().memory_analysis()
    took = (
        said.temp_size_in_bytes
        + said.output_size_in_bytes
        + sum(leaf.nbytes for leaf in jax.tree.leaves(states.params))
    )
    shared, each = footprint(plain, 1_437, own_order)
    print(f"footprint {(shared + count * each) / 1e6:.1f} MB, the compiler says {took / 1e6:.1f} MB")
    assert took <= shared + count * each <= 15 * took


def test_the_budget_decides_the_groups_and_one_that_holds_no_network_is_refused():
    config = Config(batch_size=32)
    shared, each = footprint(config, 1_437, own_order=False)
    assert group_size(100, config, 1_437, False, shared + 10 * each) == 10
    assert group_size(101, config, 1_437, False, shared + 100 * each) == 51  # evenly: 51 and 50, GROUP allowing
    assert group_size(3, config, 1_437, False, 10**12) == 3
    with pytest.raises(ValueError, match="too small for one network, expected at least"):
        group_size(3, config, 1_437, False, shared + each - 1)


@pytest.mark.parametrize(
    ("settings", "seeds", "said"),
    [
        ([], (0,), "0 settings"),
        ([(0.9, 0.1)], (), "0 seeds"),
        ([(1.0, 0.1)], (0,), "momentum"),
        ([(-0.1, 0.1)], (0,), "momentum"),
        ([(0.9, 0.0)], (0,), "learning rate"),
        ([(0.9, float("nan"))], (0,), "learning rate"),
    ],
)
def test_bad_grids_are_refused(settings, seeds, said, digits):
    with pytest.raises(ValueError, match=said):
        train_population(grid(settings, seeds), ORDER, digits.train, digits.test, ONE_EPOCH)


MANY = """
import resource, sys, jax
from jaxmnist.config import RECIPES, Config
from jaxmnist.population import grid, train_population
from jaxmnist.sources import load
splits = load("mnist", sys.argv[1])
few = jax.tree.map(lambda leaf: leaf[:2_048], splits.train)
members = grid([(0.9, 0.1), (0.5, 0.1)], range(2_048))
population = train_population(members, jax.random.key(0), few, splits.test, Config(epochs=1))
assert population.measured.cost.shape == (4_096, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.measured
def test_4096_networks_stay_within_3_gigabytes(mnist_dir):
    result = subprocess.run([sys.executable, "-c", MANY, mnist_dir], capture_output=True, text=True, check=True)
    print(f"4,096 networks: at most {float(result.stdout):.0f} MB")
    assert float(result.stdout) <= 3_000


def epoch_of(train_set, batch_size, members):
    """A compiled shared-order epoch of so many networks, as a function to be timed; one alone where `members` is 1."""
    config = Config(batch_size=batch_size, epochs=1)
    if members == 1:
        alone = start(jax.random.key(0), config, 60_000)
        compiled_alone = train_epoch.lower(alone, train_set, config).compile()
        return lambda: compiled_alone(jax.tree.map(lambda leaf: leaf.copy(), alone), train_set, config)[1]
    some = grid([(0.9, 0.1)], range(members))
    config = _with(config, some.learning_rates, some.momenta)
    states = _start_group(some.keys, config, 60_000)._replace(key=ORDER)
    compiled = _group_epoch.lower(states, train_set, config).compile()
    return lambda: compiled(states, train_set, config)[1]


@pytest.mark.measured
@pytest.mark.parametrize(("batch_size", "most"), [(128, 0.4), (32, 0.5)])
def test_64_networks_take_each_a_fraction_of_one_s_time(batch_size, most, mnist_dir):
    mnist = load("mnist", mnist_dir)
    matrix = jnp.ones((2_048, 2_048))
    product = jax.jit(jnp.matmul)
    jobs = {
        "many": epoch_of(mnist.train, batch_size, 64),
        "one": epoch_of(mnist.train, batch_size, 1),
        "product": lambda: product(matrix, matrix),
    }
    seconds = {name: [] for name in jobs}
    for round_number in range(6):  # interleaved, so that all see the same machine; the first round warms up
        for name, job in jobs.items():
            repeats = {"many": 1, "one": 5, "product": 10}[name]
            begin = time.perf_counter()
            for _ in range(repeats):
                job().block_until_ready()
            if round_number:
                seconds[name].append((time.perf_counter() - begin) / repeats)
    many, one, matrix_product = (statistics.median(seconds[name]) for name in jobs)
    rate = 64 * 60_000 * 78e3 / many  # 6 operations for each of 13,002 parameters and example
    matrix_rate = 2 * 2_048**3 / matrix_product
    print(
        f"batch {batch_size}: {1e3 * many / 64:.1f} ms a network and epoch, {1e3 * one:.1f} ms alone, ratio "
        f"{many / 64 / one:.2f}; {rate / 1e9:.0f} GFLOP/s of {matrix_rate / 1e9:.0f}"
    )
    assert many / 64 / one <= most
    if batch_size == 128:
        assert rate >= 0.6 * matrix_rate
