"""The optimizers, by hand: how a gradient becomes a step.

An optimizer is two pure functions, as in optax: `init(params)` gives its first state, and
`update(gradient, state)` the step to add to the parameters and the next state. All state is explicit. Either
library's optimizers work in place of the other's.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

Tree: TypeAlias = PyTree[Array]
"""Parameters, gradients, updates: any pytree of arrays; in one call they all have the same structure."""

Schedule = Callable[[Int[Array, ""]], ArrayLike]
"""A changing learning rate or momentum: a function of the number of steps made so far."""

LearningRate = ArrayLike | Schedule
"""η: a number, an array, which may be traced, or a schedule."""

Momentum = ArrayLike | Schedule
"""μ: a number, an array or a schedule as well."""


@runtime_checkable
class Init(Protocol):
    """params -> state: the optimizer's state before the first step."""

    def __call__(self, params: Tree, /) -> Any: ...  # noqa: D102


@runtime_checkable
class Update(Protocol):
    """(gradient, state, params) -> (updates, state): the updates are added to the parameters."""

    def __call__(self, gradient: Tree, state: Any, params: Tree | None = None, /) -> tuple[Tree, Any]: ...  # noqa: D102


class Optimizer(NamedTuple):
    """Two pure functions; the same shape as an `optax.GradientTransformation`, and usable as one."""

    init: Init
    update: Update


@runtime_checkable
class AnyOptimizer(Protocol):
    """An optimizer of ours or of optax's."""

    @property
    def init(self) -> Init: ...  # noqa: D102

    @property
    def update(self) -> Update: ...  # noqa: D102


class SgdState(NamedTuple):
    """The state of SGD."""

    step: Int[Array, ""]  # steps made so far, for the schedule


class MomentumState(NamedTuple):
    """The state of momentum and of Nesterov's method."""

    step: Int[Array, ""]  # steps made so far, for the schedule
    velocity: Any  # m, the fading sum of all gradients so far; a pytree like the parameters


def sgd(learning_rate: LearningRate) -> Optimizer:
    """Gradient descent: θ ← θ − η g. Stochastic when g is the gradient of a minibatch's mean cost.

    Args:
        learning_rate: η.

    Source:
        Robbins and Monro, A stochastic approximation method (1951); 3Blue1Brown, Neural networks, chapter 3.

    Example:
        >>> optimizer = sgd(learning_rate=0.5)
        >>> updates, state = optimizer.update(jnp.array([2.0, -4.0]), optimizer.init(jnp.zeros(2)))
        >>> updates.tolist()
        [-1.0, 2.0]
    """

    def init(params: Tree) -> SgdState:
        return SgdState(step=jnp.zeros((), jnp.int32))

    def update(gradient: Tree, state: SgdState, params: Tree | None = None) -> tuple[Tree, SgdState]:
        return _descend(learning_rate, state.step, gradient), SgdState(state.step + 1)

    return Optimizer(init, update)


def momentum(learning_rate: LearningRate, momentum: Momentum = 0.9) -> Optimizer:
    """The heavy ball: m ← g + μ m, then θ ← θ − η m.

    Along a steady slope the steps add up to 1/(1−μ) times SGD's, and across a ravine they cancel.

    Args:
        learning_rate: η.
        momentum: μ in [0, 1): how much of the last step is kept; 0 is SGD.

    Source:
        Polyak, Some methods of speeding up the convergence of iteration methods (1964).
    """

    def update(gradient: Tree, state: MomentumState, params: Tree | None = None) -> tuple[Tree, MomentumState]:
        velocity = _accumulate(gradient, momentum, state.step, state.velocity)
        return _descend(learning_rate, state.step, velocity), MomentumState(state.step + 1, velocity)

    return Optimizer(_at_rest, update)


def nesterov(learning_rate: LearningRate, momentum: Momentum = 0.9) -> Optimizer:
    """Nesterov's accelerated gradient: m ← g + μ m, then θ ← θ − η (g + μ m).

    The textbook form keeps θ', steps v ← μ v − η ∇C(θ' + μ v), θ' ← θ' + v, and so takes the gradient where momentum
    is about to carry it. With v = −η m and θ = θ' + μ v, the point looked ahead to, both forms make the same
    steps; this one needs the gradient only where the parameters are.

    Args:
        learning_rate: η. (The two forms agree exactly while η stays constant.)
        momentum: μ in [0, 1). A schedule's next value looks ahead, for the next step carries on with it.

    Source:
        Nesterov, A method for solving the convex programming problem with convergence rate O(1/k²) (1983);
        Sutskever et al., On the importance of initialization and momentum (2013), equations 3 and 4.
    """

    def update(gradient: Tree, state: MomentumState, params: Tree | None = None) -> tuple[Tree, MomentumState]:
        velocity = _accumulate(gradient, momentum, state.step, state.velocity)
        ahead = _accumulate(gradient, momentum, state.step + 1, velocity)
        return _descend(learning_rate, state.step, ahead), MomentumState(state.step + 1, velocity)

    return Optimizer(_at_rest, update)


def cosine(learning_rate: ArrayLike, steps: int) -> Schedule:
    """A schedule that falls from η to 0 in half a cosine wave: η/2 · (1 + cos(π · step/steps)), then stays at 0.

    Source:
        Loshchilov and Hutter, SGDR (2017), equation 5, without restarts.
    """

    def rate(step: Int[Array, ""]) -> ArrayLike:
        done = jnp.minimum(step.astype(jnp.result_type(float)) / steps, 1)
        return learning_rate * (1 + jnp.cos(jnp.pi * done)) / 2

    return rate


def call_update(
    optimizer: AnyOptimizer, gradient: Tree, state: Any, params: Tree, cost: Float[Array, ""]
) -> tuple[Tree, Any]:
    """Call an optimizer's `update`, with the cost as `value` if it takes that, as some of optax's do.

    Raises:
        ValueError: if it needs still more, as optax's `lbfgs` and `lookahead` do.
    """
    update: Callable[..., tuple[Tree, Any]] = optimizer.update
    parameters = inspect.signature(update).parameters
    takes_value = "value" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    try:
        return update(gradient, state, params, **({"value": cost} if takes_value else {}))
    except (TypeError, AttributeError) as problem:
        raise ValueError(
            f"optimizer: its update fails ({problem}), expected one that needs only the gradient, its state, the "
            f"parameters and value=cost; for example optax.adam(1e-3)"
        ) from problem


def apply_updates(params: Tree, updates: Tree) -> Tree:
    """Take the step: θ ← θ + update, leaf by leaf. Every parameter keeps its dtype.

    Args:
        params: θ.
        updates: what an optimizer's `update` returned, a pytree like the parameters.

    Returns:
        The parameters after the step.
    """
    return jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)


def _at_rest(params: Tree) -> MomentumState:
    return MomentumState(step=jnp.zeros((), jnp.int32), velocity=jax.tree.map(jnp.zeros_like, params))


def _accumulate(gradient: Tree, momentum: Momentum, step: Int[Array, ""], velocity: Tree) -> Tree:
    kept = momentum(step) if callable(momentum) else momentum
    return jax.tree.map(lambda g, m: g + jnp.asarray(kept, g.dtype) * m, gradient, velocity)


def _descend(learning_rate: LearningRate, step: Int[Array, ""], direction: Tree) -> Tree:
    rate = learning_rate(step) if callable(learning_rate) else learning_rate
    return jax.tree.map(lambda d: -jnp.asarray(rate, d.dtype) * d, direction)
