"""A web page on which a network reads drawings, learns, steps and races: networks in, one file's text out.

The page loads nothing: style, script, words, weights and digits are all in it, and a content security policy forbids
the rest. Its script computes what the package does, under the same names: `handwriting.normalise`, `network`, `cost`,
`backprop`, `optimizers` and `training`, with JAX's random numbers.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmnist.handwriting.doubts import LIMITS, Limits
from jaxmnist.network import Params
from jaxmnist.runs.checkpoint import SavedNetwork
from jaxmnist.sources.digits import load_small_digits

TEMPLATES = files(__name__)  # page.html, its style, its words and its script, whose parts are joined in this order
SCRIPTS = (
    "words", "address", "slices", "numbers", "random", "normalise", "digits", "mnist_files", "network", "training",
    "colours", "charts", "drawing", "diagram", "panels", "reading", "view_draw", "view_train", "view_step", "ravine",
    "view_race", "main",
)  # fmt: skip
PackedDigits = Mapping[str, Mapping[str, str]]


class PageNetwork(NamedTuple):
    """A network for the page."""

    name: str  # as the reader sees it
    saved: SavedNetwork  # as it is after training
    seed: int  # of its random start
    epochs: Mapping[int, Params] = {}  # earlier moments of its training, by the epochs made


def page(networks: Sequence[PageNetwork], digits: PackedDigits, limits: Limits = LIMITS) -> str:
    """Make the page: HTML in one file, the same for the same arguments; the reader sees the first network first."""
    parts = {part: TEMPLATES.joinpath(f"{part}.js").read_text("utf-8") for part in SCRIPTS}
    for network in networks:
        _check_record("ACTIVATIONS", "activation", network.saved.config.activation, parts["network"])
        _check_record("COSTS", "cost", network.saved.config.cost, parts["network"])
    words = json.loads(TEMPLATES.joinpath("words.json").read_text("utf-8"))
    data = {"networks": [_described(network) for network in networks], "digits": digits, "limits": limits._asdict()}
    style, script = TEMPLATES.joinpath("page.css").read_text("utf-8"), "\n".join(parts.values())
    hashes = [_base64(hashlib.sha256(text.encode()).digest()) for text in (script, style)]
    policy = "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    # Inside a script element only "<" could end it or begin a comment; JSON may write it as an escape.
    written = json.dumps({**data, "words": words}, allow_nan=False).replace("<", "\\u003c")
    html = Template(TEMPLATES.joinpath("page.html").read_text("utf-8"))
    return html.substitute(
        policy=policy.format(*hashes), style=style, script=script, data=written,
        title=words["title"]["en"], noscript=" ".join(words["noscript"].values()),
    )  # fmt: skip


def pack_digits() -> PackedDigits:
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


def _described(network: PageNetwork) -> dict[str, Any]:
    """What the script knows of a network; anything missing or malformed in its file's `about` is left out."""
    config, about = network.saved.config, network.saved.about
    return {
        "name": network.name,
        "sizes": config.sizes,
        "activation": config.activation,
        "cost": config.cost,
        "seed": network.seed,
        **_facts(about),
        "weights": _numbers(network.saved.params, "<f4"),
        "epochs": [{"epoch": epoch, "weights": _numbers(params, "<f2")} for epoch, params in network.epochs.items()],
    }


def _facts(about: Mapping[str, Any]) -> dict[str, Any]:
    dataset, accuracy, examples = (about.get(name) for name in ("dataset", "test_accuracy", "test_examples"))
    facts: dict[str, Any] = {"dataset": dataset} if isinstance(dataset, str) else {}
    if isinstance(accuracy, float) and math.isfinite(accuracy) and isinstance(examples, int):
        facts |= {"accuracy": accuracy, "examples": examples}
    return facts


def _numbers(params: Params, dtype: str) -> str:
    """All weights and biases in base64, layer by layer, the weights row by row before the biases."""
    most = float(np.finfo(dtype).max)  # float16 would make infinity of what is larger
    leaves = [np.clip(np.asarray(leaf), -most, most).astype(dtype) for leaf in jax.tree.leaves(params)]
    return _base64(b"".join(leaf.tobytes() for leaf in leaves))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
