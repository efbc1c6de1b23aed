from functools import cache

import jax
import numpy as np
import oracle
import pytest

from jaxmnist.config import Config
from jaxmnist.network import count_parameters, init
from jaxmnist.studies.explanation import TERMS, explain

NETWORKS = [
    Config(sizes=(784, 10), activation="tanh"),
    Config(sizes=(784, 5, 4, 3, 2, 10), activation="silu", cost="cross_entropy"),
    Config(sizes=(784, 80, 10), activation="relu"),
]
IMAGE = np.random.default_rng(0).integers(0, 256, 784).astype(np.uint8)


@cache
def explained(config):
    """One explanation of each network serves all tests, in `test_explain` too."""
    return explain(init(jax.random.key(1), config.sizes), IMAGE, 4, config)


def test_the_seed_network_s_numbers_are_numpy_s():
    params = init(jax.random.key(0))
    found = explain(params, IMAGE, 3, Config())
    layers = [tuple(np.asarray(leaf, float) for leaf in layer) for layer in params]
    target = np.eye(10)[3]
    cost, gradient = oracle.gradient(layers, IMAGE[None] / 255, target[None])
    # float64 sums of 784 terms, here and below
    assert found.back.cost == pytest.approx(cost, rel=1e-12)
    assert found.terms == pytest.approx((found.activations[-1] - target) ** 2, rel=1e-12)
    assert found.terms.sum() == pytest.approx(cost, rel=1e-12)
    for ours, theirs in zip(found.back.gradient, gradient, strict=True):
        np.testing.assert_allclose(ours.weights, theirs[0], rtol=1e-9, atol=1e-15)
    assert found.compared == 13_002
    assert found.automatic_digits > 14
    assert found.numerical_digits > 7
    np.testing.assert_allclose(found.measured, gradient[-1][0][3], rtol=1e-6)  # central differences
    assert found.levers.bias.slopes == pytest.approx(gradient[-1][1][3], rel=1e-12)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.back)} == {np.dtype(float)}


@pytest.mark.parametrize(
    "config",
    NETWORKS,
)
def test_any_network_is_explained_and_a_wide_one_is_measured_in_a_sample(config):
    found = explained(config)
    assert set(TERMS) >= {config.cost}
    assert found.terms.shape == (10,)
    assert not np.signbit(found.terms).any()  # no term is written as -0.000000
    assert found.terms.sum() == pytest.approx(float(found.back.cost), rel=1e-12)  # float64
    assert found.automatic_digits > 12
    assert found.numerical_digits > 6
    np.testing.assert_allclose(found.measured, found.levers.weights.slopes, rtol=1e-5, atol=1e-9)
    everything = count_parameters(found.params)
    assert found.compared == everything if everything < 14_000 else 3_000 < found.compared < 4_000
