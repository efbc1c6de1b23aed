import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from jaxmnist.dataset import Dataset, scale
from jaxmnist.sources.idx import read_images


def test_the_suite_checks_shapes_and_types():
    with pytest.raises(TypeCheckError):
        scale(jnp.zeros(783, jnp.uint8))
    with pytest.raises(TypeCheckError):
        scale(jnp.zeros(784))
    with pytest.raises(TypeCheckError):
        read_images("a string, where a path is expected")


def test_dtypes_and_ranks_are_not_promoted_silently():
    with pytest.raises(Exception, match="promotion"):
        jnp.ones(3) + jnp.ones(3, jnp.int32)
    with pytest.raises(ValueError, match="promotion"):
        jnp.ones(3) + jnp.ones((2, 3))


def test_a_dataset_of_floats_is_caught():
    with pytest.raises(TypeCheckError):
        scale(Dataset(jnp.zeros((2, 784)), jnp.zeros(2, jnp.uint8)).images)
