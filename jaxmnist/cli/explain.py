"""The explain command: one example through the network and back, with every number of it."""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from jaxmnist.cli import options as shared
from jaxmnist.config import Config
from jaxmnist.plots.explanation import figures
from jaxmnist.plots.style import png
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.checkpoint import SavedNetwork, load_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.studies import explanation
from jaxmnist.studies.explanation_report import report

OptionalRun = Annotated[
    str | None, tyro.conf.Positional, tyro.conf.DisallowNone, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")
]


@dataclasses.dataclass(frozen=True)
class Options:
    """Explain one example: its cost, what would lower it, and the gradient by back-propagation.

    Prints the digit, the activations of all layers, the ten terms of the cost, the three levers that raise the
    right output, and the gradient, computed in three ways, and how far they agree; draws it all as explain.png.
    """

    run: OptionalRun = None
    """Folder of a training run, its weights file, or best or source, which come with jaxmnist (default: an untrained network)."""  # noqa: E501
    index: int = 0
    """Which example of the test set, from 0."""
    data: shared.Data = dataclasses.field(default_factory=shared.DataOptions)
    seed: int = 0
    """Decides the untrained network where there is no RUN: the one that train starts from with the same seed."""
    run_dir: shared.OptionalPath = None
    """New folder for the figure (default: runs/<time>-explain)."""


def run(options: Options) -> int:
    """Explain the example, print the report, and write the figure.

    Returns:
        The exit code: 0.

    Raises:
        ValueError: if there is no such example or run, or the data can't be used.
        OSError: if a file can't be read or written.
    """
    shared.check_seed(options.seed)
    run_folder.refuse_used(options.run_dir)
    device = shared.select_device(options.data)
    with jax.default_device(device):
        if options.run is None:
            network = SavedNetwork(shared.untrained(options.seed, Config(), device), Config(), {})
        else:
            network = load_network(options.run)
        splits = shared.load_data(shared.data_of_run(options.data, network.about))
        images, labels = map(np.asarray, splits.test)
        if not 0 <= options.index < len(labels):
            raise ValueError(
                f"index={options.index}: expected 0 to {len(labels) - 1}, as the test set of {splits.name} has "
                f"{len(labels):,} examples; for example index=0"
            )
        label = int(labels[options.index])
        result = explanation.run(network.params, network.config, images[options.index], label)

    def title(run: str | None) -> str:
        config = network.config
        of = f"{'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}"
        state = f"trained network {run}" if run else f"before training (seed {options.seed}): a mess"
        return f"{splits.name}, test example {options.index} of {len(labels):,}: a {label}; {of}\n{state}"

    drawn = png(figures(result, title(options.run and Path(options.run).absolute().name))["explain.png"])
    folder = run_folder.create(options.run_dir, "explain")
    write_atomically(folder / "explain.png", drawn)
    print(f"{title(options.run)}\n\n{report(result)}\n\nin {folder}: explain.png")
    return 0
