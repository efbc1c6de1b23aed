import dataclasses
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import oracle
import pytest
from comparing import member, relative_distance, same_bits

from jaxmnist import training
from jaxmnist.config import Config
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, minibatches, one_hot, scale
from jaxmnist.metrics import evaluate
from jaxmnist.optimizers import nesterov, sgd
from jaxmnist.population import make_members, train_population
from jaxmnist.training import make_optimizer, start, train, train_epoch, train_step, train_steps


@pytest.fixture(scope="module")
def few(digits):
    """The first examples of each part, for what must only be correct and not learn."""
    return jax.tree.map(lambda leaf: leaf[:100], (digits.train, digits.test))


SMALL = Config(batch_size=10, epochs=3)


def test_scan_is_a_loop_of_steps_bit_for_bit(few):
    train_set, config = few[0], SMALL
    state = start(jax.random.key(0), config)
    next_key, shuffle_key = jax.random.split(state.key)
    batches = jax.jit(minibatches, static_argnums=2)(shuffle_key, train_set, 10)

    @jax.jit
    def step(state, batch, config):
        return train_step(state, batch, config, make_optimizer(config, 30))

    looped, costs = state, []
    for number in range(10):
        looped, cost = step(looped, Dataset(batches.images[number], batches.labels[number]), config)
        costs.append(cost)
    looped = looped._replace(key=next_key, epoch=looped.epoch + 1)
    scanned, scanned_costs = train_epoch(state, train_set, config)
    assert same_bits(scanned, looped)
    assert same_bits(scanned_costs, jnp.stack(costs))


def test_one_step_is_the_numpy_back_propagation(few):
    with jax.enable_x64(True):
        config = dataclasses.replace(SMALL, schedule="constant", learning_rate=0.5)
        state = start(jax.random.key(0), config)
        params = [tuple(map(np.asarray, layer)) for layer in state.params]
        velocities = [tuple(map(np.zeros_like, layer)) for layer in params]
        images, labels = map(np.asarray, few[0])
        for number in range(5):
            batch = slice(10 * number, 10 * number + 10)
            state, cost = train_step(
                state, jax.tree.map(lambda leaf, batch=batch: leaf[batch], few[0]), config, make_optimizer(config, 30)
            )
            params, velocities, expected = oracle.nesterov_step(
                params, velocities, images[batch] / 255, np.eye(10)[labels[batch]], 0.5, 0.9
            )
            assert cost == pytest.approx(expected, rel=1e-12)  # float64
        for ours, theirs in zip(jax.tree.leaves(state.params), [p for layer in params for p in layer], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-13)  # float64, five steps


def test_the_whole_run_is_a_loop_of_epochs_bit_for_bit(few):
    state, history = jax.jit(train)(jax.random.key(4), *few, SMALL)
    looped = start(jax.random.key(4), SMALL)
    for _ in range(3):
        looped, _costs = train_epoch(looped, few[0], SMALL)
    assert same_bits(state, looped)
    assert state.epoch == 3
    assert all(leaf.shape == (4,) for leaf in jax.tree.leaves(history))


SCRIPT = """
import hashlib, jax
from jaxmnist.config import Config
from jaxmnist.sources import load
from jaxmnist.training import train
digits = load("digits")
state, history = jax.jit(train)(jax.random.key(7), digits.train, digits.test, Config(epochs=3))
print(hashlib.sha256(b"".join(leaf.tobytes() for leaf in jax.tree.leaves((state.params, history)))).hexdigest())
"""


