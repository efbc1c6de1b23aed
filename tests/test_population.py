import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import member, relative_distance, same_bits

from jaxmnist import devices, population
from jaxmnist.config import Config
from jaxmnist.metrics import evaluate
from jaxmnist.population import evaluate_many, make_members, start_many, train_population, with_rates
from jaxmnist.sources import load
from jaxmnist.training import TrainState, start, train_epoch

SHUFFLES = jax.random.key(99)
ONE_EPOCH = Config(batch_size=10, epochs=1)
SETTINGS = list(itertools.product((0.5, 0.9, 0.99), (0.05, 0.2)))


def test_a_member_is_the_network_trained_alone(digits):
    members = make_members(SETTINGS, (3, 4))
    population = train_population(members, SHUFFLES, digits.train, digits.test, ONE_EPOCH)
    for index, ((momentum, rate), seed) in enumerate(itertools.product(SETTINGS, (3, 4))):
        config = dataclasses.replace(ONE_EPOCH, learning_rate=rate, momentum=momentum)
        state = start(jax.random.key(seed), config)._replace(key=SHUFFLES)
        state, costs = train_epoch(state, digits.train, config)
        # float32 sums in another order: about 1e-7, which 143 steps have not grown past 1e-5
        assert relative_distance(member(population.params, index), state.params) <= 1e-5
        assert population.running_cost[index, 0] == pytest.approx(float(costs.mean()), rel=1e-5)
        pairs = np.asarray(costs[:142]).reshape(71, 2)  # 143 steps: 50 parts, or somewhat more, are of two
        assert population.course[index, 0] == pytest.approx(pairs.mean(axis=1), rel=1e-5)
        expected = evaluate(state.params, digits.test)
        assert population.held_out.cost[index, -1] == pytest.approx(float(expected.cost), rel=1e-5)


def test_many_start_as_each_starts_alone(digits):
    keys = jax.vmap(jax.random.key)(np.arange(3, dtype=np.uint32))
    states = start_many(keys, ONE_EPOCH)
    for index in range(3):
        assert same_bits(member(states, index), start(jax.random.key(index), ONE_EPOCH))
    many = evaluate_many(states.params, digits.test)
    assert many.cost[1] == pytest.approx(
        float(evaluate(member(states.params, 1), digits.test).cost), rel=1e-6
    )  # float32


def test_the_same_population_twice_is_the_same_bits(digits):
    once, again = (
        train_population(make_members(SETTINGS, (0, 1)), SHUFFLES, digits.train, digits.test, ONE_EPOCH)
        for _ in range(2)
    )
    assert same_bits(once, again)


def test_a_group_s_numbers_do_not_depend_on_how_many_cores_share_it(digits, monkeypatch):
    members = make_members(SETTINGS, (0, 1, 2))
    trained = []
    for cores in (1, 2, 5):  # for four teams of five
        monkeypatch.setattr(devices, "cores", lambda cores=cores: cores)
        trained.append(train_population(members, SHUFFLES, digits.train, digits.test, ONE_EPOCH))
    assert devices.at_once(lambda one, other: one + other, "abc", "def") == ["ad", "be", "cf"]
    assert same_bits(trained[0], trained[1])
    assert same_bits(trained[0], trained[2])


def test_a_failing_team_fails_its_population(digits, monkeypatch):
    calls = []

    def fail(*_arguments):
        calls.append(threading.current_thread())
        raise MemoryError("no memory")

    monkeypatch.setattr(population, "train_group_epoch", fail)
    with pytest.raises(MemoryError, match="no memory"):
        train_population(make_members(SETTINGS, (0, 1)), SHUFFLES, digits.train, digits.test, ONE_EPOCH)
    assert threading.main_thread() not in calls


