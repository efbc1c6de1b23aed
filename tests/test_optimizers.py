import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from comparing import relative_distance

from jaxmnist.config import Config
from jaxmnist.optimizers import apply_updates, cosine, momentum, nesterov, sgd
from jaxmnist.training import start, train_epoch

PAIRS = {
    "sgd": (lambda rate, mu: sgd(rate), lambda rate, mu: optax.sgd(rate)),
    "momentum": (momentum, lambda rate, mu: optax.sgd(rate, mu)),
    "nesterov": (nesterov, lambda rate, mu: optax.sgd(rate, mu, nesterov=True)),
}


def in_standard_promotion(schedule):
    """optax multiplies integers by floats, which this suite forbids to its own code."""

    def rate(step):
        with jax.numpy_dtype_promotion("standard"):
            return schedule(step)

    return rate


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("nesterov", "constant"),
        ("nesterov", "cosine"),
        pytest.param("sgd", "constant", marks=pytest.mark.slow),
        pytest.param("momentum", "constant", marks=pytest.mark.slow),
    ],
)
def test_a_thousand_minibatch_steps_are_optax_s(name, schedule, digits):
    train_set, config = digits.train, Config(batch_size=57)  # 25 steps an epoch
    rate = 0.1 if schedule == "constant" else cosine(0.1, 1_000)
    optax_rate = 0.1 if schedule == "constant" else in_standard_promotion(optax.cosine_decay_schedule(0.1, 1_000))
    ours, theirs = PAIRS[name][0](rate, 0.9), PAIRS[name][1](optax_rate, 0.9)
    states = [start(jax.random.key(0), config, optimizer) for optimizer in (ours, theirs)]
    first = states[0].params
    for _ in range(40):
        states = [
            train_epoch(state, train_set, config, optimizer)[0]
            for state, optimizer in zip(states, (ours, theirs), strict=True)
        ]
    assert relative_distance(first, states[1].params) > 0.1  # they have gone somewhere
    # the same arithmetic in the same order gives the same bits; cosines are computed in another order
    assert relative_distance(states[0].params, states[1].params) <= (1e-6 if schedule == "constant" else 1e-4)


@pytest.mark.parametrize("name", PAIRS)
def test_odd_pytrees_under_traced_rates(name):
    generator = np.random.default_rng(0)
    shapes = [(), (1,), (0,), (3, 1, 2), (7,), (2, 5)]

    def tree():
        a, b, c, d, e, f = (jnp.asarray(generator.normal(size=shape), jnp.float32) for shape in shapes)
        return {"a": (a, [b, c]), "b": {"d": d, "none": None}, "e": (e,), "f": f}

    params, gradients = tree(), [tree() for _ in range(5)]

    def run(make, rate, mu):
        optimizer = make(rate, mu)
        moved, state = params, optimizer.init(params)
        for gradient in gradients:
            updates, state = optimizer.update(gradient, state, moved)
            moved = apply_updates(moved, updates)
        return moved

    for rate, mu in [(0.1, 0.9), (3.0, 0.0), (1e-4, 0.99)]:
        ours, theirs = (
            jax.jit(lambda rate, mu, make=make: run(make, rate, mu))(jnp.float32(rate), jnp.float32(mu))
            for make in PAIRS[name]
        )
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)  # five float32 steps


@pytest.mark.parametrize("name", PAIRS)
def test_updates_keep_the_dtype_of_the_parameters(name):
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        optimizer = PAIRS[name][0](jnp.float32(0.1), jnp.float32(0.9))
        params = {"w": jnp.ones(3, dtype)}
        updates, state = optimizer.update(params, optimizer.init(params))
        assert updates["w"].dtype == dtype == apply_updates(params, updates)["w"].dtype
        assert all(leaf.dtype in (dtype, jnp.int32) for leaf in jax.tree.leaves(state))


def test_parameters_keep_their_dtype_whatever_the_updates_is():
    with jax.numpy_dtype_promotion("standard"):
        for dtype, other in ((jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)):
            assert apply_updates(jnp.ones(3, dtype), jnp.ones(3, other)).dtype == dtype


def quadratic(params):
    """A ravine: 50 times steeper one way than the other, its lowest point at (1, 2)."""
    return 0.5 * jnp.sum(jnp.array([1.0, 50.0]) * (params - jnp.array([1.0, 2.0])) ** 2)


def follow(optimizer, steps, begin=(4.0, -3.0)):
    params = jnp.array(begin)
    state, path = optimizer.init(params), [params]
    for _ in range(steps):
        updates, state = optimizer.update(jax.grad(quadratic)(params), state, params)
        params = apply_updates(params, updates)
        path.append(params)
    return jnp.stack(path)


