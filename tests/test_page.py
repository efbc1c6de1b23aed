import base64
import hashlib
import html.parser
import json
import re
from functools import partial

import command_line
import jax
import numpy as np
import pytest
from browser import ROOT
from command_line import refusal
from PIL import Image

from jaxmnist import training
from jaxmnist.cli.predict_text import UNLIKE, UNSURE, WIDEST_PEN
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.network import init
from jaxmnist.page import SCRIPTS, page
from jaxmnist.runs.checkpoint import SavedNetwork, save_network

HOSTILE = "</script><script>alert(1)</script><!-- <script> &amp; \u2028 \udc80"
SAMPLES = Dataset(np.arange(2 * 784, dtype=np.uint8).reshape(2, 784), np.array([3, 7], np.uint8))


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, offline."""
    return partial(command_line.run, tmp_path, "page")


def network(sizes=(784, 16, 16, 10), activation="sigmoid", cost="squared_error", seed=0, **about):
    config = Config(sizes=sizes, activation=activation, cost=cost)
    return SavedNetwork(init(jax.random.key(seed), sizes), config, about)


def made(after, name="it"):
    return page(init(jax.random.key(99), after.config.sizes), after, SAMPLES, name)


class Parts(html.parser.HTMLParser):
    """The page's elements with their attributes, and what is in its style and its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inside, self.place = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.place = dict(attributes).get("type", tag)
            self.inside[self.place] = ""

    def handle_data(self, data):
        if self.place:
            self.inside[self.place] += data

    def handle_endtag(self, tag):
        self.place = None


def test_a_page_is_a_function_of_its_arguments_and_prints_nothing(capfd):
    first, second = made(network()), made(network())
    assert first == second
    assert first != made(network(seed=1))
    assert capfd.readouterr() == ("", "")


def test_the_command_writes_one_file_of_at_most_300_kilobytes(run, tmp_path):
    result = run("--output", "runs/new/p.html")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    content = (tmp_path / "runs/new/p.html").read_bytes()
    assert result.stdout == f"runs/new/p.html: {len(content) / 1000:,.0f} KB, open it in a browser\n"
    assert len(content) <= 300_000
    assert [path.name for path in (tmp_path / "runs/new").iterdir()] == ["p.html"]
    data = json.loads(Parts(content.decode()).inside["application/json"])
    assert (data["name"], data["sizes"]) == ("source", [784, 16, 16, 10])
    assert data["facts"] == ["trained on mnist", "reads 95.0% of 10,000 test images right"]
    assert data["limits"] == {"unsure": UNSURE, "unlike": UNLIKE, "widest_pen": WIDEST_PEN}
    assert [sample["label"] for sample in data["samples"]] == list(range(10))
    assert numbers(data["after"]).size == numbers(data["before"]).size == 13_002


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest.mark.parametrize(
    ("sizes", "activation"),
    [((784, 10), "sigmoid"), ((784, 16, 16, 10), "tanh"), ((784, 3, 40, 5, 10), "relu"), ((784, 300, 10), "silu")],
)
@pytest.mark.parametrize("cost", ["squared_error", "cross_entropy"])
def test_every_recipes_weights_are_in_its_page_bit_for_bit(sizes, activation, cost):
    trained = network(sizes, activation, cost, dataset="fashion_mnist", test_accuracy=0.8333)
    data = json.loads(Parts(made(trained)).inside["application/json"])
    assert (data["sizes"], data["activation"], data["cost"]) == (list(sizes), activation, cost)
    assert data["facts"] == ["trained on fashion_mnist", "reads 83.3% of the test images right"]
    expected = [np.ravel(leaf) for layer in trained.params for leaf in (layer.weights, layer.biases)]
    assert np.array_equal(numbers(data["after"]), np.concatenate(expected))


def test_the_policy_lets_nothing_run_but_the_pages_own_script_and_style():
    parts = Parts(made(network()))
    (policy,) = [
        attributes["content"]
        for _tag, attributes in parts.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digest = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
              for name, text in parts.inside.items()}  # fmt: skip
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest['module']}'",
        "style-src": f"'sha256-{digest['style']}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    place = [tag for tag, _attributes in parts.elements]
    assert place.index("meta") < place.index("style") < place.index("script")


