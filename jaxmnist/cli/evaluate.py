"""The evaluate command: measure a trained network on images that it wasn't trained on."""

import dataclasses
import json
from typing import Annotated

import jax
import numpy as np
import tyro

from jaxmnist.cli import options as shared
from jaxmnist.cli.console import printable, say
from jaxmnist.cli.drawing import figures_of, import_meanwhile, write_figures
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs import results
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.studies import evaluation

figures = figures_of("evaluation")


@dataclasses.dataclass(frozen=True)
class Options:
    """Evaluate a trained network on a test set, which it wasn't trained on.

    Prints the accuracy with its 95 % confidence interval (Wilson's), the mean cost, each digit's precision (of the
    images read as the digit, the share that are right) and recall (of the digit's images, the share read right), and
    the most confident mistakes. Then whether the network knows what it knows: its confidence is the largest of the ten
    outputs, and of all images with a confidence of 0.8, 80 % should be read right. Last, what it makes of noise: it
    can't answer that an image is no digit, so the numbers show how often it is sure of one.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = "best"
    """Folder of a training run, its weights file, or best or source, the networks that come with jaxmnist."""
    data: shared.Data = dataclasses.field(default_factory=shared.DataOptions)
    run_dir: shared.OptionalPath = None
    """New folder for the results (default: runs/<time>-evaluate)."""
    json: bool = False
    """Print the results as one JSON object instead of text; the folder's name goes to standard error."""


def run(options: Options) -> int:
    """Evaluate the network, print the report, and write numbers and figures."""
    run_folder.refuse_used(options.run_dir)
    import_meanwhile()
    with jax.default_device(shared.select_device(options.data)):
        params, config, about = load_network(options.run)
        splits = shared.load_data(shared.data_of_run(options.data, about))
        images = np.asarray(splits.test.images)
        noise = evaluation.make_noise(images)
        result = evaluation.run(params, config, splits.test, noise)
    origin = {"run": options.run, "sizes": config.sizes, "activation": config.activation, "cost_function": config.cost}
    data = {"trained_on": about.get("dataset"), "dataset": splits.name, "origin": splits.origin}
    content = results.to_json({**origin, **data, **result._asdict()})
    trained = f", trained on {printable(str(about['dataset']))}" if about.get("dataset") else ""
    text = (
        f"{printable(options.run)}: {'-'.join(map(str, config.sizes))}, {config.activation}, {config.cost}{trained}\n"
        f"on the {result.examples:,} test images of {splits.name} from {printable(splits.origin)}\n"
        f"{evaluation.report(result)}\n"
    )
    with run_folder.created(options.run_dir, "evaluate") as folder:
        results.write_json(folder / "evaluation.json", content)
        print(json.dumps(content) if options.json else text, flush=True)
        write_figures(folder, figures, result, images, noise, shared.run_name(options.run), splits.name)
        say(f"in {folder}: {run_folder.listed(folder)}", on_stderr=options.json)
    return 0
