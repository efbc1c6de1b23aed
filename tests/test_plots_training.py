import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxmnist.plots import training as plots
from jaxmnist.plots.style import DOTS_PER_INCH, png

RANDOM = np.random.default_rng(0)
HISTORY = {name: RANDOM.random(8) for name in ("train_cost", "test_cost", "train_accuracy", "test_accuracy")}


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: plots.learning_curves(HISTORY, "title"), id="curves"),
        pytest.param(lambda: plots.learning_curves({k: v[:2] for k, v in HISTORY.items()}, "one epoch"), id="one"),
        pytest.param(lambda: plots.weight_maps(*RANDOM.normal(size=(2, 16, 784))), id="weights"),
        pytest.param(lambda: plots.weight_maps(*RANDOM.normal(size=(2, 3, 784))), id="three neurons"),
        pytest.param(lambda: plots.weight_maps(*RANDOM.normal(size=(2, 40, 784))), id="forty neurons"),
        pytest.param(lambda: plots.confusion(RANDOM.integers(0, 1000, (10, 10)), "title"), id="confusion"),
        pytest.param(lambda: plots.confusion(np.zeros((10, 10), int), "empty"), id="empty confusion"),
        pytest.param(
            lambda: plots.mistakes(np.zeros((18, 784), np.uint8), np.arange(18) % 10, RANDOM.random((18, 10)), "title"),
            id="mistakes",
        ),
        pytest.param(
            lambda: plots.mistakes(np.zeros((0, 784), np.uint8), np.zeros(0, int), np.zeros((0, 10)), "none"),
            id="no mistakes",
        ),
    ],
)
def test_every_picture_draws_at_a_readable_size(figure):
    with Image.open(io.BytesIO(png(figure()))) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 480
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 2


def test_a_name_is_drawn_as_it_is_and_an_axis_still_has_its_powers_of_ten():
    def figure(title, **style):
        figure = Figure(layout="constrained")
        figure.suptitle(title, **style)
        figure.subplots().set(title=title, yscale="log", ylim=(1e-5, 1))
        figure.axes[0].title.update(style)
        return figure

    drawn, expected = figure("a$\\foo$_b$ \udce9"), io.BytesIO()
    figure("a$\\foo$_b$ \\udce9", parse_math=False).savefig(expected, format="png", dpi=DOTS_PER_INCH)
    assert png(drawn) == png(drawn) == expected.getvalue()


def test_the_curves_leave_the_random_start_to_the_words():
    history = {name: np.array([9.0, *np.linspace(0.5, 0.9, 5)]) for name in HISTORY}
    cost, accuracy = plots.learning_curves(history, "title").axes
    assert [line.get_xydata()[:, 0].tolist() for line in cost.lines] == [[1, 2, 3, 4, 5]] * 2
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * np.linspace(0.5, 0.9, 5))
    assert "9.000" in cost.get_title()
