import io

import numpy as np
import pytest
from PIL import Image

from jaxmnist.plots.rates import draw_convex, draw_cycle, draw_quadratics, draw_spread
from jaxmnist.plots.style import png
from jaxmnist.studies import rates_problems as problems
from jaxmnist.studies.rates import Result, lower_bound
from jaxmnist.studies.rates_problems import CONDITIONS, READINGS, STARTS, STEP_SIZES, Contraction, Decay, Spread

METHODS = ("sgd", "momentum", "nesterov")
PATH = np.where(np.abs(STARTS) > 3, np.array([-1.8, 2.1, 0.65] * 34)[:, None], 0.5 ** np.arange(102)[:, None])
"""Paths that go round three points from the outer starts, and arrive from the others."""


def contraction(name):
    theory = -np.log([problems.best_constants(name, condition)[2] for condition in CONDITIONS.tolist()])
    steps = np.outer(np.ceil(4 / theory).astype(int), np.arange(1, READINGS + 1))
    errors = np.exp(-theory[:, None] * steps)
    return Contraction(steps, errors, theory, theory, errors[3])


def spread(name):
    sizes = np.array(STEP_SIZES[name])
    return Spread(sizes, sizes / 2, sizes / 100, sizes * 1e5, sizes / 2)


STEPS = np.arange(1, 1_001, 20)
RESULT = Result(
    library="jaxmnist",
    quadratics={name: contraction(name) for name in METHODS},
    convex={name: Decay(STEPS, 5 * lower_bound(STEPS), STEPS, 2 * lower_bound(STEPS)) for name in ("sgd", "nesterov")},
    noise={name: spread(name) for name in METHODS},
    kinked={"momentum": PATH, "nesterov": np.zeros_like(PATH)},
)
DIVERGED = RESULT._replace(
    quadratics={
        name: found._replace(first=np.full(READINGS, np.nan), rates=np.full(len(CONDITIONS), np.nan))
        for name, found in RESULT.quadratics.items()
    },
    kinked={name: np.zeros_like(PATH) for name in ("momentum", "nesterov")},
)


@pytest.mark.parametrize("draw", [draw_quadratics, draw_convex, draw_spread, draw_cycle])
def test_every_figure_draws_at_a_readable_size_even_if_methods_diverge(draw):
    with Image.open(io.BytesIO(png(draw(DIVERGED))())) as image:
        assert image.width >= 800
        assert image.height >= 480
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_ticks_are_the_starts_that_cycle():
    bowl, first = draw_cycle(RESULT).axes
    (ticks,) = [line for line in bowl.lines if line.get_marker() == "|"]
    np.testing.assert_array_equal(ticks.get_xdata(), STARTS[np.abs(STARTS) > 3])
    start = STARTS[np.abs(STARTS) > 3][-1]
    np.testing.assert_array_equal(first.lines[0].get_ydata(), PATH[:31, np.flatnonzero(start == STARTS)[0]])


def test_dots_are_the_steps_to_a_tenth_of_the_error():
    _errors, needed = draw_quadratics(RESULT).axes
    dots = [line for line in needed.lines if line.get_marker() == "o"]
    for line, found in zip(dots, RESULT.quadratics.values(), strict=True):
        np.testing.assert_allclose(np.exp(-found.theory * line.get_ydata()), 0.1, rtol=1e-12)  # float64
