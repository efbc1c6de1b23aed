import pytest

from jaxmnist.plots.laws import two_ways


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.0, "the same, bit for bit"), (6.2e-8, "the same up to rounding: 6e−08")]
)
def test_a_law_s_figure_names_both_ways_and_how_far_apart_they_end(distance, verdict):
    (axes,) = two_ways("here", "there", ["f", "g"], ["g ∘ f"], distance).axes
    texts = {text.get_text(): text.get_position() for text in axes.texts if text.get_text()}
    assert texts.keys() == {"here", "there", "f", "g", "g ∘ f", verdict}
    assert texts["here"][0] < texts["f"][0] < texts["g ∘ f"][0] < texts["g"][0] < texts["there"][0]
    assert texts["f"][1] == texts["g"][1] > 0 > texts["g ∘ f"][1]
