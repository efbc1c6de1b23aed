"""Pages of untrained networks, as the tests of the page need them."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np

from jaxmnist.config import Config
from jaxmnist.handwriting.doubts import LIMITS
from jaxmnist.network import Layer
from jaxmnist.page import PageNetwork, pack_digits, page
from jaxmnist.runs.checkpoint import SavedNetwork

packed_digits = functools.cache(pack_digits)
RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def network(sizes=(784, 16, 16, 10), activation="sigmoid", cost="squared_error", seed=0, **about):
    """An untrained network, made without compiling anything."""
    random = np.random.default_rng(seed)
    params = tuple(
        Layer(
            jnp.array(random.normal(0, inputs**-0.5, (outputs, inputs)), jnp.float32),
            jnp.array(random.normal(0, inputs**-0.5, outputs), jnp.float32),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    )
    return SavedNetwork(params, Config(sizes=sizes, activation=activation, cost=cost), about)


def page_of(*saved, name="it", limits=LIMITS, epochs=None):
    return page([PageNetwork(name, network, 99, epochs or {}) for network in saved], packed_digits(), limits)
