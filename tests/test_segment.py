import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import QuantileRegressor

from jaxmnist.handwriting import segment as ink
from jaxmnist.handwriting.segment import read_page


@pytest.fixture
def stroke():
    """A page of 100×120 with a slanted stroke of ink: brightness 200 on paper, 50 in the ink."""
    page = np.full((100, 120), 200, np.uint8)
    for row in range(20, 80):
        page[row, 30 + row // 2 : 40 + row // 2] = 50
    return page


@pytest.mark.parametrize("density", [0.02, 0.3, 0.41, 0.6, 1.0])
def test_connected_strokes_are_scipys(density):
    random = np.random.default_rng(0)
    for shape in ((40, 50), (1, 60), (60, 1), (1, 1)):
        mask = random.random(shape) < density
        found = ink._connected(mask)
        expected, _ = ndimage.label(mask, np.ones((3, 3)))
        assert np.array_equal(found > 0, mask)
        pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
        assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})


def test_the_papers_surface_is_a_quantile_regression():
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[-1:1:24j, -1:1:24j]
    light = 0.7 + 0.1 * rows - 0.2 * columns**2 + 0.02 * random.normal(size=rows.shape)
    light[5:15, 8:12] *= 0.3
    surface, dark_on_light = ink._paper(light)
    assert dark_on_light
    terms = [term * np.ones(light.shape) for term in ink._terms(light.shape, 1, light.shape)][1:]
    features = np.stack([term.ravel() for term in terms], axis=1)
    best = QuantileRegressor(quantile=ink.ABOVE, alpha=0).fit(features, light.ravel()).predict(features)

    def loss(surface):
        residuals = light.ravel() - surface.ravel()
        return np.sum(np.where(residuals > 0, ink.ABOVE, 1 - ink.ABOVE) * np.abs(residuals))

    assert loss(surface) <= 1.01 * loss(best)  # 12 rounds come within 1 % of the minimum of a linear program


@pytest.mark.parametrize("shape", [(28, 28), (100, 37), (1, 5), (399, 400), (401, 3)])
def test_shrinking_keeps_means(shape):
    page = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    for block in (1, 2, 3, 7):
        small = ink._shrink(page, block)
        assert small.shape == (-(-shape[0] // block), -(-shape[1] // block))
        if shape[0] >= block and shape[1] >= block:
            assert small[0, 0] == page[:block, :block].mean()
    assert np.array_equal(ink._shrink(page, 1), page)


def test_ink_and_paper_are_told_apart_either_way_round(stroke):
    for page, dark_on_light in ((stroke, True), (255 - stroke, False)):
        found = read_page(page)
        assert found.dark_on_light == dark_on_light
        assert np.array_equal(found.groups > 0, stroke == 50)
        assert np.abs(found.ink[stroke == 200]).max() < 2e-3  # the surface settles to within half a byte
        assert np.allclose(found.ink[stroke == 50], 0.75, atol=2e-3)  # 1 − 50/200
    assert found.block == 1


def test_specks_are_dropped_and_parts_that_lie_above_each_other_are_one(stroke):
    stroke[5, 100] = 50
    stroke[5:9, 60:90] = 50
    assert read_page(stroke).groups.max() == 1
    assert read_page(stroke).groups[5, 100] == 0
    assert read_page(stroke).groups[5, 60] == 1
    stroke[30:80, 100:110] = 50
    groups = read_page(stroke).groups
    assert groups.max() == 2
    assert groups[40, 105] == 2


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.zeros((5, 5, 3), np.uint8), r"shape \(5, 5, 3\)"),
        (np.zeros((5, 5)), "float64"),
        ([[1, 2]], "list"),
        (np.full((1, 1), 9, np.uint8), "blank"),
        (np.full((50, 60), 255, np.uint8), "blank"),
        (np.zeros((500, 600), np.uint8), "blank"),
        (np.full((50, 60), 200, np.uint8) - np.eye(50, 60, dtype=np.uint8), "blank"),
    ],
)
def test_what_is_no_picture_of_ink_is_refused(page, said):
    with pytest.raises(ValueError, match=said):
        read_page(page)


@pytest.mark.parametrize("side", [28, 90, 200, 900])
def test_noise_is_refused(side):
    random = np.random.default_rng(side)
    normal = np.clip(128 + 40 * random.normal(size=(side, side)), 0, 255)
    skewed = np.clip(255 - 60 * random.exponential(size=(side, side)), 0, 255)
    for noise in (normal, random.integers(0, 256, (side, side)), skewed):
        with pytest.raises(ValueError, match="all noise"):
            read_page(noise.astype(np.uint8))