def test_nothing_in_the_page_names_another_file_or_hides_in_an_attribute():
    parts = Parts(made(network()))
    for tag, attributes in parts.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form")
        assert not attributes.keys() & {"src", "href", "style", "action"}
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(", parts.inside["style"])
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket|innerHTML|eval)\b", parts.inside["module"])
    assert "</" not in parts.inside["module"]


@pytest.mark.parametrize("about", [{}, {"dataset": HOSTILE}, {"dataset": 3, "test_accuracy": float("nan")}])
def test_names_that_look_like_script_stay_data(about):
    text = made(network(**about), HOSTILE)
    text.encode()  # a file name that is no text in UTF-8 doesn't stop it
    parts = Parts(text)
    assert [tag for tag, _attributes in parts.elements].count("script") == 2
    data = json.loads(parts.inside["application/json"])
    assert data["name"] == HOSTILE
    assert "alert" not in parts.inside["module"]
    assert data["facts"] == ([f"trained on {HOSTILE}"] if about.get("dataset") == HOSTILE else [])


def test_the_scripts_are_small_and_all_in_the_page():
    folder = ROOT / "jaxmnist" / "page"
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in folder.glob("*.js")}
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.js")) <= 250


def test_a_name_that_is_not_utf_8_can_be_told(run, tmp_path):
    result = run("--output", "caf\udce9.html", PYTHONIOENCODING="utf-8:strict")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("caf\\udce9.html: ")
    assert (tmp_path / "caf\udce9.html").is_file()
    there = refusal(run("--output", "caf\udce9.html", PYTHONIOENCODING="utf-8:strict"))
    assert there.startswith("error: output caf\\udce9.html: is there already")


@pytest.mark.slow
def test_a_large_network_gives_a_large_page_and_a_warning(run, tmp_path):
    large = network((784, 64, 10), dataset="mnist", seed=0)
    save_network(tmp_path / "large.safetensors", large.params, large.config, {"seed": 0})
    result = run("large.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("warning: page.html is large")
    assert (tmp_path / "page.html").stat().st_size > 300_000
    data = json.loads(Parts((tmp_path / "page.html").read_text()).inside["application/json"])
    assert data["name"] == "large.safetensors"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "run '': an empty name"),
        (("nosuch",), "run nosuch: no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        ((__file__,), "test_page.py"),
        (("strange.safetensors",), "seed 'one' in the run's weights file"),
        (("--output", "empty"), "output empty: is a folder"),
        (("--output", "there.html"), "output there.html: is there already"),
        (("--output", "there.html/page.html"), "output there.html/page.html: can't be written"),
        (("--output", "/proc/page.html"), "/proc/page.html: can't be written"),
        (("--bogus",), "--bogus"),
        (("source", "other"), "other"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.html").write_text("mine")
    strange = network()
    save_network(tmp_path / "strange.safetensors", strange.params, strange.config, {"seed": "one"})
    assert said in refusal(run(*arguments))
    assert (tmp_path / "there.html").read_text() == "mine"
    assert not (tmp_path / "page.html").exists()


def test_the_network_before_training_is_the_one_that_training_began_with(run, tmp_path):
    trained = network((784, 8, 10), "relu", "cross_entropy")
    (tmp_path / "run").mkdir()
    save_network(tmp_path / "run" / "weights.safetensors", trained.params, trained.config, {"seed": 5})
    result = run("run")
    assert result.returncode == 0, result.stderr
    data = json.loads(Parts((tmp_path / "page.html").read_text()).inside["application/json"])
    began = training.start(jax.random.key(5), trained.config, 1437).params
    assert np.array_equal(numbers(data["before"]), np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(began)]))
    assert data["name"] == "run"


def test_the_readmes_picture_is_small_and_there():
    path = ROOT / "notebooks" / "pictures" / "page.png"
    assert path.stat().st_size <= 250_000
    with Image.open(path) as picture:
        assert picture.width == 1280


def test_help_teaches(run):
    result = run("--help")
    assert result.returncode == 0
    assert "which pixels would raise" in " ".join(re.sub("[│╭╮╰╯─]", " ", result.stdout).split())
