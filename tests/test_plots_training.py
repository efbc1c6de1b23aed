import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxmnist.plots import training as plots
from jaxmnist.plots.style import DOTS_PER_INCH, png

RANDOM = np.random.default_rng(0)
HISTORY = {
    name: RANDOM.random(8).astype(np.float32) for name in ("train_cost", "test_cost", "train_accuracy", "test_accuracy")
}


def weights(neurons):
    return RANDOM.normal(size=(2, neurons, 784)).astype(np.float32)


def misread(count):
    outputs = RANDOM.random((count, 10)).astype(np.float32)
    return np.zeros((count, 784), np.uint8), np.arange(count, dtype=np.uint8) % 10, outputs


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: plots.learning_curves({k: v[:2] for k, v in HISTORY.items()}, "title"), id="one epoch"),
        pytest.param(lambda: plots.weight_maps(*weights(3)), id="three neurons"),
        pytest.param(lambda: plots.confusion(RANDOM.integers(0, 1000, (10, 10)), "title"), id="confusion"),
        pytest.param(lambda: plots.confusion(np.zeros((10, 10), int), "title"), id="empty confusion"),
        pytest.param(lambda: plots.mistakes(*misread(18), "title"), id="mistakes"),
        pytest.param(lambda: plots.mistakes(*misread(0), "title"), id="no mistakes"),
    ],
)
def test_every_figure_has_a_readable_size(figure):
    with Image.open(io.BytesIO(png(figure())())) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 480
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_a_file_name_is_drawn_literally_and_an_axis_keeps_its_powers_of_ten():
    def figure(title, **style):
        figure = Figure(layout="constrained")
        figure.suptitle(title, **style)
        figure.subplots().set(title=title, yscale="log", ylim=(1e-5, 1))
        figure.axes[0].title.update(style)
        return figure

    drawn, expected = figure("a$\\foo$_b$ \udce9"), io.BytesIO()
    figure("a$\\foo$_b$ \\udce9", parse_math=False).savefig(expected, format="png", dpi=DOTS_PER_INCH)
    content = png(drawn)()
    assert content == png(drawn)()
    with Image.open(io.BytesIO(content)) as ours, Image.open(expected) as theirs:
        assert ours.tobytes() == theirs.convert("RGB").tobytes()
        assert ours.info["dpi"] == theirs.info["dpi"]


def test_the_curves_begin_after_the_first_epoch():
    history = {name: np.array([9.0, *np.linspace(0.5, 0.9, 5)]) for name in HISTORY}
    cost, accuracy = plots.learning_curves(history, "title").axes
    assert [line.get_xydata()[:, 0].tolist() for line in cost.lines] == [[1, 2, 3, 4, 5]] * 2
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * np.linspace(0.5, 0.9, 5))
    assert "9.000" in cost.get_title()


def test_a_panel_says_how_much_larger_its_scale_is():
    before, after = weights(16)
    titles = [axes.get_title() for axes in plots.weight_maps(before, 10 * before).axes]
    assert titles[:2] == ["before training: random", "after training: the scale is 10 times larger"]
    titles = [axes.get_title() for axes in plots.weight_maps(before, after).axes]
    assert titles[:2] == ["before training: random", "after training"]


def test_the_confusion_matrix_says_that_its_scale_is_uneven():
    bar = plots.confusion(RANDOM.integers(0, 1000, (10, 10)), "title").axes[1]
    assert bar.get_ylabel() == "share of its row (%), on an uneven scale that shows rare mistakes"
