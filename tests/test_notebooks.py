"""The notebooks run anew on the embedded digits, as `pytest --nbmake notebooks` runs them, and keep to their form.

Their committed outputs are those of MNIST, whose folder JAXMNIST_DATA_DIR names by its full path, and come from
`jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb`.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_the_top(path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAXMNIST_")}
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=120", "-q", path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_keeps_to_its_form(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 500_000
    assert notebook.cells[0].cell_type == "markdown"
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert any(cell.startswith("## Exercises") or "\n## Exercises" in cell for cell in prose)
    # one short Korean paragraph a section
    assert sum("**한국어**" in cell for cell in prose) >= sum("\n## " in f"\n{cell}" for cell in prose) - 1
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.source
            assert "execution" not in cell.metadata  # it would say when, and differ every time
            assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in cell.outputs)
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.ClassDef)
                if isinstance(node, ast.FunctionDef):  # a function to differentiate or map, not the library's work
                    assert isinstance(node.body[-1], ast.Return), cell.source
                    assert len(node.body) <= 7, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_outputs_are_those_of_mnist(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "mnist" in said
    assert "scikit-learn" not in said
    assert str(ROOT) not in path.read_text()
    pictures = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    sections = sum("\n## " in f"\n{cell.source}" for cell in notebook.cells if cell.cell_type == "markdown")
    assert pictures >= sections - 1  # a picture a section, but for the exercises