@pytest.mark.parametrize("mu", [0.5, 0.9, 0.99, lambda step: 1 - 3 / (jnp.asarray(step, float) + 5)])
def test_nesterov_is_the_textbook_look_ahead_at_the_shifted_point(mu):
    with jax.enable_x64(True):
        rate, at = 0.01, mu if callable(mu) else lambda step: mu
        theta, velocity, ahead = jnp.array([4.0, -3.0]), jnp.zeros(2), []
        for step in range(60):
            ahead.append(theta + at(step) * velocity)
            velocity = at(step) * velocity - rate * jax.grad(quadratic)(theta + at(step) * velocity)
            theta = theta + velocity
        ahead.append(theta + at(60) * velocity)
        # 60 steps in float64; errors shrink with the steps
        np.testing.assert_allclose(follow(nesterov(rate, mu), 60), jnp.stack(ahead), rtol=1e-10, atol=1e-10)


def test_momentum_keeps_what_its_schedule_says_at_each_step():
    optimizer = momentum(1.0, lambda step: jnp.where(step < 2, 0.5, 0.25))
    state, sizes = optimizer.init(jnp.ones(1)), []
    for _ in range(4):
        update, state = optimizer.update(jnp.ones(1), state)
        sizes.append(-float(update[0]))
    assert sizes == [1, 1 + 0.5 * 1, 1 + 0.25 * 1.5, 1 + 0.25 * 1.375]  # exact in binary


def test_momentum_with_coefficient_0_is_sgd():
    np.testing.assert_array_equal(follow(momentum(0.01, 0.0), 30), follow(sgd(0.01), 30))
    np.testing.assert_array_equal(follow(nesterov(0.01, 0.0), 30), follow(sgd(0.01), 30))


def test_sgd_on_a_quadratic_shrinks_each_direction_by_its_own_factor():
    with jax.enable_x64(True):
        path = follow(sgd(0.03), 20)
        factors = 1 - 0.03 * jnp.array([1.0, 50.0])
        powers = factors[None] ** jnp.arange(21.0)[:, None]
        expected = jnp.array([[1.0, 2.0]]) + jnp.array([[3.0, -5.0]]) * powers
        np.testing.assert_allclose(path, expected, rtol=1e-12)  # the closed form, in float64


@pytest.mark.slow
def test_momentum_and_nesterov_need_fewer_steps_in_a_ravine():
    def steps_to_arrive(optimizer):
        far = jnp.linalg.norm(follow(optimizer, 400) - jnp.array([[1.0, 2.0]]), axis=1) > 1e-2
        return int(jnp.max(jnp.where(far, jnp.arange(401), 0)))

    assert steps_to_arrive(sgd(0.02)) > 2 * steps_to_arrive(momentum(0.02, 0.8))
    assert steps_to_arrive(momentum(0.02, 0.8)) > steps_to_arrive(nesterov(0.02, 0.8))


def test_along_a_steady_slope_momentum_is_sgd_with_ten_times_the_rate():
    optimizer = momentum(0.1, 0.9)
    slope = jnp.ones(1)
    state = optimizer.init(slope)
    for _ in range(300):
        update, state = optimizer.update(slope, state)
    assert update[0] == pytest.approx(-0.1 / (1 - 0.9), rel=1e-5)  # 0.9³⁰⁰ is 2e-14; float32


def test_ours_stand_inside_a_chain_of_optax_s():
    chain = optax.chain(optax.clip_by_global_norm(1.0), nesterov(0.1, 0.9))
    reference = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9, nesterov=True))
    assert relative_distance(follow(chain, 50), follow(reference, 50)) < 1e-6  # float32


def test_cosine_falls_from_the_rate_to_zero_and_stays():
    rate = cosine(0.4, 100)
    found = [float(rate(jnp.int32(step))) for step in (0, 50, 100, 150)]
    assert found == pytest.approx([0.4, 0.2, 0, 0], abs=1e-7)  # float32
    reference = in_standard_promotion(optax.cosine_decay_schedule(0.4, 100))
    for step in range(0, 120, 7):
        assert rate(jnp.int32(step)) == pytest.approx(float(reference(step)), abs=1e-7)


def test_the_schedule_counts_the_steps():
    optimizer = sgd(lambda step: jnp.where(step < 2, 1.0, 10.0))
    params = jnp.zeros(1)
    state = optimizer.init(params)
    sizes = []
    for _ in range(4):
        update, state = optimizer.update(jnp.ones(1), state)
        sizes.append(float(update[0]))
    assert sizes == [-1, -1, -10, -10]
    assert state.step == 4
