"""Which device computes."""

import os
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
        jax.config.update("jax_platform_name", "cpu")  # type: ignore[no-untyped-call]
    try:
        return jax.devices(None if platform == "auto" else platform)[0]
    except (RuntimeError, AssertionError) as problem:
        for variable in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
            if (named := os.environ.get(variable)) and platform == "auto":
                raise ValueError(
                    f"{variable}={named}: JAX finds no such device on this machine; unset it, or use platform=cpu"
                ) from problem
        try:
            available = ", ".join(sorted({device.platform for device in jax.devices()}))
        except (RuntimeError, AssertionError):  # JAX_PLATFORMS names only missing ones
            available = "nothing that the variables JAX_PLATFORMS and JAX_PLATFORM_NAME allow"
        raise ValueError(
            f"platform={platform}: JAX can't use one on this machine, it found {available}; install jaxmnist[cuda] or "
            f"jaxmnist[tpu] for an accelerator, or use platform=cpu"
        ) from problem
