import io

import numpy as np
import pytest
from matplotlib.text import Annotation
from PIL import Image

from jaxmnist.plots.race import draw_curves, draw_look_ahead, draw_paths
from jaxmnist.plots.style import png
from jaxmnist.studies.landscape import Path, Terrain
from jaxmnist.studies.race import Outcome

RANDOM = np.random.default_rng(0)
EXPLAINED = np.array([0.999, 0.001])
COSTS = np.geomspace(2, 0.1, 30) * RANDOM.uniform(0.9, 1.1, (16, 30))


def outcomes(costs):
    count = costs.shape[1]
    return {
        method: Outcome(0.5, 10 * np.arange(count), examples, np.nan, costs, np.full((len(costs), 1), np.inf))
        for method, examples in (("gd", 3_000), ("sgd", 32), ("momentum", 32), ("nesterov", 32))
    }


def terrain(steps, width=20.0, height=8.0, methods=("sgd", "momentum")):
    along, across = np.linspace(0, width, 12), np.linspace(0, height, 12)
    paths = tuple(
        Path(method, 0.5, 3, np.ones(steps), np.cumsum(RANDOM.random((steps, 2)), axis=0)) for method in methods
    )
    return Terrain(along, across, 0.2 + along[None, :] ** 2 + across[:, None] ** 2, EXPLAINED, paths)


def plain(steps):
    return terrain(steps)._replace(cost=np.full((12, 12), 0.9))


def close_up(steps):
    return terrain(steps, 3, 0.1, ("momentum", "nesterov", "nesterov"))


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: draw_curves(outcomes(COSTS), [0.6, 0.2], "title", "caption"), id="curves"),
        pytest.param(lambda: draw_curves(outcomes(COSTS[:2, :2]), [0.6], "title", "one chunk"), id="one chunk"),
        pytest.param(
            lambda: draw_curves(outcomes(np.where(COSTS < 1, np.nan, COSTS)), [0.6], "title", "NaN"), id="diverged"
        ),
        pytest.param(lambda: draw_paths(terrain(40), "title", "caption"), id="paths"),
        pytest.param(lambda: draw_paths(terrain(2, 8, 8), "title", "one step"), id="one step"),
        pytest.param(lambda: draw_paths(plain(5), "title", "a plain"), id="plain"),
        pytest.param(lambda: draw_look_ahead(terrain(40), close_up(7), "title", "two\nlines"), id="ahead"),
        pytest.param(lambda: draw_look_ahead(plain(2), close_up(2), "title", "one step"), id="one ahead"),
    ],
)
def test_every_figure_draws_at_a_readable_size(figure):
    with Image.open(io.BytesIO(png(figure())())) as image:
        assert image.format == "PNG"
        assert image.width >= 800
        assert image.height >= 480
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_curves_show_the_median_of_the_seeds():
    by_examples, by_steps = draw_curves(outcomes(COSTS), [0.6, 0.2], "title", "caption").axes
    middle = np.sort(COSTS, axis=0)[7]  # of 16: the value that half of them don't exceed
    for line, examples in zip(by_examples.lines, (3_000, 32, 32, 32), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), 10 * examples * np.arange(1, 30))
        np.testing.assert_array_equal(line.get_ydata(), middle[1:])
    np.testing.assert_array_equal(by_steps.lines[0].get_xdata(), 10 * np.arange(1, 30))


def test_arrows_lead_to_the_point_looked_ahead_to_and_on_to_the_next_point():
    shown = close_up(4)
    below = draw_look_ahead(terrain(40), shown, "title", "caption").axes[1]
    arrows = [(note.xyann, note.xy) for note in below.texts if isinstance(note, Annotation)]
    _momentum, nesterov, ahead = (path.points for path in shown.paths)
    expected = []
    for step in (1, 2):
        expected += [(nesterov[step], ahead[step]), (ahead[step], nesterov[step + 1])]
    np.testing.assert_allclose(arrows, expected)
