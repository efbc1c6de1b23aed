"""The page command: networks as a web page to draw on, to train, to step through and to race."""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import tyro

from jaxmnist.cli import recorded
from jaxmnist.cli.console import progress, say
from jaxmnist.cli.options import Data, DataOptions, check_seed, run_name, select_device
from jaxmnist.page import PageNetwork, pack_digits, page
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.runs.folder import parents_made
from jaxmnist.studies import replay

LARGE_PAGE = 2_000_000  # bytes
MOST_EPOCHS = 8


@dataclasses.dataclass(frozen=True)
class Options:
    """Make a web page on which a network reads what you draw, and learns while you watch.

    The page is one file that needs no server and no internet: open it, send it, keep it. It has four views, in English
    and Korean. Draw: your digit becomes 28×28 pixels as jaxmnist predict makes them, and every neuron and connection
    shows what it does. Train: a network learns in the page, from scikit-learn's digits or your own MNIST files. Step:
    one back-propagation, stage by stage. Race: gradient descent, SGD, momentum and Nesterov's method.
    """

    run: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")] = None
    """Folder of a training run, its weights file, or source or best (default: both of these)."""
    output: Path = Path("page.html")
    """New file for the page."""
    epochs: int = MOST_EPOCHS
    """Moments of the training to carry besides its start and end, at most 8, if RUN is the folder of a training run:
    the page then shows how your drawing is read as the network learns. The run is trained again for them."""
    data: Data = dataclasses.field(default_factory=DataOptions)


def run(options: Options) -> int:
    """Write the page; return 0."""
    output = options.output
    if output.exists() or output.is_symlink():
        problem = "is a folder" if output.is_dir() else "exists already"
        raise ValueError(f"output={output}: {problem}, expected a new file; choose another, or move it away")
    if not 0 <= options.epochs <= MOST_EPOCHS:
        raise ValueError(f"epochs={options.epochs}: expected 0 to {MOST_EPOCHS}; for example epochs=0 for none")
    device = select_device(options.data if _is_repeated(options) else DataOptions(platform="cpu"))
    with jax.default_device(device):
        names = ("best", "source") if options.run is None else (options.run,)
        content = page([_network(name, options) for name in names], pack_digits()).encode()
    with parents_made(output):
        write_atomically(output, content)
    if len(content) > LARGE_PAGE:
        say(f"warning: {output} is large, as the network is; a browser may be slow with it", on_stderr=True)
    say(f"{output}: {len(content) / 1000:,.0f} KB, open it in a browser")
    return 0


def _is_repeated(options: Options) -> bool:
    """Whether the page has moments of a run's training, for which the run is made once more."""
    return bool(options.epochs) and options.run is not None and (Path(options.run) / "config.json").is_file()


def _network(name: str, options: Options) -> PageNetwork:
    """A network for the page; of a run with the moments of its training."""
    saved, path = load_network(name), Path(name)
    seed = saved.about.get("seed")
    if not isinstance(seed, int):
        raise ValueError(f"seed {seed!r} in the run's weights file: expected a whole number; train it again")
    check_seed(seed)
    shown = PageNetwork(run_name(name), saved, seed)
    if not _is_repeated(options):
        return shown
    config, about, splits = recorded.run_to_repeat(path, options.data)
    config = config.resolved(len(splits.train.labels))
    moments = replay.spread_moments(int(config.epochs), options.epochs)
    with progress(max(moments, default=0), "epochs") as advance:
        key = jax.random.key(about["seed"])
        return shown._replace(epochs=replay.params_after(key, splits.train, config, moments, lambda: advance(1)))
