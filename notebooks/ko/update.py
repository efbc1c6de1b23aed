"""Copy code and outputs from the English notebooks into their Korean twins: `python notebooks/ko/update.py`."""

from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent


def updated(english: nbformat.NotebookNode, korean: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The English notebook with the Korean one's markdown."""
    kinds = [[cell.cell_type for cell in notebook.cells] for notebook in (english, korean)]
    if kinds[0] != kinds[1]:
        places = [place for place, (ours, theirs) in enumerate(zip(*kinds, strict=False)) if ours != theirs]
        place = places[0] if places else min(map(len, kinds))
        raise ValueError(f"cell {place} differs in kind: {len(kinds[0])} cells in English, {len(kinds[1])} in Korean")
    twin = nbformat.from_dict(english)
    for cell, prose in zip(twin.cells, korean.cells, strict=True):
        if cell.cell_type == "markdown":
            cell.source = prose.source
    return twin


def main() -> None:
    """Update every twin; a twin whose cells are others than the English notebook's stays as it is."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        english = nbformat.read(FOLDER.parent / path.name, as_version=4)
        try:
            twin = updated(english, nbformat.read(path, as_version=4))
        except ValueError as error:
            raise SystemExit(f"{path.name}: {error}; add or remove cells in the twin, then run this again") from None
        nbformat.write(twin, path)


if __name__ == "__main__":
    main()
