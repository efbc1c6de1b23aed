"""Which device computes."""

import jax

from jaxmnist.config import Platform


def select(platform: Platform) -> jax.Device:
    """The first device of a platform; auto is the fastest that JAX finds.

    Raises:
        ValueError: when there is none; says what was found instead.
    """
    try:
        return jax.devices(None if platform == "auto" else platform)[0]
    except (RuntimeError, AssertionError) as problem:
        try:
            found = ", ".join(sorted({device.platform for device in jax.devices()}))
        except (RuntimeError, AssertionError):  # JAX_PLATFORMS names only what is not there
            found = "nothing under the platforms that the variable JAX_PLATFORMS allows"
        raise ValueError(
            f"platform {platform}: this machine has none that JAX can use, found {found}; install jaxmnist[cuda] or "
            f"jaxmnist[tpu] for an accelerator, or try --platform cpu"
        ) from problem