@pytest.mark.slow
def test_same_key_same_result_across_processes():
    digests = [
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64


def test_one_compilation_serves_every_learning_rate_and_momentum(few):
    traces = []

    @jax.jit
    def epoch(state, config):
        traces.append(config)
        return train_epoch(state, few[0], config)

    results = []
    for rate, mu in [(0.1, 0.9), (0.5, 0.9), (0.5, 0.2), (jnp.float32(0.3), jnp.float32(0.99))]:
        config = dataclasses.replace(SMALL, learning_rate=rate, momentum=mu)
        state, _costs = epoch(start(jax.random.key(0), SMALL), config)
        results.append(float(state.params[0].weights[3, 400]))
    # Python's numbers and JAX's arrays differ in weak typing, which is a trace of its own
    assert len(traces) == 2
    assert len(set(results)) == 4


@pytest.mark.slow
def test_a_call_without_jit_runs_the_same_compiled_program(few):
    plain = train(jax.random.key(4), *few, SMALL)
    assert same_bits(plain, jax.jit(train)(jax.random.key(4), *few, SMALL))
    ours = sgd(0.1)
    by_name = jax.jit(train, static_argnames="optimizer")(jax.random.key(4), *few, SMALL, optimizer=ours)
    assert same_bits(by_name, train(jax.random.key(4), *few, SMALL, ours))


def wrong_sets(train_set):
    images, labels = map(np.asarray, train_set)
    return {
        "images: float32": Dataset((images / 255).astype(np.float32), labels),
        r"images: uint8 of shape \(100, 28, 28\)": Dataset(images.reshape(-1, 28, 28), labels),
        r"images: uint8 of shape \(0, 784\)": Dataset(images[:0], labels[:0]),
        r"labels: uint8 of shape \(99,\)": Dataset(images, labels[1:]),
        "labels: float32": Dataset(images, labels.astype(np.float32)),
    }


@pytest.mark.parametrize("index", range(5))
def test_no_function_learns_from_or_measures_a_wrong_set(index, few):
    message, wrong = list(wrong_sets(few[0]).items())[index]
    train_set, _test_set = few
    state = start(jax.random.key(0), SMALL)
    members = make_members([(0.9, 0.1)], [0])
    for name, call in {
        r"train_set\.": lambda: train(jax.random.key(0), wrong, train_set, SMALL),
        r"test_set\.": lambda: train(jax.random.key(0), train_set, wrong, SMALL),
        r"held_out\.": lambda: train_population(members, jax.random.key(0), train_set, wrong, SMALL),
        "": lambda: evaluate(state.params, wrong),
        "(?:)": lambda: train_step(state, wrong, SMALL, sgd(0.1)),
    }.items():
        with pytest.raises(ValueError, match=f"^{name}{message}"):
            call()


@pytest.mark.slow
def test_labels_may_be_integers_of_any_type(few):
    train_set, test_set = few
    wide = train_set._replace(labels=np.asarray(train_set.labels, np.int64))
    assert same_bits(train(jax.random.key(0), wide, test_set, SMALL), train(jax.random.key(0), *few, SMALL))


def test_labels_must_be_digits(few):
    train_set, test_set = few
    wide = train_set._replace(labels=np.asarray(train_set.labels, np.int64))
    with pytest.raises(ValueError, match=r"^train_set\.labels: from 1 to 10, expected digits from 0 to 9"):
        train(jax.random.key(0), wide._replace(labels=wide.labels + 1), test_set, SMALL)
    with pytest.raises(ValueError, match=r"^test_set\.labels: from 255 to 255"):
        train(jax.random.key(0), train_set, test_set._replace(labels=jnp.full(100, 255, jnp.uint8)), SMALL)


def test_the_arguments_stay(few):
    state = start(jax.random.key(0), SMALL)
    once, again = (train_epoch(state, few[0], SMALL) for _ in range(2))
    assert same_bits(once, again)


@pytest.mark.slow
def test_an_optimizer_of_optax_s_can_be_passed(few):
    theirs, _history = train(jax.random.key(0), *few, SMALL, optax.sgd(0.1, 0.9, nesterov=True))
    ours, _history = train(jax.random.key(0), *few, SMALL, nesterov(0.1, 0.9))
    assert relative_distance(theirs.params, ours.params) < 1e-6  # 30 float32 steps


PLATEAU = partial(optax.contrib.reduce_on_plateau, patience=1, factor=0.5)
OF_OPTAX = {
    "polyak_sgd": lambda: optax.polyak_sgd(0.1),
    "reduce_on_plateau": lambda: optax.chain(optax.sgd(2.0), PLATEAU()),
    "adam": lambda: optax.adam(0.01),
    "clip": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.01), PLATEAU()),
    "lion": lambda: optax.lion(0.01),
    "momo": lambda: optax.contrib.momo(0.1),
    "schedule_free": lambda: optax.contrib.schedule_free_sgd(0.1),
    "sam": lambda: optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05)),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.polyak_sgd)(max_learning_rate=0.1),
    "apply_if_finite": lambda: optax.apply_if_finite(optax.polyak_sgd(0.1), 3),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(0.01), 2),
}


