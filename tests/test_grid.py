import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from jaxmnist.config import Config
from jaxmnist.dataset import stratified_folds
from jaxmnist.population import grid, train_population
from jaxmnist.sources import load
from jaxmnist.studies.cross_validation import cross_validate


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.parametrize("folds", [2, 5, 7, 100])
def test_folds_are_scikit_learn_s_but_for_the_remainder(folds, digits):
    labels = np.asarray(digits.train.labels)
    found = np.asarray(stratified_folds(jax.random.key(0), digits.train.labels, folds))
    size = len(labels) // folds
    assert found.shape == (folds, size)
    assert len(np.unique(found)) == found.size
    ours = np.stack([np.bincount(labels[fold], minlength=10) for fold in found])
    in_order = np.sort(labels)  # scikit-learn numbers the classes as they come
    parts = StratifiedKFold(folds).split(in_order[:, None], in_order)
    theirs = np.stack([np.bincount(in_order[held_out], minlength=10) for _, held_out in parts])
    missing = theirs - ours
    assert missing.min() >= 0
    assert missing.sum() == len(labels) - folds * size
    assert missing.sum() < folds
    assert np.all(np.ptp(ours, axis=0) <= 1)


def test_the_key_decides_the_folds(digits):
    one, other = (stratified_folds(jax.random.key(seed), digits.train.labels, 5) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("folds", [-1, 0, 1, 142])
def test_folds_that_would_lack_a_digit_are_refused(folds, digits):
    assert np.bincount(digits.train.labels).min() < 142
    with pytest.raises(ValueError, match=f"folds {folds}: expected from 2 to"):
        cross_validate(jax.random.key(0), grid([(0.9, 0.1)], (0,)), folds, digits.train, Config(epochs=1))


@pytest.mark.slow
def test_cross_validation_measures_each_fold_with_networks_that_never_saw_it(digits):
    few = jax.tree.map(lambda leaf: leaf[:302], digits.train)
    # labels that nothing but having seen them tells: they depend on the image's number alone
    few = few._replace(labels=jnp.asarray(np.random.default_rng(0).permutation(302) % 10, jnp.uint8))
    config = Config(batch_size=10, epochs=300, schedule="constant", cost="cross_entropy", activation="relu")
    members = grid([(0.9, 0.01), (0.5, 0.05)], (0, 1))
    found = cross_validate(jax.random.key(0), members, 3, few, config)
    assert found.measured.cost.shape == (3, 4, 301)
    assert found.diverged_at.shape == (3, 4)
    seen = train_population(members, jax.random.key(99), few, few, config)
    assert seen.measured.accuracy[:, -1].mean() > 0.6
    # 1,200 guesses at 10 %, though the same 300 images for each of 4 networks: 0.1 ± 0.017
    assert found.measured.accuracy[..., -1].mean() < 0.19
