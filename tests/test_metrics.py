import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import metrics
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.metrics import confusion_matrix, evaluate, outputs, worst_mistakes
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
