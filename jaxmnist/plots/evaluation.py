"""The figures of an evaluation: confusion, mistakes, calibration, each digit, and noise."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxmnist.plots.style import BLUE, ORANGE, draw_images
from jaxmnist.plots.training import confusion, mistakes
from jaxmnist.studies.evaluation import SURE_FROM, Calibration, Digits, Evaluation, Images, Noise


def figures(result: Evaluation, images: Images, noise: dict[str, Images], network: str, data: str) -> dict[str, Figure]:
    """Draw an evaluation of the named network on the images of a data set's test set, and on each kind of noise."""
    worst, tested = result.mistakes, f'The network "{network}" on the test images of {data}'
    share = f"{tested}\n{result.right:,} of {result.examples:,} images read right"
    most = f"{tested}\nthe most confident of {result.examples - result.right:,} mistakes"
    return {
        "confusion.png": confusion(result.confusion, share),
        "mistakes.png": mistakes(images[worst.indices], worst.label, worst.outputs, most),
        "calibration.png": draw_calibration(result.calibration, f"{tested}\nis it right as often as it says?"),
        "digits.png": draw_digits(result.digits, f"{tested}\nprecision and recall of each digit"),
        "noise.png": draw_noise(result.noise, noise, network),
    }


def draw_calibration(calibration: Calibration, title: str) -> Figure:
    """Draw how often the network is right at which confidence, and how many images have that confidence."""
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    figure.suptitle(title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.5", linestyle="--", label="as often as it says")
    reach = _reach(calibration.right, calibration.right_interval_95)
    style = {"fmt": "o", "color": BLUE, "capsize": 3, "label": "measured, with 95 % intervals"}
    upper.errorbar(calibration.confidence, calibration.right, reach, **style)
    upper.set(ylabel="share read right", ylim=(-0.02, 1.02), xlim=(0, 1))
    upper.set_title(f"expected calibration error {calibration.expected_error:.4f}", fontsize="medium", color="0.35")
    upper.legend(frameon=False)
    upper.grid(alpha=0.3)
    counts, left = calibration.examples, np.linspace(0, 1, len(calibration.examples), endpoint=False)
    bars = lower.bar(left, counts, 1 / len(counts), align="edge", color=BLUE, edgecolor="white")
    lower.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=9)
    lower.set_yscale("symlog", linthresh=10)
    lower.margins(y=0.25)
    lower.set(xlabel="confidence: the largest output", ylabel="images")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_digits(digits: Digits, title: str) -> Figure:
    """Draw precision and recall of each digit, recall with its interval."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes, number = figure.subplots(), np.arange(10)
    reach = 100 * _reach(digits.recall, digits.recall_interval_95)
    label = "recall: of this digit's images, the share read right (95 % intervals)"
    axes.errorbar(number - 0.1, 100 * digits.recall, reach, fmt="o", color=BLUE, capsize=3, label=label)
    label = "precision: of the images read as this digit, the share that are right"
    axes.scatter(number + 0.1, 100 * digits.precision, marker="s", color=ORANGE, zorder=3, label=label)
    axes.set(xticks=number, xlabel="digit", ylabel="share (%)", title=title)
    axes.margins(y=0.25)
    axes.grid(alpha=0.3, axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def draw_noise(noise: dict[str, Noise], images: dict[str, Images], network: str) -> Figure:
    """Draw the noise of which the network is surest, named as noise."""
    figure = Figure(figsize=(9, 0.8 + 3.9 * len(noise)))
    none = f'None of these is a digit, yet the network "{network}" must name one for each:'
    figure.suptitle(f"{none}\nthe noise of which it is surest", y=1 - 0.1 / figure.get_figheight(), va="top")
    heights = (0.8, *[3.9] * len(noise))  # the heading, then the kinds
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[1:, 0]
    for part, (kind, result) in zip(parts, noise.items(), strict=True):
        sure = f"{result.sure:,} of {result.images:,} have a confidence of {SURE_FROM} or more"
        part.suptitle(f"{kind}: {sure}", fontsize="medium")
        texts = [f"noise, read as {row.argmax()}\nconfidence {row.max():.2f}" for row in result.surest_outputs]
        draw_images(part.add_axes((0.01, 0.02, 0.98, 0.86)), images[kind][result.surest], texts, rows=2)
    return figure


def _reach(shares: Float[np.ndarray, "n"], intervals: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 n"]:
    """The distances from shares to their intervals' ends, which rounding could make negative."""
    return np.maximum((shares - intervals[:, 0], intervals[:, 1] - shares), 0)
