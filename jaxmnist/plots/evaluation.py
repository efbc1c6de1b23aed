"""The pictures of an evaluation: what it is sure of, how it does on each digit, and what it makes of noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from jaxmnist.plots.style import BLUE, ORANGE


def calibration(results: Mapping[str, Any], title: str) -> Figure:
    """How often it is right at which confidence, and how many images have that confidence.

    Args:
        results: the calibration of an evaluation: bins with examples, confidence, right and its interval.
        title: which network on which images.
    """
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    figure.suptitle(title)
    reliability, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = [place for place in results["bins"] if place["examples"]]
    stated = np.array([place["confidence"] for place in bins])
    right = np.array([place["right"] for place in bins])
    intervals = np.array([place["right_interval_95"] for place in bins]).T
    reliability.plot([0, 1], [0, 1], color="0.5", linestyle="--", label="as often as it says")
    reliability.errorbar(
        stated,
        right,
        _reach(right, intervals),
        fmt="o",
        color=BLUE,
        capsize=3,
        label="measured, with 95 % intervals",
    )
    reliability.set(ylabel="share read right", ylim=(-0.02, 1.02), xlim=(0, 1))
    reliability.set_title(
        f"expected calibration error {results['expected_error']:.4f}", fontsize="medium", color="0.35"
    )
    reliability.legend(frameon=False)
    reliability.grid(alpha=0.3)
    edges = [place["from"] for place in results["bins"]]
    counts = [place["examples"] for place in results["bins"]]
    histogram.bar(edges, counts, width=1 / len(counts), align="edge", color=BLUE, edgecolor="white")
    for edge, count in zip(edges, counts, strict=True):
        if count:
            histogram.text(edge + 0.5 / len(counts), count, f"{count:,}", ha="center", va="bottom", fontsize=9)
    histogram.set_yscale("symlog", linthresh=10)
    histogram.margins(y=0.25)
    histogram.set(xlabel="confidence: the largest output", ylabel="images")
    for axes in (reliability, histogram):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def digits(results: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Precision and recall of each digit, recall with its interval.

    Args:
        results: the digits of an evaluation.
        title: which network on which images.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(10)
    precision, recall = (
        100 * np.array([np.nan if digit[name] is None else digit[name] for digit in results])
        for name in ("precision", "recall")
    )
    intervals = [digit["recall_interval_95"] or (np.nan, np.nan) for digit in results]
    label = "recall: of all that is this digit, read as it (95 % intervals)"
    reach = _reach(recall, 100 * np.array(intervals).T)
    axes.errorbar(places - 0.1, recall, reach, fmt="o", color=BLUE, capsize=3, label=label)
    axes.scatter(
        places + 0.1, precision, marker="s", color=ORANGE, zorder=3, label="precision: of all read as this digit, is it"
    )
    axes.set(xticks=places, xlabel="digit", ylabel="share (%)", title=title)
    axes.margins(y=0.25)
    axes.grid(alpha=0.3, axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def noise(
    images: Mapping[str, UInt8[np.ndarray, "n 784"]],
    outputs: Mapping[str, Float[np.ndarray, "n 10"]],
    results: Sequence[Mapping[str, Any]],
    run: str,
) -> Figure:
    """The noise that a network is surest of, called what it is.

    Args:
        images: of each kind of noise, at most twelve.
        outputs: of the network, on them.
        results: the noise of an evaluation.
        run: whose network.
    """
    figure = Figure(figsize=(9, 0.6 + 3.6 * len(images)), layout="constrained")
    figure.suptitle(f"None of these is a digit, but {run} must call each one: the noise that it is surest of")
    parts = figure.subfigures(len(images), 1, squeeze=False)[:, 0]
    for part, kind in zip(parts, results, strict=True):
        shown, read = images[kind["kind"]], outputs[kind["kind"]]
        part.suptitle(
            f"{kind['kind']}: {kind['sure']:,} of {kind['images']:,} have a confidence of {kind['sure_from']} or more",
            fontsize="medium",
        )
        panels = part.subplots(2, 6).ravel()
        for axes in panels:
            axes.set(xticks=[], yticks=[])
            axes.set_visible(False)
        for axes, image, output in zip(panels, shown, read, strict=False):
            axes.set_visible(True)
            axes.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(f"noise, read as {output.argmax()}\nconfidence {output.max():.2f}", fontsize=9)
    return figure


def _reach(shares: Float[np.ndarray, "n"], intervals: Float[np.ndarray, "2 n"]) -> Float[np.ndarray, "2 n"]:
    """How far an interval's ends are from a share; one of 1 is at its interval's end, but for rounding."""
    low, high = intervals
    return np.maximum((shares - low, high - shares), 0)
