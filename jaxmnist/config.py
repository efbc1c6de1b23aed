"""The recipe of a training run, as values, and the rules that a recipe must keep."""

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeGuard

import jax
from jaxtyping import ArrayLike
from numpy import float32

from jaxmnist.cost import COSTS
from jaxmnist.network import ACTIVATIONS, SIZES

LARGEST_LEARNING_RATE = 1e38
"""Largest learning rate; float32 overflows beyond it."""
MAX_PARAMETERS, MAX_LAYERS = 100_000_000, 1_000
"""Largest network: with its velocity, a checkpoint of 0.8 GB."""
MAX_STEPS = 2**31 - 1
"""Most steps of a run: they are counted in 32 bits."""


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train: everything that, with a key and the data, decides the result.

    It is a pytree whose leaves are `learning_rate` and `momentum`: under `jax.jit` these two are traced, so that one
    compiled program serves any value, and under `jax.vmap` they may be arrays. All the others are static.
    """

    sizes: tuple[int, ...] = SIZES
    """Neurons per layer, from the 784 pixels to the 10 digits."""
    activation: str = "sigmoid"
    """Activation function of the hidden layers: a name in `network.ACTIVATIONS`."""
    cost: str = "squared_error"
    """Cost C of one example: a name in `cost.COSTS`."""
    optimizer: Literal["sgd", "momentum", "nesterov"] = "nesterov"
    """How a gradient becomes a step: sgd, momentum (heavy ball) or nesterov (momentum that looks ahead)."""
    learning_rate: ArrayLike = 0.08
    """Learning rate η: the length of a step along the negative gradient."""
    momentum: ArrayLike = 0.9
    """Momentum coefficient μ in [0, 1): how much of the last step is kept. sgd ignores it."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """The learning rate over the run: constant, or cosine, which falls from η to 0 in half a wave."""
    batch_size: int | Literal["full"] = 32
    """Examples in a minibatch; full is gradient descent on the whole training set, one step an epoch."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the training set; auto is 30 for MNIST's 60,000 examples and more for a smaller set."""
    augmentation: Literal["none", "jitter"] = "none"
    """jitter turns, stretches and shifts every training image a little at random, anew in every epoch."""

    def resolved(self, examples: int) -> "Config":
        """The recipe for a training set of this many examples: "full" and "auto" become numbers.

        Raises:
            ValueError: if the recipe breaks a rule of `validate`, or a minibatch is larger than the set.
        """
        validate(self)
        if examples < 1:
            raise ValueError("training set of 0 examples: expected at least 1")
        batch_size = examples if self.batch_size == "full" else self.batch_size
        if batch_size > examples:
            raise ValueError(
                f"batch_size={batch_size}: expected at most the {examples:,} examples of the training set; for example "
                f"batch_size=full"
            )
        epochs = max(30, round(300_000 / examples)) if self.epochs == "auto" else self.epochs
        most = MAX_STEPS // (examples // batch_size)
        if epochs > most:
            raise ValueError(
                f"epochs={epochs}: expected at most {most:,}, {MAX_STEPS:,} steps; for example epochs={min(30, most)}"
            )
        return dataclasses.replace(self, batch_size=batch_size, epochs=epochs)

    def to_json(self) -> dict[str, Any]:
        """The recipe as values that JSON can hold; `config_from` reads them."""
        return {**dataclasses.asdict(self), "sizes": list(self.sizes)}


TRACED = ("learning_rate", "momentum")
"""The leaves of a `Config` as a pytree."""

STATIC = tuple(field.name for field in dataclasses.fields(Config) if field.name not in TRACED)


def _unflatten(static: tuple[Any, ...], traced: Iterable[Any]) -> Config:
    """Rebuild a `Config` without `__init__`, since JAX also puts placeholders in the place of its leaves."""
    config = object.__new__(Config)
    for name, value in zip((*STATIC, *TRACED), (*static, *traced), strict=True):
        object.__setattr__(config, name, value)
    return config


