import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from jaxmnist.config import RECIPES, Config, config_from, validate
from jaxmnist.network import SIZES


def replace(config, **change):
    """`dataclasses.replace` without the tests' check of types, as users' programs run."""
    config = dataclasses.replace(config)
    for name, value in change.items():
        object.__setattr__(config, name, value)
    return config


def test_the_defaults_keep_the_rules():
    validate(Config())


def test_recipes_keep_the_rules_and_train_the_same_network():
    for recipe in RECIPES.values():
        validate(recipe)
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
        ({"activation": "step"}, "step"),
        ({"cost": "hinge"}, "hinge"),
        ({"optimizer": "adam"}, "adam"),
        ({"schedule": "linear"}, "linear"),
        ({"augmentation": "mirror"}, "mirror"),
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
        replace(Config(), **change).resolved(100)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(f"{next(iter(change))}=")
    assert "\n" not in str(refusal.value)


def test_an_empty_training_set_is_refused():
    with pytest.raises(ValueError, match="0 examples"):
        Config(batch_size="full").resolved(0)


def test_batches_and_epochs_follow_the_size_of_the_set():
    assert Config(batch_size="full", epochs=7).resolved(100) == Config(batch_size=100, epochs=7)
    assert Config().resolved(60_000) == Config(epochs=30)
    assert Config().resolved(1_437).epochs > 30


def test_it_is_a_pytree_with_nothing_else_imported():
    script = "import jax; from jaxmnist.config import Config; print(jax.jit(lambda c: c.learning_rate * 2)(Config()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(result.stdout) == pytest.approx(0.16)


def test_json_keeps_a_recipe():
    for recipe in RECIPES.values():
        assert config_from(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert config_from({"sizes": [784, 10]}) == Config(sizes=(784, 10))


@pytest.mark.parametrize("values", [None, [], {}, {"sizes": 3}, {"sizes": [784, 10], "colour": 1}])
def test_what_is_no_recipe_is_refused(values):
    with pytest.raises(ValueError, match="recipe"):
        config_from(values)


@pytest.mark.parametrize("rate", [True, np.ones(2)])
def test_a_learning_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(ValueError, match="learning_rate="):
        config_from({"sizes": [784, 10], "learning_rate": rate})


def test_a_user_s_replacement_by_an_array_passes_mypy(tmp_path):
    script = tmp_path / "user.py"
    script.write_text(
        "import dataclasses\n\nimport jax.numpy as jnp\n\nfrom jaxmnist.config import Config\n\n"
        "configs = dataclasses.replace(Config(), learning_rate=jnp.ones(3), momentum=jnp.zeros(3))\n"
    )
    result = subprocess.run([sys.executable, "-m", "mypy", "--strict", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
