import io

import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.network import Layer
from jaxmnist.plots.evaluation import figures
from jaxmnist.plots.style import png
from jaxmnist.studies.evaluation import (
    calibrate,
    confusion_matrix,
    make_noise,
    measure_digits,
    measure_noise,
    report,
    run,
    wilson_interval,
    worst_mistakes,
)


def test_the_numbers_are_numpys_and_missing_digits_draw_too():
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 784)).astype(np.uint8), random.integers(0, 5, 60).astype(np.uint8)
    weights, biases = random.normal(0, 0.1, (10, 784)).astype(np.float32), np.zeros(10, np.float32)
    params = (Layer(jnp.asarray(weights), jnp.asarray(biases)),)
    noise = make_noise(images)
    test_set = Dataset(jnp.asarray(images), jnp.asarray(labels))
    evaluation = run(params, Config(sizes=(784, 10)), test_set, {"random pixels": noise["random pixels"]})
    outputs = oracle.sigmoid(images / 255 @ weights.astype(float).T)
    predicted = outputs.argmax(axis=1)
    assert evaluation.right == np.sum(predicted == labels) == round(60 * evaluation.accuracy)
    assert evaluation.mean_cost == pytest.approx(np.sum((outputs - np.eye(10)[labels]) ** 2) / 60, rel=1e-5)  # float32
    np.testing.assert_array_equal(evaluation.confusion, confusion_matrix(labels, predicted))
    worst = evaluation.mistakes
    np.testing.assert_array_equal(worst.label, labels[worst.indices])
    np.testing.assert_array_equal(worst.read, predicted[worst.indices])
    np.testing.assert_allclose(worst.outputs, outputs[worst.indices], atol=1e-5)  # float32
    on_noise = oracle.sigmoid(noise["random pixels"] / 255 @ weights.astype(float).T).argmax(axis=1)
    np.testing.assert_array_equal(evaluation.noise["random pixels"].read_as, np.bincount(on_noise, minlength=10))
    assert max(map(len, report(evaluation).splitlines())) <= 100
    drawn = figures(evaluation, images, noise, "network n", "d")
    assert list(drawn) == ["confusion.png", "mistakes.png", "calibration.png", "digits.png", "noise.png"]
    for name in ("calibration.png", "digits.png", "noise.png"):  # bins are empty, and digits 5 to 9 never come
        with Image.open(io.BytesIO(png(drawn[name])())) as image:
            assert min(image.size) >= 480


def test_noise_is_noise_and_shuffled_digits_keep_their_pixels():
    images = np.arange(5 * 784).reshape(5, 784).astype(np.uint8)
    random, shuffled = make_noise(images).values()
    assert random.shape == images.shape
    assert abs(random.mean() - 127.5) < 6  # five standard deviations of the mean of 3,920 such numbers
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(images))
    assert np.mean(shuffled == images) < 0.1
    np.testing.assert_array_equal(shuffled, make_noise(images)["digits with their pixels shuffled"])


def test_the_report_gives_noise_as_shares_of_all():
    outputs = np.zeros((4, 10))
    outputs[range(4), [8, 8, 8, 1]] = [0.95, 0.5, 0.5, 0.2]
    noise = measure_noise(outputs)
    assert (noise.images, noise.sure, noise.median_confidence) == (4, 1, 0.5)
    assert noise.surest.tolist() == [0, 1, 2, 3]
    empty = Dataset(jnp.zeros((1, 784), jnp.uint8), jnp.zeros(1, jnp.uint8))
    params = (Layer(jnp.zeros((10, 784)), jnp.zeros(10)),)
    said = report(run(params, Config(sizes=(784, 10)), empty, {})._replace(noise={"dust": noise}))
    assert "  dust: 25.00 % are read with a confidence of at least 0.9,\n" in said
    assert "    half of all with 0.500 or more, most often as 8 (3 of 4)\n" in said


def test_confusion_matrix_counts_pairs():
    matrix = confusion_matrix(np.array([3, 3, 3, 9], np.uint8), np.array([3, 3, 5, 4]))
    assert matrix[3, 3] == 2
    assert matrix[3, 5] == matrix[9, 4] == 1
    assert matrix.sum() == 4


def test_worst_mistakes_are_the_surest_first_and_only_mistakes():
    outputs = np.full((5, 10), 0.1)
    outputs[0, 3], outputs[1, 4], outputs[2, 5], outputs[3, 6], outputs[4, 7] = 0.9, 0.8, 0.95, 0.5, 0.99
    labels = np.array([3, 0, 0, 0, 7], np.uint8)
    assert worst_mistakes(outputs, labels, 18).tolist() == [2, 1, 3]
    assert worst_mistakes(outputs, labels, 2).tolist() == [2, 1]
    assert worst_mistakes(outputs[[0, 4]], labels[[0, 4]], 5).tolist() == []


def test_precision_and_recall_are_scikit_learns():
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 9, 500).astype(np.uint8), random.integers(1, 10, 500)
    digits = measure_digits(confusion_matrix(labels, predicted))
    precision, recall, _, examples = precision_recall_fscore_support(
        labels, predicted, labels=range(10), zero_division=np.nan
    )
    np.testing.assert_array_equal(digits.examples, examples)
    np.testing.assert_allclose(digits.precision, precision, rtol=1e-12)  # the same divisions
    np.testing.assert_allclose(digits.recall, recall, rtol=1e-12)
    assert np.isnan(digits.precision[0])
    assert np.isnan(digits.recall[9])
    assert np.isnan(digits.recall_interval_95[9]).all()


@pytest.mark.parametrize(("right", "examples"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 20), (9_504, 10_000)])
def test_the_confidence_interval_is_scipys(right, examples):
    expected = binomtest(right, examples).proportion_ci(0.95, "wilson")
    assert wilson_interval(right, examples) == pytest.approx((expected.low, expected.high), abs=1e-6)  # z has 7 digits


def test_calibration_is_scikit_learns():
    random = np.random.default_rng(0)
    outputs = random.random((3_000, 10)) ** 4
    labels = np.where(random.random(3_000) < 0.6, outputs.argmax(axis=1), 0).astype(np.uint8)
    calibration = calibrate(outputs, labels)
    right = outputs.argmax(axis=1) == labels
    share, stated = calibration_curve(right, outputs.max(axis=1), n_bins=10)
    filled = calibration.examples > 0
    # the same means, in another order of additions
    np.testing.assert_allclose(calibration.right[filled], share, rtol=1e-12)
    np.testing.assert_allclose(calibration.confidence[filled], stated, rtol=1e-12)
    assert np.isnan(calibration.right[~filled]).all()
    assert calibration.examples.sum() == 3_000
    assert calibration.expected_error == pytest.approx(
        np.sum(calibration.examples[filled] * np.abs(share - stated)) / 3_000, rel=1e-12
    )


def test_a_network_that_is_right_as_often_as_it_says_has_no_calibration_error():
    outputs = np.zeros((100, 10))
    outputs[:, 3] = np.repeat([0.25, 1.0], [80, 20])
    labels = np.full(100, 3, np.uint8)
    labels[:60] = 5
    assert calibrate(outputs, labels).expected_error == 0
    assert calibrate(outputs, np.full(100, 5, np.uint8)).expected_error == pytest.approx((80 * 0.25 + 20) / 100)
