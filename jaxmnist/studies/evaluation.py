"""What a network confuses, where it errs, and whether it knows what it knows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8


class Calibration(NamedTuple):
    """How often a network is right at which confidence, in bins of equal width from 0 to 1.

    Attributes:
        examples: how many fell into each bin.
        confidence: their mean confidence; NaN in an empty bin.
        right: the share of them that was read right; NaN in an empty bin.
        error: the expected calibration error, the mean of |right − confidence| over all examples by their bins, 0 to 1.
    """

    examples: Int[np.ndarray, "bins"]
    confidence: Float[np.ndarray, "bins"]
    right: Float[np.ndarray, "bins"]
    error: float


def confusion_matrix(labels: UInt8[np.ndarray, "n"], predictions: Int[np.ndarray, "n"]) -> Int[np.ndarray, "10 10"]:
    """How many examples of each digit (row) were read as each digit (column). On the host: one look, no compiling."""
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def worst_mistakes(
    outputs: Float[np.ndarray, "n 10"], labels: UInt8[np.ndarray, "n"], most: int
) -> Int[np.ndarray, "mistakes"]:
    """Indices of the mistakes that the network was surest of, the surest first.

    Sureness is how far the wrong digit's output lies above the right one's.

    Args:
        outputs: the ten outputs for every example.
        labels: the right digits.
        most: how many to return at the most.
    """
    margin = outputs.max(axis=1) - outputs[np.arange(len(labels)), labels]
    surest_first = np.argsort(-margin, kind="stable")[:most]
    wrong = outputs[surest_first].argmax(axis=1) != labels[surest_first]
    return np.asarray(surest_first[wrong])


def precision_and_recall(
    matrix: Int[np.ndarray, "10 10"],
) -> tuple[Float[np.ndarray, "10"], Float[np.ndarray, "10"]]:
    """For each digit, the share right of all that was read as it, and the share right of all that is it.

    Args:
        matrix: a confusion matrix.

    Returns:
        Precision and recall, 0 to 1; NaN for a digit that nothing was read as, or that there is none of.
    """
    right = np.diagonal(matrix)
    return _shares(right, matrix.sum(axis=0)), _shares(right, matrix.sum(axis=1))


def wilson_interval(right: int, examples: int) -> tuple[float, float]:
    """Where the true share lies, with a confidence of 95 %, when so many of the examples were right.

    Args:
        right: 0 to `examples`.
        examples: at least 1, drawn independently.

    Source:
        Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    z = 1.959964  # of a normal distribution 95 % lie within so many deviations
    share, shrink = right / examples, 1 + z**2 / examples
    middle = (share + z**2 / (2 * examples)) / shrink
    reach = z / shrink * np.sqrt(share * (1 - share) / examples + z**2 / (4 * examples**2))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def calibration(outputs: Float[np.ndarray, "n 10"], labels: UInt8[np.ndarray, "n"], bins: int = 10) -> Calibration:
    """Whether a network is right as often as it says; its confidence is the largest of the ten outputs.

    Ten sigmoids don't add up to 1, so that is no probability by construction. But the output that makes a squared
    error smallest is the probability that its digit is the right one, so it is fair to hold it to that.

    Args:
        outputs: the ten outputs for every example.
        labels: the right digits.
        bins: of equal width, from 0 to 1.

    Source:
        Guo et al., On calibration of modern neural networks (2017), §2.
    """
    confidence = outputs.max(axis=1).astype(float)
    places = np.minimum((bins * confidence).astype(int), bins - 1)
    examples = np.bincount(places, minlength=bins)
    stated = np.bincount(places, confidence, bins)
    right = np.bincount(places, outputs.argmax(axis=1) == labels, bins)
    error = float(np.abs(right - stated).sum() / len(labels))
    return Calibration(examples, _shares(stated, examples), _shares(right, examples), error)


def _shares(part: Float[np.ndarray, "n"], whole: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Part / whole, NaN where there is no whole."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
