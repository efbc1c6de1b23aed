import os
import signal

import pytest

from jaxmnist.cli.console import progress, say, started_as, stopping


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


def test_the_first_signal_after_the_first_question_only_requests_a_stop_and_the_second_ends(capfd):
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    try:
        with stopping() as stop_requested:
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(ended) == 1  # nothing could be saved yet
            assert not stop_requested()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop_requested()
            assert len(ended) == 1
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(ended) == 2
        assert capfd.readouterr().err.strip() == "stopping after this epoch; a second signal ends the run at once"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_requests_nothing():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping() as stop_requested:
            stop_requested()
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("train.py", "python train.py"),
        ("../my code/train.py", "python '../my code/train.py'"),
        ("/usr/bin/jaxmnist", "jaxmnist train"),
        ("/lib/jaxmnist/__main__.py", "python -m jaxmnist train"),
        ("/somebody/else.py", "jaxmnist train"),
    ],
)
def test_a_command_is_named_as_it_was_started(program, words, monkeypatch):
    monkeypatch.setattr("sys.argv", [program])
    assert started_as("train") == words


def test_names_in_a_line_cannot_write_to_the_terminal(capsys):
    say("in \x1b[2J\n9  1.00 forged.png\u202e\x9b: done")
    assert capsys.readouterr().out == "in \\u001b[2J\\u000a9  1.00 forged.png\\u202e\\u009b: done\n"
