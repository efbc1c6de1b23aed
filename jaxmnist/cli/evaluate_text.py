"""What the evaluate command says: results in, lines of text out, in at most 100 columns."""

from collections.abc import Mapping
from typing import Any

from jaxmnist.cli.characters import bar

SHOWN = 6
"""The most confident mistakes that are told."""


def lines(results: Mapping[str, Any]) -> list[str]:
    """The whole evaluation.

    Args:
        results: what evaluation.json holds.
    """
    parts = (_accuracy(results), _digits(results), _mistakes(results), _calibration(results), _noise(results))
    return [line for part in parts for line in ("", *part)][1:]


def _accuracy(results: Mapping[str, Any]) -> list[str]:
    low, high = results["accuracy_interval_95"]
    sizes = "-".join(map(str, results["sizes"]))
    trained = f", trained on {results['trained_on']}" if results["trained_on"] else ""
    return [
        f"{results['run']}: {sizes}, {results['activation']}, {results['cost_function']}{trained}",
        f"on the {results['examples']:,} test images of {results['dataset']} from {results['origin']}",
        f"accuracy {_percent(results['accuracy'])} ({results['right']:,} right), with 95 % confidence between "
        f"{_percent(low)} and {_percent(high)}; mean cost {results['mean_cost']:.4f}",
    ]


def _digits(results: Mapping[str, Any]) -> list[str]:
    rows = []
    for digit in results["digits"]:
        instead = ", ".join(f"{read} ({count})" for read, count in list(digit["read_instead"].items())[:3])
        rows.append(
            f"{digit['digit']:>5}{digit['examples']:>11,}{_percent(digit['precision']):>12}"
            f"{_percent(digit['recall']):>11}   {instead}"
        )
    return ["digit   examples   precision     recall   most often read instead (times)", *rows]


def _mistakes(results: Mapping[str, Any]) -> list[str]:
    rows = []
    for mistake in results["mistakes"][:SHOWN]:
        label, index = mistake["label"], mistake["index"]
        outputs = f"{mistake['confidence']:.3f}, and {mistake['output_of_label']:.3f} for {label}"
        rows.append(f"  image {index:>5}: a {label} read as {mistake['read']} with {outputs}")
    mistakes = f"{results['examples'] - results['right']:,} mistakes"
    return [f"The most confident of {mistakes}, by how far the wrong output lies above the right one", *rows]


def _calibration(results: Mapping[str, Any]) -> list[str]:
    calibration = results["calibration"]
    rows = [
        f"  {place['from']:.1f} to {place['to']:.1f}{place['examples']:>9,}{place['confidence']:>13.3f}"
        f"{place['right']:>9.3f}  {bar(place['right'], 20):<20}  ±{_reach(place):.3f}"
        for place in calibration["bins"]
        if place["examples"]
    ]
    low, middle, high = calibration["outputs_sum"].values()
    kind = "a softmax, so they add up to 1."
    if results["cost_function"] == "squared_error":
        sums = f"{middle:.2f} ({low:.2f} to {high:.2f} for 9 images in 10)"
        kind = f"each a sigmoid: they needn't add up to 1, but here come to {sums}."
    return [
        "Does it know what it knows? Its confidence is the largest of the ten outputs,",
        kind,
        "  confidence   images   mean of it    right",
        *rows,
        f"  expected calibration error {calibration['expected_error']:.4f}, the mean distance of right from confidence",
    ]


def _noise(results: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind in results["noise"]:
        digit, count = next(iter(kind["read_as"].items()))
        share = _percent(kind["sure"] / kind["images"])
        rows += [
            f"  {kind['kind']}: {share} are read with a confidence of at least {kind['sure_from']},",
            f"    half of all with {min(kind['median_confidence'], 0.999):.3f} or more, most often as {digit} "
            f"({count:,} of {kind['images']:,})",
        ]
    return [
        "A limitation: it must call everything a digit. So it does with noise, where nothing is one:",
        *rows,
        "  A high confidence tells digits from each other, not a digit from what is none.",
    ]


def _reach(place: Mapping[str, Any]) -> float:
    low, high = place["right_interval_95"]
    return float(high - low) / 2


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"