jax.tree_util.register_pytree_node(
    Config,
    lambda config: ([getattr(config, name) for name in TRACED], tuple(getattr(config, name) for name in STATIC)),
    _unflatten,
)

RECIPES = {
    "source": Config(),
    "best": Config(
        activation="silu",
        cost="cross_entropy",
        augmentation="jitter",
        learning_rate=0.05,
        batch_size=64,
        epochs=300,
    ),
}
"""source: the rules of 3Blue1Brown's lessons. best: the same 13,002 parameters, trained to the highest accuracy."""


def config_from(values: Any) -> Config:
    """Read the recipe that `Config.to_json` wrote, perhaps in an earlier version: a missing field has its default.

    Raises:
        ValueError: if it isn't a recipe, or one that breaks a rule of `validate`.
    """
    known = {field.name for field in dataclasses.fields(Config)}
    if not isinstance(values, dict) or not isinstance(values.get("sizes"), list) or values.keys() - known:
        raise ValueError(f"recipe {values!r}: expected values for {', '.join(sorted(known))}")
    given = {**vars(Config()), **values, "sizes": tuple(values["sizes"])}
    static, traced = (tuple(given[name] for name in names) for names in (STATIC, TRACED))
    config = _unflatten(static, traced)  # of whatever types, which are checked only now
    for name in TRACED:
        if not _is_number(getattr(config, name)):
            raise ValueError(f"{name}={getattr(config, name)!r}: expected a number")
    validate(config)
    return config


def validate(config: Config) -> None:
    """Check a recipe against the rules, before anything is traced.

    `learning_rate` and `momentum` are checked only if they are plain numbers: inside `jax.jit` or `jax.vmap` their
    values aren't known.

    Raises:
        ValueError: naming the field, its value, what was expected and an example.
    """
    rate, momentum, batch_size, epochs = config.learning_rate, config.momentum, config.batch_size, config.epochs
    choices = {
        "activation": list(ACTIVATIONS),
        "cost": list(COSTS),
        "optimizer": ["sgd", "momentum", "nesterov"],
        "schedule": ["constant", "cosine"],
        "augmentation": ["none", "jitter"],
    }
    rules = {name: (getattr(config, name) in names, f"one of {', '.join(names)}") for name, names in choices.items()}
    rules |= {
        "sizes": (
            _is_network(config.sizes),
            f"whole numbers from 784 pixels to 10 digits, of at most {MAX_LAYERS:,} layers and {MAX_PARAMETERS:,} "
            f"parameters",
        ),
        "learning_rate": (
            not _is_number(rate) or (0 < rate <= LARGEST_LEARNING_RATE and float(float32(rate)) > 0),
            f"a number above 0 in float32, at most {LARGEST_LEARNING_RATE:g}",
        ),
        "momentum": (
            not _is_number(momentum) or (0 <= momentum < 1 and float(float32(momentum)) < 1),
            "a number in [0, 1) in float32, as at 1 the steps never fade",
        ),
        "batch_size": (batch_size == "full" or _is_positive_integer(batch_size), "a whole number from 1, or full"),
        "epochs": (epochs == "auto" or _is_positive_integer(epochs), "a whole number from 1, or auto"),
    }
    for name, (holds, expected) in rules.items():
        if not holds:
            value, example = (
                " ".join(map(str, shown)) if isinstance(shown, tuple) else shown
                for shown in (getattr(config, name), getattr(Config, name))
            )
            raise ValueError(f"{name}={value!s:.100}: expected {expected}; for example {name}={example}")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_network(sizes: object) -> bool:
    whole = isinstance(sizes, tuple) and 2 <= len(sizes) <= MAX_LAYERS and all(map(_is_positive_integer, sizes))
    return whole and (sizes[0], sizes[-1]) == (784, 10) and parameters_of(sizes) <= MAX_PARAMETERS  # type: ignore[arg-type, index]


def parameters_of(sizes: Sequence[int]) -> int:
    """The number of parameters of a network with so many neurons per layer."""
    return sum((inputs + 1) * neurons for inputs, neurons in pairwise(sizes))
