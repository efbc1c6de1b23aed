import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import relative_distance
from jax.flatten_util import ravel_pytree

from jaxmnist.cost import mean_cost
from jaxmnist.dataset import one_hot, scale
from jaxmnist.metrics import evaluate
from jaxmnist.network import Layer, init
from jaxmnist.sources import load
from jaxmnist.studies import landscape, race
from jaxmnist.studies.landscape import Path, equally_long, follow, principal_plane, survey, textbook_path
from jaxmnist.studies.methods import METHODS, Settings, divide, minibatch_chunks


def walk(seed, steps, dimensions=300):
    """A path that drifts, so that some directions matter more than others."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.normal(size=(steps, dimensions)) + generator.normal(size=dimensions), axis=0)


@pytest.mark.parametrize("paths", [[walk(0, 20), walk(1, 35)], [walk(2, 60)], [walk(3, 2), walk(4, 1)]])
def test_the_plane_agrees_with_numpy_s_svd(paths):
    plane = principal_plane(paths)
    points = np.concatenate(paths)
    _, spread, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    # float64; squaring into a Gram matrix leaves half of the digits in the worst case
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(plane.origin, points.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(plane.explained, spread[:2] ** 2 / np.sum(spread**2), rtol=1e-7)
    np.testing.assert_allclose(np.abs(plane.directions @ directions[:2].T), np.eye(2), atol=1e-7)
    projected = (points - plane.origin) @ plane.directions.T
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(projected.var(axis=0) / points.var(axis=0).sum(), plane.explained, rtol=1e-9)
    assert np.all(projected[-1] >= projected[0])


SIZES = (784, 5, 10)


def flatten(params):
    return np.asarray(ravel_pytree(params)[0])


def path_through(points):
    return Path("sgd", 0.1, 1, np.ones(len(points)), np.asarray(points))


def test_the_terrain_is_the_cost_at_its_points():
    digits = jax.tree.map(lambda leaf: leaf[:300], load("digits").test)
    first, second = (
        path_through([flatten(init(jax.random.key(seed), SIZES)) for seed in seeds]) for seeds in ([0, 1], [2, 3, 4])
    )
    plane = principal_plane([first.points, second.points])
    terrain = survey([first, second], init(jax.random.key(0), SIZES), digits, resolution=7)
    for path, projected in zip((first, second), terrain.paths, strict=True):
        np.testing.assert_allclose(projected.points, (path.points - plane.origin) @ plane.directions.T)
    np.testing.assert_array_equal(terrain.explained, plane.explained)
    assert terrain.cost.shape == (7, 7)
    points = np.concatenate([path.points for path in terrain.paths])
    assert terrain.along[0] < points[:, 0].min() < points[:, 0].max() < terrain.along[-1]
    assert terrain.across[0] < points[:, 1].min() < points[:, 1].max() < terrain.across[-1]
    for row, column in ((0, 0), (3, 5), (6, 1)):
        point = plane.origin + np.array([terrain.along[column], terrain.across[row]]) @ plane.directions
        hidden, last = np.split(point, [5 * 784 + 5])
        # flatten's order, spelled out once more: weights then biases, layer by layer
        params = (Layer(hidden[:-5].reshape(5, 784), hidden[-5:]), Layer(last[:-10].reshape(10, 5), last[-10:]))
        expected = evaluate(jax.tree.map(np.float32, params), digits).cost
        assert terrain.cost[row, column] == pytest.approx(float(expected), rel=1e-4)  # float32 coordinates


@pytest.mark.parametrize(("min_height", "ratio"), [(0.5, 0.5), (0.0, 0.05)])
def test_a_flat_terrain_is_made_higher_only_on_request(min_height, ratio):
    digits = jax.tree.map(lambda leaf: leaf[:10], load("digits").test)
    origin = flatten(init(jax.random.key(0), SIZES))
    far, aside = np.zeros((2, origin.size), np.float32)
    far[0], aside[1] = 20, 1
    first, second = path_through([origin, origin + far]), path_through([origin + aside, origin + far + aside])
    terrain = survey([first, second], init(jax.random.key(0), SIZES), digits, min_height, resolution=3)
    assert np.ptp(terrain.along) == pytest.approx(24, rel=1e-5)  # a fifth wider than the paths, in float32
    assert np.ptp(terrain.across) / np.ptp(terrain.along) == pytest.approx(ratio, rel=1e-5)


def test_equally_long_paths_have_points_at_the_same_steps():
    paths = []
    for every, count in ((1, 30), (3, 9), (6, 8), (4, 20)):
        steps = every * np.arange(float(count))
        paths.append(Path("sgd", 0.1, every, steps, np.stack([steps, steps], axis=1)))
    cut = equally_long(paths)
    assert [path.every for path in cut] == [6, 6, 6, 6]
    for path, steps in zip(cut, 3 * [[0, 6, 12, 18, 24]] + [[0, 4, 12, 16, 24]], strict=True):
        np.testing.assert_array_equal(path.costs, steps)
        np.testing.assert_array_equal(path.points[:, 1], steps)


@pytest.mark.slow
def test_the_paths_of_the_race_are_those_of_its_first_start():
    settings = Settings((0.4, 3.2), batch_size=10, examples=100, steps=40, full_batch_steps=25, seeds=2)
    key = jax.random.key(0)
    data = divide(key, load("digits").train, settings)
    result = race.run(key, data, settings)
    terrain = landscape.run(key, data, result)["race"]
    assert [path.method for path in terrain.paths] == list(METHODS)
    for path in terrain.paths:
        outcome = result.best[path.method]
        assert (path.learning_rate, path.every, len(path.points)) == (outcome.learning_rate, 1, 26)
        # alone and beside others, sums are made in another order, which 25 steps amplify
        np.testing.assert_allclose(path.costs, outcome.costs[0, :26], rtol=1e-3)


@pytest.mark.slow
def test_paths_end_at_the_cost_and_nesterov_s_is_in_the_textbook_s_form():
    settings = Settings(batch_size=10, examples=100, steps=3)
    key = jax.random.key(0)
    data = divide(key, load("digits").train, settings)
    path, states = follow(key, "nesterov", 0.5, data, settings)
    assert path.points.shape == (4, 13_002)
    np.testing.assert_array_equal(path.points[2], flatten(states[2].params))
    assert path.costs[1] == pytest.approx(
        float(evaluate(jax.tree.map(lambda leaf: leaf[0], states[1].params), data.probe).cost)
    )
    short, _states = follow(key, "nesterov", 0.5, data, settings, end_cost=float(path.costs[1]))
    np.testing.assert_array_equal(short.points, path.points[:2])


@pytest.mark.slow
def test_the_textbook_s_nesterov_looks_ahead_to_our_parameters():
    rate, momentum, settings = 0.4, 0.9, Settings(batch_size=10, examples=100, steps=12)
    key, slope = jax.random.key(1), jax.jit(jax.grad(mean_cost))
    data = divide(jax.random.key(0), load("digits").train, settings)
    with jax.enable_x64(True):
        path, states = follow(key, "nesterov", rate, data, settings)
        theta = jax.tree.map(lambda leaf: leaf[0], states[0].params)
        velocity = jax.tree.map(jnp.zeros_like, theta)
        expected, looked_ahead = [], []
        for batch in [*minibatch_chunks(key, "nesterov", data.train, settings, 1), None]:
            ahead = jax.tree.map(lambda theta, v: theta + momentum * v, theta, velocity)
            expected.append(flatten(theta))
            looked_ahead.append(flatten(ahead))
            if batch is not None:
                gradient = slope(ahead, scale(batch.images[0]), one_hot(batch.labels[0]))
                velocity = jax.tree.map(lambda v, g: momentum * v - rate * g, velocity, gradient)
                theta = jax.tree.map(jnp.add, theta, velocity)
        behind = textbook_path(path, states, momentum)
    # float64 over 12 steps
    assert relative_distance(list(behind.points), expected) <= 1e-12
    assert relative_distance(list(path.points), looked_ahead) <= 1e-12
    assert relative_distance(expected[-1], looked_ahead[-1]) > 1e-3  # the last look ahead was a look somewhere else
