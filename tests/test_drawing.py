import threading

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from test_explain import save_run

from jaxmnist import cli
from jaxmnist.cli.drawing import write_figures
from jaxmnist.plots.style import png

FEW = "--dataset digits --sizes 784 10 --epochs 2"
COMMANDS = {
    "train": (FEW, {"summary.json", "weights.safetensors"}, {"curves", "weights", "confusion", "mistakes"}),
    "evaluate": (
        "digits-run",
        {"evaluation.json"},
        {"confusion", "mistakes", "calibration", "digits", "noise"},
    ),
    "explain": ("digits-run", set(), {"explain"}),
    "predict": ("seven.png --show", set(), {"predict"}),
    "sweep": (f"{FEW} --seeds 2", {"summary.json", "sweep.csv"}, {"accuracy"}),
    "cross-validate": (
        f"{FEW} --folds 2 --seeds 1 --momentum 0.5",
        {"summary.json", "cross_validation.csv", "weights.safetensors"},
        {"cross_validation"},
    ),
    "compare": (
        "--dataset digits --seeds 2 --steps 20 --full-batch-steps 10 --examples 100 --learning-rates 0.4",
        {"comparison.json", "comparison.csv", "race.webp"},
        {"curves", "path_gd_sgd", "path_sgd_momentum", "path_momentum_nesterov"},
    ),
    "rates": ("", {"rates.json"}, {"quadratics", "convex", "noise", "cycle"}),
}
DRAW_NOTHING = {"page", "plan"}


def figures():
    return {"good.png": Figure(), "bad.png": Figure(), "last.png": Figure()}


def no_room():
    raise OSError("no room")


@pytest.fixture
def arguments(tmp_path):
    """Puts what the commands read into the folder, and returns a command's words."""
    picture = np.full((60, 60), 255, np.uint8)
    picture[10:50, 28:32] = 0
    Image.fromarray(picture).save(tmp_path / "seven.png")
    save_run(tmp_path / "digits-run", dataset="digits")
    return lambda name: COMMANDS[name][0].split()


def test_every_command_that_draws_is_here():
    assert {*COMMANDS} == {*cli.COMMANDS} - DRAW_NOTHING


def slow_but(quick, names):
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but({"explain", "predict"}, COMMANDS))
def test_figures_that_fail_cost_a_warning_each_and_no_numbers(command, arguments, tmp_path, monkeypatch, name):
    def fail(_figure):
        raise RuntimeError("no\nlatex")

    _words, files, names = COMMANDS[name]
    monkeypatch.setattr("jaxmnist.plots.style.png", fail)
    code, printed, errors = command(name, *arguments(name), "--run-dir", "out")
    assert code == 0
    warnings = {line for line in errors.splitlines() if line.startswith("warning: ")}
    assert warnings == {f"warning: no {name}.png, all else is written (RuntimeError: no latex)" for name in names}
    assert len(printed.splitlines()) >= 2
    found = {path.name for path in (tmp_path / "out").glob("[!.]*")}
    assert files <= found
    assert not any(path.endswith(".png") for path in found)
    assert (tmp_path / "out").exists() == bool(files)


def test_a_figure_that_fails_doesnt_stop_the_others(tmp_path, monkeypatch, capsys):
    def failing(figure):
        if len(drawn) == 1:
            drawn.append(None)
            raise MemoryError
        drawn.append(figure)
        return png(figure)

    drawn = []
    monkeypatch.setattr("jaxmnist.plots.style.png", failing)
    write_figures(tmp_path, figures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.png", "last.png"]
    assert capsys.readouterr().err == "warning: no bad.png, all else is written (MemoryError)\n"


def test_a_figure_that_cant_be_packed_doesnt_stop_the_others(tmp_path, monkeypatch, capsys):
    """Packing is done in another thread."""

    def unpackable(figure):
        pack = png(figure)

        def fail():
            threads.append(threading.current_thread())
            if len(threads) == 2:
                raise OSError("no room")
            return pack()

        return fail

    threads = []
    monkeypatch.setattr("jaxmnist.plots.style.png", unpackable)
    write_figures(tmp_path, figures)
    assert threading.main_thread() not in threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.png", "last.png"]
    assert capsys.readouterr().err == "warning: no bad.png, all else is written (OSError: no room)\n"


def test_a_file_that_draws_itself_is_written_or_warned_of(tmp_path, capsys):
    write_figures(tmp_path, lambda: {"bad.webp": no_room, "good.webp": lambda: b"moving"})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("good.webp", b"moving")]
    assert capsys.readouterr().err == "warning: no bad.webp, all else is written (OSError: no room)\n"


def test_figures_that_cant_be_made_or_written_are_one_warning_each(tmp_path, capsys):
    write_figures(tmp_path, dict, [("good.png",)])
    write_figures(tmp_path / "nowhere", figures)
    made, *written = capsys.readouterr().err.splitlines()
    assert made.startswith("warning: no figures, all else is written (ValueError: ")
    assert [line.split(",")[0] for line in written] == [f"warning: no {name}" for name in figures()]
    assert "No such file or directory" in written[0]


@pytest.mark.parametrize("name", slow_but({"predict"}, ["evaluate", "explain", "predict"]))
def test_no_figure_has_a_path_in_it(command, arguments, tmp_path, monkeypatch, name):
    def spy(figure):
        texts.extend(text.get_text() for text in figure.findobj(Text))
        return png(figure)

    texts = []
    monkeypatch.setattr("jaxmnist.plots.style.png", spy)
    run = tmp_path / "digits-run"
    words = [tmp_path / "seven.png", "--run", run, "--show"] if name == "predict" else [run / "weights.safetensors"]
    arguments(name)
    assert command(name, *words, "--run-dir", "out")[0] == 0
    assert any("digits-run" in text for text in texts)
    assert not any(str(tmp_path) in text for text in texts)
