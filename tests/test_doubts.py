import numpy as np
import pytest

from jaxmnist import metrics
from jaxmnist.handwriting.doubts import LIMITS, doubts
from jaxmnist.handwriting.normalise import Normalised, normalise
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.sources.idx import read_images, read_labels

SURE = np.eye(10)[3] * 0.95


@pytest.fixture(scope="module")
def digits(mnist_dir):
    return read_images(mnist_dir / "t10k-images-idx3-ubyte.gz")


@pytest.fixture(scope="module")
def labels(mnist_dir):
    return read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz")


def digit(pen=2.5, digits=1):
    return Normalised(np.zeros(784, np.uint8), True, (0, 0, 9, 9), pen, digits)


def test_each_limit_makes_its_doubt():
    assert doubts(SURE, digit()) == []
    assert doubts(SURE, digit(digits=3), several=True) == []
    assert doubts(SURE, digit(digits=3))[0].startswith("3 strokes side by side")
    assert doubts(SURE, digit()._replace(touches=True))[0].startswith("touches something printed")
    assert doubts(SURE, digit()._replace(barred=True))[0].startswith("a line above or below")
    assert doubts(SURE, digit(pen=7))[0].startswith("strokes 7.0 of 28 pixels wide")
    assert doubts(np.eye(10)[3] * 0.6 + np.eye(10)[5] * 0.4, digit()) == ["unsure, next is 5 with 0.40"]
    assert doubts(SURE + np.eye(10)[5] * 0.4, digit()) == []
    assert doubts(SURE + np.eye(10)[5] * 0.5, digit()) == ["unsure, next is 5 with 0.50"]
    assert doubts(np.full(10, 0.1), digit()) == ["unlike any digit, no output reaches 0.3"]


@pytest.mark.parametrize(("name", "rare", "right"), [("best", 0.03, 0.57), ("source", 0.06, 0.5)])
def test_the_packaged_networks_doubts_are_as_rare_and_as_right_as_help_says(name, rare, right, digits, labels):
    network = load_network(name)
    outputs = np.asarray(metrics.outputs(network.params, digits, network.config.activation, network.config.cost))
    doubtful = np.array([bool(doubts(output, digit())) for output in outputs])
    wrong = outputs.argmax(axis=1) != labels
    assert np.mean(doubtful) == pytest.approx(rare, abs=0.01)
    assert np.mean(doubtful[wrong]) == pytest.approx(right, abs=0.05)


@pytest.mark.measured
def test_wide_strokes_are_as_rare_in_mnist_as_their_doubt_says(digits):
    pens = np.array([normalise(image.reshape(28, 28)).pen for image in digits])
    assert np.mean(pens > LIMITS.widest_pen) == pytest.approx(0.004, abs=0.0015)  # 306 of all 70,000, 0.44 %
    assert np.median(pens) == pytest.approx(2.9, abs=0.05)
