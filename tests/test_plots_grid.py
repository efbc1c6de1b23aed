import io

import numpy as np
import pytest
from PIL import Image

from jaxmnist.plots.population import cross_validation, grid_maps
from jaxmnist.plots.style import png

RANDOM = np.random.default_rng(0)


def scores(momenta, networks):
    return {
        name: {"cost": RANDOM.random((momenta, networks)), "accuracy": RANDOM.random((momenta, networks))}
        for name in ("momentum", "nesterov")
    }


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(
            lambda: cross_validation(
                [0.5, 0.9, 0.95, 0.99],
                scores(4, 15),
                {"momentum": [0.5, 0.1, 0.05, 0.01], "nesterov": [1.0, 0.1, 0.05, 0.02]},
                "title",
            ),
            id="cross-validation",
        ),
        pytest.param(
            lambda: cross_validation([0.9], scores(1, 2), {"momentum": [0.1], "nesterov": [0.2]}, "one"),
            id="one momentum",
        ),
        pytest.param(lambda: grid_maps([32], [0.9], [0.1], RANDOM.random((1, 1, 1, 1)), "one network"), id="one"),
        pytest.param(
            lambda: grid_maps([16, 32, 64], [0.5, 0.9], [0.1, 0.2, 0.4], RANDOM.random((3, 2, 3, 4)), "title"),
            id="three maps",
        ),
        pytest.param(
            lambda: grid_maps([32], [0.9], [0.1, 0.2], np.full((1, 1, 2, 2), 0.1), "all alike"), id="all alike"
        ),
    ],
)
def test_every_picture_draws_at_a_readable_size(figure):
    with Image.open(io.BytesIO(png(figure()))) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 800
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 2


def test_cross_validation_shows_mean_and_standard_error():
    values = scores(2, 4)
    axes = cross_validation([0.5, 0.9], values, {"momentum": [1, 0.2], "nesterov": [1, 0.4]}, "title").axes[1]
    line, _caps, bars = axes.containers[1]
    wrong = 100 * (1 - values["nesterov"]["accuracy"])
    np.testing.assert_allclose(line.get_ydata(), wrong.mean(axis=1))
    ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], wrong.std(axis=1, ddof=1))  # ± σ/√4
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["μ = 0.5\nη = 1", "μ = 0.9\nη = 0.2 / 0.4"]


def test_the_map_writes_mean_and_spread():
    accuracy = np.array([0.90, 0.92, 0.50, 0.70]).reshape(1, 1, 2, 2)
    figure = grid_maps([32], [0.9], [0.1, 0.2], accuracy, "title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["91.00\n± 1.41", "60.00\n± 14.14"]
