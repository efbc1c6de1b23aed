import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import gradient

from jaxmnist.config import Activation, Cost
from jaxmnist.cost import COSTS, cross_entropy, mean_cost, squared_error
from jaxmnist.network import init


def test_squared_error_of_the_table_for_a_2():
    output = jnp.array([0.32, 0.76, 0.16, 0.32, 0.35, 0.32, 0.76, 0.56, 0.32, 0.65])
    terms = [0.32, 0.76, 0.16 - 1, 0.32, 0.35, 0.32, 0.76, 0.56, 0.32, 0.65]
    # ten float32 terms of order 1, each rounded to 6e-8
    assert squared_error(output, jnp.eye(10)[2]) == pytest.approx(sum(term**2 for term in terms), abs=1e-6)
    assert squared_error(jnp.eye(10)[2], jnp.eye(10)[2]) == 0


def test_cross_entropy_is_the_negative_log_of_the_right_output():
    output = jax.nn.softmax(jnp.arange(10.0))
    assert cross_entropy(output, jnp.eye(10)[4]) == pytest.approx(-np.log(float(output[4])), rel=1e-6)  # float32


def test_cross_entropy_stays_finite_when_an_output_underflows():
    value, slope = jax.value_and_grad(lambda z: cross_entropy(jax.nn.softmax(z), jnp.eye(10)[0]))(
        jnp.zeros(10).at[1].set(1_000.0)
    )
    assert value > 80
    assert jnp.all(jnp.isfinite(slope))


def test_names_are_those_of_the_config():
    assert set(COSTS) == set(Cost.__args__)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return generator.random((7, 784)), np.eye(10)[generator.integers(0, 10, 7)]


def test_mean_cost_is_the_mean_over_the_examples(batch):
    params = init(jax.random.key(0))
    images, targets = map(jnp.asarray, batch)
    each = [mean_cost(params, images[i : i + 1], targets[i : i + 1]) for i in range(7)]
    assert mean_cost(params, images, targets) == pytest.approx(np.mean(each), rel=1e-6)  # float32


@pytest.mark.parametrize("activation", Activation.__args__)
@pytest.mark.parametrize("cost", Cost.__args__)
def test_gradient_is_the_central_difference(activation, cost, batch):
    with jax.enable_x64(True):
        params = init(jax.random.key(5), (784, 6, 5, 10))
        images, targets = map(jnp.asarray, batch)
        leaves, structure = jax.tree.flatten(params)
        found = jax.tree.leaves(jax.grad(mean_cost)(params, images, targets, activation, cost))
        generator = np.random.default_rng(1)
        for number, leaf in enumerate(leaves):
            assert found[number].dtype == jnp.float64
            for _ in range(6):
                place = tuple(generator.integers(0, side) for side in leaf.shape)
                h = 1e-6

                def nudged(change, number=number, place=place):
                    moved = [*leaves[:number], leaves[number].at[place].add(change), *leaves[number + 1 :]]
                    return mean_cost(structure.unflatten(moved), images, targets, activation, cost)

                difference = (nudged(h) - nudged(-h)) / (2 * h)
                # rounding of the cost, 1e-16, over 2h, and a third derivative of order 1 times h² : below 1e-9
                assert found[number][place] == pytest.approx(float(difference), rel=1e-6, abs=1e-9)


def test_gradient_is_back_propagation_by_hand(batch):
    with jax.enable_x64(True):
        params = init(jax.random.key(2))
        cost, gradients = jax.value_and_grad(mean_cost)(params, *map(jnp.asarray, batch))
        expected_cost, expected = gradient([tuple(map(np.asarray, layer)) for layer in params], *batch)
        assert cost == pytest.approx(expected_cost, rel=1e-13)  # float64 sums of 784 terms
        for ours, theirs in zip(jax.tree.leaves(gradients), [g for layer in expected for g in layer], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
