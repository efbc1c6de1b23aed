import io

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from PIL import Image

from jaxmnist.config import Config
from jaxmnist.network import Layer, init
from jaxmnist.plots.explanation import figures
from jaxmnist.plots.style import png
from jaxmnist.studies.explanation import report, run

LINEAR = Config(sizes=(784, 10), cost="cross_entropy")
IMAGE = np.random.default_rng(0).integers(0, 256, 784).astype(np.uint8)


def certain_of_four(bias):
    """A network whose weighted sums on a blank image are 0, but for the digit 4."""
    return (Layer(jnp.zeros((10, 784)), jnp.zeros(10).at[4].set(bias)),)


def ledger(said):
    """Outputs, labels and terms of the report's ten rows, and the sum below them."""
    lines = said.splitlines()
    first = next(number for number, line in enumerate(lines) if "digit   output a" in line) + 1
    rows = np.array([[float(word) for word in line[31:].split()[:4]] for line in lines[first : first + 10]])
    return rows[:, 1], rows[:, 2], rows[:, 3], float(lines[first + 11].split()[-1])


def test_the_numbers_of_3blue1browns_network_are_numpys():
    params = init(jax.random.key(0))
    with jax.default_device(jax.devices()[0]):  # as the command sets it: one program serves both tests
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


@pytest.mark.slow
def test_a_wide_network_is_measured_in_a_sample_and_its_first_neurons_are_shown():
    config = Config(sizes=(784, 80, 10), activation="relu")
    random = np.random.default_rng(1)
    weights = (random.normal(0, inputs**-0.5, (outputs, inputs)) for inputs, outputs in ((784, 80), (80, 10)))
    params = tuple(Layer(jnp.asarray(each, jnp.float32), jnp.zeros(len(each))) for each in weights)
    explanation = run(params, config, IMAGE, 4)
    assert explanation.automatic_digits > 12
    assert explanation.numerical_digits > 6
    np.testing.assert_allclose(explanation.measured, explanation.levers.weights.slopes, rtol=1e-5, atol=1e-9)
    assert 3_000 < len(set(explanation.compared.tolist())) == explanation.compared.size < 4_000
    said = report(explanation)
    assert "  a¹: 80 neurons, relu, the first 16 shown\n" in said
    lines = said.splitlines()
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert len(lines) <= 72
    outputs, labels, terms, total = ledger(said)
    # four and six decimals are printed
    np.testing.assert_allclose(outputs, explanation.activations[-1], atol=6e-5)
    np.testing.assert_allclose(terms, explanation.terms, atol=6e-7)
    assert labels.tolist() == np.eye(10)[4].tolist()
    assert total == pytest.approx(float(explanation.back.cost), abs=6e-7)
    with Image.open(io.BytesIO(png(figures(explanation, "a title")["explain.png"])())) as drawn:
        assert drawn.size == (2300, 1600)
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize("bias", [2.0, 20.0, 100.0])
def test_the_gradients_agree_however_sure_the_softmax_is(bias):
    """By log(softmax), the slopes of the surer networks would keep few digits, or none."""
    for label in (4, 5):  # right, and wrong
        explanation = run(certain_of_four(bias), LINEAR, np.zeros(784, np.uint8), label)
        assert explanation.automatic_digits > 12
        assert explanation.terms.sum() == pytest.approx(float(explanation.back.cost), rel=1e-12)  # float64
        assert not np.signbit(explanation.terms).any()  # no term is written as -0.000000
    assert explanation.back.cost == pytest.approx(np.log(9 + np.exp(bias)), rel=1e-12)
    assert explanation.levers.bias.slopes == pytest.approx(1 / (9 + np.exp(bias)) - 1, rel=1e-12)


def test_a_network_without_any_slope_still_has_an_explanation():
    explanation = run(certain_of_four(900), LINEAR, np.zeros(784, np.uint8), 4)
    assert not any(leaf.any() for leaf in jax.tree.leaves(explanation.back.gradient))
    assert "It reads 4: right." in report(explanation)
    png(figures(explanation, "no slope")["explain.png"])
