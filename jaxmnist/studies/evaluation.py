"""Evaluate a network: its accuracy, each digit, its worst mistakes, its calibration, and how sure it is of noise."""

from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import ArrayLike, Float, Int, UInt8

from jaxmnist import metrics
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.network import Params
from jaxmnist.studies.characters import bar

Images: TypeAlias = UInt8[np.ndarray, "_ 784"]
SURE_FROM = 0.9
"""Confidence from which a prediction counts as sure."""
MISTAKES, NOISES, REPORTED = 18, 12, 6
"""Most mistakes and images of noise that an evaluation names, and most mistakes that its report names."""


class Digits(NamedTuple):
    """How well each digit is read; entry d is digit d. Shares are NaN if there are no such images."""

    examples: Int[np.ndarray, "10"]  # images of the digit
    precision: Float[np.ndarray, "10"]  # of the images read as the digit, the share that are right
    recall: Float[np.ndarray, "10"]  # of the images of the digit, the share read right
    recall_interval_95: Float[np.ndarray, "10 2"]  # its 95 % confidence interval


class Mistakes(NamedTuple):
    """The mistakes of which the network was surest, the surest first."""

    indices: Int[np.ndarray, "mistakes"]  # in the test set
    label: UInt8[np.ndarray, "mistakes"]  # the right digit
    read: Int[np.ndarray, "mistakes"]  # the digit that the network read instead
    outputs: Float[np.ndarray, "mistakes 10"]


class Calibration(NamedTuple):
    """How often a network is right at which confidence, its largest output, in bins of equal width from 0 to 1."""

    examples: Int[np.ndarray, "bins"]  # images in each bin
    confidence: Float[np.ndarray, "bins"]  # their mean confidence; NaN in an empty bin
    right: Float[np.ndarray, "bins"]  # share of them that is read right; NaN in an empty bin
    right_interval_95: Float[np.ndarray, "bins 2"]  # 95 % confidence interval of this share
    expected_error: float  # mean of |right − confidence| over all images
    outputs_sum: Float[np.ndarray, "3"]  # 5 %, 50 % and 95 % quantile of the sum of an image's outputs


class Noise(NamedTuple):
    """What a network makes of images that are no digits."""

    images: int  # their number
    sure: int  # how many of them have a confidence of at least `SURE_FROM`
    median_confidence: float  # half of them have at least this confidence
    read_as: Int[np.ndarray, "10"]  # how many of them are read as each digit
    surest: Int[np.ndarray, "surest"]  # indices of those with the highest confidence, the highest first
    surest_outputs: Float[np.ndarray, "surest 10"]  # the outputs on these


class Evaluation(NamedTuple):
    """How good a network is on a test set, and what it makes of each kind of noise."""

    examples: int  # images in the test set
    right: int  # how many of them are read right
    accuracy: float  # right / examples
    accuracy_interval_95: Float[np.ndarray, "2"]  # 95 % confidence interval of the accuracy
    mean_cost: float  # mean cost per example
    digits: Digits
    confusion: Int[np.ndarray, "10 10"]  # number of images of each digit (row) that are read as each digit (column)
    mistakes: Mistakes
    calibration: Calibration
    noise: dict[str, Noise]  # by kind


def run(params: Params, config: Config, test_set: Dataset, noise: dict[str, Images]) -> Evaluation:
    """Evaluate a network on a test set, which has at least one image, and on each kind of noise."""
    outputs_on = partial(metrics.outputs, params, activation=config.activation, cost=config.cost)
    labels, outputs = np.asarray(test_set.labels), np.asarray(outputs_on(test_set.images))
    confusion = confusion_matrix(labels, outputs.argmax(axis=1))
    right, examples = int(np.trace(confusion)), len(labels)
    worst = worst_mistakes(outputs, labels, MISTAKES)
    return Evaluation(
        examples=examples,
        right=right,
        accuracy=right / examples,
        accuracy_interval_95=wilson_interval(right, examples),
        mean_cost=float(metrics.evaluate(params, test_set, config.activation, config.cost).cost),
        digits=measure_digits(confusion),
        confusion=confusion,
        mistakes=Mistakes(worst, labels[worst], outputs[worst].argmax(axis=1), outputs[worst]),
        calibration=calibrate(outputs, labels),
        noise={kind: measure_noise(np.asarray(outputs_on(images))) for kind, images in noise.items()},
    )