@pytest.mark.parametrize(
    "name",
    ["reduce_on_plateau", *(pytest.param(name, marks=pytest.mark.slow) for name in OF_OPTAX if "plateau" not in name)],
)
def test_an_optimizer_of_optax_s_makes_the_steps_of_optax_s_own_loop(name, few):
    config, (train_set, _) = dataclasses.replace(SMALL, batch_size=25), few
    optimizer = OF_OPTAX[name]()

    @jax.jit
    def step(params, state, batch):
        cost, gradient = jax.value_and_grad(mean_cost)(params, scale(batch.images), one_hot(batch.labels))
        value = {} if name == "sam" else {"value": cost}  # sam's type promises to take it, its function doesn't
        updates, state = optax.with_extra_args_support(optimizer).update(gradient, state, params, **value)
        return optax.apply_updates(params, updates), state

    with jax.numpy_dtype_promotion("standard"):  # optax promotes silently
        trained, history = train(jax.random.key(0), *few, config, optimizer)
        params, _, key, _ = start(jax.random.key(0), config)
        state = optimizer.init(params)
        for _ in range(3):
            key, shuffle_key = jax.random.split(key)
            batches = minibatches(shuffle_key, train_set, 25)
            for number in range(4):
                params, state = step(params, state, jax.tree.map(lambda leaf, number=number: leaf[number], batches))
    # 12 steps in float32; a sign that rounding turns makes lion's step another one
    assert relative_distance(trained.params, params) < 1e-5
    assert jax.tree.structure(trained.optimizer_state) == jax.tree.structure(state)
    assert history.train.cost[-1] < history.train.cost[0]


@pytest.mark.parametrize(
    ("optimizer", "found"),
    [(optax.lbfgs(), "'value_fn'"), (optax.lookahead(optax.sgd(0.1), 5, 0.5), "no attribute 'fast'")],
)
def test_an_optimizer_that_needs_more_is_refused_in_one_line(optimizer, found, few):
    with pytest.raises(ValueError, match="optimizer: its update fails") as refused:
        train(jax.random.key(0), *few, SMALL, optimizer)
    assert found in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_vmap_trains_many_networks_at_once(few):
    keys = jax.random.split(jax.random.key(0), 3)
    rates = jnp.array([0.1, 0.2, 0.3])
    axes = dataclasses.replace(SMALL, learning_rate=0, momentum=0)
    configs = dataclasses.replace(SMALL, learning_rate=rates, momentum=jnp.full(3, 0.9))
    states, histories = jax.vmap(train, in_axes=(0, None, None, axes))(keys, *few, configs)
    assert histories.test.cost.shape == (3, 4)
    for index in range(3):
        solo, _history = train(keys[index], *few, dataclasses.replace(SMALL, learning_rate=rates[index]))
        # batched products are summed in another order: float32 rounding over 30 steps
        assert relative_distance(member(states.params, index), solo.params) < 1e-5


