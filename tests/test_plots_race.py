import io

import numpy as np
import pytest
from matplotlib.text import Annotation
from PIL import Image

from jaxmnist.plots.compare import CloseUp, Curve, Track, curves, look_ahead, paths
from jaxmnist.plots.style import png
from jaxmnist.studies.landscape import Terrain

RANDOM = np.random.default_rng(0)
EXPLAINED = np.array([0.999, 0.001])


def terrain(width=20.0, height=8.0):
    along, across = np.linspace(0, width, 12), np.linspace(0, height, 12)
    return Terrain(along, across, 0.2 + along[None, :] ** 2 + across[:, None] ** 2)


def flat():
    return terrain()._replace(cost=np.full((12, 12), 0.9))


def race(costs):
    looks = costs.shape[1]
    return [
        Curve(method, 0.5, 10 * np.arange(looks), each * np.arange(looks), costs)
        for method, each in (("gd", 3_000), ("sgd", 32), ("momentum", 32), ("nesterov", 32))
    ]


def tracks(steps):
    return [
        Track(method, f"{method} went", np.cumsum(RANDOM.random((steps, 2)), axis=0)) for method in ("sgd", "momentum")
    ]


def close(steps):
    return CloseUp(terrain(3, 0.1), EXPLAINED, *RANDOM.random((3, steps, 2)))


COSTS = np.geomspace(2, 0.1, 30) * RANDOM.uniform(0.9, 1.1, (16, 30))


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: curves(race(COSTS), [0.6, 0.2], "title", "caption"), id="curves"),
        pytest.param(lambda: curves(race(COSTS[:2, :2]), [0.6], "title", "one lap"), id="one lap"),
        pytest.param(lambda: curves(race(np.where(COSTS < 1, np.nan, COSTS)), [0.6], "title", "NaN"), id="diverged"),
        pytest.param(lambda: paths(terrain(), tracks(40), EXPLAINED, 20, "title", "caption"), id="paths"),
        pytest.param(lambda: paths(terrain(8, 8), tracks(2), EXPLAINED, 20, "title", "one step"), id="one step"),
        pytest.param(lambda: paths(flat(), tracks(5), EXPLAINED, 20, "title", "a plain"), id="plain"),
        pytest.param(lambda: look_ahead(terrain(), tracks(40), EXPLAINED, close(7), "title", "two\nlines"), id="ahead"),
        pytest.param(lambda: look_ahead(flat(), tracks(2), EXPLAINED, close(2), "title", "one step"), id="one ahead"),
    ],
)
def test_every_picture_draws_at_a_readable_size(figure):
    with Image.open(io.BytesIO(png(figure()))) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 800
        assert picture.height >= 480
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 2


def test_the_curves_show_the_median_of_the_seeds():
    by_examples, by_steps = curves(race(COSTS), [0.6, 0.2], "title", "caption").axes
    middle = np.sort(COSTS, axis=0)[7]  # of 16: the value by which half of them have arrived
    for line, each in zip(by_examples.lines, (3_000, 32, 32, 32), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), each * np.arange(1, 30))
        np.testing.assert_array_equal(line.get_ydata(), middle[1:])
    np.testing.assert_array_equal(by_steps.lines[0].get_xdata(), 10 * np.arange(1, 30))


def test_the_arrows_lead_from_a_point_to_the_point_looked_ahead_to_and_on_to_the_next_point():
    shown = close(4)
    below = look_ahead(terrain(), tracks(40), EXPLAINED, shown, "title", "caption").axes[1]
    arrows = [(note.xyann, note.xy) for note in below.texts if isinstance(note, Annotation)]
    expected = []
    for step in (1, 2):
        expected += [(shown.nesterov[step], shown.ahead[step]), (shown.ahead[step], shown.nesterov[step + 1])]
    np.testing.assert_allclose(arrows, expected)
