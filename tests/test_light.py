import numpy as np
import pytest

from jaxmnist.handwriting.light import paper

ROWS, COLUMNS = np.mgrid[0:1:120j, 0:1:100j]


def scene(light, ink=0.3):
    """A picture under a light, with a vertical and a level stroke; and where they are."""
    strokes = np.zeros((120, 100), bool)
    strokes[30:90, 48:54] = strokes[58:64, 30:75] = True
    return light * np.where(strokes, ink, 1), strokes


@pytest.mark.parametrize(
    "light",
    [
        1 - 0.5 / (1 + np.exp(-(ROWS - 0.55) / 0.05)),
        1 - 0.5 / (1 + np.exp(-(ROWS - 0.55) / 0.01)),
        0.4 + 0.6 * np.exp(-((ROWS - 0.2) ** 2 + (COLUMNS - 0.7) ** 2) / 0.05),
        1 / (1 + 3 * ((ROWS - 0.5) ** 2 + (COLUMNS - 0.5) ** 2)) ** 2,
    ],
    ids=["soft shadow", "sharp shadow", "flash", "vignette"],
)
def test_shadows_and_bright_spots_are_levelled(light):
    picture, strokes = scene(light)
    surface, dark_on_light = paper(picture)
    assert dark_on_light
    share = picture / surface
    assert np.mean(share[~strokes] > 0.8) >= 0.98  # where an edge is sharp, a few pixels are averaged with it
    assert np.mean(share[strokes] < 0.6) >= 0.98


def test_a_thick_clump_of_ink_is_no_shadow():
    picture = np.ones((100, 100))
    picture[30:65, 30:65] = 0
    surface, dark_on_light = paper(picture)
    assert dark_on_light
    assert np.all(surface == 1)
