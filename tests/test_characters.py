import numpy as np

from jaxmnist.studies.characters import beside, shaded


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
