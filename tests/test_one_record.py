"""A new cost and a new activation function are one record each: training and the studies need no other change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.config import Config
from jaxmnist.cost import COSTS, Cost
from jaxmnist.dataset import Dataset
from jaxmnist.network import ACTIVATIONS, Activation
from jaxmnist.plots.explanation import figures
from jaxmnist.studies import evaluation, explanation
from jaxmnist.training import train

CONFIG = Config(
    sizes=(784, 4, 10),
    activation="softplus",
    cost="binary_cross_entropy",
    optimizer="momentum",
    learning_rate=0.05,
    batch_size=10,
    epochs=20,
)


@pytest.fixture(autouse=True)
def new_records(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "softplus", Activation(jax.nn.softplus, jax.nn.sigmoid))
    binary_cross_entropy = Cost(
        outputs=jax.nn.sigmoid,
        terms=lambda z, y: -y * jax.nn.log_sigmoid(z) - (1 - y) * jax.nn.log_sigmoid(-z),
        delta=lambda z, y: jax.nn.sigmoid(z) - y,
        formula="−y ln a − (1 − y) ln (1 − a)",
    )
    monkeypatch.setitem(COSTS, "binary_cross_entropy", binary_cross_entropy)


def test_train_evaluate_and_explain_use_a_new_cost_and_a_new_activation():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 784)).astype(np.uint8)
    data = Dataset(jnp.asarray(images), jnp.asarray(random.integers(0, 10, 40), jnp.uint8))
    state, history = train(jax.random.key(0), data, data, CONFIG)
    assert history.train.cost[-1] < history.train.cost[0] / 2

    result = evaluation.run(state.params, CONFIG, data, evaluation.make_noise(images))
    assert result.mean_cost == pytest.approx(float(history.test.cost[-1]), rel=1e-5)  # float32, compiled otherwise
    assert result.accuracy == pytest.approx(float(history.test.accuracy[-1]))
    assert f"mean cost {result.mean_cost:.4f}" in evaluation.report(result)

    result = explanation.run(state.params, CONFIG, images[0], int(data.labels[0]))
    assert result.automatic_digits > 12
    assert result.numerical_digits > 6
    said = explanation.report(result)
    assert "label y    −y ln a − (1 − y) ln (1 − a)\n" in said
    assert "a¹: 4 neurons, softplus\n" in said
    assert "a²: 10 neurons, sigmoid\n" in said
    assert list(figures(result, "a title")) == ["explain.png"]
