"""The figures that the project promises for MNIST, measured; slow, and only where MNIST is."""

import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import numpy_epoch
import pytest

from jaxmnist.config import RECIPES, Config
from jaxmnist.dataset import minibatches, scale
from jaxmnist.population import make_members, train_population
from jaxmnist.sources import load
from jaxmnist.training import start, train, train_epoch

pytestmark = pytest.mark.measured
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def mnist(mnist_dir):
    return load("mnist", mnist_dir)


def test_mean_accuracy_over_ten_seeds(mnist):
    run = jax.jit(train)
    found = [
        float(run(jax.random.key(seed), mnist.train, mnist.test, Config())[1].test.accuracy[-1]) for seed in range(10)
    ]
    mean, deviation = statistics.mean(found), statistics.stdev(found)
    print(f"test accuracy over seeds 0 to 9: {mean:.4f} ± {deviation:.4f}, {min(found):.4f} to {max(found):.4f}")
    # Rounding differs between processors and grows over 56,250 steps into what amounts to other seeds, so the mean
    # of ten is held to the figure within twice its standard error.
    assert mean + 2 * deviation / 10**0.5 >= 0.952
    assert min(found) >= 0.945


def test_the_whole_command_is_quick_and_small(mnist_dir, tmp_path):
    def once(name):
        begin = time.monotonic()
        command = [sys.executable, ROOT / "train.py", "--data-dir", mnist_dir, "--run-dir", tmp_path / name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            first = next(time.monotonic() - begin for line in process.stdout if line.startswith("epoch "))
            process.stdout.read()
        return first, time.monotonic() - begin

    times = [once(str(number)) for number in range(3)]
    first, whole = (statistics.median(column) for column in zip(*times, strict=True))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"first epoch {first:.2f} s, whole {whole:.2f} s, at most {memory:.0f} MB")
    assert first <= 3
    assert whole <= 8
    assert memory <= 900


def test_an_epoch_takes_at_most_half_of_numpy_s_time(mnist):
    config = dataclasses.replace(Config(), schedule="constant", epochs=1)
    state = start(jax.random.key(0), config)
    params = [np.array(leaf) for leaf in jax.tree.leaves(state.params)]
    velocities = [np.zeros_like(leaf) for leaf in params]
    images, labels = np.asarray(scale(mnist.train.images)), np.asarray(mnist.train.labels)

    # the same work: after 50 steps on the same minibatches both have the same network
    few = jax.tree.map(lambda leaf: leaf[:1_600], mnist.train)
    key = jax.random.split(state.key)[1]
    pixels, digits = map(np.asarray, minibatches(key, few, 32))
    trained, _costs = train_epoch(state, few, config)
    numpy_epoch.epoch(
        params, velocities, pixels.reshape(-1, 784) / np.float32(255), digits.ravel(), np.arange(1_600), 32, 0.08, 0.9
    )
    for ours, theirs in zip(jax.tree.leaves(trained.params), params, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # 50 float32 steps

    compiled = train_epoch.lower(state, mnist.train, config).compile()
    ours, theirs = [], []
    for _ in range(5):
        begin = time.perf_counter()
        state, costs = compiled(state, mnist.train, config)
        costs.block_until_ready()
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        order = np.random.default_rng(0).permutation(60_000)
        numpy_epoch.epoch(params, velocities, images, labels, order, 32, 0.08, 0.9)
        theirs.append(time.perf_counter() - begin)
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"an epoch: {statistics.median(ours):.3f} s, NumPy {statistics.median(theirs):.3f} s, ratio {ratio:.2f}")
    assert ratio <= 0.5


def test_the_best_recipe_over_ten_seeds(mnist):
    recipe = RECIPES["best"]
    members = make_members([(recipe.momentum, recipe.learning_rate)], range(10))
    population = train_population(members, jax.random.key(10), mnist.train, mnist.test, recipe)
    accuracies = population.held_out.accuracy[:, -1]
    mean, deviation = accuracies.mean(), accuracies.std(ddof=1)
    lowest, highest = accuracies.min(), accuracies.max()
    print(f"test accuracy over seeds 0 to 9: {mean:.4f} ± {deviation:.4f}, {lowest:.4f} to {highest:.4f}")
    assert mean + 2 * deviation / 10**0.5 >= 0.974  # within twice the standard error, as above
    assert lowest >= 0.97


def test_the_best_recipe_takes_less_than_three_minutes(mnist_dir, tmp_path):
    begin = time.monotonic()
    command = [
        sys.executable,
        ROOT / "train.py",
        "--recipe",
        "best",
        "--data-dir",
        mnist_dir,
        "--run-dir",
        tmp_path / "r",
    ]
    subprocess.run(command, check=True, capture_output=True)
    spent = time.monotonic() - begin
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    print(f"--recipe best: {summary['test_accuracy']:.4f} in {spent:.1f} s")
    assert summary["parameters"] == 13_002
    assert summary["test_accuracy"] >= 0.97
    assert spent <= 180
