import numpy as np
import pytest

from jaxmnist.studies.characters import bar, beside, shaded


def test_an_image_is_shaded_by_its_ink():
    image = np.zeros((28, 28))
    image[4:6, 3] = 1
    image[4, 5] = 1
    image[6:8, 3] = 0.1
    lines = shaded(image.ravel())
    assert [len(line) for line in lines] == [28] * 14
    assert lines[2].rstrip() == "   █ ▒"
    assert lines[3].rstrip() == "   ░"


def test_the_longer_of_two_columns_is_whole():
    assert beside(["a"], ["b", "c"]) == [f"a{'b':>31}", f"{'c':>32}"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.33, 0.5, 0.999, 1.0])
def test_a_bar_is_as_long_as_its_share(share):
    drawn = bar(share, 40)
    eighths = sum("▏▎▍▌▋▊▉█".index(character) + 1 for character in drawn)
    assert abs(eighths / 320 - share) <= 1 / 640
