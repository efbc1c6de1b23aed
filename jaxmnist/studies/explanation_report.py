"""The report of an explanation: numbers in, text of at most 100 columns and without colours out."""

import numpy as np
from jaxtyping import ArrayLike

from jaxmnist.cost import COSTS
from jaxmnist.network import count_parameters
from jaxmnist.studies.characters import beside, shade, shaded
from jaxmnist.studies.explanation import SHOWN, Explanation


def report(explanation: Explanation) -> str:
    """Describe an explanation in words and tables."""
    sections = (_digit_and_cost, _activations, _levers, _gradient, _agreement)
    return "\n\n".join("\n".join(section(explanation)) for section in sections)


def _digit_and_cost(explanation: Explanation) -> list[str]:
    image, *_, a = explanation.activations
    label, terms = explanation.label, np.asarray(explanation.terms)
    predicted, largest = a.argmax(), terms.max() or 1
    rows = [
        f"{digit:>5}      {output:6.4f}       {digit == label:d}    {term:10.6f}  {'█' * round(20 * term / largest)}"
        for digit, (output, term) in enumerate(zip(a, terms, strict=True))
    ]
    return [
        "1 · THE DIGIT AND ITS COST: the label y wants a 1 from the right output and 0 from the others",
        *beside(
            shaded(np.asarray(image)),
            [
                f"digit   output a   label y    {COSTS[explanation.config.cost].formula}",
                *rows,
                f"{'─' * 10:>38}",
                f"their sum, the cost C      {explanation.back.cost:11.6f}",
                f"It reads {predicted}" + (": right." if predicted == label else f": wrong, it is {label}."),
            ],
        ),
    ]


def _activations(explanation: Explanation) -> list[str]:
    lines = ["2 · THE ACTIVATIONS: each neuron's a = σ(w · x + b), where x are the activations before it"]
    config = explanation.config
    _, *hidden, _ = explanation.activations
    functions = [config.activation] * len(hidden) + [getattr(COSTS[config.cost].outputs, "__name__", "the outputs")]
    for layer, (function, a) in enumerate(zip(functions, explanation.activations[1:], strict=True), 1):
        more = f", the first {SHOWN} shown" if a.size > SHOWN else ""
        shades = shade(np.abs(a[:SHOWN]), max(1.0, float(np.abs(a).max())))
        lines += [
            f"  a{_superscript(layer)}: {a.size} neurons, {function}{more}",
            "   " + "".join(f"{shade * 4:>6}" for shade in shades).rstrip(),
            "   " + _columns(a[:SHOWN]),
        ]
    return lines


def _levers(explanation: Explanation) -> list[str]:
    levers, x = explanation.levers, np.asarray(explanation.activations[-2])
    strongest = np.sort(np.argsort(-np.abs(x), kind="stable")[:SHOWN])
    slopes, measured = levers.weights.slopes[strongest], explanation.measured[strongest]
    largest = np.abs(slopes).max()
    power = int(np.floor(np.log10(largest))) if largest else 0
    which = f"The {SHOWN} largest x of {x.size}" if x.size > SHOWN else "Every x"
    rows = (
        ("its bias", "b", levers.bias),
        (f"its {x.size} weights", "w, in proportion to x", levers.weights),
        (f"the {x.size} activations", "x, in proportion to w", levers.inputs),
    )
    return [
        f"3 · THREE LEVERS that raise the output a for {explanation.label}, whose δ = ∂C/∂z is "
        f"{levers.bias.slopes[0]:.4g}",
        f"  {'each moved by a length of 0.01':<42}{'raises a by':>13}{'should change C by':>20}{'and does by':>13}",
        *(
            f"  {name:<20}{how:<22}{lever.raised:13.2e}{lever.predicted:20.3e}{lever.measured:13.3e}"
            for name, how, lever in rows
        ),
        "  The activations feed all ten outputs, so C can rise although a rises.",
        "  A weight moves z by its input x: the slope for it is δx, and a large x makes it a strong lever.",
        f"  {which}, the slopes δx, and the slopes s measured by nudging w alone (times 10{_superscript(-power)}):",
        "   x" + _columns(x[strongest]),
        "  δx" + _columns(slopes / 10.0**power),
        "   s" + _columns(measured / 10.0**power),
    ]


def _gradient(explanation: Explanation) -> list[str]:
    _, gradient, deltas, sensitivities = explanation.back
    table = [
        f"a{_superscript(layer + 1):<6}{_length(deltas[layer]):>16}{_length(gradient[layer].weights):>18}"
        f"{_length(sensitivities[layer]):>14}"
        for layer in reversed(range(len(deltas)))
    ]
    return [
        "4 · THE GRADIENT, back from the outputs to the pixels; x are the activations before a layer",
        *beside(
            shaded(np.linalg.norm(gradient[0].weights, axis=0)),
            [
                "layer   δ = ∂C/∂z = ∂C/∂b   ∂C/∂W = δxᵀ   ∂C/∂x = Wᵀδ",
                *table,
                "The longer, the more the cost depends on it.",
                "",
                "On the left, for each pixel: the length of the slopes of its",
                f"{deltas[0].size} weights. That is the length of δ¹ times the pixel's ink, so",
                f"the digit shows again: the weights of the {np.sum(explanation.activations[0] == 0)} pixels that are",
                "paper have slope 0, and learn nothing from this example.",
            ],
        ),
    ]


def _agreement(explanation: Explanation) -> list[str]:
    parameters, compared = count_parameters(explanation.params), explanation.compared.size
    return [
        "5 · THE SAME GRADIENT IN THREE WAYS, computed in float64, which holds 15.7 digits",
        f"  by hand and jax.grad              agree to {explanation.automatic_digits:4.1f} digits over all "
        f"{parameters:,} slopes",
        f"  by hand and central differences   agree to {explanation.numerical_digits:4.1f} digits over "
        f"{'all ' if compared == parameters else ''}{compared:,}: (C(θ + h) − C(θ − h)) / 2h",
        f"  The first two take one pass forward and one back; the differences took {2 * compared:,} passes forward.",
    ]


def _length(vector: ArrayLike) -> str:
    return f"{np.linalg.norm(vector):.2e}"


def _columns(values: ArrayLike) -> str:
    return "".join(f"{value:6.2f}" for value in np.asarray(values))


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
