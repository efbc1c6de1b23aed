"""The explain command: one example through the network and back, every number of it open."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Annotated

import tyro

from jaxmnist.cli.options import (
    Data,
    DataOptions,
    OptionalPath,
    check_seed,
    data_of_run,
    load_data,
    select_device,
    untrained,
)
from jaxmnist.config import Config
from jaxmnist.runs import folder as run_folder


@dataclasses.dataclass(frozen=True)
class Options:
    """Explain one example: its cost, what would lower it, and the gradient by back-propagation.

    Prints the digit, the activations of all layers, the ten terms of the cost, the three levers that raise the
    right output, and the gradient, computed in three ways, and how far they agree; draws it all as explain.png.
    """

    run: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="[RUN]", help_behavior_hint=""),
    ] = None
    """Folder of a training run, its weights file, or best or source, which come with jaxmnist (default: a random network, before training: a mess)."""  # noqa: E501
    index: int = 0
    """Which example of the test set, from 0."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    seed: int = 0
    """Decides the random network where there is no RUN: the one that train starts from with the same seed."""
    run_dir: OptionalPath = None
    """New folder for the picture (default: runs/<time>-explain)."""


def run(options: Options) -> int:
    """Explain, and leave the picture in a folder of its own.

    Returns:
        The exit code: 0.

    Raises:
        ValueError: for an example or a run that isn't there, and for data that can't be used.
        OSError: for files that can't be read or written.
    """
    check_seed(options.seed)
    run_folder.refuse_used(options.run_dir)
    device = select_device(options.data)

    import jax
    import numpy as np

    from jaxmnist.runs.checkpoint import load_network
    from jaxmnist.studies.explanation import explain

    trained = load_network(options.run) if options.run is not None else None
    config = trained.config if trained else Config()
    with jax.default_device(device), ThreadPoolExecutor() as beside:
        # A second each: the compiler and the import of matplotlib work while the data is read and the rest compiles.
        params = beside.submit(lambda: trained.params if trained else untrained(options.seed, config, device))
        beside.submit(import_module, "jaxmnist.plots.explain")
        splits = load_data(data_of_run(options.data, trained.about if trained else {}))
        images, labels = map(np.asarray, splits.test)
        if not 0 <= options.index < len(labels):
            raise ValueError(
                f"index {options.index}: expected 0 to {len(labels) - 1}, as the test set of {splits.name} has "
                f"{len(labels):,} examples; try --index {Options.index}"
            )
        explanation = explain(params.result(), images[options.index], int(labels[options.index]), config)

    from jaxmnist.cli.explain_text import text
    from jaxmnist.plots.explain import picture
    from jaxmnist.plots.style import png
    from jaxmnist.runs.files import write_atomically

    title = (
        f"{splits.name}, test example {options.index} of {len(labels):,}: a {explanation.label}; "
        f"{'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}\n"
        + (f"trained: {options.run}" if trained else f"before training (seed {options.seed}): a mess")
    )
    drawn = png(picture(explanation, config.cost, title))
    folder = run_folder.create(options.run_dir, "explain")
    write_atomically(folder / "explain.png", drawn)
    print(f"{text(explanation, config, title)}\n\nin {folder}: explain.png")
    return 0
