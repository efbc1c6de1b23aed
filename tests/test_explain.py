import io
import time
from functools import partial

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_explanation import NETWORKS, explained

from jaxmnist.cli import explain as explain_command
from jaxmnist.cli.explain_text import shaded, text
from jaxmnist.cli.options import DataOptions
from jaxmnist.config import Config
from jaxmnist.network import Layer, init
from jaxmnist.plots import style
from jaxmnist.plots.explain import picture
from jaxmnist.plots.style import png
from jaxmnist.runs.checkpoint import save_network
from jaxmnist.studies.explanation import explain


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, offline."""
    return partial(command_line.run, tmp_path, "explain")


def saved(path, config, params=None, **about):
    path.parent.mkdir(exist_ok=True)
    params = params or init(jax.random.key(0), config.sizes)
    save_network(path, params, config, about)
    return path


def ledger(said):
    """Outputs, labels and terms of the ten rows, and the sum below them."""
    lines = said.splitlines()
    first = next(place for place, line in enumerate(lines) if "digit   output a" in line) + 1
    rows = np.array([[float(word) for word in line[31:].split()[:4]] for line in lines[first : first + 10]])
    return rows[:, 1], rows[:, 2], rows[:, 3], float(lines[first + 11].split()[-1])


def test_before_training_on_the_embedded_digits(run, tmp_path):
    result = run("--dataset", "digits", "--index", 7, "--seed", 3)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-explain")
    assert [path.name for path in folder.iterdir()] == ["explain.png"]
    with Image.open(folder / "explain.png") as image:
        assert min(image.size) > 700
    assert "test example 7 of 360" in result.stdout
    assert "before training (seed 3): a mess" in result.stdout
    assert str(folder.relative_to(tmp_path)) in result.stdout.splitlines()[-1]
    outputs, labels, terms, total = ledger(result.stdout)
    assert sorted(labels) == [0] * 9 + [1]
    # four and six decimals are printed
    np.testing.assert_allclose(terms, (outputs - labels) ** 2, atol=2e-4)
    assert total == pytest.approx(terms.sum(), abs=1e-5)
    assert total > 0.5


@pytest.mark.slow
def test_a_trained_run_brings_its_own_data_set(run, tmp_path):
    config = Config(sizes=(784, 4, 10), activation="relu", cost="cross_entropy")
    path = saved(tmp_path / "run" / "weights.safetensors", config, dataset="digits")
    result = run(path.parent, "--run-dir", tmp_path / "pictures")
    assert result.returncode == 0, result.stderr
    assert "digits, test example 0 of 360" in result.stdout
    assert f"784-4-10, relu, cross_entropy\ntrained: {path.parent}" in result.stdout
    outputs, labels, terms, total = ledger(result.stdout)
    assert total == pytest.approx(-np.log(outputs[labels == 1][0]), rel=1e-2)  # four decimals are printed
    assert terms[labels == 0].sum() == 0
    assert (tmp_path / "pictures" / "explain.png").is_file()


def test_any_folder_name_can_be_explained(run, tmp_path):
    config = Config(sizes=(784, 10))
    path = saved(tmp_path / "a$\\foo$_b\udce9" / "weights.safetensors", config, dataset="digits")
    result = run(path.parent.name, "--run-dir", "out\udce9", PYTHONIOENCODING="utf-8:strict")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "trained: a$\\foo$_b\\udce9\n" in result.stdout
    assert result.stdout.endswith("in out\\udce9: explain.png\n")
    assert (tmp_path / "out\udce9" / "explain.png").is_file()


def test_a_picture_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise ValueError("no picture")

    monkeypatch.setattr(style, "png", fail)
    options = explain_command.Options(data=DataOptions(dataset="digits"), run_dir=tmp_path / "out")
    with pytest.raises(ValueError, match="no picture"):
        explain_command.run(options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "run '': an empty name"),
        (("run", "--data-dir", "empty"), "data dir empty: contradicts the data set digits"),
        (("nowhere",), "no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        (("notes.txt",), "safetensors file"),
        (("small.safetensors",), "sizes 20 10"),
        (("--dataset", "digits", "--index", "360"), "index 360: expected 0 to 359"),
        (("--dataset", "digits", "--index", "-1"), "index -1"),
        (("--index", "seven"), "seven"),
        (("--dataset", "digits", "--run-dir", "full"), "never overwrites"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "notes.txt").write_text("12 eggs")
    saved(tmp_path / "small.safetensors", Config(sizes=(20, 10)))
    saved(tmp_path / "run" / "weights.safetensors", Config(sizes=(784, 10)), dataset="digits")
    result = run(*arguments)
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("config", NETWORKS)
def test_text_and_picture_of_any_network(config):
    explanation = explained(config)
    said = text(explanation, config, "a title")
    assert said.isprintable() is False  # the line ends
    assert all(line.isprintable() for line in said.splitlines())
    assert max(map(len, said.splitlines())) <= 100
    assert len(said.splitlines()) <= 75
    outputs, labels, terms, total = ledger(said)
    # four and six decimals are printed
    np.testing.assert_allclose(outputs, explanation.activations[-1], atol=6e-5)
    np.testing.assert_allclose(terms, explanation.terms, atol=6e-7)
    assert labels.tolist() == np.eye(10)[4].tolist()
    assert total == pytest.approx(float(explanation.back.cost), abs=6e-7)
    with Image.open(io.BytesIO(png(picture(explanation, config.cost, "a title")))) as drawn:
        assert drawn.size == (1260, 864)
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize(("bias", "said"), [(2.0, False), (20.0, True)])
def test_where_a_sure_output_costs_digits_it_says_so(bias, said):
    config = Config(sizes=(784, 3, 10), cost="cross_entropy")
    hidden, output = init(jax.random.key(0), config.sizes)
    params = (hidden, output._replace(biases=output.biases.at[4].add(bias)))
    explanation = explain(params, np.zeros(784, np.uint8), 4, config)
    assert (explanation.automatic_digits < 12) == said
    assert ("first digits cancel" in text(explanation, config, "sure")) == said


def test_a_dead_network_on_a_blank_page_has_no_slope_and_still_an_explanation():
    config = Config(sizes=(784, 3, 10), activation="relu", cost="squared_error")
    dead = (Layer(jnp.zeros((3, 784)), -jnp.ones(3)), Layer(jnp.ones((10, 3)), jnp.full(10, 900.0)))
    explanation = explain(dead, np.zeros(784, np.uint8), 4, config)
    assert not any(leaf.any() for leaf in jax.tree.leaves(explanation.back.gradient))
    assert "It reads 0: wrong, it is 4." in text(explanation, config, "dead")
    png(picture(explanation, config.cost, "dead"))


def test_a_page_is_shaded_by_its_ink():
    page = np.zeros((28, 28))
    page[4:6, 3] = 1
    page[4, 5] = 1
    page[6:8, 3] = 0.1
    lines = shaded(page.ravel())
    assert [len(line) for line in lines] == [28] * 14
    assert lines[2].rstrip() == "   █ ▒"
    assert lines[3].rstrip() == "   ░"


@pytest.mark.measured
def test_the_whole_command_is_quick(run, tmp_path, mnist_dir):
    path = saved(tmp_path / "run" / "weights.safetensors", Config(), dataset="mnist")
    for given in ((), (path.parent,)):
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            result = run(*given, "--index", 7, "--data-dir", mnist_dir)
            seconds.append(time.monotonic() - begin)
            assert result.returncode == 0, result.stderr
        print(f"explain {' '.join(map(str, given))}: {min(seconds):.2f} s at the least of {len(seconds)}")
        assert min(seconds) <= 4
