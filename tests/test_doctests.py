import doctest
import importlib
import pkgutil

import pytest

import jaxmnist

MODULES = [
    module.name for module in pkgutil.walk_packages(jaxmnist.__path__, "jaxmnist.") if "__main__" not in module.name
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_textbook_has_examples():
    textbook = ("network", "cost", "optimizers", "dataset")
    for name in textbook:
        assert doctest.testmod(importlib.import_module(f"jaxmnist.{name}")).attempted > 0
