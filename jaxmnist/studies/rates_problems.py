"""Four small problems on which the theory of gradient descent, momentum and Nesterov's method gives exact numbers.

Quadratics, convex functions that aren't strongly convex, a quadratic with noisy gradients, and a strongly convex
function with two kinks in its slope. Each is measured for one optimizer, ours or another library's, in JAX's default
precision: `rates.run` makes that float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.optimizers import AnyOptimizer, LearningRate, Momentum, apply_updates

Make = Callable[[LearningRate, Momentum], AnyOptimizer]
"""Makes an optimizer of η and μ."""

CONDITIONS = 10.0 ** np.arange(1, 7)
"""κ of the quadratics: their largest curvature over their least."""
READINGS = 100
"""How often a quadratic's error is measured, after equally many steps each; rates are those of the second half."""
FIRST_CONDITION, FIRST_EVERY = 1e4, 16
"""The quadratic whose error is also measured from the first steps on, and after how many steps each."""
CHAIN_STEPS = 1_000
"""Steps on Nesterov's worst functions, the longest of which has one variable more than twice as many."""
MOMENTUM = 0.9
"""μ under noise."""
CHAINS, SAMPLES, SAMPLED_EVERY = 2_000, 200, 50
"""Independent runs under noise, how many of their points count, and how many steps those are apart."""
SMALL_STEP = 0.01
"""η/(1−μ) at which momentum under noise is compared with SGD."""
STEP_SIZES: dict[str, tuple[float, ...]] = {
    "sgd": (SMALL_STEP, 0.03, 0.1, 0.3, 1, 1.5, 1.9),
    "momentum": (SMALL_STEP, 0.03, 0.1, 0.3, 1, 3, 10, 20, 30),
    "nesterov": (SMALL_STEP, 0.03, 0.1, 0.3, 1, 3, 10, 13),
}
"""η/(1−μ) under noise, where the curvature is 1; beyond 2, 38 and 13.6 the methods diverge."""
KINKED_CONDITION = 25.0
"""κ of the function with two kinks in its slope."""
STARTS = np.linspace(-4, 4, 161)
"""Where the methods start on it."""
KINKED_STEPS = 200
"""Steps on it: what is left of the start shrinks by 2/3 a step."""


class Contraction(NamedTuple):
    """How a method's error on quadratics shrinks: one row a condition."""

    steps: Int[np.ndarray, "conditions points"]  # made at each measurement
    errors: Float[np.ndarray, "conditions points"]  # the largest coordinate's distance from the minimum; 1 at first
    rates: Float[np.ndarray, "conditions"]  # −ln of the contraction a step, measured past the transient
    theory: Float[np.ndarray, "conditions"]  # the same by the theory
    first: Float[np.ndarray, "points"]  # the errors of one quadratic, after every `FIRST_EVERY` steps


class Decay(NamedTuple):
    """How a method's error falls on Nesterov's worst functions f of 3, 5, 7, … variables, relative to L‖x₀−x*‖²."""

    steps: Int[np.ndarray, "points"]  # k
    worst: Float[np.ndarray, "points"]  # the largest relative error after k steps among all lengths
    variables: Int[np.ndarray, "points"]  # the length that has it
    twice: Float[np.ndarray, "points"]  # the relative error after k steps with 2k + 1 variables, which the bound is for


class Spread(NamedTuple):
    """A method's variance at rest on ½x² with standard normal noise in the slope."""

    step_sizes: Float[np.ndarray, "rates"]  # η/(1−μ)
    variance: Float[np.ndarray, "rates"]  # measured
    standard_error: Float[np.ndarray, "rates"]  # of `variance`, by how independent runs differ
    samples: Float[np.ndarray, "rates"]  # how many independent samples are as accurate
    theory: Float[np.ndarray, "rates"]  # the closed form


