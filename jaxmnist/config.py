"""The recipe of a training run, as values, and the rules that a recipe must keep."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
from jaxtyping import ArrayLike

from jaxmnist.cost import COSTS
from jaxmnist.network import ACTIVATIONS, SIZES

LARGEST_LEARNING_RATE = 1e38
"""Largest learning rate; float32 overflows beyond it."""


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
        return dataclasses.replace(self, batch_size=batch_size, epochs=epochs)

    def to_json(self) -> dict[str, Any]:
        """The recipe as values that JSON can hold; `config_from` reads them."""
        return {**dataclasses.asdict(self), "sizes": list(self.sizes)}


TRACED = ("learning_rate", "momentum")
"""The leaves of a `Config` as a pytree."""

jax.tree_util.register_dataclass(
    Config,
    data_fields=TRACED,
    meta_fields=[field.name for field in dataclasses.fields(Config) if field.name not in TRACED],
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
    config = Config(**{**values, "sizes": tuple(values["sizes"])})
    for name in TRACED:
        if not _is_number(getattr(config, name)):
            raise ValueError(f"{name}={getattr(config, name)!r}: expected a number")
    validate(config)
    return config


class _Rule(NamedTuple):
    field: str
    holds: Callable[[Any], bool]
    expected: str


def _is_integer(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_network(sizes: object) -> bool:
    if not isinstance(sizes, tuple) or len(sizes) < 2 or not all(map(_is_integer, sizes)):
        return False
    return bool(sizes[0] == 784 and sizes[-1] == 10)


def _one_of(field: str, names: Any) -> _Rule:
    return _Rule(field, lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}")


def _rules() -> list[_Rule]:
    return [
        _Rule("sizes", _is_network, "whole numbers from 784 pixels to 10 digits"),
        _one_of("activation", ACTIVATIONS),
        _one_of("cost", COSTS),
        _one_of("optimizer", ("sgd", "momentum", "nesterov")),
        _Rule(
            "learning_rate",
            lambda rate: not _is_number(rate) or 0 < rate <= LARGEST_LEARNING_RATE,
            f"a number above 0, at most {LARGEST_LEARNING_RATE:g}",
        ),
        _Rule(
            "momentum",
            lambda momentum: not _is_number(momentum) or 0 <= momentum < 1,
            "a number in [0, 1), as at 1 the steps never fade",
        ),
        _one_of("schedule", ("constant", "cosine")),
        _Rule("batch_size", lambda size: size == "full" or _is_integer(size), "a whole number from 1, or full"),
        _Rule("epochs", lambda epochs: epochs == "auto" or _is_integer(epochs), "a whole number from 1, or auto"),
        _one_of("augmentation", ("none", "jitter")),
    ]


def validate(config: Config) -> None:
    """Check a recipe against the rules, before anything is traced.

    `learning_rate` and `momentum` are checked only if they are plain numbers: inside `jax.jit` or `jax.vmap` their
    values aren't known.

    Raises:
        ValueError: naming the field, its value, what was expected and an example.
    """
    for field, holds, expected in _rules():
        value, example = getattr(config, field), getattr(Config, field)
        if not holds(value):
            example = " ".join(map(str, example)) if isinstance(example, tuple) else example
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            raise ValueError(f"{field}={shown}: expected {expected}; for example {field}={example}")
