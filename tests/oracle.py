"""The network, its cost and back-propagation once more, in plain NumPy and float64: an oracle that shares no code.

The four equations of back-propagation, with C = Σ (a − y)² and a = σ(z), z = W a_prev + b:
δ_last = 2 (a − y) σ'(z); δ = (Wᵀ δ_next) σ'(z); ∂C/∂b = δ; ∂C/∂W = δ a_prevᵀ.
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gradient(params, images, targets):
    """Mean cost over the batch and its gradient; params is a list of (weights, biases)."""
    activations = [images]
    for weights, biases in params:
        activations.append(sigmoid(activations[-1] @ weights.T + biases))
    output = activations[-1]
    examples = len(images)
    cost = np.sum((output - targets) ** 2) / examples
    delta = 2 * (output - targets) * output * (1 - output)
    gradients = []
    for (weights, _), before in zip(reversed(params), reversed(activations[:-1]), strict=True):
        gradients.insert(0, (delta.T @ before / examples, delta.mean(axis=0)))
        delta = (delta @ weights) * before * (1 - before)
    return cost, gradients


def nesterov_step(params, velocities, images, targets, learning_rate, momentum):
    """One step of m ← g + μ m, θ ← θ − η (g + μ m), in place of nothing: returns new lists."""
    cost, gradients = gradient(params, images, targets)
    velocities = [
        tuple(g + momentum * m for g, m in zip(layer_gradient, layer_velocity, strict=True))
        for layer_gradient, layer_velocity in zip(gradients, velocities, strict=True)
    ]
    params = [
        tuple(p - learning_rate * (g + momentum * m) for p, g, m in zip(*layer, strict=True))
        for layer in zip(params, gradients, velocities, strict=True)
    ]
    return params, velocities, cost