def walk(
    optimizer: AnyOptimizer,
    slope: Callable[[Array, Array], Array],
    start: Array,
    points: int,
    every: int | Int[Array, ""] = 1,
    measure: Callable[[Array], Array] = lambda point: point,
) -> Array:
    """Make `points` · `every` steps along −slope(point, step), and measure the point after each `every` of them."""

    def step(number: Array, carried: tuple[Array, Any]) -> tuple[Array, Any]:
        point, state = carried
        updates, state = optimizer.update(slope(point, number), state, point)
        return apply_updates(point, updates), state

    def stretch(carried: tuple[Array, Any], number: Array) -> tuple[tuple[Array, Any], Array]:
        carried = jax.lax.fori_loop(number * every, (number + 1) * every, step, carried)
        return carried, measure(carried[0])

    measured: Array
    _, measured = jax.lax.scan(stretch, (start, optimizer.init(start)), jnp.arange(points))
    return measured


def best_constants(name: str, condition: float) -> tuple[float, float, float]:
    """η and μ that are best on quadratics with curvatures in [1/κ, 1], and the contraction a step that they give.

    Source:
        Lessard, Recht and Packard, Analysis and design of optimization algorithms via integral quadratic constraints
        (2016), its rates on quadratics. For Nesterov's method these are the usual constants, with which it is fast
        beyond quadratics, too; on quadratics η = 4/(3+1/κ), with another μ, would be 15 % faster.
    """
    root = condition**0.5
    return {
        "sgd": (2 / (1 + 1 / condition), 0.0, (condition - 1) / (condition + 1)),
        "momentum": (4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2, (root - 1) / (root + 1)),
        "nesterov": (1.0, (root - 1) / (root + 1), 1 - 1 / root),
    }[name]


def contraction(name: str, make: Make) -> Contraction:
    """Measure the contraction on quadratics of ten curvatures, evenly spaced from 1/κ to 1.

    The slowest directions of momentum and of Nesterov's method have a double root ρ, so their error is k ρᵏ, and the
    factor k counts for ln 2 among the steps of the second half: 0.35 % of the rate after 400/(−ln ρ) steps. Gradient
    descent has none, and 4/(−ln ρ) steps do.
    """
    theory = -np.log([best_constants(name, condition)[2] for condition in CONDITIONS.tolist()])
    every = np.ceil((4 if name == "sgd" else 400) / theory / READINGS).astype(int)

    @jax.jit
    def errors(curvatures: Array, rate: Array, momentum: Array, every: Array) -> Array:
        optimizer = make(rate, momentum)
        return walk(optimizer, lambda x, _: curvatures * x, jnp.ones(10), READINGS, every, lambda x: jnp.abs(x).max())

    def measured(condition: float, every: int) -> Float[np.ndarray, "points"]:
        rate, momentum, _ = best_constants(name, condition)
        return np.asarray(errors(jnp.linspace(1 / condition, 1, 10), rate, momentum, every))

    found = np.stack([measured(*pair) for pair in zip(CONDITIONS.tolist(), every.tolist(), strict=True)])
    half, first = READINGS // 2, measured(FIRST_CONDITION, FIRST_EVERY)
    rates = np.log(found[:, half - 1] / found[:, -1]) / (every * half)
    return Contraction(np.outer(every, np.arange(1, READINGS + 1)), found, rates, theory, first)


def vanishing(step: Int[Array, ""]) -> Array:
    """Nesterov's μₖ = (k−1)/(k+2) for functions that aren't strongly convex, after k steps; 0 at first."""
    k = step.astype(jnp.result_type(float))
    return jnp.maximum(k - 1, 0) / (k + 2)


def decay(name: str, make: Make) -> Decay:
    """Measure the error on Nesterov's worst functions, L/4 (½ (x₁² + Σ (xᵢ − xᵢ₊₁)² + xₙ²) − x₁) with L = 1, from 0.

    Its minimum is at xᵢ = 1 − i/(n+1). A step reaches one variable more, so each length n is the worst for one number
    of steps, and what counts is the largest error among all lengths. (On one long function the errors fall more slowly,
    gradient descent's as k^−½ and Nesterov's as k⁻¹, which doesn't break the theorems: its minimum is far away.)

    Source:
        Nesterov, Introductory lectures on convex optimization (2004), §2.1.2.
    """
    steps = np.unique(np.geomspace(1, CHAIN_STEPS, 60).round().astype(int))
    lengths = 2 * steps + 1
    place, length = np.arange(1, lengths[-1] + 1), lengths[:, None]
    lowest = np.maximum(1 - place / (length + 1), 0)

    def excess(x: Array) -> Array:
        """f(x) − f(x*) of each length, exact also where both are nearly the same."""
        away = jnp.pad(jnp.where(place <= length, x - lowest, 0), ((0, 0), (1, 1)))
        return jnp.sum(jnp.diff(away) ** 2, axis=1) / 8

    @jax.jit
    def errors() -> Array:
        slope = jax.grad(lambda x: excess(x).sum())
        begin = jnp.zeros(lowest.shape)
        return walk(make(1.0, vanishing), lambda x, _: slope(x), begin, CHAIN_STEPS, measure=excess)

    relative = np.asarray(errors())[steps - 1] / np.sum(lowest**2, axis=1)
    return Decay(steps, relative.max(axis=1), lengths[relative.argmax(axis=1)], np.diagonal(relative))


