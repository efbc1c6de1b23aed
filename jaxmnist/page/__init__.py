"""A web page on which anybody draws a digit and sees the network read it: a network in, one file's text out.

The page loads nothing: style, script, weights and samples are all in it, and a content security policy forbids the
rest. Its script makes 28×28 pixels of a drawing as `handwriting` does, and computes activations, cost and gradient as
`network`, `cost` and `backprop` do.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import jax
import numpy as np

from jaxmnist.dataset import Dataset
from jaxmnist.handwriting.doubts import LIMITS, Limits
from jaxmnist.network import Params
from jaxmnist.runs.checkpoint import SavedNetwork
from jaxmnist.sources.digits import load_small_digits

TEMPLATES = files(__name__)  # page.html, its style and its script, whose parts are joined in this order
SCRIPTS = ("numbers", "normalise", "network", "colours", "drawing", "diagram", "panels", "main")


def page(before: Params, after: SavedNetwork, samples: Dataset, name: str, limits: Limits = LIMITS) -> str:
    """Make the page: HTML in one file, the same for the same arguments.

    The network `before` training has the same sizes; the reader can choose one of the `samples` instead of drawing.
    """
    config = after.config
    parts = {part: TEMPLATES.joinpath(f"{part}.js").read_text("utf-8") for part in SCRIPTS}
    _check_record("ACTIVATIONS", "activation", config.activation, parts["network"])
    _check_record("COSTS", "cost", config.cost, parts["network"])
    data = {
        "name": name,
        "sizes": config.sizes,
        "activation": config.activation,
        "cost": config.cost,
        "facts": _facts(after.about),
        "limits": limits._asdict(),
        "samples": [
            {"label": int(label), "image": _base64(image.tobytes())}
            for image, label in zip(*map(np.asarray, samples), strict=True)
        ],
        "before": _base64(_numbers(before)),
        "after": _base64(_numbers(after.params)),
    }
    style, script = TEMPLATES.joinpath("page.css").read_text("utf-8"), "\n".join(parts.values())
    hashes = [_base64(hashlib.sha256(text.encode()).digest()) for text in (script, style)]
    policy = "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    # Inside a script element only "<" could end it or begin a comment; JSON may write it as an escape.
    written = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    html = Template(TEMPLATES.joinpath("page.html").read_text("utf-8"))
    return html.substitute(policy=policy.format(*hashes), style=style, script=script, data=written)


def pack_digits() -> dict[str, dict[str, str]]:
    """scikit-learn's digits for page/digits.js: five bits a pixel, 96 KB in base64, and a character a label."""
    return {
        name: {
            "pixels": _base64(np.packbits(np.unpackbits(images[..., None], axis=-1)[..., 3:]).tobytes()),
            "labels": "".join(map(str, labels)),
        }
        for name, (images, labels) in zip(("train", "test"), load_small_digits(), strict=True)
    }


def _check_record(table: str, field: str, name: str, script: str) -> None:
    """Refuse a name that has no record in one of the script's tables, such as `COSTS`."""
    records = re.search(rf"^const {table} = {{\n(.*?)^}};", script, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^  (\w+): {", records[1], re.MULTILINE) if records else []
    if name not in names:
        raise ValueError(
            f"{field}={name}: the page can draw {', '.join(names)}; add a record to {table} in page/network.js"
        )


def _facts(about: Mapping[str, Any]) -> list[str]:
    """What the weights file says of the training, in words; anything missing or malformed is left out."""
    accuracy, examples = about.get("test_accuracy"), about.get("test_examples")
    facts = [f"trained on {about['dataset']}"] if isinstance(about.get("dataset"), str) else []
    if isinstance(accuracy, float) and math.isfinite(accuracy):
        of = f"{examples:,} test images" if isinstance(examples, int) else "the test images"
        facts.append(f"reads {accuracy:.1%} of {of} right")
    return facts


def _numbers(params: Params) -> bytes:
    """All weights and biases as float32, layer by layer, the weights row by row before the biases."""
    return b"".join(np.asarray(leaf, "<f4").tobytes() for leaf in jax.tree.leaves(params))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
