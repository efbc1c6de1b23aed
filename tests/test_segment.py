import numpy as np
import pytest

from jaxmnist.handwriting.segment import segment


@pytest.fixture
def stroke():
    """A picture of 100×120 with a slanted stroke: brightness 200 on paper, 50 in the ink."""
    picture = np.full((100, 120), 200, np.uint8)
    for row in range(20, 80):
        picture[row, 30 + row // 2 : 40 + row // 2] = 50
    return picture


def test_ink_and_paper_are_separated_dark_on_light_and_light_on_dark(stroke):
    for picture, dark_on_light in ((stroke, True), (255 - stroke, False)):
        segmented = segment(picture)
        assert segmented.dark_on_light == dark_on_light
        assert np.array_equal(segmented.groups > 0, stroke == 50)
        assert np.abs(segmented.ink[stroke == 200]).max() < 2e-3  # the surface settles to within half a byte
        assert np.allclose(segmented.ink[stroke == 50], 0.75, atol=2e-3)  # 1 − 50/200
    assert segmented.block == 1


def test_smooth_uneven_light_is_levelled(stroke):
    rows, columns = np.mgrid[-1:1:100j, -1:1:120j]
    light = 0.75 + 0.1 * rows - 0.15 * columns**2 + 0.05 * rows * columns
    segmented = segment(np.round(255 * light * np.where(stroke == 50, 0.3, 1)).astype(np.uint8))
    assert segmented.dark_on_light
    assert np.array_equal(segmented.groups > 0, stroke == 50)
    # Ink bends the quantile surface a little, as it would bend a median.
    assert np.abs(segmented.ink[stroke == 200]).max() < 0.02
    assert np.allclose(segmented.ink[stroke == 50], 0.7, atol=0.02)


@pytest.mark.parametrize("block", [2, 3, 7])
def test_a_large_picture_is_shrunk_by_means_of_blocks(stroke, block):
    small = np.kron(stroke, np.ones((2, 2), np.uint8))[:, 40:]  # 200×200: not shrunk itself
    large = np.kron(small, np.ones((block, block), np.uint8))
    for cropped in (0, block - 1):  # then copies of the last pixels complete the blocks
        segmented = segment(large[: len(large) - cropped, : large.shape[1] - cropped])
        assert segmented.block == block
        assert np.array_equal(segmented.ink, segment(small).ink)


def test_specks_are_dropped_and_strokes_above_each_other_are_one_group(stroke):
    stroke[5, 100] = 50
    stroke[5:9, 60:90] = 50
    groups = segment(stroke).groups
    assert groups.max() == 1
    assert (groups[5, 100], groups[5, 60]) == (0, 1)
    stroke[30:80, 100:110] = 50
    groups = segment(stroke).groups
    assert groups.max() == 2
    assert groups[40, 105] == 2


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((0, 5), np.uint8), r"uint8 of shape \(0, 5\)"),
        (np.zeros((5, 5, 3), np.uint8), r"shape \(5, 5, 3\)"),
        (np.zeros((5, 5)), "float64"),
        (np.full((1, 1), 9, np.uint8), "blank"),
        (np.full((50, 60), 255, np.uint8), "blank"),
        (np.zeros((500, 600), np.uint8), "blank"),
        (np.full((50, 60), 200, np.uint8) - np.eye(50, 60, dtype=np.uint8), "blank"),
    ],
)
def test_a_picture_without_ink_is_refused(picture, message):
    with pytest.raises(ValueError, match=message):
        segment(picture)


@pytest.mark.parametrize("side", [28, 90, 200, 900])
def test_noise_is_refused(side):
    random = np.random.default_rng(side)
    normal = np.clip(128 + 40 * random.normal(size=(side, side)), 0, 255)
    skewed = np.clip(255 - 60 * random.exponential(size=(side, side)), 0, 255)
    for noise in (normal, random.integers(0, 256, (side, side)), skewed):
        with pytest.raises(ValueError, match="all noise"):
            segment(noise.astype(np.uint8))