@pytest.mark.slow
def test_the_gradient_goes_through_a_whole_run(few):
    with jax.enable_x64(True):
        config = dataclasses.replace(SMALL, sizes=(784, 4, 10), epochs=2)

        def last_cost(learning_rate, momentum):
            chosen = dataclasses.replace(config, learning_rate=learning_rate, momentum=momentum)
            return train(jax.random.key(0), *few, chosen)[1].test.cost[-1]

        slopes = jax.grad(last_cost, argnums=(0, 1))(0.1, 0.5)
        run, h = jax.jit(last_cost), 1e-6
        differences = (
            (run(0.1 + h, 0.5) - run(0.1 - h, 0.5)) / (2 * h),
            (run(0.1, 0.5 + h) - run(0.1, 0.5 - h)) / (2 * h),
        )
        assert slopes == pytest.approx(tuple(map(float, differences)), rel=1e-6)  # rounding: 1e-16 / h; curvature: h²
        assert all(abs(slope) > 1e-4 for slope in slopes)


@pytest.mark.slow
def test_the_gradient_of_five_epochs_of_mnist_s_size_takes_little_memory():
    def last_cost(config, train_set, test_set):
        return train(jax.random.key(0), train_set, test_set, config)[1].test.cost[-1]

    sets = [
        Dataset(jax.ShapeDtypeStruct((n, 784), jnp.uint8), jax.ShapeDtypeStruct((n,), jnp.uint8))
        for n in (60_000, 10_000)
    ]
    compiled = jax.jit(jax.grad(last_cost)).lower(Config(epochs=5), *sets).compile()
    # 46 MB by jax 0.10.2 on a CPU; 3,357 MB where every step's activations are kept
    assert compiled.memory_analysis().temp_size_in_bytes < 200e6


@pytest.mark.parametrize("batch_size", [7, 64])
def test_the_last_chunk_may_be_shorter(batch_size, few, monkeypatch):
    monkeypatch.setattr(training, "GATHERED", 3 * batch_size)
    config = dataclasses.replace(SMALL, batch_size=batch_size)
    state = start(jax.random.key(0), config)
    trace_anew = jax.jit(lambda state, config: train_epoch.__wrapped__(state, few[0], config))  # GATHERED is traced
    chunked, costs = trace_anew(state, config)
    batches = minibatches(jax.random.split(state.key)[1], few[0], batch_size)
    steps = 3 * (100 // batch_size)
    looped, expected = jax.jit(train_steps, static_argnums=3)(state, batches, config, make_optimizer(config, steps))
    assert same_bits(costs, expected)
    assert same_bits(chunked.params, looped.params)


def test_full_batch_sees_the_whole_set_in_one_step(few):
    config = dataclasses.replace(SMALL, batch_size="full", optimizer="sgd")
    state = start(jax.random.key(0), config)
    _state, costs = train_epoch(state, few[0], config)
    assert costs.shape == (1,)


def test_a_recipe_that_breaks_a_rule_is_refused_before_tracing(few):
    with pytest.raises(ValueError, match="batch_size=101"):
        train(jax.random.key(0), *few, dataclasses.replace(SMALL, batch_size=101))
    with pytest.raises(ValueError, match="learning_rate=-1"):
        train(jax.random.key(0), *few, dataclasses.replace(SMALL, learning_rate=-1))
    with pytest.raises(ValueError, match="sizes=784 10 3"):
        jax.jit(train)(jax.random.key(0), *few, dataclasses.replace(SMALL, sizes=(784, 10, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "silu"])
@pytest.mark.parametrize("cost", ["squared_error", "cross_entropy"])
def test_every_activation_and_cost_learns_the_digits(activation, cost, digits):
    rate = 0.1 if activation == "sigmoid" and cost == "squared_error" else 0.03
    config = Config(activation=activation, cost=cost, learning_rate=rate, epochs=40)
    _state, history = jax.jit(train)(jax.random.key(0), digits.train, digits.test, config)
    assert history.test.accuracy[0] < 0.3
    assert history.test.accuracy[-1] > 0.9
