"""Results as values that JSON can hold; stands in until the module that all studies share is merged."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxmnist.runs.folder import write_json as write_json


def to_json(result: Any) -> Any:
    """Turn a result into values that JSON can hold: NaN and infinity become None, floats have seven digits."""
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if isinstance(result, Mapping):
        return {str(name): to_json(value) for name, value in result.items()}
    if isinstance(result, jax.Array | np.ndarray | np.generic):
        result = np.asarray(result).tolist()
    if isinstance(result, list | tuple):
        return [to_json(value) for value in result]
    if isinstance(result, float):
        return float(f"{result:.7g}") if np.isfinite(result) else None
    return result
