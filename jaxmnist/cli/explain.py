"""The explain command: one example through the network and back, with every number of it."""

import dataclasses
from typing import Annotated

import jax
import numpy as np
import tyro

from jaxmnist.cli import options as shared
from jaxmnist.cli.console import printable, say
from jaxmnist.cli.drawing import write_figures
from jaxmnist.config import Config
from jaxmnist.plots.explanation import figures
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.studies import explanation


@dataclasses.dataclass(frozen=True)
class Options:
    """Explain one example: its cost, what would lower it, and the gradient by back-propagation.

    Prints the digit, the activations of all layers, the ten terms of the cost, the three levers that raise the
    right output, and the gradient, computed in three ways, and how far they agree; draws it all as explain.png.
    """

    run: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.DisallowNone, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")
    ] = None
    """Folder of a training run, its weights file, or best or source, which come with jaxmnist (default: an untrained network)."""  # noqa: E501
    index: int = 0
    """Which example of the test set, from 0."""
    data: shared.Data = dataclasses.field(default_factory=shared.DataOptions)
    seed: int = 0
    """Decides the untrained network where there is no RUN: the one that train starts from with the same seed."""
    run_dir: shared.OptionalPath = None
    """New folder for the figure (default: runs/<time>-explain)."""


def run(options: Options) -> int:
    """Explain the example, print the report, and write the figure."""
    shared.check_seed(options.seed)
    run_folder.refuse_used(options.run_dir)
    device, index = shared.select_device(options.data), options.index
    with jax.default_device(device):
        if options.run is not None:
            params, config, about = load_network(options.run)
        else:
            params, config, about = shared.untrained(options.seed, Config(), device), Config(), {}
        splits = shared.load_data(shared.data_of_run(options.data, about))
        images, labels = map(np.asarray, splits.test)
        if not 0 <= index < len(labels):
            examples = f"the test set of {splits.name} has {len(labels):,} examples"
            raise ValueError(f"index={index}: expected 0 to {len(labels) - 1}, as {examples}; for example index=0")
        result = explanation.run(params, config, images[index], int(labels[index]))

    def title(run: str | None) -> str:
        network = f"trained network {run}" if run else f"before training (seed {options.seed}): a mess"
        recipe = f"{'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}"
        return f"{splits.name}, test example {index} of {len(labels):,}: a {labels[index]}; {recipe}\n{network}"

    print(f"{title(options.run and printable(options.run))}\n\n{explanation.report(result)}\n", flush=True)
    with run_folder.created(options.run_dir, "explain") as folder:
        write_figures(folder, figures, result, title(options.run and shared.run_name(options.run)))
        if drawn := run_folder.listed(folder):
            say(f"in {folder}: {drawn}")
    return 0
