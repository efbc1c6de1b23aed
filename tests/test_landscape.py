import jax
import numpy as np
import pytest

from jaxmnist.metrics import evaluate
from jaxmnist.network import Layer, init
from jaxmnist.sources import load
from jaxmnist.studies.landscape import flatten, principal_plane, project, survey


def walk(seed, steps, dimensions=300):
    """A path that drifts, so that some directions matter more than others."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.normal(size=(steps, dimensions)) + generator.normal(size=dimensions), axis=0)


@pytest.mark.parametrize("paths", [[walk(0, 20), walk(1, 35)], [walk(2, 400)], [walk(3, 2), walk(4, 1)]])
def test_the_plane_is_that_of_numpy_s_svd(paths):
    plane = principal_plane(paths)
    points = np.concatenate(paths)
    _, spread, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    # float64; squaring into a Gram matrix leaves half of the digits in the worst case
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(plane.origin, points.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(plane.explained, spread[:2] ** 2 / np.sum(spread**2), rtol=1e-7)
    np.testing.assert_allclose(np.abs(plane.directions @ directions[:2].T), np.eye(2), atol=1e-7)
    shadows = np.concatenate([project(plane, path) for path in paths])
    np.testing.assert_allclose(shadows.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(shadows.var(axis=0) / points.var(axis=0).sum(), plane.explained, rtol=1e-9)
    assert np.all(shadows[-1] >= shadows[0])


def test_points_in_the_plane_keep_their_distances():
    plane = principal_plane([walk(0, 20)])
    inside = plane.origin + np.array([[1.0, 2.0], [-3.0, 0.5]]) @ plane.directions
    np.testing.assert_allclose(project(plane, inside), [[1, 2], [-3, 0.5]], atol=1e-12)  # float64


def test_the_terrain_is_the_cost_at_its_points():
    digits = jax.tree.map(lambda leaf: leaf[:300], load("digits").test)
    sizes = (784, 5, 10)
    like = init(jax.random.key(0), sizes)
    paths = [np.stack([flatten(init(jax.random.key(seed), sizes)) for seed in range(4)])]
    plane = principal_plane(paths)
    shadows = project(plane, paths[0])
    terrain = survey(plane, shadows, like, digits, points=7)
    assert terrain.cost.shape == (7, 7)
    assert terrain.along[0] < shadows[:, 0].min() < shadows[:, 0].max() < terrain.along[-1]
    assert terrain.across[0] < shadows[:, 1].min() < shadows[:, 1].max() < terrain.across[-1]
    for row, column in ((0, 0), (3, 5), (6, 1)):
        point = plane.origin + np.array([terrain.along[column], terrain.across[row]]) @ plane.directions
        first, second = np.split(point, [5 * 784 + 5])
        # flatten's order, spelled out once more: weights then biases, layer by layer
        params = (Layer(first[:-5].reshape(5, 784), first[-5:]), Layer(second[:-10].reshape(10, 5), second[-10:]))
        expected = evaluate(jax.tree.map(np.float32, params), digits).cost
        assert terrain.cost[row, column] == pytest.approx(float(expected), rel=1e-4)  # float32 coordinates


def test_a_slim_terrain_is_widened_only_where_that_is_asked_for():
    digits = jax.tree.map(lambda leaf: leaf[:10], load("digits").test)
    sizes = (784, 10)
    plane = principal_plane([np.stack([flatten(init(jax.random.key(seed), sizes)) for seed in range(3)])])
    shadows = np.array([[-10.0, 0.0], [10.0, 1.0]])
    for slimmest, height in ((0.5, 12.0), (0.0, 1.2)):
        terrain = survey(plane, shadows, init(jax.random.key(0), sizes), digits, slimmest, points=3)
        assert np.ptp(terrain.along) == pytest.approx(24)
        assert np.ptp(terrain.across) == pytest.approx(height)
