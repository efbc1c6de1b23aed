import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support

from jaxmnist import metrics
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.metrics import (
    calibration,
    confusion_matrix,
    evaluate,
    outputs,
    precision_and_recall,
    wilson_interval,
    worst_mistakes,
)
from jaxmnist.network import init


@pytest.mark.parametrize("examples", [1, 7, 1_000, 2_345])
def test_evaluate_counts_every_example_once_whatever_the_chunk(examples):
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.integers(0, 256, (examples, 784)), jnp.uint8)
    dataset = Dataset(images, jnp.asarray(generator.integers(0, 10, examples), jnp.uint8))
    params = init(jax.random.key(0))
    found = evaluate(params, dataset)
    read = np.asarray(outputs(params, images))
    expected = mean_cost(params, scale(images), one_hot(dataset.labels))
    assert float(found.cost) == pytest.approx(float(expected), rel=1e-5)  # float32 means over up to 2,345 costs
    assert float(found.accuracy) == pytest.approx(np.mean(read.argmax(axis=1) == np.asarray(dataset.labels)), rel=1e-6)
    assert metrics.CHUNK < 2_345  # so that the last case has a remainder


def test_confusion_matrix_counts_pairs():
    matrix = confusion_matrix(np.array([3, 3, 3, 9], np.uint8), np.array([3, 3, 5, 4]))
    assert matrix[3, 3] == 2
    assert matrix[3, 5] == matrix[9, 4] == 1
    assert matrix.sum() == 4


def test_worst_mistakes_are_the_surest_first_and_only_mistakes():
    read = np.full((5, 10), 0.1)
    read[0, 3], read[1, 4], read[2, 5], read[3, 6], read[4, 7] = 0.9, 0.8, 0.95, 0.5, 0.99
    labels = np.array([3, 0, 0, 0, 7], np.uint8)
    assert worst_mistakes(read, labels, 18).tolist() == [2, 1, 3]
    assert worst_mistakes(read, labels, 2).tolist() == [2, 1]
    assert worst_mistakes(read[[0, 4]], labels[[0, 4]], 5).tolist() == []


def test_precision_and_recall_are_scikit_learns():
    random = np.random.default_rng(0)
    labels, read = random.integers(0, 9, 500).astype(np.uint8), random.integers(1, 10, 500)
    precision, recall = precision_and_recall(confusion_matrix(labels, read))
    expected = precision_recall_fscore_support(labels, read, labels=range(10), zero_division=np.nan)
    np.testing.assert_allclose(precision, expected[0], rtol=1e-12)  # the same divisions
    np.testing.assert_allclose(recall, expected[1], rtol=1e-12)
    assert np.isnan(precision[0])
    assert np.isnan(recall[9])


@pytest.mark.parametrize(("right", "examples"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 20), (9_504, 10_000)])
def test_the_interval_is_scipys(right, examples):
    expected = binomtest(right, examples).proportion_ci(0.95, "wilson")
    assert wilson_interval(right, examples) == pytest.approx((expected.low, expected.high), abs=1e-6)  # z has 7 digits


def test_calibration_is_scikit_learns():
    random = np.random.default_rng(0)
    read = random.random((3_000, 10)) ** 4
    labels = np.where(random.random(3_000) < 0.6, read.argmax(axis=1), 0).astype(np.uint8)
    found = calibration(read, labels)
    right = read.argmax(axis=1) == labels
    share, stated = calibration_curve(right, read.max(axis=1), n_bins=10)
    filled = found.examples > 0
    np.testing.assert_allclose(found.right[filled], share, rtol=1e-12)  # the same means, in another order of additions
    np.testing.assert_allclose(found.confidence[filled], stated, rtol=1e-12)
    assert np.isnan(found.right[~filled]).all()
    assert found.examples.sum() == 3_000
    assert found.error == pytest.approx(np.sum(found.examples[filled] * np.abs(share - stated)) / 3_000, rel=1e-12)


def test_who_is_right_as_often_as_it_says_has_no_calibration_error():
    outputs = np.zeros((100, 10))
    outputs[:, 3] = np.repeat([0.25, 1.0], [80, 20])
    labels = np.full(100, 3, np.uint8)
    labels[:60] = 5
    assert calibration(outputs, labels).error == 0
    assert calibration(outputs, np.full(100, 5, np.uint8)).error == pytest.approx((80 * 0.25 + 20) / 100)
