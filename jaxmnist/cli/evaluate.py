"""The evaluate command: an honest look at a trained network."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from jaxmnist.cli.options import Data, DataOptions, OptionalPath, data_of_run, load_data, select_device
from jaxmnist.runs import folder as run_folder

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from jaxmnist.dataset import Dataset
    from jaxmnist.runs.checkpoint import SavedNetwork
    from jaxmnist.sources import Splits

NOISE_SEED = 0
SURE = 0.9
"""The confidence from which on a reading of noise is counted."""
MISTAKES, NOISES = 18, 12
"""How many are drawn, at the most."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Evaluate a trained network on a test set, which it never learned from.

    Tells the accuracy with a 95 % confidence interval (Wilson's: where it would lie with ever more test images), the
    mean cost, precision (how much of what is read as a digit is that digit) and recall (how much of a digit is read as
    it), and the most confident mistakes. Then whether the network knows what it knows: its confidence is the largest
    of the ten outputs, and of all images with a confidence of 0.8, 80 % should be read right. Last, what it makes
    of noise: it can't say that an image is no digit, and so the figures show how often it is sure of one.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = "best"
    """Folder of a training run, its weights file, or best or source, the networks that come with jaxmnist."""
    data: Data = dataclasses.field(default_factory=DataOptions)
    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-evaluate)."""
    json: bool = False
    """Print the results as one JSON object, for a program, instead of text; where the folder is goes to stderr."""


class Measured(NamedTuple):
    """What the network made of the images, on the host.

    Attributes:
        cost: mean cost per example of the test set.
        outputs: its outputs on the test set.
        noise: images that are no digits, by what they are.
        noise_outputs: its outputs on them, by what they are.
    """

    cost: float
    outputs: "np.ndarray"
    noise: Mapping[str, "np.ndarray"]
    noise_outputs: Mapping[str, "np.ndarray"]


def run(options: Options) -> int:
    """Evaluate, and write the run folder.

    Returns:
        The exit code: 0.

    Raises:
        ValueError: for a run that is none, and data that can't be used.
        OSError: for files that can't be read or written.
    """
    run_folder.refuse_used(options.run_dir)
    device = select_device(options.data)

    import jax

    from jaxmnist.runs.checkpoint import load_network

    with jax.default_device(device):
        network = load_network(options.run)
        splits = load_data(data_of_run(options.data, network.about))
        measured = _measure(network, splits.test)

    from jaxmnist.cli import evaluate_text
    from jaxmnist.plots.style import png
    from jaxmnist.runs.files import write_atomically

    results = _results(options.run, network, splits, measured)
    pictures = {name: png(figure) for name, figure in _figures(results, splits.test, measured).items()}
    with run_folder.created(options.run_dir, "evaluate") as folder:
        for name, content in pictures.items():
            write_atomically(folder / name, content)
        run_folder.write_json(folder / "evaluation.json", results)
        print(json.dumps(results) if options.json else "\n".join([*evaluate_text.lines(results), ""]))
        print(f"in {folder}: {run_folder.listed(folder)}", file=sys.stderr if options.json else sys.stdout)
    return 0


def _measure(network: "SavedNetwork", test_set: "Dataset") -> Measured:
    import jax.numpy as jnp
    import numpy as np

    from jaxmnist.metrics import evaluate, outputs

    params, config = network.params, network.config

    def read(images: Any) -> "np.ndarray":
        return np.asarray(outputs(params, jnp.asarray(images), config.activation, config.cost))

    random = np.random.default_rng(NOISE_SEED)
    images = np.asarray(test_set.images)
    noise = {
        "random pixels": random.integers(0, 256, images.shape).astype(np.uint8),
        "digits with their pixels shuffled": random.permuted(images, axis=1),
    }
    cost = float(evaluate(params, test_set, config.activation, config.cost).cost)
    return Measured(cost, read(images), noise, {kind: read(shown) for kind, shown in noise.items()})


def _results(run: str, network: "SavedNetwork", splits: "Splits", measured: Measured) -> dict[str, Any]:
    """Everything that is told, as values that JSON can hold."""
    import numpy as np

    from jaxmnist import metrics

    labels, outputs = np.asarray(splits.test.labels), measured.outputs
    read = outputs.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, read)
    precision, recall = metrics.precision_and_recall(matrix)
    right, examples = int(np.trace(matrix)), len(labels)
    instead = (matrix - np.diag(np.diagonal(matrix))).tolist()
    calibration = metrics.calibration(outputs, labels)
    worst = metrics.worst_mistakes(outputs, labels, MISTAKES).tolist()
    about, config, sums = network.about, network.config, outputs.sum(axis=1)
    return {
        "run": run,
        "sizes": list(config.sizes),
        "activation": config.activation,
        "cost_function": config.cost,
        "trained_on": about.get("dataset"),
        "dataset": splits.name,
        "origin": splits.origin,
        "examples": examples,
        "right": right,
        "accuracy": right / examples,
        "accuracy_interval_95": metrics.wilson_interval(right, examples),
        "mean_cost": measured.cost,
        "digits": [
            {
                "digit": digit,
                "examples": int(matrix[digit].sum()),
                "precision": _number(precision[digit]),
                "recall": _number(recall[digit]),
                "recall_interval_95": _interval(matrix[digit, digit], matrix[digit].sum()),
                "read_instead": dict(_most(instead[digit])),
            }
            for digit in range(10)
        ],
        "confusion": matrix.tolist(),
        "mistakes": [
            {
                "index": index,
                "label": int(labels[index]),
                "read": int(read[index]),
                "confidence": _number(outputs[index].max()),
                "output_of_label": _number(outputs[index, labels[index]]),
            }
            for index in worst
        ],
        "calibration": {
            "confidence": "the largest of the ten outputs",
            "expected_error": calibration.error,
            "bins": [
                {
                    "from": place / len(calibration.examples),
                    "to": (place + 1) / len(calibration.examples),
                    "examples": int(count),
                    "confidence": _number(confidence),
                    "right": _number(share),
                    "right_interval_95": _interval(round(float(np.nan_to_num(share)) * count), count),
                }
                for place, (count, confidence, share) in enumerate(zip(*calibration[:3], strict=True))
            ],
            "outputs_sum": dict(
                zip(("5 %", "median", "95 %"), map(_number, np.quantile(sums, (0.05, 0.5, 0.95))), strict=True)
            ),
        },
        "noise": [
            {
                "kind": kind,
                "images": len(found),
                "sure_from": SURE,
                "sure": int((found.max(axis=1) >= SURE).sum()),
                "median_confidence": _number(np.median(found.max(axis=1))),
                "read_as": dict(_most(np.bincount(found.argmax(axis=1), minlength=10).tolist())),
            }
            for kind, found in measured.noise_outputs.items()
        ],
    }


def _figures(results: Mapping[str, Any], test_set: "Dataset", measured: Measured) -> "dict[str, Figure]":
    import numpy as np

    from jaxmnist.plots import evaluate as plots
    from jaxmnist.plots.training import confusion, mistakes

    images, labels = np.asarray(test_set.images), np.asarray(test_set.labels)
    worst = [mistake["index"] for mistake in results["mistakes"]]
    wrong = results["examples"] - results["right"]
    run = Path(results["run"]).name or results["run"]
    what = f"{run} on the test images of {results['dataset']}"
    confident = {
        kind: np.argsort(-outputs.max(axis=1), kind="stable")[:NOISES]
        for kind, outputs in measured.noise_outputs.items()
    }
    return {
        "confusion.png": confusion(
            np.asarray(results["confusion"]), f"{what}: {results['right']:,} of {results['examples']:,} read right"
        ),
        "mistakes.png": mistakes(
            images[worst], labels[worst], measured.outputs[worst], f"{what}: the most confident of {wrong:,} mistakes"
        ),
        "calibration.png": plots.calibration(results["calibration"], what),
        "digits.png": plots.digits(results["digits"], what),
        "noise.png": plots.noise(
            {kind: measured.noise[kind][places] for kind, places in confident.items()},
            {kind: measured.noise_outputs[kind][places] for kind, places in confident.items()},
            results["noise"],
            run,
        ),
    }


def _most(counts: Sequence[int]) -> list[tuple[str, int]]:
    """Digits with how often they came, the most frequent first; those that never came are left out."""
    return sorted(((str(digit), count) for digit, count in enumerate(counts) if count), key=lambda pair: -pair[1])


def _interval(right: int, examples: int) -> tuple[float, float] | None:
    from jaxmnist.metrics import wilson_interval

    return wilson_interval(int(right), int(examples)) if examples else None


def _number(value: Any) -> float | None:
    """A float with the digits that it knows, as JSON can hold it: None for NaN."""
    return None if value != value else float(f"{value:.6g}")
