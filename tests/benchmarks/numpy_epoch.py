"""A tight hand-written NumPy epoch: what a careful person would write without JAX, for timings to be held against."""

import numpy as np


def epoch(params, velocities, images, labels, order, batch_size, learning_rate, momentum):
    """One epoch of Nesterov on squared error, in place; params and velocities are lists of float32 arrays W, b, W, …

    Pixels are float32 beforehand, and every array that a step needs is the size of a minibatch.
    """
    targets = np.eye(10, dtype=np.float32)[labels]
    layers = len(params) // 2
    for begin in range(0, len(order) - batch_size + 1, batch_size):
        batch = order[begin : begin + batch_size]
        activations = [images[batch]]
        for layer in range(layers):
            z = activations[-1] @ params[2 * layer].T
            z += params[2 * layer + 1]
            np.negative(z, out=z)
            np.exp(z, out=z)
            z += 1
            np.reciprocal(z, out=z)
            activations.append(z)
        output = activations[-1]
        delta = (output - targets[batch]) * (2 / batch_size)
        for layer in reversed(range(layers)):
            after = activations[layer + 1]
            delta *= after * (1 - after)
            gradients = delta.T @ activations[layer], delta.sum(axis=0)
            if layer:
                delta = delta @ params[2 * layer]
            for place, gradient in enumerate(gradients, 2 * layer):
                velocities[place] *= momentum
                velocities[place] += gradient
                gradient += momentum * velocities[place]
                gradient *= learning_rate
                params[place] -= gradient
