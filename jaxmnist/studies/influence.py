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

from functools import partial
from typing import NamedTuple

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
from jaxmnist.training import TrainState, count_steps, make_optimizer, plan_epoch, start

SHARES = (1.0, 0.1)
"""Shares of an example's weight that are taken away: all of it leaves the example out, a tenth stays near the slope."""
RESAMPLES = 200
"""Resamples of the examples behind a rank correlation's standard error."""


_EXPLAINED = (
    "Medians, with the least and the largest over the runs and the test digits. The standard error of one",
    "correlation, by resampling the examples, is {:.3f}. A slope is exact for small changes: where the first",
    "row is below the second, leaving out a whole example is too long a step for a straight line. The last row",
    "says how far an example's effect is its own, and not one of the random start and the shuffles.",
)


class Result(NamedTuple):
    """What each example changes, as the slopes predict it and as it is measured; on the host."""

    train_set: Dataset  # the examples
    tests: Dataset  # the test digits
    config: Config  # the recipe, resolved
    costs: Float[np.ndarray, "keys epochs tests"]  # C of each test digit after each epoch, with all w = 1
    predicted: Float[np.ndarray, "keys epochs tests examples"]  # −∂C/∂w: the change of C if an example is left out
    measured: Float[np.ndarray, "keys shares epochs tests examples"]  # the change of C per weight taken away


def run(keys: Key[Array, "keys"], train_set: Dataset, tests: Dataset, config: Config) -> Result:
    """Predict and measure what each training example changes, in one run for each key.

    A key takes a way through its run and back for each test digit and epoch, and a run for each example and share.

    Args:
        keys: each decides a random start and all shuffles.
        train_set: n examples.
        tests: the digits whose costs are followed.
        config: the recipe; if its schedule is constant, each epoch is also the end of a shorter run.

    Raises:
        ValueError: if the recipe breaks a rule of `config.validate`, or a set one of `dataset.check`.
    """
    check(train_set, "train_set.")
    check(tests, "tests.")
    examples = train_set.labels.shape[0]
    config, runs = config.resolved(examples), []
    for key in keys:
        costs, slopes = _costs_and_slopes(jnp.ones(examples), key, train_set, tests, config)
        changes = [
            (_costs_of_many(1 - share * jnp.eye(examples), key, train_set, tests, config) - costs[None]) / share
            for share in SHARES
        ]
        runs.append(jax.device_get((costs, -slopes, jnp.moveaxis(jnp.stack(changes), 1, -1))))
    costs, predicted, measured = (np.stack(each) for each in zip(*runs, strict=True))
    return Result(jax.device_get(train_set), jax.device_get(tests), config, costs, predicted, measured)


