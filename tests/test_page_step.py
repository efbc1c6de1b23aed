"""The page's Step view in a real browser: every number it shows is JAX's, at every stage."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import THREE, draw, resize
from pages import network
from playwright.sync_api import expect

from jaxmnist.backprop import backpropagate
from jaxmnist.cost import COSTS, example_cost
from jaxmnist.network import activations, weighted_sums
from jaxmnist.optimizers import apply_updates, momentum, nesterov, sgd
from jaxmnist.runs.checkpoint import load_network

slow = pytest.mark.slow
OPTIMIZERS = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov}


def number(text):
    return float(text.replace("−", "-"))


def assert_shown(texts, expected):
    """Each text is its number to as many digits as it has: three decimals, or two digits and a power of ten."""
    assert len(texts) == len(expected)
    for text, value in zip(texts, np.asarray(expected, float), strict=True):
        # A last digit may be rounded the other way: float32 there, float64 here.
        unit = 10.0 ** (int(text.replace("−", "-").split("e")[1]) - 1) if "e" in text else 1e-3
        assert abs(number(text) - value) <= 0.51 * unit + 1e-6 * abs(value), (text, value)


def table(shown):
    """The columns of the stage's table by their headings, each a list of texts; and the names of its rows."""
    (_corner, *heads), *rows = shown.locator("#step-rows").evaluate(
        "(table) => Array.from(table.rows, ({ cells }) => Array.from(cells, (cell) => cell.textContent))"
    )
    return {head: [row[at] for row in rows] for at, head in enumerate(heads, 1)}, [row[0] for row in rows]


def title(shown):
    return shown.locator("#stage-title").inner_text().split(" ", 1)[1]


def pixels_of(shown):
    return jnp.asarray(shown.evaluate("Array.from(jaxmnist.state().image)"), jnp.float32) / 255


def expected_of(saved, image, label):
    """All numbers of one step back, by JAX: `jax.grad` with respect to parameters and to every layer's activations."""
    params, activation, cost = saved.params, saved.config.activation, saved.config.cost
    target = jax.nn.one_hot(label, 10)
    z = weighted_sums(params, image, activation)
    a = activations(params, image, activation, COSTS[cost].outputs)
    gradient = jax.grad(example_cost)(params, image, target, activation, cost)
    asked = [None] + [
        -jax.grad(example_cost, 1)(params[at:], a[at], target, activation, cost) for at in range(1, len(params))
    ]
    return (
        z,
        a,
        COSTS[cost].terms(z[-1], target),
        gradient,
        asked,
        float(example_cost(params, image, target, activation, cost)),
    )


def check_stages(shown, saved, image, label):
    """Go forward stage by stage, and compare every table with JAX."""
    z, a, terms, gradient, asked, cost = expected_of(saved, image, label)
    last, formula = len(saved.params), COSTS[saved.config.cost].formula.replace(" ", "\u00a0")
    forward = shown.get_by_role("button", name="Forward ›")
    target = np.eye(10)[label]
    columns = [{"a": None}]
    for layer in range(1, last + 1):
        columns += [{"z": z[layer - 1]}, {"z": z[layer - 1], "a": a[layer]}]
    columns += [{"a": a[-1], "y": target, formula: terms}]
    columns += [{"z": z[-1], "a": a[-1], "y": target, "δ": gradient[-1].biases}, {}]
    for layer in range(last - 1, 0, -1):
        columns += [
            {"−∂C/∂a": asked[layer]},
            {"∂C/∂a": -asked[layer], "z": z[layer - 1], "δ": gradient[layer - 1].biases},
        ]
    for at, expected in enumerate(columns):
        assert shown.locator("#stage").input_value() == str(at)
        shown_columns, _names = table(shown)
        for name, values in expected.items():
            if values is not None:
                assert_shown(shown_columns[name], values)
        if "−∂C/∂a" in expected:  # what each neuron of the next layer asks of the strongest
            layer = int(title(shown).split()[3].strip(":"))
            k = int(np.argmax(np.abs(asked[layer])))
            wishes = -saved.params[layer].weights[:, k] * gradient[layer].biases
            texts = shown.locator("#step-written").inner_text().split(" = ")[2].split(" + ")
            assert_shown([text.strip("()") for text in texts[:3]], wishes[np.sort(np.argsort(-np.abs(wishes))[:3])])
        if formula in expected:
            assert f"C = {cost:.3f}." in shown.locator("#stage-text").inner_text()
        forward.click()
    return gradient


@slow
@pytest.mark.parametrize(("activation", "cost"), [("sigmoid", "squared_error"), ("silu", "cross_entropy")])
def test_every_stage_shows_jaxs_numbers(opened, activation, cost):
    saved = network(activation=activation, cost=cost, seed=4)
    shown = opened(saved, address="#step?stepping=1")  # after training
    draw(shown, THREE)
    shown.keyboard.press("3")
    assert shown.locator("#step-rows caption").inner_text() == "The pixels: the strongest 10 of 784"
    image = pixels_of(shown)
    gradient = check_stages(shown, saved, image, 3)
    assert title(shown) == "The gradient: input × δ"
    columns, names = table(shown)  # of output 3
    own = np.concatenate([gradient[-1].biases[3:4], gradient[-1].weights[3]])
    assert names == ["b", *map(str, range(16))]
    assert_shown(columns["∂C/∂w"], own)
    shown.locator('#step-diagram [data-layer="1"][data-neuron="5"]').hover()
    columns, names = table(shown)
    strongest = np.argsort(-np.abs(gradient[0].weights[5]), kind="stable")[0]
    assert len(names) == 10
    for name, text in zip(names, columns["∂C/∂w"], strict=True):
        row, column = map(int, name.split(",")) if "," in name else (0, 0)
        value = gradient[0].biases[5] if name == "b" else gradient[0].weights[5, 28 * row + column]
        assert_shown([text], [value])
        assert abs(value) >= 0.5 * abs(gradient[0].weights[5, strongest])
    assert "Hidden layer 1, neuron 5" in shown.locator("#step-rows caption").inner_text()


@slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("activation", "cost"), [("sigmoid", "squared_error"), ("silu", "cross_entropy")])
def test_the_step_and_its_proof_are_jaxs(opened, optimizer, activation, cost):
    saved = network(activation=activation, cost=cost, seed=4)
    shown = opened(saved, address=f"#step?stepping=1&stage=15&step-optimizer={optimizer}&step-rate=0.2&sample=7")
    assert shown.locator("#step-label").input_value() == "7"
    image, target = pixels_of(shown), jax.nn.one_hot(7, 10)
    gradient = jax.grad(example_cost)(saved.params, image, target, activation, cost)
    made = OPTIMIZERS[optimizer](0.2)
    updates, _state = made.update(gradient, made.init(saved.params))
    after = apply_updates(saved.params, updates)
    columns, _names = table(shown)

    def of_output(params):
        return np.concatenate([params[-1].biases[7:8], params[-1].weights[7]])

    g = of_output(gradient)
    expected = {"θ": of_output(saved.params), "g": g, "m": g, "d": 1.9 * g, "θ′": of_output(after)}
    assert (
        list(columns)
        == {"sgd": ["θ", "g", "θ′"], "momentum": ["θ", "g", "m", "θ′"], "nesterov": list(expected)}[optimizer]
    )
    for name, texts in columns.items():
        assert_shown(texts, expected[name])
    shown.get_by_role("button", name="Forward ›").click()
    before, now = (float(example_cost(params, image, target, activation, cost)) for params in (saved.params, after))
    assert f"was {before:.3f}, and is {now:.3f} after the step" in shown.locator("#stage-text").inner_text()
    outputs = activations(after, image, activation, COSTS[cost].outputs)[-1]
    assert_shown(table(shown)[0]["a′"], outputs)
    assert f"is now that of {int(jnp.argmax(outputs))}" in shown.locator("#stage-text").inner_text()


