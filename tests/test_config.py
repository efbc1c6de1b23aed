import dataclasses

import pytest

from jaxmnist.config import RECIPES, SIZES, Config, validate


def test_the_defaults_keep_the_rules():
    validate(Config(), 60_000)


def test_recipes_keep_the_rules_and_train_the_same_network():
    for recipe in RECIPES.values():
        validate(recipe, 60_000)
        assert recipe.sizes == SIZES
    assert RECIPES["source"] == Config()
    assert (Config.activation, Config.cost, Config.augmentation) == ("sigmoid", "squared_error", "none")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": (783, 16, 10)}, "783 16 10"),
        ({"sizes": (784, 16, 9)}, "784 16 9"),
        ({"sizes": (784,)}, "784"),
        ({"sizes": ()}, "sizes"),
        ({"sizes": (784, 0, 10)}, "784 0 10"),
        ({"sizes": (784, -3, 10)}, "784 -3 10"),
        ({"sizes": (784, 1.5, 10)}, "1.5"),
        ({"sizes": [784, 16, 10]}, "[784, 16, 10]"),
        ({"activation": "step"}, "'step'"),
        ({"cost": "hinge"}, "'hinge'"),
        ({"optimizer": "adam"}, "'adam'"),
        ({"schedule": "linear"}, "'linear'"),
        ({"augmentation": "mirror"}, "'mirror'"),
        ({"learning_rate": 0.0}, "0.0"),
        ({"learning_rate": -1}, "-1"),
        ({"learning_rate": float("nan")}, "nan"),
        ({"learning_rate": float("inf")}, "inf"),
        ({"learning_rate": 1e39}, "1e+39"),
        ({"momentum": 1.0}, "1.0"),
        ({"momentum": -0.1}, "-0.1"),
        ({"momentum": float("nan")}, "nan"),
        ({"batch_size": 0}, "0"),
        ({"batch_size": True}, "True"),
        ({"batch_size": 2.5}, "2.5"),
        ({"batch_size": 101}, "101"),
        ({"epochs": 0}, "0"),
        ({"epochs": -3}, "-3"),
        ({"epochs": 1.5}, "1.5"),
    ],
)
def test_what_breaks_a_rule_is_named_with_what_was_expected(change, said):
    with pytest.raises(ValueError, match="expected") as refusal:
        validate(dataclasses.replace(Config(), **change), 100)
    assert said in str(refusal.value)
    assert next(iter(change)).split("_")[0] in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_empty_training_set_is_refused():
    with pytest.raises(ValueError, match="0 examples"):
        validate(Config(batch_size="full"), 0)


def test_batches_and_epochs_follow_the_size_of_the_set():
    assert Config(batch_size=32).steps_per_epoch(100) == 3
    assert Config(batch_size="full").steps_per_epoch(100) == 1
    assert Config(batch_size="full").examples_per_step(100) == 100
    assert Config(epochs=7).epochs_for(100) == 7
    assert Config().epochs_for(60_000) < Config().epochs_for(1_437)