def make_noise(images: Images, seed: int = 0) -> dict[str, Images]:
    """Make as many images of each kind of noise as there are images of digits; the seed decides them."""
    random = np.random.default_rng(seed)
    return {
        "random pixels": random.integers(0, 256, images.shape).astype(np.uint8),
        "digits with their pixels shuffled": random.permuted(images, axis=1),
    }


def confusion_matrix(labels: UInt8[np.ndarray, "n"], predictions: Int[np.ndarray, "n"]) -> Int[np.ndarray, "10 10"]:
    """Count the examples of each digit (row) that are read as each digit (column)."""
    return np.bincount(10 * labels + predictions, minlength=100).reshape(10, 10)


def worst_mistakes(
    outputs: Float[np.ndarray, "n 10"], labels: UInt8[np.ndarray, "n"], most: int
) -> Int[np.ndarray, "mistakes"]:
    """Find the mistakes whose largest output is farthest above the right digit's: their indices, at most so many."""
    margin = outputs.max(axis=1) - outputs[np.arange(len(labels)), labels]
    surest_first = np.argsort(-margin, kind="stable")[:most]
    return np.asarray(surest_first[outputs[surest_first].argmax(axis=1) != labels[surest_first]])


def measure_digits(confusion: Int[np.ndarray, "10 10"]) -> Digits:
    """Compute precision and recall of each digit from a confusion matrix."""
    right, examples, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return Digits(examples, right / _or_nan(predicted), right / _or_nan(examples), wilson_interval(right, examples))


def wilson_interval(right: Int[ArrayLike, "*n"], examples: Int[ArrayLike, "*n"]) -> Float[np.ndarray, "*n 2"]:
    """Compute the 95 % confidence interval of a share of right examples, drawn independently; NaN if there are none.

    Source:
        Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations
    n = _or_nan(examples)
    share, shrink = right / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / shrink
    reach = z / shrink * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.asarray(np.clip(np.stack([middle - reach, middle + reach], axis=-1), 0, 1))


def calibrate(outputs: Float[np.ndarray, "n 10"], labels: UInt8[np.ndarray, "n"], bins: int = 10) -> Calibration:
    """Measure whether a network is right as often as its confidence says.

    Ten sigmoids don't add up to 1, so their largest isn't a probability by construction. But the output that makes a
    squared error smallest is the probability that its digit is the right one, so it is fair to test it as one.

    Source:
        Guo et al., On calibration of modern neural networks (2017).
    """
    confidence = outputs.max(axis=1).astype(float)
    bin_of = np.minimum((bins * confidence).astype(int), bins - 1)
    examples, stated = np.bincount(bin_of, minlength=bins), np.bincount(bin_of, confidence, bins)
    right = np.bincount(bin_of[outputs.argmax(axis=1) == labels], minlength=bins)
    return Calibration(
        examples=examples,
        confidence=stated / _or_nan(examples),
        right=right / _or_nan(examples),
        right_interval_95=wilson_interval(right, examples),
        expected_error=float(np.abs(right - stated).sum() / len(labels)),
        outputs_sum=np.quantile(outputs.sum(axis=1), (0.05, 0.5, 0.95)),
    )


def measure_noise(outputs: Float[np.ndarray, "n 10"]) -> Noise:
    """Summarize a network's outputs on images that are no digits."""
    confidence = outputs.max(axis=1)
    surest = np.argsort(-confidence, kind="stable")[:NOISES]
    read_as = np.bincount(outputs.argmax(axis=1), minlength=10)
    sure, median = int((confidence >= SURE_FROM).sum()), float(np.median(confidence))
    return Noise(len(outputs), sure, median, read_as, surest, outputs[surest])