def stationary_variance(name: str, rate: float, momentum: float) -> float:
    """The variance at rest on ½x² with standard normal noise in the slope, in closed form.

    SGD's points are an AR(1) process, momentum's an AR(2), and Nesterov's an ARMA(2, 1):
    xₖ = a₁ xₖ₋₁ + a₂ xₖ₋₂ − η (b₀ ξₖ + b₁ ξₖ₋₁).

    Source:
        Box and Jenkins, Time series analysis (1970), on mixed processes; for SGD, Mandt et al., Stochastic gradient
        descent as approximate Bayesian inference (2017).
    """
    kept = 0.0 if name == "sgd" else momentum
    ahead = momentum if name == "nesterov" else 0.0
    a1, a2, b0, b1 = 1 + kept - rate * (1 + ahead), -kept + rate * ahead, 1 + ahead, -ahead
    noise = (b0**2 + b1**2) * (1 - a2) + 2 * a1 * b0 * b1
    return rate**2 * noise / ((1 + a2) * ((1 - a2) ** 2 - a1**2))


def spread(key: Key[Array, ""], name: str, make: Make) -> Spread:
    """Measure the variance at rest; all step sizes and all methods see the same noise."""
    step_sizes = np.array(STEP_SIZES[name])
    rates = step_sizes * (1 if name == "sgd" else 1 - MOMENTUM)

    @jax.jit
    @jax.vmap
    def paths(rate: Array) -> Array:
        def noisy(x: Array, step: Array) -> Array:
            noise = jax.random.normal(jax.random.fold_in(key, step), x.shape, jnp.float32)  # in half the time
            return x + noise.astype(x.dtype)

        return walk(make(rate, MOMENTUM), noisy, jnp.zeros(CHAINS), SAMPLES, SAMPLED_EVERY)

    forgotten = round(10 / SMALL_STEP) // SAMPLED_EVERY  # by then the start counts for e⁻¹⁰ of its size, or less
    of_each = np.mean(np.asarray(paths(rates))[:, forgotten:] ** 2, axis=1)
    variance, error = of_each.mean(axis=1), of_each.std(axis=1, ddof=1) / CHAINS**0.5
    theory = np.array([stationary_variance(name, rate, MOMENTUM) for rate in rates])
    return Spread(step_sizes, variance, error, 2 * (variance / error) ** 2, theory)


def kinked_slope(x: Float[Any, "*n"]) -> Array:
    """The slope of a smooth and strongly convex function: its own slope is 1, between 1 and 2 only 1/κ, and then 1.

    Source:
        Lessard, Recht and Packard (2016), §4.6, divided by 25.
    """
    flat = 1 - 1 / KINKED_CONDITION
    return jnp.asarray(x - flat * jnp.clip(x - 1, 0, 1))


def kinked_paths(name: str, make: Make) -> Float[np.ndarray, "steps starts"]:
    """The points from each of `STARTS`, with the constants that are best on quadratics of the same condition.

    Other constants don't save momentum: all of them either are slow on quadratics or cycle on some such function.

    Source:
        Goujaud, Taylor and Dieuleveut, Provable non-accelerations of the heavy-ball method (2023).
    """
    rate, momentum, _ = best_constants(name, KINKED_CONDITION)

    @jax.jit
    def path() -> Array:
        begin = jnp.asarray(STARTS)
        points = walk(make(rate, momentum), lambda x, _: kinked_slope(x), begin, KINKED_STEPS)
        return jnp.concatenate([begin[None], points])

    return np.asarray(path())
