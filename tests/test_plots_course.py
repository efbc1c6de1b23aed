import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxmnist.plots import course
from jaxmnist.plots.style import png

X = np.linspace(0.1, 1, 5)
IMAGE = jnp.linspace(0, 1, 784)
PATH = np.array([[-4.0, 0.6], [-1.0, -0.2], [0.0, 0.0]])


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: course.curves({"a": (X, X)}, "x", "y", "xy", "o-", {"b": (X, X)}, [(X, X)]), id="curves"),
        pytest.param(lambda: course.bars({"a": 1, "b": 12_544}, "parameters"), id="bars"),
        pytest.param(lambda: course.images({"a": IMAGE, "b": IMAGE - 0.5}, signed=0.0), id="images"),
        pytest.param(lambda: course.pixels(IMAGE, "a 7"), id="pixels"),
        pytest.param(lambda: course.layers({"1": X, "2": -X}, "δ", "{:.3f}", signed=True), id="layers"),
        pytest.param(lambda: course.heatmaps({"a": np.eye(10), "b": X[None]}, "x", "y", True, True), id="heatmaps"),
        pytest.param(lambda: course.ledger({"a": np.arange(10), "b": jnp.arange(10)}, 2), id="ledger"),
        pytest.param(lambda: course.histogram(IMAGE, "cost"), id="histogram"),
        pytest.param(lambda: course.angles({1: [80, 100], 4: jnp.array([70, 75])}, "angles"), id="angles"),
        pytest.param(lambda: course.ravine({"sgd": PATH, "momentum": PATH}, ["a", "b"], 50.0), id="ravine"),
        pytest.param(lambda: course.walk(*np.meshgrid(X, X), np.outer(X, X), [(0.2, 0.3), (0.5, 0.6)], 1), id="walk"),
    ],
)
def test_every_figure_draws(figure):
    with Image.open(io.BytesIO(png(figure())())) as image:
        assert image.width >= 800
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_curves_keep_their_values_and_a_dashed_one_the_colour_of_its_line():
    lines = {name: (X, number * X) for number, name in enumerate("abcdefg")}
    axes = course.curves(lines, "x", "y", dashed={"c": (X, X), "else": (X, X)}, dots={"here": (0.5, 0.7)}).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(drawn["g"].get_ydata(), 6 * X)
    assert len({str(line.get_color()) for name, line in drawn.items() if name in lines}) == 7
    assert str(drawn["_c"].get_color()) == str(drawn["c"].get_color())
    assert drawn["else"].get_color() == "0.5"
    assert [text.get_text() for text in axes.texts] == ["here"]


def test_numbers_are_written_as_they_are():
    figure = course.layers({"layer 1": np.array([0.25, 0.75]), "layer 2": np.array([1.0])}, "activations")
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["0.25", "0.75"], ["1.00"]]
    assert [text.get_color() for text in figure.axes[0].texts] == ["black", "white"]
    assert [text.get_text() for text in course.bars({"a": 12_544}, "parameters").axes[0].texts] == ["12,544"]


def test_signed_values_have_a_symmetric_scale():
    (image,) = course.images({"a": IMAGE - 0.75}, signed=0.0).axes[0].images
    assert image.get_clim() == (-0.75, 0.75)
    image = course.heatmaps({"a": [[1, -2]], "b": [[0.5, 0.5]]}, "x", "y", signed=True).axes[0].images[0]
    assert image.get_clim() == (-2, 2)
