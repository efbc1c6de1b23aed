"""The laws of notebook 6, each for networks, functions and numbers that Hypothesis makes up.

Where both sides make the same operations on the same numbers in the same order, they agree bit for bit. Where a law
reorders a sum, or the compiler may fuse a product with a sum, they agree up to rounding: float64 keeps 1.1e-16 of a
number, and sums of up to a few thousand terms multiply that; ROUNDING leaves a margin of a hundred.
"""

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from jaxmnist.backprop import backpropagate
from jaxmnist.config import Config
from jaxmnist.cost import COSTS, example_cost, mean_cost
from jaxmnist.dataset import Dataset
from jaxmnist.network import ACTIVATIONS, Layer, forward, init
from jaxmnist.optimizers import Optimizer, momentum, nesterov, sgd
from jaxmnist.training import make_optimizer, start, train_step, train_steps

ROUNDING = 1e-12

seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(sorted(ACTIVATIONS))
costs = st.sampled_from(sorted(COSTS))
numbers = st.floats(-10, 10)
sizes = st.sampled_from([(20, 5, 4, 10), (20, 10), (20, 3, 10), (20, 2, 6, 3, 10)])
functions = st.sampled_from([jnp.tanh, jnp.square, jnp.negative, lambda x: 3 * x, lambda x: x + 1, jnp.abs])


@pytest.fixture(autouse=True)
def exact():
    with jax.enable_x64(True):
        yield


def close(one, other):
    """Whether two pytrees differ by no more than rounding, by the size of all their numbers together."""
    first, second = (np.asarray(ravel_pytree(side)[0]) for side in (one, other))
    return bool(np.linalg.norm(first - second) <= ROUNDING * (np.linalg.norm(second) or 1))


def examples(seed, count):
    """Random images of 20 pixels with one-hot labels."""
    by_image, by_label = jax.random.split(jax.random.key(seed))
    labels = jax.random.randint(by_label, (count,), 0, 10)
    return jax.random.uniform(by_image, (count, 20)), jax.nn.one_hot(labels, 10)


def tree_map_is_a_functor(seed, sizes, f, g):
    params = init(jax.random.key(seed), sizes)
    assert same_bits(jax.tree.map(lambda leaf: leaf, params), params)
    assert same_bits(jax.tree.map(lambda leaf: f(g(leaf)), params), jax.tree.map(f, jax.tree.map(g, params)))


def grad_is_linear(seed, sizes, activation, cost, a, b):
    params, (images, targets) = init(jax.random.key(seed), sizes), examples(seed, 6)
    cost_of = jax.jit(partial(mean_cost, activation=activation, cost=cost))

    def combined(params):
        return a * cost_of(params, images[:2], targets[:2]) + b * cost_of(params, images[2:], targets[2:])

    first, second = (
        jax.jit(jax.grad(cost_of))(params, images[rows], targets[rows]) for rows in (slice(2), slice(2, None))
    )
    separate = jax.tree.map(lambda one, other: a * one + b * other, first, second)
    size = jax.tree.map(lambda one, other: abs(a * one) + abs(b * other), first, second)  # they may cancel
    difference = ravel_pytree(jax.tree.map(jnp.subtract, jax.jit(jax.grad(combined))(params), separate))[0]
    assert np.linalg.norm(difference) <= ROUNDING * np.linalg.norm(ravel_pytree(size)[0])


def identity(x):
    """A stage: from x to its value, and to the way back, which gives the slopes by x and those of its parameters."""
    return x, lambda dy: (dy, ())


def stage(layer, activation=None):
    """The weighted sums of a layer, of the activations if there is one: equations (2) to (4) of `backprop`."""

    def forth(x):
        before = x if activation is None else ACTIVATIONS[activation].value(x)

        def back(delta):
            slope = 1 if activation is None else ACTIVATIONS[activation].slope(x)
            return (layer.weights.T @ delta) * slope, (Layer(jnp.outer(delta, before), delta),)

        return layer.weights @ before + layer.biases, back

    return forth


def then(first, second):
    """One stage after another: forth in this order, and back in the reverse."""

    def forth(x):
        y, back_first = first(x)
        z, back_second = second(y)

        def back(dz):
            dy, later = back_second(dz)
            dx, earlier = back_first(dy)
            return dx, earlier + later

        return z, back

    return forth


def stages_compose_associatively(seed, sizes, activation, cost):
    params, (images, targets) = init(jax.random.key(seed), sizes), examples(seed, 1)
    stages = [stage(params[0]), *(stage(layer, activation) for layer in params[1:])]
    whole = backpropagate(params, images[0], targets[0], activation, cost)
    from_left, from_right = reduce(then, stages), reduce(lambda later, earlier: then(earlier, later), stages[::-1])
    for chain in (from_left, from_right, then(identity, from_left), then(from_left, identity)):
        z, back = chain(images[0])
        by_image, gradient = back(COSTS[cost].delta(z, targets[0]))
        assert same_bits((by_image, gradient), (whole.sensitivities[0], whole.gradient))
    assert close(gradient, jax.grad(example_cost)(params, images[0], targets[0], activation, cost))


