"""How much each training example taught the network, through a whole training run.

Let example i count wᵢ times: the cost of a step is the mean of wᵢ Cᵢ over its minibatch. With all w = 1 that is
`training.train`. The run is a function of w, so a test digit's cost C after it has slopes ∂C/∂w: reverse mode through
every step gives them for all examples at once. An example with ∂C/∂wᵢ < 0 taught the digit; one with ∂C/∂wᵢ > 0 misled.

To leave example i out is to set wᵢ = 0, and −∂C/∂wᵢ predicts the change of C. The run is no straight line in w, so the
study also measures the change: it trains once more without each example, from the same start and in the same order.

Source:
    Maclaurin, Duvenaud and Adams, Gradient-based hyperparameter optimization through reversible learning (2015);
    Hara, Nitanda and Maehara, Data cleansing for models trained with SGD (2019).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32
from scipy.stats import rankdata

from jaxmnist.config import Config
from jaxmnist.cost import example_cost
from jaxmnist.dataset import Dataset, check, one_hot, scale, take
from jaxmnist.network import Params
from jaxmnist.optimizers import apply_updates
from jaxmnist.population import GROUP_SIZE
from jaxmnist.training import count_steps, make_optimizer, plan_epoch, start

SHARES = (1.0, 0.1)
"""Shares of an example's weight that are taken away: all of it leaves the example out, a tenth stays near the slope."""
RESAMPLES = 200
"""Resamples of the examples behind a rank correlation's standard error."""


class Result(NamedTuple):
    """What each example changes, as the slopes predict it and as it is measured; on the host."""

    train_set: Dataset  # the examples
    tests: Dataset  # the test digits
    config: Config  # the recipe, resolved
    costs: Float[np.ndarray, "seeds epochs tests"]  # C of each test digit after each epoch, with all w = 1
    predicted: Float[np.ndarray, "seeds epochs tests examples"]  # −∂C/∂w: the change of C if an example is left out
    measured: Float[np.ndarray, "shares seeds epochs tests examples"]  # the change of C per weight taken away
    shares: tuple[float, ...]  # how much of an example's weight was taken away


def run(
    keys: Key[Array, "seeds"],
    train_set: Dataset,
    tests: Dataset,
    config: Config,
    shares: tuple[float, ...] = SHARES,
) -> Result:
    """Predict and measure what each training example changes, in one run for each key.

    A key takes a pass through its run and back for each test digit and epoch, and a run for each share and example.

    Args:
        keys: each decides a random start and all shuffles.
        train_set: n examples.
        tests: the digits whose costs are followed.
        config: the recipe; with the "constant" schedule, each epoch is also the end of a shorter run.
        shares: how much of an example's weight to take away.

    Raises:
        ValueError: if the recipe breaks a rule of `config.validate`, or a set one of `dataset.check`.
    """
    check(train_set, "train_set.")
    check(tests, "tests.")
    examples = train_set.labels.shape[0]
    config = config.resolved(examples)
    costs, predicted, measured = [], [], []
    for key in keys:
        cost, slopes = _cost_and_slopes(jnp.ones(examples), key, train_set, tests, config)
        costs.append(np.asarray(cost))
        predicted.append(-np.asarray(slopes))
        measured.append([])
        for share in shares:
            changed = _costs_of_many(1 - share * jnp.eye(examples), key, train_set, tests, config)
            measured[-1].append(np.moveaxis((np.asarray(changed) - costs[-1]) / share, 0, -1))
    sets = jax.device_get((train_set, tests))
    return Result(*sets, config, np.stack(costs), np.stack(predicted), np.swapaxes(np.array(measured), 0, 1), shares)


def costs_by_weights(
    weights: Float[Array, "examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> Float[Array, "epochs tests"]:
    """Train as `training.train` does, but with example i counted wᵢ times; `config` is resolved.

    Returns:
        The cost of each test digit after each epoch.
    """
    optimizer = make_optimizer(config, count_steps(config, train_set.labels.shape[0]))
    state = start(key, config)

    def costs(params: Params, examples: Dataset) -> Float[Array, "n"]:
        def cost(image: Array, label: Array) -> Array:
            return example_cost(params, scale(image), one_hot(label), config.activation, config.cost)

        each: Array = jax.vmap(cost)(*examples)
        return each

    def step(carry: tuple[Params, Any], indices: UInt32[Array, "batch"]) -> tuple[tuple[Params, Any], None]:
        params, optimizer_state = carry
        batch = take(train_set, indices)
        gradient = jax.grad(lambda params: jnp.mean(weights[indices] * costs(params, batch)))(params)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        return (apply_updates(params, updates), optimizer_state), None

    @jax.checkpoint  # the way back keeps each epoch's first state, and computes its steps once more
    def epoch(carry: tuple[Params, Any, Array], _: None) -> tuple[tuple[Params, Any, Array], Float[Array, "tests"]]:
        params, optimizer_state, key = carry
        key, shuffle_key = jax.random.split(key)
        _, order = plan_epoch(shuffle_key, train_set, config)
        (params, optimizer_state), _ = jax.lax.scan(step, (params, optimizer_state), order)
        return (params, optimizer_state, key), costs(params, tests)

    first = (state.params, state.optimizer_state, state.key)
    after: Array = jax.lax.scan(epoch, first, None, length=int(config.epochs))[1]
    return after


@jax.jit
def _cost_and_slopes(
    weights: Float[Array, "examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> tuple[Float[Array, "epochs tests"], Float[Array, "epochs tests examples"]]:
    """The costs, and ∂C/∂w of each: one way back for each cost, all of them at once."""
    costs, back = jax.vjp(lambda weights: costs_by_weights(weights, key, train_set, tests, config), weights)
    one_each = jnp.eye(costs.size, dtype=costs.dtype).reshape(costs.size, *costs.shape)
    (slopes,) = jax.vmap(back)(one_each)
    return costs, slopes.reshape(*costs.shape, weights.size)


@jax.jit
def _costs_of_many(
    weights: Float[Array, "members examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> Float[Array, "members epochs tests"]:
    """`costs_by_weights` of a population whose members share their start and minibatches, and differ in w."""
    costs: Array = jax.lax.map(
        lambda weights: costs_by_weights(weights, key, train_set, tests, config), weights, batch_size=GROUP_SIZE
    )
    return costs
