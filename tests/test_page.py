import base64
import hashlib
import html.parser
import itertools
import json
import re
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import ROOT
from PIL import Image

import jaxmnist.page
from jaxmnist import training
from jaxmnist.config import Config
from jaxmnist.cost import COSTS
from jaxmnist.dataset import Dataset
from jaxmnist.handwriting.doubts import LIMITS
from jaxmnist.network import ACTIVATIONS, Layer
from jaxmnist.page import SCRIPTS, page
from jaxmnist.runs.checkpoint import SavedNetwork, save_network

COMPUTING = ("random", "training", "digits")
"""The page's modules that no view uses yet, and that aren't in it."""
HOSTILE = "</script><script>alert(1)</script><!-- <script> &amp; \u2028 \udc80"
SAMPLES = Dataset(np.arange(2 * 784, dtype=np.uint8).reshape(2, 784), np.array([3, 7], np.uint8))


@pytest.fixture
def run(command):
    return partial(command, "page")


def network(sizes=(784, 16, 16, 10), activation="sigmoid", cost="squared_error", seed=0, **about):
    """An untrained network, made without compiling anything."""
    random = np.random.default_rng(seed)
    params = tuple(
        Layer(
            jnp.array(random.normal(0, inputs**-0.5, (outputs, inputs)), jnp.float32),
            jnp.array(random.normal(0, inputs**-0.5, outputs), jnp.float32),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    )
    return SavedNetwork(params, Config(sizes=sizes, activation=activation, cost=cost), about)


def page_of(after, name="it"):
    return page(network(after.config.sizes, seed=99).params, after, SAMPLES, name)


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


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def numbers_of(params):
    return np.concatenate([np.ravel(leaf) for layer in params for leaf in (layer.weights, layer.biases)])


def test_a_page_is_a_pure_function_of_its_arguments(capfd):
    assert page_of(network()) == page_of(network())
    assert page_of(network()) != page_of(network(seed=1))
    assert capfd.readouterr() == ("", "")


def test_the_command_writes_one_file_of_at_most_300_kilobytes(run, tmp_path):
    code, output, errors = run("--output", "runs/new/p.html")
    assert (code, errors) == (0, "")
    content = (tmp_path / "runs/new/p.html").read_bytes()
    assert output == f"runs/new/p.html: {len(content) / 1000:,.0f} KB, open it in a browser\n"
    assert len(content) <= 300_000
    assert [path.name for path in (tmp_path / "runs/new").iterdir()] == ["p.html"]
    data = data_in(content.decode())
    assert (data["name"], data["sizes"]) == ("source", [784, 16, 16, 10])
    assert data["facts"] == ["trained on mnist", "reads 95.0% of 10,000 test images right"]
    assert data["limits"] == LIMITS._asdict()
    assert [sample["label"] for sample in data["samples"]] == list(range(10))
    assert numbers(data["after"]).size == numbers(data["before"]).size == 13_002


@pytest.mark.parametrize(
    ("sizes", "activation", "cost"),
    [((784, 10), "sigmoid", "squared_error"), ((784, 16, 16, 10), "tanh", "cross_entropy"),
     ((784, 3, 40, 5, 10), "relu", "squared_error"), ((784, 300, 10), "silu", "cross_entropy")],
)  # fmt: skip
def test_a_networks_weights_are_in_its_page_bit_for_bit(sizes, activation, cost):
    trained = network(sizes, activation, cost, dataset="fashion_mnist", test_accuracy=0.8333)
    data = data_in(page_of(trained))
    assert (data["sizes"], data["activation"], data["cost"]) == (list(sizes), activation, cost)
    assert data["facts"] == ["trained on fashion_mnist", "reads 83.3% of the test images right"]
    assert np.array_equal(numbers(data["after"]), numbers_of(trained.params))


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
    data = data_in(page_of(network(activation="new", cost="new")))
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
        assert not attributes.keys() & {"src", "href", "style", "action"}
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(", parts.inside["style"])
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket|innerHTML|eval)\b", parts.inside["module"])
    assert "</" not in parts.inside["module"]


@pytest.mark.parametrize("about", [{}, {"dataset": HOSTILE}, {"dataset": 3, "test_accuracy": float("nan")}])
def test_names_that_look_like_script_stay_data(about):
    text = page_of(network(**about), HOSTILE)
    text.encode()  # although the name isn't UTF-8
    parts = Parts(text)
    assert [tag for tag, _attributes in parts.elements].count("script") == 2
    data = json.loads(parts.inside["application/json"])
    assert data["name"] == HOSTILE
    assert "alert" not in parts.inside["module"]
    assert data["facts"] == ([f"trained on {HOSTILE}"] if about.get("dataset") == HOSTILE else [])


def test_the_scripts_are_short_and_all_in_the_page():
    folder = ROOT / "jaxmnist" / "page"
    assert {f"{name}.js" for name in (*SCRIPTS, *COMPUTING)} == {path.name for path in folder.glob("*.js")}
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.js")]
    assert max(lengths) <= 250
    assert sum(lengths) <= 2000


def test_a_name_that_is_not_utf_8_can_be_printed(run, tmp_path):
    code, output, errors = run("--output", "caf\udce9.html")
    assert (code, errors) == (0, "")
    assert output.startswith("caf\\udce9.html: ")
    assert (tmp_path / "caf\udce9.html").is_file()


def test_a_large_network_gives_a_large_page_and_a_warning(run, tmp_path):
    large = network((784, 64, 10), dataset="mnist", seed=0)
    save_network(tmp_path / "large.safetensors", large.params, large.config, {"seed": 0})
    code, _, errors = run("large.safetensors")
    assert code == 0
    assert errors.startswith("warning: page.html is large")
    assert (tmp_path / "page.html").stat().st_size > 300_000
    assert data_in((tmp_path / "page.html").read_text())["name"] == "large.safetensors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "run ''"),
        (("nosuch",), "nosuch: no such folder or file"),
        (("empty",), "weights.safetensors"),
        ((__file__,), "test_page.py"),
        (("strange.safetensors",), "seed 'one' in the run's weights file"),
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


def test_the_network_before_training_is_the_one_that_training_began_with(run, tmp_path):
    trained = network((784, 8, 10), "relu", "cross_entropy")
    (tmp_path / "run").mkdir()
    save_network(tmp_path / "run" / "weights.safetensors", trained.params, trained.config, {"seed": 5})
    assert run("run")[0] == 0
    data = data_in(Path("page.html").read_text())
    assert np.array_equal(numbers(data["before"]), numbers_of(training.start(jax.random.key(5), trained.config).params))
    assert data["name"] == "run"


def test_the_readmes_picture_is_small(run):
    path = ROOT / "notebooks" / "pictures" / "page.png"
    assert path.stat().st_size <= 250_000
    with Image.open(path) as picture:
        assert picture.width == 1280
