"""The explain command: one example through the network and back, with every number of it."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np
import tyro

from jaxmnist import devices
from jaxmnist.cli import options as shared
from jaxmnist.cli import recorded
from jaxmnist.cli.console import printable, progress, say
from jaxmnist.cli.drawing import figures_of, import_meanwhile, write_figures
from jaxmnist.config import Config
from jaxmnist.metrics import evaluate
from jaxmnist.network import Params
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs import records, results
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.sources import Splits
from jaxmnist.studies import explanation, replay

figures = figures_of("explanation")


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
    epoch: shared.Count = None
    """Go back to the network after this epoch of the run, by training it again (default: its last epoch)."""
    step: shared.Count = None
    """Go back to the network so many steps after that epoch; without an epoch, after the random start."""
    data: shared.Data = dataclasses.field(default_factory=shared.DataOptions)
    seed: int = 0
    """Decides the untrained network where there is no RUN: the one that train starts from with the same seed."""
    run_dir: shared.OptionalPath = None
    """New folder for the figure (default: runs/<time>-explain)."""


class Explained(NamedTuple):
    """The network to explain."""

    params: Params  # its weights and biases
    config: Config  # its recipe
    splits: Splits  # the data of its run
    moment: str  # of its training; empty for the last


def run(options: Options) -> int:
    """Explain the example, print the report, and write the figure."""
    shared.check_seed(options.seed)
    run_folder.refuse_used(options.run_dir)
    import_meanwhile()
    device, index = shared.select_device(options.data), options.index
    with jax.default_device(device):
        network = _network if options.epoch is None and options.step is None else _network_of_the_past
        params, config, splits, moment = network(options, device)
        images, labels = map(np.asarray, splits.test)
        if not 0 <= index < len(labels):
            examples = f"the test set of {splits.name} has {len(labels):,} examples"
            raise ValueError(f"index={index}: expected 0 to {len(labels) - 1}, as {examples}; for example index=0")
        result = explanation.run(params, config, images[index], int(labels[index]))

    def title(run: str | None) -> str:
        if moment:
            network = f"{f'network {run}' if run else f'network of seed {options.seed}'} {moment}"
        else:
            network = f"trained network {run}" if run else f"before training (seed {options.seed}): a mess"
        recipe = f"{'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}"
        return f"{splits.name}, test example {index} of {len(labels):,}: a {labels[index]}; {recipe}\n{network}"

    print(f"{title(options.run and printable(options.run))}\n\n{explanation.report(result)}\n", flush=True)
    with run_folder.created(options.run_dir, "explain") as folder:
        write_figures(folder, figures, result, title(options.run and shared.run_name(options.run)))
        if drawn := run_folder.listed(folder):
            say(f"in {folder}: {drawn}")
    return 0


def _network(options: Options, device: jax.Device) -> Explained:
    """The network as its run left it, or an untrained one."""
    if options.run is not None:
        params, config, about = load_network(options.run)
        return Explained(params, config, shared.load_data(shared.data_of_run(options.data, about)), "")
    makers = partial(shared.load_data, options.data), partial(shared.untrained, options.seed, Config(), device)
    splits, params = devices.at_once(lambda make: make(), makers)
    return Explained(params, Config(), splits, "")


def _network_of_the_past(options: Options, device: jax.Device) -> Explained:
    """The network at an earlier moment of its run, which is made again up to there."""
    epoch, step, path = options.epoch or 0, options.step or 0, Path(options.run or "")
    is_recorded = options.run is not None and (path / "config.json").is_file()
    if is_recorded:
        config, about, splits = recorded.run_to_repeat(path, options.data)
    elif options.run is not None:
        _, config, about = load_network(options.run)
        records.check_record(path, about, {"seed": records.CONFIG["seed"]})
    else:
        config, about = Config(), {"seed": options.seed}
    if not is_recorded:
        splits = shared.load_data(shared.data_of_run(options.data, about))
    config = config.resolved(len(splits.train.labels))
    replay.check_moment(config, len(splits.train.labels), epoch, step)
    with progress(epoch, "epochs") as advance:
        state = replay.after_epochs(jax.random.key(about["seed"]), splits.train, config, epoch, lambda: advance(1))
    if is_recorded:
        _compare(path, epoch, float(evaluate(state.params, splits.test, config.activation, config.cost).cost))
    state = replay.after_steps(state, splits.train, config, step)
    moment = f"after epoch {epoch}" + (f" and {step:,} steps" if step else "")
    return Explained(state.params, config, splits, moment)


def _compare(path: Path, epoch: int, cost: float) -> None:
    """Say whether the run had this test cost after this epoch, if that is known."""
    known = results.read_metrics(path / "metrics.csv", "test_cost", epoch)
    if known is not None and known != f"{cost:.7g}":
        say(
            f"note: after epoch {epoch} the test cost is {cost:.7g} here, and was {known} in the run; that is to be "
            f"expected only if it was made on another machine, by another version, on several devices, or longer later",
            on_stderr=True,
        )