def report(result: Evaluation) -> str:
    """Describe an evaluation in words and tables of at most 100 columns."""
    low, high = map(_percent, result.accuracy_interval_95)
    right = f"{_percent(result.accuracy)} ({result.right:,} right), with 95 % confidence between {low} and {high}"
    mistakes = f"{result.examples - result.right:,} mistakes"
    rows = [
        f"  image {index:>5}: a {label} read as {read} with {outputs[read]:.3f}, and {outputs[label]:.3f} for {label}"
        for index, label, read, outputs in list(zip(*result.mistakes, strict=True))[:REPORTED]
    ]
    sections = (
        [f"accuracy {right}; mean cost {result.mean_cost:.4f}"],
        _precision_and_recall(result),
        [f"The most confident of {mistakes}, by how far the wrong output lies above the right one", *rows],
        _knowledge(result.calibration),
        _limitation(result.noise),
    )
    return "\n\n".join("\n".join(lines) for lines in sections)


def _precision_and_recall(result: Evaluation) -> list[str]:
    lines = ["digit   examples   precision     recall   most often read instead (times)"]
    for digit, (examples, precision, recall, _) in enumerate(zip(*result.digits, strict=True)):
        times = np.where(np.arange(10) == digit, 0, result.confusion[digit])
        most = ", ".join(f"{read} ({times[read]})" for read in np.argsort(-times, kind="stable")[:3] if times[read])
        lines.append(f"{digit:>5}{examples:>11,}{_percent(precision):>12}{_percent(recall):>11}   {most}".rstrip())
    return lines


def _knowledge(calibration: Calibration) -> list[str]:
    low, median, high = calibration.outputs_sum
    sums = "which add up to 1, as a softmax's always do."
    if not np.allclose(calibration.outputs_sum, 1, atol=1e-4):
        spread = f"{low:.2f} to {high:.2f} for 9 images in 10"
        sums = f"which here add up to {median:.2f} ({spread}); a softmax's always add up to 1."
    lines = ["Does it know what it knows? Its confidence is the largest of the ten outputs,", sums]
    lines.append("  confidence   images   mean of it    right")
    edges = np.linspace(0, 1, len(calibration.examples) + 1)
    for low, high, examples, stated, right, ends in zip(edges, edges[1:], *calibration[:4], strict=False):
        if examples:
            row = f"  {low:.1f} to {high:.1f}{examples:>9,}{stated:>13.3f}{right:>9.3f}  {bar(right, 20):<20}"
            lines.append(f"{row}  ±{np.ptp(ends) / 2:.3f}")
    error = f"  expected calibration error {calibration.expected_error:.4f}"
    return [*lines, f"{error}, the mean distance of right from confidence"]


def _limitation(noise: dict[str, Noise]) -> list[str]:
    lines = ["A limitation: it must call everything a digit. So it does with noise, where nothing is one:"]
    for kind, (images, sure, confidence, read_as, *_) in noise.items():
        most = f"most often as {read_as.argmax()} ({read_as.max():,} of {images:,})"
        lines.append(f"  {kind}: {_percent(sure / images)} are read with a confidence of at least {SURE_FROM},")
        lines.append(f"    half of all with {min(confidence, 0.999):.3f} or more, {most}")
    return [*lines, "  A high confidence tells digits from each other, not a digit from what is none."]


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.2f} %"


def _or_nan(count: Int[ArrayLike, "*n"]) -> Float[np.ndarray, "*n"]:
    """The counts, NaN instead of 0, so that a share of nothing is NaN."""
    return np.where(np.asarray(count) > 0, count, np.nan)
