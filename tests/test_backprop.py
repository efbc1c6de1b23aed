import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from comparing import relative_distance
from jax.flatten_util import ravel_pytree

from jaxmnist.backprop import agreement, backpropagate, central_differences, pull_levers
from jaxmnist.cost import COSTS, example_cost, mean_cost
from jaxmnist.network import ACTIVATIONS, Layer, activations, init

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Each program here runs once, on small networks, so compile time is what counts."""

KINDS = list(itertools.product(ACTIVATIONS, COSTS))


FEW_KINDS = [("sigmoid", "squared_error"), ("silu", "cross_entropy")]
"""Two kinds suffice where all go through the same code."""


def random_sizes(generator, widest):
    """One to five layers of random widths, and the ten outputs."""
    return (*map(int, generator.integers(1, widest + 1, generator.integers(1, 6))), 10)


def random_examples(generator, sizes, n):
    """That many networks, images and targets, in float64."""
    params = tuple(
        Layer(
            jnp.asarray(generator.normal(size=(n, outputs, inputs)) / inputs**0.5),
            jnp.asarray(generator.normal(size=(n, outputs))),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    )
    return params, jnp.asarray(generator.random((n, sizes[0]))), jnp.eye(10)[generator.integers(0, 10, n)]


@pytest.mark.parametrize(
    ("activation", "cost"),
    # each activation once and each cost twice at once, the rest with the slow ones
    [pytest.param(*kind, marks=[] if place in (0, 3, 5, 6) else pytest.mark.slow) for place, kind in enumerate(KINDS)],
)
def test_by_hand_it_is_jax_grad_and_the_central_difference(activation, cost):
    generator = np.random.default_rng(KINDS.index((activation, cost)))
    sizes = random_sizes(generator, widest=30)

    @jit
    @jax.vmap
    def three_ways(params, image, target):
        by_hand = backpropagate(params, image, target, activation, cost)
        of_params = partial(example_cost, image=image, target=target, activation=activation, cost=cost)
        everything = jnp.arange(ravel_pytree(params)[0].size)
        return by_hand, *jax.value_and_grad(of_params)(params), central_differences(of_params, params, everything)

    with jax.enable_x64(True):
        networks = random_examples(generator, sizes, n=13)
        by_hand, costs, automatic, numerical = three_ways(*networks)
        assert jax.tree.structure(by_hand.gradient) == jax.tree.structure(networks[0])
        np.testing.assert_allclose(by_hand.cost, costs, rtol=1e-15)  # the same function
        for number in range(13):
            hand, auto = (jax.tree.map(lambda leaf, number=number: leaf[number], g) for g in (by_hand[1], automatic))
            assert relative_distance(hand, auto) <= 1e-12  # the promise; rounding leaves 1e-13 at the most
            assert relative_distance(ravel_pytree(hand)[0], numerical[number]) <= 1e-6  # h is 6e-6: see the docstring


@pytest.mark.slow
def test_by_hand_it_is_jax_grad_for_a_hundred_architectures():
    generator = np.random.default_rng(0)
    worst = 0.0
    with jax.enable_x64(True):
        for _ in range(100):
            one = jax.tree.map(lambda leaf: leaf[0], random_examples(generator, random_sizes(generator, 12), n=1))
            for activation, cost in KINDS:
                result = backpropagate(*one, activation, cost)
                expected = jax.grad(example_cost)(*one, activation, cost)
                worst = max(worst, relative_distance(result.gradient, expected))
    print(f"worst relative difference of 100 networks, {len(KINDS)} kinds each: {worst:.1e}")
    assert worst <= 1e-12


def test_by_hand_it_is_numpy_s():
    with jax.enable_x64(True):
        params, images, targets = random_examples(np.random.default_rng(0), (784, 16, 16, 10), n=1)
        params = jax.tree.map(lambda leaf: np.asarray(leaf[0]), params)
        result = jit(backpropagate)(params, images[0], targets[0])
        cost, expected = oracle.gradient(params, np.asarray(images), np.asarray(targets))
        assert result.cost == pytest.approx(cost, rel=1e-13)  # float64 sums of 784 terms
        assert relative_distance(result.gradient, tuple(expected)) < 1e-12


def test_in_float32_it_is_jax_grad_within_rounding():
    activation, cost = "silu", "cross_entropy"
    params, image, target = jax.tree.map(
        lambda leaf: leaf[0].astype(jnp.float32), random_examples(np.random.default_rng(2), (784, 5, 4, 10), n=1)
    )
    result = jit(partial(backpropagate, activation=activation, cost=cost))(params, image, target)
    assert {leaf.dtype for leaf in jax.tree.leaves(result)} == {jnp.dtype("float32")}
    expected = jit(jax.grad(partial(example_cost, activation=activation, cost=cost)))(params, image, target)
    assert relative_distance(result.gradient, expected) < 1e-5  # sums of up to 784 float32 terms, rounded to 6e-8 each


@pytest.mark.parametrize(("activation", "cost"), FEW_KINDS)
def test_sensitivities_are_the_slopes_for_the_activations_of_every_layer(activation, cost):
    generator = np.random.default_rng(1)
    with jax.enable_x64(True):
        params, image, target = jax.tree.map(lambda leaf: leaf[0], random_examples(generator, (6, 5, 4, 10), n=1))
        result = jit(partial(backpropagate, activation=activation, cost=cost))(params, image, target)
        a = activations(params, image, activation, cost)
        slope = jit(jax.grad(partial(example_cost, activation=activation, cost=cost), argnums=1))
        assert [s.shape for s in result.sensitivities] == [layer.shape for layer in a[:-1]]
        for layer in range(3):
            expected = slope(params[layer:], a[layer], target)
            assert relative_distance(result.sensitivities[layer], expected) < 1e-12  # float64
            assert np.array_equal(result.deltas[layer], result.gradient[layer].biases)


def test_the_mean_over_a_batch_is_the_gradient_of_the_mean_cost():
    params, images, targets = random_examples(np.random.default_rng(3), (20, 6, 10), n=9)
    params = jax.tree.map(lambda leaf: leaf[0], params)
    each = jit(jax.vmap(backpropagate, in_axes=(None, 0, 0)))(params, images, targets)
    mean = jax.tree.map(lambda leaf: leaf.mean(axis=0), each.gradient)
    assert relative_distance(mean, jit(jax.grad(mean_cost))(params, images, targets)) < 1e-5  # float32


def test_central_differences_of_chosen_parameters_of_any_cost():
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf[0], random_examples(np.random.default_rng(5), (784, 4, 10), n=1)[0])
        chosen = jnp.array([3, 2_000, 3_139, 3_140, 3_189])

        def cost(params):  # Σ θ³ has the slopes 3 θ²
            return jnp.sum(ravel_pytree(params)[0] ** 3)

        expected = 3 * ravel_pytree(params)[0][chosen] ** 2
        # the formula's own error is h² = 4e-11; rounding is 2e-16 of a sum of order 10 over 2h, 2e-10
        np.testing.assert_allclose(central_differences(cost, params, chosen), expected, atol=1e-9)
        # with a large step the error is h² exactly
        coarse = central_differences(cost, params, chosen, step=0.1)
        np.testing.assert_allclose(coarse, expected + 0.01, rtol=1e-9)


@pytest.mark.parametrize(("layer", "activation", "cost"), [(1, *FEW_KINDS[1]), (3, *FEW_KINDS[0])])
def test_levers_move_the_cost_as_predicted(layer, activation, cost):
    with jax.enable_x64(True):
        params, image, target = jax.tree.map(
            lambda leaf: leaf[0], random_examples(np.random.default_rng(4), (8, 6, 5, 10), n=1)
        )
        pull = jit(partial(pull_levers, layer=layer, activation=activation, cost=cost))
        neuron = int(jnp.argmax(activations(params, image, activation, cost)[layer]))  # one that relu leaves alive
        large, small = (pull(params, image, target, neuron=neuron, length=length) for length in (1e-3, 5e-4))
        back = jit(partial(backpropagate, activation=activation, cost=cost))(params, image, target)
        inputs, delta = activations(params, image, activation, cost)[layer - 1], back.deltas[layer - 1][neuron]
        np.testing.assert_allclose(large.bias.slopes, delta[None], rtol=1e-12)  # float64, here and below
        np.testing.assert_allclose(large.weights.slopes, delta * inputs, rtol=1e-12)
        np.testing.assert_allclose(large.inputs.slopes, back.sensitivities[layer - 1], rtol=1e-12)
        for lever, half in zip(large, small, strict=True):
            assert np.linalg.norm(lever.nudges) == pytest.approx(1e-3)
            assert lever.raised > 0
            # what the straight line misses is the curvature's part, which falls as the square of the length
            missed, half_missed = (float(one.measured - one.predicted) for one in (lever, half))
            assert abs(missed) < 1e-4
            assert half_missed == pytest.approx(missed / 4, rel=0.05, abs=1e-12)


def test_levers_of_all_outputs_at_once_and_of_a_dead_layer():
    params = init(jax.random.key(0), (784, 6, 10))
    image, target = jax.random.uniform(jax.random.key(1), (784,)), jnp.eye(10)[7]

    def pull(params, neuron, activation="sigmoid"):
        return pull_levers(params, image, target, 2, neuron, activation)

    all_ten = jit(jax.vmap(pull, in_axes=(None, 0)))(params, jnp.arange(10))
    alone = jit(pull)(params, 4)
    np.testing.assert_allclose(all_ten.weights.slopes[4], alone.weights.slopes, rtol=1e-5)  # float32
    assert all(jnp.all(lever.raised > 0) for lever in all_ten)
    dead = (Layer(jnp.zeros((6, 784)), -jnp.ones(6)), params[1])
    levers = jit(partial(pull, activation="relu"))(dead, 4)
    assert jnp.all(levers.weights.nudges == 0)
    assert levers.weights.measured == levers.weights.predicted == 0
    assert levers.bias.raised > 0


@pytest.mark.parametrize(
    ("layer", "neuron", "said"), [(0, 0, "layer=0"), (3, 0, "layer=3"), (2, 10, "neuron=10"), (1, -1, "neuron=-1")]
)
def test_a_missing_layer_or_neuron_is_refused(layer, neuron, said):
    params = init(jax.random.key(0), (784, 6, 10))
    with pytest.raises(ValueError, match=said):
        pull_levers(params, jnp.zeros(784), jnp.eye(10)[0], layer, neuron)


def test_agreement_counts_decimal_digits():
    expected = {"w": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    off = {"w": jnp.array([3.0, 0.0]), "b": jnp.array([4.0 + 5e-3])}
    assert agreement(off, expected) == pytest.approx(3, abs=1e-3)  # float32
    assert agreement(expected, expected) == pytest.approx(6.92, abs=0.01)
    assert agreement(jax.tree.map(lambda leaf: -leaf, expected), expected) == 0
    zero = jax.tree.map(jnp.zeros_like, expected)
    assert agreement(zero, zero) > 6
    assert agreement(expected, zero) == 0
