"""Explain one example: every number of its way through the network and back."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, UInt8

from jaxmnist.backprop import Backpropagation, Levers, agreement, backpropagate, central_differences, pull_levers
from jaxmnist.config import Config
from jaxmnist.cost import COSTS, example_cost
from jaxmnist.dataset import one_hot, scale
from jaxmnist.network import Params, activations, count_parameters, weighted_sums
from jaxmnist.studies.characters import beside, shade, shaded

NUMERICAL_WORK = 200_000_000
"""Most central differences, times parameters: all 13,002 of 3Blue1Brown's network, and a sample of a wide one's."""
SHOWN = 16
"""Most neurons of a layer in the report and the figure."""


class Explanation(NamedTuple):
    """All numbers of one example, in float64: a pytree."""

    params: Params  # the network
    config: Config  # its recipe
    label: Int[Array, ""]  # the right digit
    activations: tuple[Float[Array, "_"], ...]  # a of every layer, the pixels first
    terms: Float[Array, "10"]  # what each of the ten outputs adds to the cost
    back: Backpropagation  # cost, gradient, deltas and sensitivities, by hand
    levers: Levers  # the three levers of the right digit's output, each moved by a length of 0.01
    measured: Float[Array, "in"]  # slopes of this output's weights, by central differences
    compared: Int[Array, "compared"]  # indices, as in `ravel_pytree`, of all that are measured so; these first
    automatic_digits: Float[Array, ""]  # number of digits to which the gradient by hand agrees with `jax.grad`
    numerical_digits: Float[Array, ""]  # number of digits to which it agrees with the central differences


def run(params: Params, config: Config, image: UInt8[np.ndarray, "784"], label: int) -> Explanation:
    """Explain one example, in NumPy's float64, where rounding hides little of what the mathematics says."""
    parameters, (weights, biases) = count_parameters(params), params[-1]
    inputs = weights.shape[1]
    into_label = parameters - weights.size - biases.size + inputs * label + np.arange(inputs)  # as in `ravel_pytree`
    sample = np.random.default_rng(0).permutation(parameters)[: NUMERICAL_WORK // parameters]
    compared = np.concatenate([into_label, np.setdiff1d(sample, into_label)])
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
        result: Explanation = jax.device_get(_explain(exact, config, image, label, compared))
    return result


@jax.jit
def _explain(
    params: Params, config: Config, image: UInt8[Array, "784"], label: Int[Array, ""], compared: Int[Array, "compared"]
) -> Explanation:
    x, y, activation, cost = scale(image), one_hot(label), config.activation, config.cost
    cost_of = partial(example_cost, image=x, target=y, activation=activation, cost=cost)
    terms = COSTS[cost].terms(weighted_sums(params, x, activation)[-1], y)
    back = backpropagate(params, x, y, activation, cost)
    numerical = central_differences(cost_of, params, compared)
    return Explanation(
        params=params,
        config=config,
        label=label,
        activations=activations(params, x, activation, COSTS[cost].outputs),
        terms=jnp.where(terms == 0, 0, terms),  # −0 becomes 0
        back=back,
        levers=pull_levers(params, x, y, len(params), label, activation, cost),
        measured=numerical[: params[-1].weights.shape[1]],
        compared=compared,
        automatic_digits=agreement(back.gradient, jax.grad(cost_of)(params)),
        numerical_digits=agreement(ravel_pytree(back.gradient)[0][compared], numerical),
    )


def report(result: Explanation) -> str:
    """Describe an explanation in words and tables, of at most 100 columns and without colours."""
    sections = (_digit_and_cost, _activations, _levers, _gradient, _agreement)
    return "\n\n".join("\n".join(section(result)) for section in sections)


def _digit_and_cost(result: Explanation) -> list[str]:
    image, *_, a = result.activations
    label, terms, read = result.label, np.asarray(result.terms), a.argmax()
    lines = [f"digit   output a   label y    {COSTS[result.config.cost].formula}"]
    for digit, (output, term) in enumerate(zip(a, terms, strict=True)):
        drawn = "█" * round(20 * term / (terms.max() or 1))
        lines.append(f"{digit:>5}      {output:6.4f}       {digit == label:d}    {term:10.6f}  {drawn}")
    lines += [f"{'─' * 10:>38}", f"their sum, the cost C      {result.back.cost:11.6f}"]
    lines.append(f"It reads {read}: right." if read == label else f"It reads {read}: wrong, it is {label}.")
    title = "1 · THE DIGIT AND ITS COST: the label y wants a 1 from the right output and 0 from the others"
    return [title, *beside(shaded(np.asarray(image)), lines)]


def _activations(result: Explanation) -> list[str]:
    lines = ["2 · THE ACTIVATIONS: each neuron's a = σ(w · x + b), where x are the activations before it"]
    _, *hidden, _ = result.activations
    outputs = getattr(COSTS[result.config.cost].outputs, "__name__", "the outputs")
    names = [*[result.config.activation] * len(hidden), outputs]
    for layer, (name, a) in enumerate(zip(names, result.activations[1:], strict=True), 1):
        more = f", the first {SHOWN} shown" if a.size > SHOWN else ""
        shades = shade(np.abs(a[:SHOWN]), max(1.0, float(np.abs(a).max())))
        lines += [
            f"  a{_superscript(layer)}: {a.size} neurons, {name}{more}",
            "   " + "".join(f"{shade * 4:>6}" for shade in shades).rstrip(),
            "   " + _columns(a[:SHOWN]),
        ]
    return lines


def _levers(result: Explanation) -> list[str]:
    levers, x = result.levers, np.asarray(result.activations[-2])
    strongest = np.sort(np.argsort(-np.abs(x), kind="stable")[:SHOWN])
    slopes, measured = levers.weights.slopes[strongest], result.measured[strongest]
    largest = np.abs(slopes).max()
    power = int(np.floor(np.log10(largest))) if largest else 0
    which = f"The {SHOWN} largest x of {x.size}" if x.size > SHOWN else "Every x"
    names = "its bias", f"its {x.size} weights", f"the {x.size} activations"
    moves = "b", "w, in proportion to x", "x, in proportion to w"
    return [
        f"3 · THREE LEVERS that raise the output a for {result.label}, whose δ = ∂C/∂z is {levers.bias.slopes[0]:.4g}",
        f"  {'each moved by a length of 0.01':<42}{'raises a by':>13}{'should change C by':>20}{'and does by':>13}",
        *(
            f"  {name:<20}{move:<22}{lever.raised:13.2e}{lever.predicted:20.3e}{lever.measured:13.3e}"
            for name, move, lever in zip(names, moves, levers, strict=True)
        ),
        "  The activations feed all ten outputs, so C can rise although a rises.",
        "  A weight moves z by its input x: the slope for it is δx, and a large x makes it a strong lever.",
        f"  {which}, the slopes δx, and the slopes s measured by nudging w alone (times 10{_superscript(-power)}):",
        "   x" + _columns(x[strongest]),
        "  δx" + _columns(slopes / 10.0**power),
        "   s" + _columns(measured / 10.0**power),
    ]


def _gradient(result: Explanation) -> list[str]:
    _, gradient, deltas, sensitivities = result.back
    lines = ["layer   δ = ∂C/∂z = ∂C/∂b   ∂C/∂W = δxᵀ   ∂C/∂x = Wᵀδ"]
    for layer in reversed(range(len(deltas))):
        by_z, by_weights, by_x = map(np.linalg.norm, (deltas[layer], gradient[layer].weights, sensitivities[layer]))
        lines.append(f"a{_superscript(layer + 1):<6}{by_z:16.2e}{by_weights:18.2e}{by_x:14.2e}")
    lines += [
        "The longer, the more the cost depends on it.",
        "",
        "On the left, for each pixel: the length of the slopes of its",
        f"{deltas[0].size} weights. That is the length of δ¹ times the pixel's ink, so",
        f"the digit shows again: the weights of the {np.sum(result.activations[0] == 0)} pixels that are",
        "paper have slope 0, and learn nothing from this example.",
    ]
    title = "4 · THE GRADIENT, back from the outputs to the pixels; x are the activations before a layer"
    return [title, *beside(shaded(np.linalg.norm(gradient[0].weights, axis=0)), lines)]


def _agreement(result: Explanation) -> list[str]:
    parameters, compared = count_parameters(result.params), result.compared.size
    every = "all " if compared == parameters else ""
    automatic = f"{result.automatic_digits:4.1f} digits over all {parameters:,} slopes"
    numerical = f"{result.numerical_digits:4.1f} digits over {every}{compared:,}: (C(θ + h) − C(θ − h)) / 2h"
    return [
        "5 · THE SAME GRADIENT IN THREE WAYS, computed in float64, which holds 15.7 digits",
        f"  by hand and jax.grad              agree to {automatic}",
        f"  by hand and central differences   agree to {numerical}",
        f"  The first two take one pass forward and one back; the differences took {2 * compared:,} passes forward.",
    ]


def _columns(values: ArrayLike) -> str:
    return "".join(f"{value:6.2f}" for value in np.asarray(values))


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
