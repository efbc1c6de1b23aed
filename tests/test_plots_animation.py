import io
import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from test_plots_race import terrain

from jaxmnist.plots.animation import END, FRAMES, START, WALK, race_webp
from jaxmnist.studies.methods import METHODS

EXAMPLES = {"gd": 3_000, "sgd": 32, "momentum": 32, "nesterov": 32}


def race(steps):
    shown = terrain(steps, 20, 20, tuple(METHODS))
    costs = np.geomspace(2, [0.11, 0.22, 0.33, 0.44], steps).T
    return shown._replace(paths=tuple(p._replace(costs=cost) for p, cost in zip(shown.paths, costs, strict=True)))


def frames_of(content):
    """The frames and the milliseconds of each."""
    with Image.open(io.BytesIO(content)) as image:
        frames, durations = [], []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            frames.append(image.convert("RGB"))
            durations.append(image.info["duration"])
        assert (image.format, image.info["loop"]) == ("WEBP", 0)
    return frames, durations


@pytest.mark.parametrize(("points", "count"), [(2, 2), (6, 6), pytest.param(400, FRAMES, marks=pytest.mark.slow)])
def test_frames_are_many_enough_small_and_the_same_every_time(points, count):
    shown = race(points)
    content = race_webp(shown, "title", EXAMPLES)
    assert content == race_webp(shown, "title", EXAMPLES)
    assert len(content) <= 3_000_000
    frames, durations = frames_of(content)
    assert durations == [START, *[WALK // count] * (count - 2), END]
    assert {frame.size for frame in frames} == {(900, 540)}
    assert all(before.tobytes() != after.tobytes() for before, after in itertools.pairwise(frames))


def test_every_path_and_cost_and_count_ends_where_the_race_says(monkeypatch):
    def spy(figure, artist):
        drawn.append(artist)
        draw(figure, artist)

    drawn, draw, shown = [], Figure.draw_artist, race(9)
    monkeypatch.setattr(Figure, "draw_artist", spy)
    race_webp(shown, "title", EXAMPLES)
    last = drawn[-len(drawn) // 9 :]
    lines = [artist.get_xydata() for artist in last if isinstance(artist, Line2D)]
    texts = [artist for artist in last if not isinstance(artist, Line2D)]
    discs = {(text.get_text(), *text.get_position()) for text in texts}
    for path, walked, descended in zip(shown.paths, lines[:4], lines[4:], strict=True):
        np.testing.assert_array_equal(walked, path.points)
        np.testing.assert_array_equal(descended, np.stack([3 * np.arange(9), path.costs], axis=1))
        assert {(METHODS[path.method][0].upper(), *trail[-1]) for trail in (walked, descended)} <= discs
    counted = [text.get_text() for text in texts if len(text.get_text()) > 1]
    costs_and_examples = ["0.11", "72,000", "0.22", "768", "0.33", "768", "0.44", "768"]
    assert counted == ["step 24", *costs_and_examples]


def test_a_plain_has_no_contours():
    shown = race(3)
    frames, _durations = frames_of(race_webp(shown._replace(cost=np.full((12, 12), 0.9)), "title", EXAMPLES))
    assert len(frames) == 3