@jax.jit
def costs_by_weights(
    weights: Float[Array, "examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> Float[Array, "epochs tests"]:
    """Train as `training.train` does, but with example i counted wᵢ times; `config` is resolved.

    Returns:
        The cost of each test digit after each epoch.
    """
    optimizer = make_optimizer(config, count_steps(config, train_set.labels.shape[0]))

    def costs(params: Params, examples: Dataset) -> Float[Array, "n"]:
        def cost(image: Array, label: Array) -> Array:
            return example_cost(params, scale(image), one_hot(label), config.activation, config.cost)

        each: Array = jax.vmap(cost)(*examples)
        return each

    @jax.checkpoint  # the way back keeps each epoch's first state, and computes its steps once more
    def epoch(state: TrainState, _: None) -> tuple[TrainState, Float[Array, "tests"]]:
        next_key, shuffle_key = jax.random.split(state.key)
        examples, order = plan_epoch(shuffle_key, train_set, config)

        def step(state: TrainState, indices: UInt32[Array, "batch"]) -> tuple[TrainState, None]:
            batch = take(examples, indices)
            gradient = jax.grad(lambda params: jnp.mean(weights[indices] * costs(params, batch)))(state.params)
            updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
            params = apply_updates(state.params, updates)
            return state._replace(params=params, optimizer_state=optimizer_state), None

        state, _ = jax.lax.scan(step, state, order)
        return state._replace(key=next_key), costs(state.params, tests)

    after: Array = jax.lax.scan(epoch, start(key, config), None, length=int(config.epochs))[1]
    return after


@jax.jit
def _costs_and_slopes(
    weights: Float[Array, "examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> tuple[Float[Array, "epochs tests"], Float[Array, "epochs tests examples"]]:
    """The costs, and ∂C/∂w of each: one way back for each cost, all of them at once."""
    costs, back = jax.vjp(partial(costs_by_weights, key=key, train_set=train_set, tests=tests, config=config), weights)
    one_each = jnp.eye(costs.size, dtype=costs.dtype).reshape(costs.size, *costs.shape)
    (slopes,) = jax.vmap(back)(one_each)
    return costs, slopes.reshape(*costs.shape, weights.size)


@jax.jit
def _costs_of_many(
    weights: Float[Array, "members examples"], key: Key[Array, ""], train_set: Dataset, tests: Dataset, config: Config
) -> Float[Array, "members epochs tests"]:
    """`costs_by_weights` of a population whose members share their start and minibatches, and differ in w."""
    costs_of = partial(costs_by_weights, key=key, train_set=train_set, tests=tests, config=config)
    costs: Array = jax.lax.map(costs_of, weights, batch_size=GROUP_SIZE)
    return costs


class Agreement(NamedTuple):
    """Rank correlations over the examples, after each epoch, for each pair of runs and test digit."""

    left_out: Float[np.ndarray, "pairs epochs"]  # the slopes and the runs without an example
    tenth: Float[np.ndarray, "pairs epochs"]  # the slopes and the runs in which an example counts a tenth less
    other_run: Float[np.ndarray, "pairs epochs"]  # the runs without an example, of two different keys


def agreement(result: Result) -> Agreement:
    """Compare the slopes with the measurements, and the measurements of different keys with each other."""
    without, less = np.swapaxes(result.measured, 0, 1)
    first, second = np.triu_indices(len(without), 1)
    compared = ((result.predicted, without), (result.predicted, less), (without[first], without[second]))
    epochs = int(result.config.epochs)
    return Agreement(*(np.swapaxes(rank_correlation(*each), 1, 2).reshape(-1, epochs) for each in compared))


def rank_correlation(one: Float[np.ndarray, "*n m"], other: Float[np.ndarray, "*n m"]) -> Float[np.ndarray, "*n"]:
    """Spearman's rank correlation of each two rows of m numbers: 1 for the same order, about 0 for unrelated ones."""
    ranks = (rankdata(rows, axis=-1) - (rows.shape[-1] + 1) / 2 for rows in (one, other))
    first, second = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in ranks)
    return np.asarray((first * second).sum(axis=-1))


def standard_error(result: Result) -> float:
    """How uncertain a rank correlation of the last epoch is, by resampling the examples: the median over its pairs."""
    predicted, without = result.predicted[:, -1], result.measured[:, 0, -1]
    examples = predicted.shape[-1]
    drawn = np.random.default_rng(0).integers(examples, size=(RESAMPLES, examples))
    again = [rank_correlation(predicted[..., rows], without[..., rows]) for rows in drawn]
    return float(np.median(np.std(again, axis=0)))


def report(result: Result) -> str:
    """Say in a table how far the slopes predict what leaving an example out changes."""
    keys, epochs, tests, examples = result.predicted.shape
    shown = sorted({1, (epochs + 1) // 2, epochs})
    lines = [
        f"What each of {examples} training examples changes in the costs of {tests} test digits, in {keys} runs.",
        f"{'rank correlation after epoch':<46}" + "".join(f"{epoch:<22}" for epoch in shown).rstrip(),
    ]
    names = ("slope, and training without the example", "slope, and a tenth less of it", "the measured, of two runs")
    for name, values in zip(names, agreement(result), strict=True):
        if len(values):  # one run has no other to compare with
            columns = "".join(f"{_range(values[:, epoch - 1]):<22}" for epoch in shown)
            lines.append(f"{name:<46}{columns.rstrip()}")
    return "\n".join(lines + [line.format(standard_error(result)) for line in _EXPLAINED])


def _range(values: Float[np.ndarray, "pairs"]) -> str:
    return f"{np.median(values):.3f} ({values.min():.2f} to {values.max():.2f})"
