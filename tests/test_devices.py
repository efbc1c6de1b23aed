import jax
import pytest

from jaxmnist.devices import select


def test_auto_is_the_first_device():
    assert select("auto") == jax.devices()[0]


def test_an_absent_platform_is_refused_with_what_was_found():
    absent = next(platform for platform in ("tpu", "gpu") if platform != jax.default_backend())
    with pytest.raises(ValueError, match=f"platform={absent}") as refusal:
        select(absent)
    assert f"found {jax.default_backend()}" in str(refusal.value)
