"""Which device computes."""

from typing import Literal

import jax

Platform = Literal["auto", "cpu", "gpu", "tpu"]


def select(platform: Platform) -> jax.Device:
    """Select the first device of a platform; auto is the fastest that JAX finds.

    Raises:
        ValueError: if there is none; says what JAX found instead.
    """
    if platform == "cpu":  # so that JAX leaves an accelerator to others
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
    try:
        return jax.devices(None if platform == "auto" else platform)[0]
    except (RuntimeError, AssertionError) as problem:
        try:
            available = ", ".join(sorted({device.platform for device in jax.devices()}))
        except (RuntimeError, AssertionError):  # JAX_PLATFORMS names only missing ones
            available = "nothing that the variable JAX_PLATFORMS allows"
        raise ValueError(
            f"platform={platform}: JAX can't use one on this machine, it found {available}; install jaxmnist[cuda] or "
            f"jaxmnist[tpu] for an accelerator, or use platform=cpu"
        ) from problem
