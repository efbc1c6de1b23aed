"""The notebooks run anew on the embedded digits, as `pytest --nbmake notebooks` runs them, and keep to their form.

Their committed outputs are those of MNIST, whose folder JAXMNIST_DATA_DIR names by its full path, and come from
`jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb`;
`python notebooks/ko/update.py` then brings them into the Korean twins, whose code needs no second run.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WITHOUT_A_PICTURE = 3  # sections: the exercises, their answers, and one more


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
    assert path.stat().st_size < 600_000
    assert notebook.cells[0].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.source
            assert "execution" not in cell.metadata  # it would say when, and differ every time
            assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in cell.outputs)
            assert not re.search(r"subplots|axes\.|plt\.", cell.source), cell.source  # `plots.course` draws
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
    assert pictures >= sections - WITHOUT_A_PICTURE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_answers_come_last_and_are_hidden_by_that_alone(path):
    cells = nbformat.read(path, as_version=4).cells
    assert not any("jupyter" in cell.metadata or "tags" in cell.metadata for cell in cells)  # not every viewer hides
    titles = [cell.source.split("\n")[0] if cell.cell_type == "markdown" else "" for cell in cells]
    exercises, answers = titles.index("## Exercises"), titles.index("## Answers")
    assert answers == exercises + 1
    asked = re.findall(r"^\*\*(\d+)\.\*\*", cells[exercises].source, re.MULTILINE)
    given = [cell.source.split("\n")[0] for cell in cells[answers + 1 :]]
    assert asked == [str(number) for number in range(1, len(asked) + 1)]
    assert given == [f"# Answer {number}" for number in asked]
    assert all("assert" in cell.source for cell in cells[answers + 1 :])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_network_from_key_0_is_the_one_that_training_starts_from(path):
    code = "".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert "init(jax.random.key(0))" not in code  # another network than that of `start(jax.random.key(0), …)`


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_in_prose_are_computed(path):
    """Numbers of three digits and more, and fractions with one, are in a cell's code or output."""
    cells, shown, prose = nbformat.read(path, as_version=4).cells, "", ""
    for cell in cells:
        if cell.cell_type == "code":
            shown += cell.source + "".join(output.get("text", "") for output in cell.outputs)
        else:
            prose += re.sub(r"`[^`]*`|\$\$?[^$]*\$\$?|\([^)]*\)|[\w.]+\.(md|py|ipynb)", " ", cell.source)
    numbers = {number.rstrip(".,") for number in re.findall(r"\d[\d.,]*", prose)}
    long = {number for number in numbers if len(re.sub(r"\D", "", number)) > 2}
    plain = re.sub(r"(?<=\d)[,_](?=\d)", "", shown)
    assert not {number for number in long if number.replace(",", "") not in plain}
    words = ("a third", "a quarter", "a fifth", "a tenth", "a fiftieth", "a hundredth", "a thousandth")
    assert not [word for word in words if re.search(rf"\b{word}\b", prose)], "say the number that a cell computes"
