"""A web page on which anybody draws a digit and sees the network read it: a network in, one file's text out.

The page asks nothing of the network nor of a server: style, script, weights and samples are all in it, and a content
security policy forbids it everything else. Its script makes 28×28 pixels of a drawing as `images` does, and computes
activations, cost and gradient as `network`, `cost` and `backprop` do.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import jax
import numpy as np

from jaxmnist.dataset import Dataset
from jaxmnist.network import Params
from jaxmnist.runs.checkpoint import SavedNetwork

SCRIPTS = ("numbers", "ink", "normalise", "network", "colours", "drawing", "diagram", "panels", "main")
"""The page's script, in the order in which its parts are put together."""
NEVER = {"unsure": 0.0, "unlike": 0.0, "widest_pen": 28.0}
"""Limits beyond which nothing goes."""


def page(
    before: Params, after: SavedNetwork, samples: Dataset, name: str, limits: Mapping[str, float] | None = None
) -> str:
    """Make the page.

    Args:
        before: the network as training found it, of the same sizes.
        after: the trained network.
        samples: some of scikit-learn's digits, to choose from beside drawing one's own.
        name: what the network is called.
        limits: from when on a reading is called doubtful: `unsure`, `unlike` and `widest_pen`, as in
            `jaxmnist predict`; by default never.

    Returns:
        HTML in one file, the same for the same arguments.
    """
    config = after.config
    data = {
        "name": name,
        "sizes": config.sizes,
        "activation": config.activation,
        "cost": config.cost,
        "facts": _facts(after.about),
        "limits": dict(limits or NEVER),
        "samples": [
            {"label": int(label), "image": _base64(np.asarray(image, np.uint8))}
            for image, label in zip(*map(np.asarray, samples), strict=True)
        ],
        "before": _base64(_numbers(before)),
        "after": _base64(_numbers(after.params)),
    }
    style = _template("page.css")
    script = "\n".join(_template(f"{part}.js") for part in SCRIPTS)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    # Inside a script element only "<" could end it or begin a comment; JSON may write it as an escape.
    written = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    return Template(_template("page.html")).substitute(policy=policy, style=style, script=script, data=written)


def _facts(about: Mapping[str, Any]) -> list[str]:
    """What the weights file says of the training, in words; what is missing or strange is left out."""
    facts = []
    if isinstance(about.get("dataset"), str):
        facts.append(f"trained on {about['dataset']}")
    accuracy, examples = about.get("test_accuracy"), about.get("test_examples")
    if isinstance(accuracy, float) and math.isfinite(accuracy):
        of = f"{examples:,} test images" if isinstance(examples, int) else "the test images"
        facts.append(f"reads {accuracy:.1%} of {of} right")
    return facts


def _numbers(params: Params) -> np.ndarray:
    """All weights and biases as one list, layer by layer, the weights row by row before the biases."""
    return np.concatenate([np.ravel(np.asarray(leaf, "<f4")) for leaf in jax.tree.leaves(params)])


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _digest(text: str) -> str:
    """How a content security policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _template(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
