"""The course in Korean: each notebook's twin has its code and its outputs, and prose of its own."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks" / "ko"
ENGLISH = sorted(FOLDER.parent.glob("*.ipynb"))
TEXTS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("*.md")])
HANGUL = re.compile(r"[ㄱ-ㅎㅏ-ㅣ가-힣]")
QUIET = re.compile(  # what is the same in both languages: code, formulas, addresses, titles of works
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>|(?<!\*)\*[^*]+\*(?!\*)", re.DOTALL
)
SHORTEST = "03_backpropagation"  # in time
updated = runpy.run_path(str(FOLDER / "update.py"))["updated"]


def read(path):
    return nbformat.read(path, as_version=4)


def prose(path):
    """The texts of a notebook's markdown cells, or that of a markdown file."""
    if path.suffix == ".md":
        return [path.read_text()]
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


def long_numbers(text):
    """Those of three digits and more; a shorter one may be a word in one of the languages."""
    return {number for number in re.findall(r"\d[\d.,]*\d", text) if len(re.sub(r"\D", "", number)) > 2}


def english_sentences(text):
    """Four English words and more in a row; a name has fewer."""
    return [
        found.group() for found in re.finditer(r"(?:\b[A-Za-z][a-z'’]*\b[ ,;:\n]+){3,}\b[a-z]+\b", QUIET.sub("§", text))
    ]


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_a_twin_has_the_same_code_and_outputs(path):
    english, korean = read(path), read(FOLDER / path.name)
    assert english.metadata == korean.metadata
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in korean.cells]
    for ours, theirs in zip(english.cells, korean.cells, strict=True):
        assert ours == theirs or ours.cell_type == "markdown", f"run notebooks/ko/update.py: {ours.source}"


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_a_twin_has_the_same_headings_exercises_formulas_and_numbers(path):
    for ours, theirs in zip(prose(path), prose(FOLDER / path.name), strict=True):
        for kind in (r"^#+ ", r"^\*\*\d+\.\*\*", r"^\$\$"):
            assert re.findall(kind, theirs, re.MULTILINE) == re.findall(kind, ours, re.MULTILINE), theirs
        assert long_numbers(theirs) == long_numbers(ours), theirs


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_korean_prose_is_korean(path):
    for text in prose(path):
        assert HANGUL.search(text), text
        assert not english_sentences(text)


def test_an_english_sentence_is_one():
    assert english_sentences("비용입니다.\n\nThe cost says it in one number.")
    assert not english_sentences(
        "3Blue1Brown의 강의, *The simple essence of automatic differentiation*, `jax.grad of it all`"
    )


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_english_notebooks_hold_no_korean_but_the_link(path):
    link = f"[한국어](ko/{path.name})"
    text = path.read_text()
    assert text.count(link) == 1
    assert not HANGUL.findall(text.replace(link, ""))
    assert f"[English](../{path.name}) · [용어집](glossary.md)" in prose(FOLDER / path.name)[0]


@pytest.mark.parametrize("path", [*ENGLISH, *TEXTS], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", re.sub(r"`[^`]*`", "§", "\n".join(prose(path)))):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_bold_type_shows(path):
    """Markdown takes ** for the end of bold type only where no particle follows a bracket or quotation mark."""
    for text in prose(path):
        for bold in re.finditer(r"\*\*[^*\n]+\*\*(?=(\w?))", re.sub(r"`[^`]*`", "§", text)):
            assert bold.group()[-3].isalnum() or not bold.group(1), bold.group()


def test_the_glossary_has_sixty_terms():
    rows = re.findall(
        r"^\| (?!English)([^|]+) \| ([^|]+) \| [^|]+ \|$", (FOLDER / "glossary.md").read_text(), re.MULTILINE
    )
    assert len({english for english, _ in rows}) == len({korean for _, korean in rows}) == len(rows) == 60


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_a_twin_finds_the_files_of_its_code(path):
    """A file beside the English notebook is one folder up for its twin."""
    code = "".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    files = set(re.findall(r'(?:Path|open|load|read_\w+)\("([^"]+\.\w+)"', code))
    assert all(f"../{name}" in files for name in files if not name.startswith("../")), files


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda cells: cells.pop(), "cell 3 differs in kind: 4 cells in English, 3 in Korean"),
        (lambda cells: cells.insert(1, cells[0]), "cell 1 differs in kind: 4 cells in English, 5 in Korean"),
        (lambda cells: cells.append(cells[1]), "cell 4 differs in kind: 4 cells in English, 5 in Korean"),
    ],
    ids=["fewer", "another kind", "more"],
)
def test_the_script_refuses_a_twin_of_other_cells(change, complaint):
    english, korean = read(ENGLISH[0]), read(FOLDER / ENGLISH[0].name)
    del english.cells[4:], korean.cells[4:]
    change(korean.cells)
    with pytest.raises(ValueError, match=complaint):
        updated(english, korean)


@pytest.mark.slow
def test_a_twin_runs_in_its_own_folder():
    """One for all: their code is that of the English notebooks, which test_notebooks runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAXMNIST_")}
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=120", "-q", FOLDER / f"{SHORTEST}.ipynb"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout
