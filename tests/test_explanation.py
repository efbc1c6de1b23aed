import io

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from PIL import Image

from jaxmnist.config import Config
from jaxmnist.network import Layer, count_parameters, init
from jaxmnist.plots.explanation import figures
from jaxmnist.plots.style import png
from jaxmnist.studies.explanation import run
from jaxmnist.studies.explanation_report import report

IMAGE = np.random.default_rng(0).integers(0, 256, 784).astype(np.uint8)


def ledger(said):
    """Outputs, labels and terms of the report's ten rows, and the sum below them."""
    lines = said.splitlines()
    first = next(number for number, line in enumerate(lines) if "digit   output a" in line) + 1
    rows = np.array([[float(word) for word in line[31:].split()[:4]] for line in lines[first : first + 10]])
    return rows[:, 1], rows[:, 2], rows[:, 3], float(lines[first + 11].split()[-1])


def test_the_numbers_of_3blue1browns_network_are_numpys():
    params = init(jax.random.key(0))
    explanation = run(params, Config(), IMAGE, 3)
    layers = [tuple(np.asarray(leaf, float) for leaf in layer) for layer in params]
    target = np.eye(10)[3]
    cost, gradient = oracle.gradient(layers, IMAGE[None] / 255, target[None])
    # float64 sums of 784 terms, here and below
    assert explanation.back.cost == pytest.approx(cost, rel=1e-12)
    assert explanation.terms == pytest.approx((explanation.activations[-1] - target) ** 2, rel=1e-12)
    assert explanation.terms.sum() == pytest.approx(cost, rel=1e-12)
    for ours, theirs in zip(explanation.back.gradient, gradient, strict=True):
        np.testing.assert_allclose(ours.weights, theirs[0], rtol=1e-9, atol=1e-15)
    assert sorted(explanation.compared) == list(range(13_002))
    assert explanation.automatic_digits > 14
    assert explanation.numerical_digits > 7
    np.testing.assert_allclose(explanation.measured, gradient[-1][0][3], rtol=1e-6)  # central differences
    assert explanation.levers.bias.slopes == pytest.approx(gradient[-1][1][3], rel=1e-12)
    assert {leaf.dtype for leaf in jax.tree.leaves(explanation.back)} == {np.dtype(float)}


@pytest.mark.parametrize(
    "config",
    [
        Config(sizes=(784, 3, 2, 10), activation="silu", cost="cross_entropy"),
        Config(sizes=(784, 80, 10), activation="relu"),
    ],
)
def test_it_explains_any_network_in_numbers_text_and_figure(config):
    explanation = run(init(jax.random.key(1), config.sizes), config, IMAGE, 4)
    assert not np.signbit(explanation.terms).any()  # no term is written as -0.000000
    assert explanation.terms.sum() == pytest.approx(float(explanation.back.cost), rel=1e-12)  # float64
    assert explanation.automatic_digits > 12
    assert explanation.numerical_digits > 6
    np.testing.assert_allclose(explanation.measured, explanation.levers.weights.slopes, rtol=1e-5, atol=1e-9)
    parameters, compared = count_parameters(explanation.params), explanation.compared.size
    assert compared == parameters if parameters < 14_000 else 3_000 < compared < 4_000  # a wide one's are a sample
    said = report(explanation)
    lines = said.splitlines()
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert len(lines) <= 72
    outputs, labels, terms, total = ledger(said)
    # four and six decimals are printed
    np.testing.assert_allclose(outputs, explanation.activations[-1], atol=6e-5)
    np.testing.assert_allclose(terms, explanation.terms, atol=6e-7)
    assert labels.tolist() == np.eye(10)[4].tolist()
    assert total == pytest.approx(float(explanation.back.cost), abs=6e-7)
    with Image.open(io.BytesIO(png(figures(explanation, "a title")["explain.png"]))) as drawn:
        assert drawn.size == (1260, 864)
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize("bias", [2.0, 20.0, 100.0])
def test_the_gradients_agree_however_sure_the_softmax_is(bias):
    """By log(softmax), the slopes of the surer networks would keep few digits, or none."""
    config = Config(sizes=(784, 10), cost="cross_entropy")
    (layer,) = init(jax.random.key(0), config.sizes)
    params = (layer._replace(biases=layer.biases.at[4].add(bias)),)
    for label in (4, 5):  # right, and wrong
        explanation = run(params, config, np.zeros(784, np.uint8), label)
        assert explanation.automatic_digits > 12
    assert explanation.back.cost == pytest.approx(bias, abs=5)  # the biases differ by about 0.1 at the start
    assert explanation.levers.bias.slopes == pytest.approx(-1, abs=0.2)


def test_a_dead_network_on_a_blank_image_has_no_slope_and_still_an_explanation():
    dead = (Layer(jnp.zeros((10, 784)), jnp.full(10, 900.0)),)
    explanation = run(dead, Config(sizes=(784, 10)), np.zeros(784, np.uint8), 4)
    assert not any(leaf.any() for leaf in jax.tree.leaves(explanation.back.gradient))
    assert "It reads 0: wrong, it is 4." in report(explanation)
    png(figures(explanation, "dead")["explain.png"])
