import numpy as np
import pytest
from small_map import steps_of

from jaxmnist.plots.momentum_map import figures


def test_the_figure_has_a_curve_for_every_momentum_beside_sgds():
    result = steps_of({(512, "momentum", 0.9): 0.5})
    figure = figures(result, "digits")["momentum_map.png"]
    assert len(figure.axes) == 4
    by_label = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert by_label["μ = 0.9"][1] == pytest.approx(by_label["SGD"][1] / 2, rel=0.02)
    assert np.isnan(by_label["SGD"][2])
