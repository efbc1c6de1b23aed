import pytest

from jaxmnist.cli.console import progress


@pytest.mark.parametrize(("lines", "printed"), [(10, [1, *range(10, 101, 10)]), (0, [])])
def test_without_a_terminal_progress_is_the_first_and_evenly_spaced_lines(lines, printed, capsys):
    with progress(100, "epochs", lines) as advance:
        for _ in range(100):
            advance(1)
    output, errors = capsys.readouterr()
    assert output == ""
    assert [int(line.split()[0]) for line in errors.splitlines()] == printed


def test_resumed_progress_counts_from_where_it_was(capsys):
    with progress(10, "epochs", on_stdout=True, done=8) as advance:
        advance(1, "a note")
        advance(1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" in ")[0] for line in lines] == ["9 of 10 epochs", "10 of 10 epochs"]
    assert lines[0].endswith("· a note")
