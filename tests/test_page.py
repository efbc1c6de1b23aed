import base64
import hashlib
import html.parser
import json
import re
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from browser import ROOT
from pages import network, page_of
from PIL import Image

import jaxmnist.page
from jaxmnist.cost import COSTS
from jaxmnist.handwriting.doubts import LIMITS
from jaxmnist.network import ACTIVATIONS
from jaxmnist.page import SCRIPTS
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.sources import load
from jaxmnist.studies import replay

HOSTILE = "</script><script>alert(1)</script><!-- <script> &amp; \u2028 \udc80"


@pytest.fixture
def run(command):
    return partial(command, "page")


class Parts(html.parser.HTMLParser):
    """The page's elements with their attributes, and the content of its style and its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inside, self.current = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.current = dict(attributes).get("type", tag)
            self.inside[self.current] = ""

    def handle_data(self, data):
        if self.current:
            self.inside[self.current] += data

    def handle_endtag(self, tag):
        self.current = None


def data_in(text):
    return json.loads(Parts(text).inside["application/json"])


def numbers(text, dtype="<f4"):
    return np.frombuffer(base64.b64decode(text), dtype)


def numbers_of(params):
    return np.concatenate([np.ravel(leaf) for layer in params for leaf in (layer.weights, layer.biases)])


def test_a_page_is_a_pure_function_of_its_arguments(capfd):
    assert page_of(network()) == page_of(network())
    assert page_of(network()) != page_of(network(seed=1))
    assert capfd.readouterr() == ("", "")


def test_the_command_writes_one_file_of_at_most_500_kilobytes(run, tmp_path):
    code, output, errors = run("--output", "runs/new/p.html")
    assert (code, errors) == (0, "")
    content = (tmp_path / "runs/new/p.html").read_bytes()
    assert output == f"runs/new/p.html: {len(content) / 1000:,.0f} KB, open it in a browser\n"
    assert len(content) <= 500_000
    assert [path.name for path in (tmp_path / "runs/new").iterdir()] == ["p.html"]
    data = data_in(content.decode())
    best, source = data["networks"]  # `predict` reads with the first, too
    assert (best["name"], best["activation"]) == ("best", "silu")
    assert (source["name"], source["sizes"], source["epochs"]) == ("source", [784, 16, 16, 10], [])
    assert (source["dataset"], source["accuracy"], source["examples"]) == ("mnist", 0.9504, 10_000)
    assert data["limits"] == LIMITS._asdict()
    assert numbers(source["weights"]).size == 13_002


@pytest.mark.parametrize(
    ("sizes", "activation", "cost"),
    [((784, 10), "sigmoid", "squared_error"), ((784, 16, 16, 10), "tanh", "cross_entropy"),
     ((784, 3, 40, 5, 10), "relu", "squared_error"), ((784, 300, 10), "silu", "cross_entropy")],
)  # fmt: skip
def test_a_networks_weights_are_in_its_page_bit_for_bit(sizes, activation, cost):
    trained = network(sizes, activation, cost, dataset="fashion_mnist", test_accuracy=0.8333, test_examples=10)
    (data,) = data_in(page_of(trained))["networks"]
    assert (data["sizes"], data["activation"], data["cost"]) == (list(sizes), activation, cost)
    assert (data["dataset"], data["accuracy"], data["examples"], data["seed"]) == ("fashion_mnist", 0.8333, 10, 99)
    assert np.array_equal(numbers(data["weights"]), numbers_of(trained.params))


def test_earlier_moments_are_in_the_page_in_half_precision():
    trained, early = network(), network(seed=1)
    huge = jax.tree.map(lambda leaf: leaf * 1e6, early.params)
    (data,) = data_in(page_of(trained, epochs={1: early.params, 3: huge}))["networks"]
    assert [moment["epoch"] for moment in data["epochs"]] == [1, 3]
    halves, largest = (numbers(moment["weights"], "<f2") for moment in data["epochs"])
    # Float16 has 11 significant bits; below 2⁻¹⁴ its steps are 2⁻²⁴.
    np.testing.assert_allclose(halves, numbers_of(early.params), rtol=2**-11, atol=2**-25)
    assert np.max(np.abs(largest)) == 65504


def test_the_page_knows_every_activation_and_cost_of_the_package():
    for activation in ACTIVATIONS:
        for cost in COSTS:
            page_of(network(activation=activation, cost=cost))


def test_one_record_in_network_js_adds_an_activation_or_a_cost(monkeypatch, tmp_path):
    for field, names in (("activation", ACTIVATIONS), ("cost", COSTS)):
        unknown = network(**{field: "new"})
        with pytest.raises(ValueError, match=f"^{field}=new: the page can draw {', '.join(names)}; add a record to"):
            page_of(unknown)
    monkeypatch.setattr(jaxmnist.page, "TEMPLATES", with_records(tmp_path / "page", "new: {},", "new: {\n  },"))
    (data,) = data_in(page_of(network(activation="new", cost="new")))["networks"]
    assert (data["activation"], data["cost"]) == ("new", "new")


def with_records(folder, activation, cost):
    """A copy of the page's folder with one more record in each of network.js's tables."""
    shutil.copytree(ROOT / "jaxmnist" / "page", folder)
    script = folder / "network.js"
    text = script.read_text(encoding="utf-8")
    for table, record in (("ACTIVATIONS", activation), ("COSTS", cost)):
        text = text.replace(f"const {table} = {{\n", f"const {table} = {{\n  {record}\n")
    script.write_text(text, encoding="utf-8")
    return folder


def test_the_policy_allows_only_the_pages_own_script_and_style():
    parts = Parts(page_of(network()))
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
    tags = [tag for tag, _attributes in parts.elements]
    assert tags.index("meta") < tags.index("style") < tags.index("script")


def test_the_page_names_no_other_file_and_has_no_script_in_attributes():
    parts = Parts(page_of(network()))
    for tag, attributes in parts.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form")
        assert not attributes.keys() & {"src", "style", "action"}
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(", parts.inside["style"])
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket|innerHTML|eval)\b", parts.inside["module"])
    assert "</" not in parts.inside["module"]


@pytest.mark.parametrize("about", [{}, {"dataset": HOSTILE}, {"dataset": 3, "test_accuracy": float("nan")}])
def test_names_that_look_like_script_stay_data(about):
    text = page_of(network(**about), name=HOSTILE)
    text.encode()  # although the name isn't UTF-8
    parts = Parts(text)
    assert [tag for tag, _attributes in parts.elements].count("script") == 2
    (data,) = json.loads(parts.inside["application/json"])["networks"]
    assert data["name"] == HOSTILE
    assert "alert" not in parts.inside["module"]
    assert data.get("dataset") == (HOSTILE if about.get("dataset") == HOSTILE else None)
    assert "accuracy" not in data


def test_the_scripts_are_short_and_all_in_the_page():
    folder = ROOT / "jaxmnist" / "page"
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in folder.glob("*.js")}
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.js")]
    assert max(lengths) <= 250
    assert sum(lengths) <= 2000


def test_a_name_that_is_not_utf_8_can_be_printed(run, tmp_path):
    code, output, errors = run("--output", "caf\udce9.html")
    assert (code, errors) == (0, "")
    assert output.startswith("caf\\udce9.html: ")
    assert (tmp_path / "caf\udce9.html").is_file()


def test_a_large_network_gives_a_large_page_and_a_warning(run, tmp_path):
    large = network((784, 2000, 10), dataset="mnist", seed=0)
    save_network(tmp_path / "large.safetensors", large.params, large.config, {"seed": 0})
    code, _, errors = run("large.safetensors")
    assert code == 0
    assert errors.startswith("warning: page.html is large")
    assert (tmp_path / "page.html").stat().st_size > 2_000_000
    (data,) = data_in((tmp_path / "page.html").read_text())["networks"]
    assert data["name"] == tmp_path.name  # the folder's, as that of a run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "run ''"),
        (("nosuch",), "nosuch: no such folder or file"),
        (("empty",), "weights.safetensors"),
        ((__file__,), "test_page.py"),
        (("strange.safetensors",), "seed 'one' in the run's weights file"),
        (("--epochs", 9), "error: --epochs 9: expected 0 to 8"),
        (("--output", "empty"), "error: --output empty: is a folder"),
        (("--output", "there.html"), "error: --output there.html: exists already"),
        (("--output", "there.html/page.html"), "error: --output there.html/page.html: can't be written"),
        (("--output", "/proc/page.html"), "/proc/page.html: can't be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.html").write_text("mine")
    strange = network()
    save_network(tmp_path / "strange.safetensors", strange.params, strange.config, {"seed": "one"})
    code, output, errors = run(*arguments)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert (tmp_path / "there.html").read_text() == "mine"
    assert not (tmp_path / "page.html").exists()


def test_a_run_brings_the_moments_of_its_training(run, command, tmp_path):
    config = ("--dataset", "digits", "--epochs", 12, "--sizes", 784, 8, 10, "--seed", 5)
    assert command("train", *config, "--run-dir", "run")[0] == 0
    code, output, _ = run("run")
    assert code == 0
    assert output.endswith("open it in a browser\n")
    (data,) = data_in((tmp_path / "page.html").read_text())["networks"]
    assert (data["name"], data["seed"]) == ("run", 5)
    assert [moment["epoch"] for moment in data["epochs"]] == [1, 2, 3, 4, 5, 6, 8, 11]
    again = replay.after_epochs(jax.random.key(5), load("digits").train, load_network("run").config, 4)
    fourth = numbers(data["epochs"][3]["weights"], "<f2")
    np.testing.assert_allclose(fourth, numbers_of(again.params), rtol=2**-11, atol=2**-25)
    assert run("run", "--epochs", 0, "--output", "without.html")[0] == 0
    assert data_in((tmp_path / "without.html").read_text())["networks"][0]["epochs"] == []


@pytest.mark.parametrize(
    ("epochs", "most", "moments"),
    [(1, 8, []), (2, 8, [1]), (9, 8, [*range(1, 9)]), (10, 8, [1, 2, 3, 4, 5, 6, 7, 9]), (300, 4, [1, 7, 45, 299]),
     (5, 0, [])],
)  # fmt: skip
def test_moments_are_different_and_before_the_end(epochs, most, moments):
    assert replay.spread_moments(epochs, most) == moments


def test_the_readmes_picture_is_small(run):
    path = ROOT / "notebooks" / "pictures" / "page.png"
    assert path.stat().st_size <= 250_000
    with Image.open(path) as picture:
        assert picture.width == 1280
