"""The report of an evaluation: numbers in, text of at most 100 columns out."""

import numpy as np

from jaxmnist.studies.characters import bar
from jaxmnist.studies.evaluation import SURE_FROM, Evaluation

REPORTED = 6
"""Most mistakes in the report."""


def report(evaluation: Evaluation) -> str:
    """Describe an evaluation in words and tables."""
    sections = (_accuracy, _precision_and_recall, _mistakes, _calibration, _behaviour_on_noise)
    return "\n\n".join("\n".join(section(evaluation)) for section in sections)


def _accuracy(evaluation: Evaluation) -> list[str]:
    low, high = map(_percent, evaluation.accuracy_interval_95)
    return [
        f"accuracy {_percent(evaluation.accuracy)} ({evaluation.right:,} right), with 95 % confidence between {low} "
        f"and {high}; mean cost {evaluation.mean_cost:.4f}"
    ]


def _precision_and_recall(evaluation: Evaluation) -> list[str]:
    rows = []
    for digit, (examples, precision, recall, _) in enumerate(zip(*evaluation.digits, strict=True)):
        times = np.where(np.arange(10) == digit, 0, evaluation.confusion[digit])
        most = [f"{other} ({times[other]})" for other in np.argsort(-times, kind="stable")[:3] if times[other]]
        shares = f"{_percent(precision):>12}{_percent(recall):>11}   {', '.join(most)}".rstrip()
        rows.append(f"{digit:>5}{examples:>11,}{shares}")
    return ["digit   examples   precision     recall   most often read instead (times)", *rows]


def _mistakes(evaluation: Evaluation) -> list[str]:
    rows = [
        f"  image {index:>5}: a {label} read as {other} with {outputs[other]:.3f}, and {outputs[label]:.3f} for {label}"
        for index, label, other, outputs in list(zip(*evaluation.mistakes, strict=True))[:REPORTED]
    ]
    number = f"{evaluation.examples - evaluation.right:,} mistakes"
    return [f"The most confident of {number}, by how far the wrong output lies above the right one", *rows]


def _calibration(evaluation: Evaluation) -> list[str]:
    calibration = evaluation.calibration
    edges = np.linspace(0, 1, len(calibration.examples) + 1)
    rows = [
        f"  {low:.1f} to {high:.1f}{examples:>9,}{confidence:>13.3f}{right:>9.3f}  {bar(right, 20):<20}  "
        f"±{np.ptp(interval) / 2:.3f}"
        for low, high, examples, confidence, right, interval in zip(edges, edges[1:], *calibration[:4], strict=False)
        if examples
    ]
    low, median, high = calibration.outputs_sum
    sums = "which add up to 1, as a softmax's always do."
    if not np.allclose(calibration.outputs_sum, 1, atol=1e-4):
        spread = f"{low:.2f} to {high:.2f} for 9 images in 10"
        sums = f"which here add up to {median:.2f} ({spread}); a softmax's always add up to 1."
    return [
        "Does it know what it knows? Its confidence is the largest of the ten outputs,",
        sums,
        "  confidence   images   mean of it    right",
        *rows,
        f"  expected calibration error {calibration.expected_error:.4f}, the mean distance of right from confidence",
    ]


def _behaviour_on_noise(evaluation: Evaluation) -> list[str]:
    rows = []
    for kind, (images, sure, confidence, read_as, *_) in evaluation.noise.items():
        rows += [
            f"  {kind}: {_percent(sure / images)} are read with a confidence of at least {SURE_FROM},",
            f"    half of all with {min(confidence, 0.999):.3f} or more, most often as {read_as.argmax()} "
            f"({read_as.max():,} of {images:,})",
        ]
    return [
        "A limitation: it must call everything a digit. So it does with noise, where nothing is one:",
        *rows,
        "  A high confidence tells digits from each other, not a digit from what is none.",
    ]


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.2f} %"