@slow
def test_the_three_levers_are_backpropagations_slopes(opened):
    saved = network(seed=4)
    shown = opened(saved, address="#step?stepping=1&stage=9&sample=2")
    image = pixels_of(shown)
    back = backpropagate(saved.params, image, jax.nn.one_hot(2, 10))
    columns, names = table(shown)
    x, δ = activations(saved.params, image)[2], back.deltas[2][2]
    assert_shown(columns["∂C/∂w"], [δ, *back.gradient[2].weights[2]])
    assert_shown(columns["x"], [1, *x])
    assert_shown(columns["δ · w"][1:], δ * saved.params[2].weights[2])
    assert (names[0], columns["δ · w"][0]) == ("b", "–")
    strongest = int(np.argmax(np.abs([δ, *back.gradient[2].weights[2]])))
    assert shown.locator("#step-rows .read th").inner_text() == names[strongest]


@slow
def test_a_neurons_sum_is_written_out_with_its_three_largest_terms(opened):
    saved = network(seed=4)
    shown = opened(saved, address="#step?stepping=1&stage=3&sample=2")
    x = np.asarray(activations(saved.params, pixels_of(shown))[1])
    button = shown.locator('#step-diagram [data-layer="2"][data-neuron="6"]')
    button.focus()
    w, b = np.asarray(saved.params[1].weights[6]), float(saved.params[1].biases[6])
    written = shown.locator("#step-written").inner_text()
    head, terms, value = written.removeprefix("z = ").split(" = ")
    assert head == "w · x + b"
    *products, more, bias = terms.split(" + ")
    assert more == "…"
    largest = np.sort(np.argsort(-np.abs(w * x))[:3])
    for product, k in zip(products, largest, strict=True):
        assert_shown([factor.strip("()") for factor in product.split(" · ")], [w[k], x[k]])
    assert_shown([bias.strip("()"), value], [b, w @ x + b])
    shown.keyboard.press("ArrowDown")
    expect(shown.locator("#step-rows .read th")).to_have_text("7")
    shown.keyboard.press("ArrowLeft")  # the layer before is known as well
    assert "Hidden layer 1" in shown.locator("#step-rows caption").inner_text()


@slow
def test_stages_are_reached_by_mouse_keyboard_and_address(opened):
    shown = opened(load_network("source"), address="#step")
    assert title(shown) == "The digit"
    assert shown.locator("#step-label").input_value() == "3"  # a sample, as nothing is drawn
    assert shown.locator("#stepping option:checked").inner_text() == "it, before training"
    shown.get_by_role("button", name="Forward ›").click()
    assert title(shown) == "Forward. Hidden layer 1: weighted sums z"
    shown.get_by_role("button", name="‹ Back").press("Enter")
    shown.get_by_role("button", name="‹ Back").press("Enter")  # stays at the first
    assert title(shown) == "The digit"
    shown.locator("#stage").focus()
    shown.keyboard.press("End")
    assert title(shown) == "The proof: the same digit again"
    assert shown.locator("#stage").get_attribute("aria-valuetext") == "17/17 The proof: the same digit again"
    shown.locator("#stepping").select_option("1")
    shown.locator("#step-optimizer").select_option("nesterov")
    shown.locator("#step-rate").fill("0.25")
    shown.keyboard.press("Enter")
    shown.locator("#stage").press("ArrowLeft")
    assert title(shown) == "The step: looking ahead"
    written, address = shown.locator("#step-written").inner_text(), shown.url.split("#")[1]
    again = opened(load_network("source"), address=f"#{address}")
    assert title(again) == "The step: looking ahead"
    assert again.locator("#step-written").inner_text() == written
    assert [again.locator(f"#{name}").input_value() for name in ("stepping", "step-optimizer", "step-rate")] == [
        "1", "nesterov", "0.25",
    ]  # fmt: skip


