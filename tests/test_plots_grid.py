import io

import numpy as np
import pytest
from PIL import Image

from jaxmnist.config import Config
from jaxmnist.plots.grid import figures
from jaxmnist.plots.style import png
from jaxmnist.studies.grid import Grid, Result, combine

RANDOM = np.random.default_rng(0)


def make(optimizers, batch_sizes, momenta, rates, held_out, seeds, accuracy=None):
    """A result with random accuracies, or these."""
    configs = combine(Config(epochs=3), optimizers, batch_sizes, momenta, rates)
    shape = (len(configs), held_out, seeds)
    accuracy = RANDOM.random(shape) if accuracy is None else np.reshape(accuracy, shape)
    return Result(
        Grid(configs, seeds, 5, held_out),
        100,
        1 - accuracy,
        accuracy,
        accuracy,
        np.zeros(shape, int),
        np.ones((*shape, 32), np.uint8),
    )


BOTH = ["momentum", "nesterov"]


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(make(BOTH, [32], [0.5, 0.9, 0.95, 0.99], "fair", 5, 3), id="cross-validation"),
        pytest.param(make(BOTH, [32], [0.9], [0.1], 2, 1), id="one momentum"),
        pytest.param(make(["sgd"], [32], [0.9], [0.1], 1, 1), id="one network"),
        pytest.param(make(["nesterov"], [16, 32, 64], [0.5, 0.9], [0.1, 0.2, 0.4], 1, 4), id="three maps"),
        pytest.param(make(BOTH, [32], [0.5, 0.9], "fair", 1, 2), id="a map with gaps"),
        pytest.param(make(["nesterov"], [32], [0.9], [0.1, 0.2], 1, 2, np.full(4, 0.1)), id="all alike"),
        pytest.param(
            make(BOTH, [32], [0.5], [0.1], 2, 1)._replace(cost=np.full((2, 2, 1), np.inf)), id="infinite costs"
        ),
    ],
)
def test_every_figure_draws_at_a_readable_size(result):
    ((name, figure),) = figures(result, "digits").items()
    assert name == ("accuracy.png" if result.grid.held_out == 1 else "cross_validation.png")
    with Image.open(io.BytesIO(png(figure)())) as image:
        assert image.width >= 800
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_cross_validation_shows_the_best_rate_of_each_momentum_with_mean_and_standard_error():
    accuracy = RANDOM.random((2, 2, 2, 4)) / 2  # optimizer, momentum, rate, fold
    accuracy[1, 0, 0] += 0.5  # nesterov's best rates are the first for μ = 0.5, and the second for 0.9
    accuracy[1, 1, 1] += 0.5
    accuracy[0, :, 0] += 0.5
    result = make(BOTH, [32], [0.5, 0.9], [0.1, 0.2], 4, 1, accuracy)
    axes = figures(result, "digits")["cross_validation.png"].axes[1]
    line, _caps, bars = axes.containers[1]
    wrong = 100 * (1 - accuracy[1, [0, 1], [0, 1]])
    np.testing.assert_allclose(line.get_ydata(), wrong.mean(axis=1))
    ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], wrong.std(axis=1, ddof=1))  # ± σ/√4
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["μ = 0.5\nη = 0.1", "μ = 0.9\nη = 0.1 /\n0.2"]


def test_the_map_writes_mean_and_standard_deviation():
    result = make(["nesterov"], [32], [0.9], [0.1, 0.2], 1, 2, [0.90, 0.92, 0.50, 0.70])
    axes = figures(result, "digits")["accuracy.png"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["91.00\n± 1.41", "60.00\n± 14.14"]
    (frame,) = axes.patches
    assert frame.get_bbox().bounds == (-0.5, -0.5, 1, 1)  # around the best, the first column


def test_a_large_grid_is_a_map_of_the_usual_size():
    rates = [0.001 * (number + 1) for number in range(100)]
    configs = combine(Config(epochs=2), ["nesterov"], list(range(1, 11)), [0.5, 0.9], rates)
    accuracy = np.linspace(0.2, 0.9, len(configs))[:, None, None]
    digests = np.ones((*accuracy.shape, 32), np.uint8)
    grid = Grid(configs, 1, 6, 1, "accuracy")
    result = Result(grid, 100, 1 - accuracy, accuracy, accuracy, np.zeros(accuracy.shape, int), digests)
    (figure,) = figures(result, "mnist").values()
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == 8
    assert all(len(axes.get_xticks()) <= 16 and not axes.texts for axes in maps)
    assert max(figure.get_size_inches()) < 40
    assert "the best 8 batch sizes" in figure.get_suptitle()


def test_a_map_of_many_settings_has_few_pixels_and_no_number():
    accuracy = np.linspace(0.2, 0.9, 30 * 50)
    result = make(["nesterov"], [32], list(np.arange(30) / 100), list(np.arange(1, 51) / 1e3), 1, 1, accuracy)
    figure = figures(result, "mnist")["accuracy.png"]
    axes = figure.axes[0]
    assert max(figure.get_size_inches()) <= 20
    assert len(axes.texts) == 0
    (frame,) = axes.patches
    assert frame.get_bbox().width == pytest.approx(2)  # 1/50 of the map wider than the best cell, which it shows


def test_cross_validation_of_many_momenta_and_networks_draws_the_best_and_some_networks():
    momenta = list(np.arange(40) / 100)
    accuracy = np.repeat(np.r_[np.full(30, 0.5), np.linspace(0.6, 0.9, 10)], 4 * 250)
    figure = figures(make(["momentum"], [32], momenta, [0.1], 4, 250, accuracy), "mnist")["cross_validation.png"]
    axes = figure.axes[0]
    assert [tick.get_text().split("\n")[0] for tick in axes.get_xticklabels()] == [f"μ = 0.{n}" for n in range(32, 40)]
    assert len(axes.lines[0].get_xdata()) == 8 * 250  # each fourth of 1,000 networks
    assert "the best 8 of 40 μ" in figure.get_suptitle()