def scan_is_a_fold(seed, optimizer, cut):
    config = Config((784, 3, 10), optimizer=optimizer, learning_rate=0.1)
    state, chosen = start(jax.random.key(seed), config), make_optimizer(config, 5)
    images = jax.random.randint(jax.random.key(seed), (5, 3, 784), 0, 256).astype(jnp.uint8)
    batches = Dataset(images, images[..., 400] % 10)
    once, together = jax.jit(train_step, static_argnums=3), jax.jit(train_steps, static_argnums=3)
    after, _ = together(state, batches, config, chosen)
    rows = [Dataset(*row) for row in zip(*batches, strict=True)]
    folded = reduce(lambda state, row: once(state, row, config, chosen)[0], rows, state)
    first, second = Dataset(*(leaf[:cut] for leaf in batches)), Dataset(*(leaf[cut:] for leaf in batches))
    in_two = together(together(state, first, config, chosen)[0], second, config, chosen)[0]
    assert close(folded.params, after.params)
    assert close(in_two.params, after.params)


def vmap_of_a_composition_is_the_composition_of_vmaps(seed, sizes, activation, f):
    params, (images, _) = init(jax.random.key(seed), sizes), examples(seed, 4)
    read = partial(forward, params, activation=activation)
    assert same_bits(jax.vmap(lambda x: x)(images), images)
    assert same_bits(jax.vmap(lambda x: f(read(x)))(images), jax.vmap(f)(jax.vmap(read)(images)))
    assert close(jax.vmap(read)(images), jnp.stack([read(image) for image in images]))


def chain(first, second):
    """One optimizer after another: the second gets the first's updates as its gradient."""

    def update(gradient, state, params=None):
        updates, state_first = first.update(gradient, state[0], params)
        updates, state_second = second.update(updates, state[1], params)
        return updates, (state_first, state_second)

    return Optimizer(lambda params: (first.init(params), second.init(params)), update)


def optimizers_chain_associatively(seed, mu, rate):
    key, params = jax.random.key(seed), {"weights": jnp.zeros((2, 3)), "biases": jnp.zeros(3)}
    gradients = jax.tree.map(lambda leaf: jax.random.normal(key, (4, *leaf.shape)), params)
    accumulate, look_ahead, step = momentum(-1, mu), nesterov(-1, mu), sgd(rate)
    a_then_b, b_then_a = (
        run(optimizer, params, gradients)
        for optimizer in (
            chain(chain(accumulate, look_ahead), step),
            chain(accumulate, chain(look_ahead, step)),
        )
    )
    assert same_bits(a_then_b, b_then_a)
    for made, ours in ((chain(accumulate, step), momentum(rate, mu)), (chain(look_ahead, step), nesterov(rate, mu))):
        assert same_bits(run(made, params, gradients), run(ours, params, gradients))


def run(optimizer, params, gradients):
    """All updates of an optimizer as a state machine, fed one gradient after another."""
    return jax.lax.scan(
        lambda state, gradient: optimizer.update(gradient, state)[::-1], optimizer.init(params), gradients
    )[1]


def jit_changes_nothing_but_time(seed, sizes, activation, cost):
    params, (images, targets) = init(jax.random.key(seed), sizes), examples(seed, 3)
    slope = jax.value_and_grad(partial(mean_cost, activation=activation, cost=cost))
    assert close(jax.jit(slope)(params, images, targets), slope(params, images, targets))
    assert same_bits(jax.jit(jax.jit(slope))(params, images, targets), jax.jit(slope)(params, images, targets))


def split_keys_need_no_order(seed, count):
    keys = jax.random.split(jax.random.key(seed), count)
    draw = partial(jax.random.normal, shape=(3,))
    in_order = [draw(key) for key in keys]
    backwards = [draw(key) for key in keys[::-1]][::-1]
    assert same_bits(in_order, backwards)
    assert same_bits(jax.vmap(draw)(keys), jnp.stack(in_order))
    assert len({tuple(numbers.tolist()) for numbers in in_order}) == count


LAWS = {
    tree_map_is_a_functor: (seeds, sizes, functions, functions),
    grad_is_linear: (seeds, sizes, names, costs, numbers, numbers),
    stages_compose_associatively: (seeds, sizes, names, costs),
    scan_is_a_fold: (seeds, st.sampled_from(["sgd", "momentum", "nesterov"]), st.integers(1, 4)),
    vmap_of_a_composition_is_the_composition_of_vmaps: (seeds, sizes, names, functions),
    optimizers_chain_associatively: (seeds, st.floats(0, 0.99), st.floats(1e-3, 10)),
    jit_changes_nothing_but_time: (seeds, sizes, names, costs),
    split_keys_need_no_order: (seeds, st.integers(2, 6)),
}


def check(law, examples):
    """Try a law on so many examples, the same in every run."""
    settings(max_examples=examples, derandomize=True, deadline=None, database=None)(given(*LAWS[law])(law))()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law):
    check(law, 1)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_on_many_examples(law):
    check(law, 20)