@slow
def test_circles_are_empty_until_their_numbers_are_known(opened):
    shown = opened(network(seed=4), address="#step?sample=3")
    colour = """(place) => {
      const canvas = document.querySelector("#step-diagram canvas"), box = canvas.getBoundingClientRect();
      const one = document.querySelector(`#step-diagram [data-layer="${place[0]}"][data-neuron="${place[1]}"]`);
      const { left, top, width } = one.getBoundingClientRect(), scale = canvas.width / box.width;
      const [x, y] = [left - box.left + width / 2, top - box.top + width / 2].map((at) => Math.round(at * scale));
      const pixel = new OffscreenCanvas(1, 1).getContext("2d");
      pixel.drawImage(canvas, -x, -y);
      return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    paper, seen = [255, 255, 255], []
    for _stage in range(9):
        seen.append([shown.evaluate(colour, [layer, 3]) for layer in (1, 2, 3)])
        shown.get_by_role("button", name="Forward ›").click()
    empty = [[colour in (paper, [0, 0, 0]) for colour in colours] for colours in seen]
    assert empty[0] == [True, True, True]
    assert empty[1] == empty[2] == [False, True, True]
    assert empty[3] == empty[4] == [False, False, True]
    assert empty[5:] == [[False, False, False]] * 4
    red, green, blue = seen[6][2]
    assert max(red, green, blue) - min(red, green, blue) < 20  # an activation is grey
    red, _green, blue = seen[8][2]
    assert red > blue + 50  # δ of the right output is below 0, and so orange


@slow
def test_the_label_is_the_readers_or_what_the_trained_network_reads(opened):
    shown = opened(load_network("source"), address="#step?stage=7")
    draw(shown, THREE)
    assert shown.locator("#stepping").input_value() == "0"  # before training, when it reads something else
    assert shown.locator("#step-label").input_value() == "3"
    cost = shown.locator("#stage-text").inner_text()
    shown.locator("#step-label").select_option("8")
    assert "Output 8 should be 1" in shown.locator("#stage-text").inner_text()
    assert shown.locator("#stage-text").inner_text() != cost
    shown.locator("#board").focus()
    shown.keyboard.press("5")
    assert shown.locator("#step-label").input_value() == "5"


@slow
def test_another_network_and_nothing_drawn_are_shown(opened):
    networks = [network(sizes) for sizes in ((784, 16, 16, 10), (784, 12, 12, 10), (784, 10))]
    shown = opened(*networks, address="#step?stage=14&sample=5")
    shown.locator('#step-diagram [data-layer="2"][data-neuron="15"]').hover()
    assert "Hidden layer 2, neuron 15" in shown.locator("#step-rows caption").inner_text()
    shown.mouse.move(0, 0)
    shown.locator("#stepping").select_option("2")  # has no such neuron
    assert shown.locator("#step-rows caption").inner_text() == "Output 5"
    shown.locator("#stepping").select_option("4")  # has only 9 stages
    assert shown.locator("#stage-title").inner_text() == "9/9 The proof: the same digit again"
    shown.locator("#clear").click()
    assert shown.locator("#step-label").input_value() == "3"


ALL_STAGES = """() => {
  const slider = document.getElementById("stage"), seen = [], all = (path) => [...document.querySelectorAll(path)];
  for (slider.value = 0; ; slider.stepUp()) {
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const texts = all("#step-rows td").map((cell) => cell.textContent), rows = all("#step-rows tr").length;
    const pictures = all(".stepping [role=img]:not([hidden])").map(({ ariaLabel }) => ariaLabel);
    const words = document.querySelector(".stepping").innerText + pictures;
    seen.push({ width: document.documentElement.scrollWidth, texts, words, rows });
    if (slider.value === slider.max) return seen;
  }
}"""


@slow
@pytest.mark.parametrize("sizes", [(784, 10), (784, 300, 200, 10), (784, *[16] * 12, 10)])
def test_every_stage_of_any_network_fits_and_is_korean(opened, sizes):
    name = "ㄱ-ㄴ" * 30
    shown = opened(
        network(sizes, cost="cross_entropy"),
        content={"name": name},
        address="#step?language=ko&step-optimizer=nesterov",
    )
    for width in (360, 1280):
        resize(shown, width)
        stages = shown.evaluate(ALL_STAGES)
        assert len(stages) == 4 * (len(sizes) - 1) + 5
        for at, stage in enumerate(stages):
            assert stage["width"] <= width, at
            assert 4 <= stage["rows"] <= 18, at
            assert not [text for text in stage["texts"] if not re.fullmatch(r"−?[\d.]+(e−\d+)?|–", text)], at
            assert set(re.findall(r"[A-Za-z]{3,}", stage["words"])) <= {"softmax", "SGD"}, at
    assert shown.locator("#stage-title").inner_text().startswith(f"{len(stages)}/{len(stages)} ")
