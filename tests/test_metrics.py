import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import metrics
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.metrics import evaluate, outputs, predict
from jaxmnist.network import init


@pytest.mark.parametrize("examples", [7, 2_345])
def test_evaluate_counts_every_example_once_whatever_the_chunk(examples):
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.integers(0, 256, (examples, 784)), jnp.uint8)
    dataset = Dataset(images, jnp.asarray(generator.integers(0, 10, examples), jnp.uint8))
    params = init(jax.random.key(0), (784, 10))
    result = evaluate(params, dataset)
    predicted = np.asarray(outputs(params, images))
    expected = mean_cost(params, scale(images), one_hot(dataset.labels))
    assert float(result.cost) == pytest.approx(float(expected), rel=1e-5)  # float32 means over up to 2,345 costs
    assert float(result.accuracy) == pytest.approx(
        np.mean(predicted.argmax(axis=1) == np.asarray(dataset.labels)), rel=1e-6
    )
    assert [int(predict(params, image)) for image in images[:7]] == predicted[:7].argmax(axis=1).tolist()
    assert metrics.CHUNK < 2_345  # so that the last case has a remainder