def test_threads_compute_on_the_caller_s_default_device():
    """In a process of its own, whose CPU counts as two devices."""
    program = """
import jax, jax.numpy as jnp
from jaxmnist import devices
with jax.default_device(jax.devices()[1]):
    found = devices.at_once(lambda number: jnp.zeros(number).devices(), range(5))
assert found == [{jax.devices()[1]}] * 5, found
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_group_size_changes_only_the_rounding(digits):
    group_size = 5
    members = make_members(SETTINGS, (0, 1))
    together = train_population(members, SHUFFLES, digits.train, digits.test, ONE_EPOCH)
    epochs = []
    grouped = train_population(members, SHUFFLES, digits.train, digits.test, ONE_EPOCH, group_size, epochs.append)
    assert sum(epochs) == 12
    assert len(epochs) == -(-12 // group_size)
    for index in range(12):
        assert relative_distance(member(grouped.params, index), member(together.params, index)) <= 1e-5  # as above
    assert grouped.held_out.accuracy.shape == together.held_out.accuracy.shape == (12, 2)


def test_a_diverging_member_is_named_and_changes_nothing_in_its_neighbours(digits):
    tame, wild = (0.9, 0.05), (0.95, 1e38)
    config = Config(batch_size=16, epochs=2)
    with_it, without = (
        train_population(make_members([tame, middle, tame], (0,)), SHUFFLES, digits.train, digits.test, config)
        for middle in (wild, tame)
    )
    assert with_it.diverged_at[[0, 2]].tolist() == without.diverged_at[[0, 2]].tolist() == [0, 0]
    for index in (0, 2):
        assert same_bits(member(with_it.params, index), member(without.params, index))

    state = start(jax.random.key(0), config)._replace(key=SHUFFLES)
    wild_config = dataclasses.replace(config, momentum=wild[0], learning_rate=wild[1])
    _state, costs = train_epoch(state, digits.train, wild_config)
    first = int(np.argmin(np.isfinite(costs)))
    assert not np.isfinite(costs[first])
    assert with_it.diverged_at[1] == first + 1


@pytest.mark.slow
def test_divergence_in_a_later_epoch_counts_the_steps_of_the_whole_run(digits):
    few = jax.tree.map(lambda leaf: leaf[:40], digits.train)
    config = Config(
        sizes=(784, 16, 16, 16, 16, 10),
        activation="silu",
        cost="cross_entropy",
        schedule="constant",
        batch_size=20,
        epochs=6,
    )
    population = train_population(make_members([(0.9, 10.0)], (0,)), SHUFFLES, few, few, config)
    state = start(jax.random.key(0), config)._replace(key=SHUFFLES)
    config = dataclasses.replace(config, learning_rate=10.0, momentum=0.9)
    costs = []
    for _ in range(6):
        state, epoch_costs = train_epoch(state, few, config)
        costs.extend(epoch_costs.tolist())
    assert population.diverged_at[0] == 1 + np.argmin(np.isfinite(costs)) > 2


def test_divergence_at_the_last_step_is_named_too(digits):
    config = Config(batch_size=1_000, epochs=1, activation="relu")  # one step
    members = make_members([(0.9, 0.05), (0.9, 1e38)], (0,))
    population = train_population(members, SHUFFLES, digits.train, digits.test, config)
    assert np.isfinite(population.running_cost).all()
    assert np.isfinite(population.held_out.cost[:, -1]).tolist() == [True, False]
    assert population.diverged_at.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "seeds", "said"),
    [
        ([], (0,), "0 settings"),
        ([(0.9, 0.1)], (), "0 seeds"),
        ([(1.0, 0.1)], (0,), "momentum=1.0"),
        ([(-0.1, 0.1)], (0,), "momentum="),
        ([(0.9, 0.0)], (0,), "learning_rate=0.0"),
        ([(0.9, float("nan"))], (0,), "learning_rate=nan"),
    ],
)
def test_bad_grids_are_refused(settings, seeds, said, digits):
    with pytest.raises(ValueError, match=said):
        train_population(make_members(settings, seeds), SHUFFLES, digits.train, digits.test, ONE_EPOCH)


MANY = """
import resource, sys, jax
from jaxmnist.config import Config
from jaxmnist.population import make_members, train_population
from jaxmnist.sources import load
splits = load("mnist", sys.argv[1])
few = jax.tree.map(lambda leaf: leaf[:2_048], splits.train)
members = make_members([(0.9, 0.1), (0.5, 0.1)], range(2_048))
population = train_population(members, jax.random.key(0), few, splits.test, Config(epochs=1))
assert population.held_out.cost.shape == (4_096, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.measured
def test_4096_networks_stay_within_3_gigabytes(mnist_dir):
    result = subprocess.run([sys.executable, "-c", MANY, mnist_dir], capture_output=True, text=True, check=True)
    print(f"4,096 networks: at most {float(result.stdout):.0f} MB")
    assert float(result.stdout) <= 3_000


def epoch_of(train_set, batch_size, members):
    """A compiled epoch of a group of networks, as a function to be timed; of one network alone for `members` = 1."""
    config = Config(batch_size=batch_size, epochs=1)
    if members == 1:
        alone = start(jax.random.key(0), config)
        compiled_alone = train_epoch.lower(alone, train_set, config).compile()
        return lambda: compiled_alone(alone, train_set, config)[1]
    group = make_members([(0.9, 0.1)], range(members))
    states = start_many(group.keys, config)._replace(key=SHUFFLES, epoch=jnp.zeros((), jnp.int32))
    config = with_rates(config, group.learning_rates, group.momenta)
    axes = TrainState(0, 0, None, None)
    many = jax.jit(jax.vmap(train_epoch, in_axes=(axes, None, with_rates(config, 0, 0)), out_axes=(axes, 0)))
    compiled = many.lower(states, train_set, config).compile()
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


@pytest.mark.slow
def test_devices_train_their_shares_of_a_group_without_talking_to_each_other():
    """In a process of its own, whose CPU counts as four devices."""
    program = """
import jax, numpy as np, re
from jaxmnist import devices, population
from jaxmnist.config import Config
from jaxmnist.sources import load
data, config = load("digits"), Config(epochs=2).resolved(1437)
members = population.make_members([(0.9, 0.3), (0.5, 0.1)], range(5))
arguments = members, jax.random.key(1), data.train, data.test, config, 6
alone = population.train_population(*arguments)
assert alone.held_out.accuracy.shape == (10, 3)
for count in (2, 3):  # of which neither divides the groups of 5
    row = devices.mesh(jax.devices()[:count], "population")
    shared = population.train_population(*arguments, mesh=row)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(shared)):
        # float32 sums in another order, about 1e-7 each, over 88 steps; an example may tip over
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=0.006)
    states = devices.each_on_its_share(population.start_many, row)(
        devices.divided(members.keys[: 2 * count], row), config)
    states = states._replace(key=members.keys[0], epoch=states.epoch[0])
    states = states._replace(**devices.replicated({"key": states.key, "epoch": states.epoch}, row))
    rates = devices.divided((members.learning_rates[: 2 * count], members.momenta[: 2 * count]), row)
    text = population.train_group_epoch.lower(
        states, devices.replicated(data.train, row), population.with_rates(config, *rates)).compile().as_text()
    assert not re.findall("all-reduce|all-gather|all-to-all|collective-permute", text)
print("right")
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "right\n", done.stderr
