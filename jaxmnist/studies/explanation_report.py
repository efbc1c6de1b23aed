"""What the explain command says: numbers in, lines of text out, in at most 100 columns and without colours."""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.characters import beside, shade, shaded
from jaxmnist.config import Config
from jaxmnist.studies.explanation import TERMS, Explanation

SHOWN = 16
"""How many neurons of a wide layer are shown."""

SURE = 1e-3
"""A softmax that is nearer to 1 costs three digits or more: the text says why the gradients agree to so few."""

_OUTPUT_FUNCTION = {"squared_error": "sigmoid", "cross_entropy": "softmax"}


def text(explanation: Explanation, config: Config, title: str) -> str:
    """The whole explanation.

    Args:
        explanation: the numbers.
        config: the recipe of the network.
        title: says which example and which network.
    """
    parts = (
        [title],
        _digit_and_ledger(explanation, config),
        _activations(explanation, config),
        _levers(explanation),
        _gradient(explanation),
        _agreement(explanation, config),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def _digit_and_ledger(explanation: Explanation, config: Config) -> list[str]:
    a, label, terms = explanation.activations[-1], explanation.label, explanation.terms
    y, read = np.eye(10)[label], int(a.argmax())
    largest = terms.max() or 1
    rows = [
        f"{digit:>5}      {a[digit]:6.4f}       {y[digit]:.0f}    {term:10.6f}  {'█' * round(20 * term / largest)}"
        for digit, term in enumerate(terms)
    ]
    return [
        "1 · THE DIGIT AND ITS COST: the label y wants a 1 from the right output and 0 from the others",
        *beside(
            shaded(explanation.activations[0]),
            [
                f"digit   output a   label y    {TERMS[config.cost]}",
                *rows,
                f"{'─' * 10:>38}",
                f"their sum, the cost C      {explanation.back.cost:11.6f}",
                f"It reads {read}" + (": right." if read == label else f": wrong, it is {label}."),
            ],
        ),
    ]


def _activations(explanation: Explanation, config: Config) -> list[str]:
    lines = ["2 · THE ACTIVATIONS: each neuron's a = σ(w · x + b), where x are the activations before it"]
    *_, outputs = range(len(explanation.activations))
    for layer, a in enumerate(explanation.activations[1:], 1):
        function = config.activation if layer < outputs else _OUTPUT_FUNCTION[config.cost]
        more = f", the first {SHOWN} shown" if a.size > SHOWN else ""
        shades = shade(np.abs(a[:SHOWN]), max(1, np.abs(a).max()))
        lines += [
            f"  a{_raised(layer)}: {a.size} neurons, {function}{more}",
            "   " + "".join(f"{shade * 4:>6}" for shade in shades).rstrip(),
            "   " + _columns(a[:SHOWN]),
        ]
    return lines


def _levers(explanation: Explanation) -> list[str]:
    levers, x = explanation.levers, explanation.activations[-2]
    strongest = np.sort(np.argsort(-np.abs(x), kind="stable")[:SHOWN])
    slopes, measured = np.asarray(levers.weights.slopes)[strongest], explanation.measured[strongest]
    largest = np.abs(slopes).max()
    power = int(np.floor(np.log10(largest))) if largest else 0
    which = f"The {SHOWN} largest x of {x.size}" if x.size > SHOWN else "Every x"
    rows = (
        ("its bias", "b", levers.bias),
        (f"its {x.size} weights", "w, in proportion to x", levers.weights),
        (f"the {x.size} activations", "x, in proportion to w", levers.inputs),
    )
    digit, delta = explanation.label, levers.bias.slopes[0]
    return [
        f"3 · THREE LEVERS that raise the output a for {digit}, whose δ = ∂C/∂z is {delta:.4g}",
        f"  {'each moved by a length of 0.01':<42}{'raises a by':>13}{'should change C by':>20}{'and does by':>13}",
        *(
            f"  {name:<20}{how:<22}{lever.raised:13.2e}{lever.predicted:20.3e}{lever.measured:13.3e}"
            for name, how, lever in rows
        ),
        "  The activations feed all ten outputs, so C can rise although a rises.",
        "  A weight moves z by its input x: the slope for it is δx, and a large x makes it a strong lever.",
        f"  {which}, the slopes δx, and the slopes s measured by nudging w alone (times 10{_raised(-power)}):",
        "   x" + _columns(x[strongest]),
        "  δx" + _columns(slopes / 10.0**power),
        "   s" + _columns(measured / 10.0**power),
    ]


def _gradient(explanation: Explanation) -> list[str]:
    back = explanation.back
    paper = int(np.sum(explanation.activations[0] == 0))
    neurons = back.deltas[0].size
    table = [
        f"a{_raised(number + 1):<6}{_length(back.deltas[number]):>16}{_length(back.gradient[number].weights):>18}"
        f"{_length(back.sensitivities[number]):>14}"
        for number in reversed(range(len(back.deltas)))
    ]
    return [
        "4 · THE GRADIENT, back from the outputs to the pixels; x are the activations before a layer",
        *beside(
            shaded(np.linalg.norm(back.gradient[0].weights, axis=0)),
            [
                "layer   δ = ∂C/∂z = ∂C/∂b   ∂C/∂W = δxᵀ   ∂C/∂x = Wᵀδ",
                *table,
                "The longer, the more the cost depends on it.",
                "",
                "On the left, for each pixel: the length of the slopes of its",
                f"{neurons} weights. That is the length of δ¹ times the pixel's ink, so",
                f"the digit shows again: the weights of the {paper} pixels that are",
                "paper have slope 0, and learn nothing from this example.",
            ],
        ),
    ]


def _agreement(explanation: Explanation, config: Config) -> list[str]:
    parameters = sum(layer.weights.size + layer.biases.size for layer in explanation.params)
    short = 1 - explanation.activations[-1][explanation.label]
    sure = [
        f"  The right output is {short:.0e} short of 1. All slopes follow from that, and through a softmax and",
        "  its logarithm it is a small difference of numbers near 1, whose first digits cancel.",
    ]
    return [
        "5 · THE SAME GRADIENT IN THREE WAYS, computed in float64, which holds 15.7 digits",
        f"  by hand and jax.grad              agree to {explanation.automatic_digits:4.1f} digits over all "
        f"{parameters:,} slopes",
        f"  by hand and central differences   agree to {explanation.numerical_digits:4.1f} digits over "
        f"{'all ' if explanation.compared == parameters else ''}{explanation.compared:,}: (C(θ + h) − C(θ − h)) / 2h",
        f"  The first two take one pass forward and one back; the differences took {2 * explanation.compared:,} passes "
        "forward.",
        *(sure if config.cost == "cross_entropy" and short < SURE else []),
    ]


def _length(vector: Any) -> str:
    return f"{np.linalg.norm(vector):.2e}"


def _columns(values: Float[np.ndarray, "n"]) -> str:
    return "".join(f"{value:6.2f}" for value in values)


def _raised(number: int) -> str:
    """A number as a superscript."""
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
