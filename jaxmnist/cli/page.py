"""The page command: a network as a web page to draw on."""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import tyro

from jaxmnist.cli.console import say
from jaxmnist.cli.options import DataOptions, check_seed, select_device, untrained
from jaxmnist.dataset import Dataset
from jaxmnist.page import page
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.folder import parents_made
from jaxmnist.sources import load

LARGE_PAGE = 300_000  # bytes


@dataclasses.dataclass(frozen=True)
class Options:
    """Make a web page on which you draw a digit and see the network read it.

    The page is one file that needs no server and no internet: open it, send it, keep it. Draw by mouse, pen, finger or
    keyboard: the drawing becomes 28×28 pixels as jaxmnist predict makes them, and all neurons and connections show what
    they do. Point at a neuron for its weights, bias, z and a. Say which digit you meant, and see the cost term by term,
    and the gradient: which pixels would raise the right output. The page also has the network as it was before
    training, random, to compare.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = "source"
    """Folder of a training run, its weights file, or source or best, the networks that come with jaxmnist."""
    output: Path = Path("page.html")
    """New file for the page."""


def run(options: Options) -> int:
    """Write the page; return 0."""
    output = options.output
    if output.exists() or output.is_symlink():
        problem = "is a folder" if output.is_dir() else "exists already"
        raise ValueError(f"output={output}: {problem}, expected a new file; choose another, or move it away")
    device = select_device(DataOptions(platform="cpu"))  # nothing here is worth starting an accelerator for
    with jax.default_device(device):
        network = load_network(options.run)
        seed = network.about.get("seed")
        if not isinstance(seed, int):
            raise ValueError(f"seed {seed!r} in the run's weights file: expected a whole number; train it again")
        check_seed(seed)
        before = untrained(seed, network.config, device)
        content = page(before, network, _samples(), Path(options.run).resolve().name or options.run).encode()
    with parents_made(output):
        write_atomically(output, content)
    if len(content) > LARGE_PAGE:
        say(f"warning: {output} is large, as the network is; a browser may be slow with it", on_stderr=True)
    say(f"{output}: {len(content) / 1000:,.0f} KB, open it in a browser")
    return 0


def _samples() -> Dataset:
    """The first of each digit in the test part of scikit-learn's digits."""
    images, labels = load("digits").test
    first = jnp.array([jnp.argmax(labels == digit) for digit in range(10)])
    return Dataset(images[first], labels[first])
