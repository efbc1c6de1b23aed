import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, minibatch_order, take
from jaxmnist.metrics import Metrics
from jaxmnist.runs.health import last_good_step, why_not_learning
from jaxmnist.training import History, count_steps, make_optimizer, start, train_step


def entry(cost, accuracy):
    both = Metrics(jnp.float32(cost), jnp.float32(accuracy))
    return History(train=both, test=both)


@pytest.mark.parametrize(
    ("previous", "now", "steps", "share", "said"),
    [
        (entry(2.5, 0.1), entry(float("nan"), 0.1), 1, 0.1, "nan; try a smaller"),
        (entry(2.5, 0.1), entry(float("inf"), 0.1), 1, 0.1, "inf; try a smaller"),
        (entry(2.5, 0.1), entry(2.6, 0.5), 1, 0.1, "not below the 2.5 of the random start; try a smaller"),
        (entry(2.5, 0.1), entry(2.5, 0.5), 1, 0.1, "not below the 2.5 of the random start; try a larger"),
        (entry(2.5, 0.1), entry(0.9, 0.15), 1_000, 0.1, "15.0%, no better than guessing; try a smaller"),
        (entry(2.5, 0.1), entry(0.9, 0.15), 30, 1.0, None),
        (entry(1.0, 0.1), entry(1.0, 0.1), 2, 0.5, "stands still at 1, with an accuracy of 10.0%; try a smaller"),
        (entry(0.9, 0.1), entry(0.9, 0.1), 200, 0.96, None),
        (entry(2.5, 0.1), entry(0.9, 0.1), 1, 0.1, None),
        (entry(1.0, 0.1), entry(0.9, 0.11), 999, 0.9, None),
        (entry(2.5, 0.1), entry(0.9, 0.16), 1_875, 1.0, None),
    ],
)
def test_runs_that_learn_are_distinguished_from_runs_that_do_not(previous, now, steps, share, said):
    problem = why_not_learning(entry(2.5, 0.1), previous, now, steps, share, 0.08)
    assert (problem is None) if said is None else (said in problem)


def test_the_state_before_the_first_bad_step_is_that_of_a_plain_loop():
    """A step is good as long as its cost and the parameters after it are finite."""
    config = Config(
        sizes=(784, 5, 10), activation="relu", cost="cross_entropy", learning_rate=3e37, batch_size=5, optimizer="sgd"
    )
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (100, 784)).astype(np.uint8)
    train_set = Dataset(jnp.asarray(images), jnp.asarray(random.integers(0, 10, 100).astype(np.uint8)))
    config = config.resolved(100)
    state = start(jax.random.key(0), config)
    order = minibatch_order(jax.random.split(state.key)[1], 100, 5)
    optimizer = make_optimizer(config, count_steps(config, 100))
    step = jax.jit(lambda state, batch: train_step(state, batch, config, optimizer))
    expected, index = state, 0
    while True:
        after, cost = step(expected, take(train_set, order[index]))
        if not all(np.all(np.isfinite(leaf)) for leaf in (cost, *jax.tree.leaves(after.params))):
            break
        expected, index = after, index + 1
    good, bad_index = last_good_step(state, train_set, config)
    assert bad_index == index
    assert 0 < index < 20
    for ours, theirs in zip(jax.tree.leaves(good.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
