import pytest
from mutants import MUTANTS, ROOT, apply, show, table

SOURCE = (ROOT / "jaxmnist" / "optimizers.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mistake)
def test_every_mutant_changes_one_line_of_the_optimizers(mutant):
    changed = apply(mutant, SOURCE)
    compile(changed, "optimizers.py", "exec")
    before, after = SOURCE.splitlines(), changed.splitlines()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


@pytest.mark.slow
def test_a_test_notices_every_mutant_and_nothing_fails_without_one():
    *rows, unchanged = table()
    print(show(rows))
    assert unchanged[1] is None
    assert len(rows) >= 12
    assert [mistake for mistake, test in rows if test is None] == []
