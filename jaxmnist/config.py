"""The recipe of a training run, as values, and the rules that a recipe must keep."""

import dataclasses
from typing import Any, Literal, get_args

Activation = Literal["sigmoid", "tanh", "relu", "silu"]
Cost = Literal["squared_error", "cross_entropy"]
OptimizerName = Literal["sgd", "momentum", "nesterov"]
Schedule = Literal["constant", "cosine"]
Augmentation = Literal["none", "jitter"]
DatasetName = Literal["auto", "mnist", "fashion_mnist", "kmnist", "digits"]
RecipeName = Literal["source", "best"]
Platform = Literal["auto", "cpu", "gpu", "tpu"]

LARGEST_RATE = 1e38
"""Of a learning rate: float32 holds no larger power of ten."""

SIZES = (784, 16, 16, 10)
"""3Blue1Brown's network: 28×28 pixels, two hidden layers of 16, one output per digit; 13,002 parameters."""


@dataclasses.dataclass(frozen=True)
class Method:
    """The part of a recipe that all networks of a grid have in common."""

    sizes: tuple[int, ...] = SIZES
    """Neurons per layer, from the 784 pixels to the 10 digits."""
    activation: Activation = "sigmoid"
    """Activation function of the hidden layers. (The outputs are sigmoids, or a softmax with cross_entropy.)"""
    cost: Cost = "squared_error"
    """Cost C of one example: squared_error is the sum of (a - y)² over the ten outputs."""
    schedule: Schedule = "cosine"
    """The learning rate over the run: constant, or cosine, which falls from η to 0 in half a wave."""
    augmentation: Augmentation = "none"
    """jitter turns, stretches and shifts every training image a little at random, anew in every epoch."""


@dataclasses.dataclass(frozen=True)
class Config(Method):
    """How to train: everything that, with a key and the data, decides the result.

    `training` registers it as a pytree whose leaves are `learning_rate` and `momentum`: under `jax.jit` these
    two are traced, so that one compiled program serves any value, and all the others are static.
    """

    optimizer: OptimizerName = "nesterov"
    """How a gradient becomes a step: sgd, momentum (heavy ball) or nesterov (momentum that looks ahead)."""
    learning_rate: float = 0.08
    """Learning rate η: the length of a step along the negative gradient."""
    momentum: float = 0.9
    """Momentum coefficient μ in [0, 1): how much of the last step is kept. sgd has none and ignores it."""
    batch_size: int | Literal["full"] = 32
    """Examples in a minibatch; full is gradient descent on the whole training set, one step an epoch."""
    epochs: int | Literal["auto"] = "auto"
    """Passes over the training set; auto is 30 for MNIST's 60,000 examples and more for a smaller set."""

    def examples_per_step(self, examples: int) -> int:
        """The minibatch's size for a training set of so many examples."""
        return examples if self.batch_size == "full" else self.batch_size

    def steps_per_epoch(self, examples: int) -> int:
        """Minibatches in one pass over so many examples; a remainder smaller than a batch is dropped."""
        return examples // self.examples_per_step(examples)

    def epochs_for(self, examples: int) -> int:
        """Epochs over so many examples; auto gives a small set, whose epochs are short, the more of them."""
        return max(30, round(300_000 / examples)) if self.epochs == "auto" else self.epochs

    def to_json(self) -> dict[str, Any]:
        """The recipe as values that JSON can hold; `config_from` reads them."""
        return {**dataclasses.asdict(self), "sizes": list(self.sizes)}


def config_from(values: Any, where: str = "") -> Config:
    """The recipe that `Config.to_json` wrote, perhaps with an earlier version: what is not there has its default.

    Args:
        values: what was read.
        where: begins the error's text.

    Raises:
        ValueError: when it isn't a recipe, or one that breaks a rule of `validate`.
    """
    known = {field.name for field in dataclasses.fields(Config)}
    if not isinstance(values, dict) or not isinstance(values.get("sizes"), list) or values.keys() - known:
        raise ValueError(f"{where}recipe {values!r}: expected values for {', '.join(sorted(known))}")
    config = Config(**{**values, "sizes": tuple(values["sizes"])})
    try:
        if not (_is_number(config.learning_rate) and _is_number(config.momentum)):
            raise ValueError(f"learning rate {config.learning_rate!r} and momentum {config.momentum!r}: not numbers")
        validate(config)
    except ValueError as problem:
        raise ValueError(f"{where}{problem}") from problem
    return config


RECIPES: dict[RecipeName, Config] = {
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
"""source: the rules of 3Blue1Brown's lessons. best: all that makes the same 13,002 parameters read better."""


def validate(config: Config, examples: int | None = None) -> None:
    """Check a recipe against the rules, before anything is traced.

    Args:
        config: the recipe. `learning_rate` and `momentum` are checked only where they are plain numbers: inside
            a `jax.jit` or `jax.vmap` their values are not known yet.
        examples: how many examples the training set has; None while that isn't known.

    Raises:
        ValueError: naming the value, what was expected and the remedy.
    """
    sizes = config.sizes
    whole = isinstance(sizes, tuple) and all(_is_integer(size) and size >= 1 for size in sizes)
    if not whole or len(sizes) < 2 or sizes[0] != 784 or sizes[-1] != 10:
        raise ValueError(
            f"sizes {_spaced(sizes)}: expected whole numbers from 784 pixels to 10 digits; try --sizes {_spaced(SIZES)}"
        )
    for name, kind in (
        ("activation", Activation),
        ("cost", Cost),
        ("optimizer", OptimizerName),
        ("schedule", Schedule),
        ("augmentation", Augmentation),
    ):
        value = getattr(config, name)
        if value not in get_args(kind):
            raise ValueError(f"{name} {value!r}: expected one of {', '.join(get_args(kind))}")
    learning_rate, momentum = config.learning_rate, config.momentum
    if _is_number(learning_rate) and not 0 < learning_rate <= LARGEST_RATE:
        raise ValueError(
            f"learning rate η = {learning_rate}: expected a number above 0, at most {LARGEST_RATE:g}; "
            f"try --learning-rate {Config.learning_rate}"
        )
    if _is_number(momentum) and not 0 <= momentum < 1:
        raise ValueError(
            f"momentum μ = {momentum}: expected a number in [0, 1), at 1 the steps never fade; "
            f"try --momentum {Config.momentum}"
        )
    if config.batch_size != "full" and not (_is_integer(config.batch_size) and config.batch_size >= 1):
        raise ValueError(
            f"batch size {config.batch_size}: expected a whole number from 1 or 'full'; "
            f"try --batch-size {Config.batch_size}"
        )
    if examples is not None and examples < 1:
        raise ValueError("training set of 0 examples: expected at least 1")
    if examples is not None and config.batch_size != "full" and config.batch_size > examples:
        raise ValueError(
            f"batch size {config.batch_size}: expected at most the {examples:,} examples of the training set; "
            f"try --batch-size full"
        )
    if config.epochs != "auto" and not (_is_integer(config.epochs) and config.epochs >= 1):
        raise ValueError(f"epochs {config.epochs}: expected a whole number from 1 or 'auto'; try --epochs 30")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _spaced(sizes: object) -> str:
    return " ".join(map(str, sizes)) if isinstance(sizes, tuple) else repr(sizes)
