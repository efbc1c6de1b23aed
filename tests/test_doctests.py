import doctest
import importlib
from pathlib import Path

import pytest

import jaxmnist

ROOT = Path(jaxmnist.__file__).parent
WITH_EXAMPLES = [
    path.relative_to(ROOT.parent) for path in sorted(ROOT.rglob("*.py")) if ">>>" in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_docstrings_are_true(path):
    found = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert found.failed == 0 < found.attempted


def test_the_textbook_has_examples():
    assert {"network", "cost", "optimizers", "dataset"} <= {path.stem for path in WITH_EXAMPLES}
