"""The same training, written as people write it: six ways, one interface.

A trainer is made from a `Work` and gives two functions: `epoch(order)` trains on the minibatches that the order
names, one row each, and returns when all is computed; `params()` gives the weights and biases as NumPy arrays
W, b, W, b, W, b with weights of shape (out, in).

All train the same network on the same cost by the same rule from the same start: 784-16-16-10, sigmoid, Σ (a − y)²,
Nesterov, float32. scikit-learn alone has no squared error for classes; it trains on its own log-loss.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy_epoch

from jaxmnist.config import Config
from jaxmnist.dataset import Dataset, minibatch_order
from jaxmnist.network import Layer, forward
from jaxmnist.training import TrainState, start, train_epoch


class Work(NamedTuple):
    """What is to be done.

    Attributes:
        images: uint8 (n, 784).
        labels: uint8 (n,).
        config: the recipe, with a constant learning rate.
        key: decides the start and the orders.
    """

    images: np.ndarray
    labels: np.ndarray
    config: Config
    key: jax.Array


class Trainer(NamedTuple):
    epoch: Callable[[np.ndarray], None]
    params: Callable[[], list[np.ndarray]]


def initial(work):
    """The random start, as NumPy arrays."""
    state = start(work.key, work.config)
    return [np.array(leaf) for leaf in jax.tree.leaves(state.params)]


def orders(work, count):
    """The minibatch orders of the first epochs: those that `train_epoch` makes of the key."""
    key = start(work.key, work.config).key
    found = []
    for _ in range(count):
        key, shuffle_key = jax.random.split(key)
        found.append(np.asarray(minibatch_order(shuffle_key, len(work.labels), work.config.batch_size)))
    return found


def ours(work):
    """This project; it makes the order itself, and that is part of its time."""
    train_set = Dataset(jnp.asarray(work.images), jnp.asarray(work.labels))
    state = start(work.key, work.config)
    compiled = train_epoch.lower(state, train_set, work.config).compile()

    def epoch(_order):
        nonlocal state
        state, costs = compiled(state, train_set, work.config)
        costs.block_until_ready()

    return Trainer(epoch, lambda: [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)])


def ours_together(networks, train_set, config):
    """Networks from different starts as one program; they share their minibatches, as `train_population`'s do.

    Returns:
        A function of their states that trains all for an epoch, and the states before the first.
    """
    keys = jax.random.split(jax.random.key(0), networks)
    states = jax.vmap(lambda key: start(key, config))(keys)
    states = states._replace(key=jax.random.key(1), epoch=jnp.zeros((), jnp.int32))
    axes = TrainState(params=0, optimizer_state=0, key=None, epoch=None)
    together = jax.vmap(lambda state: train_epoch(state, train_set, config), in_axes=(axes,), out_axes=(axes, 0))
    return jax.jit(together).lower(states).compile(), states


def tight_numpy(work):
    """What a careful person writes with NumPy alone."""
    params = initial(work)
    velocities = [np.zeros_like(leaf) for leaf in params]
    images, rate, momentum = scaled(work.images), work.config.learning_rate, work.config.momentum

    def epoch(order):
        numpy_epoch.epoch(params, velocities, images, work.labels, order.ravel(), order.shape[1], rate, momentum)

    return Trainer(epoch, lambda: params)


def usual_jax(work):
    """A Python loop over one jitted step, with optax."""
    import optax

    images, targets = scaled(work.images), np.eye(10, dtype=np.float32)[work.labels]
    optimizer = optax.sgd(work.config.learning_rate, work.config.momentum, nesterov=True)
    leaves = [jnp.asarray(leaf) for leaf in initial(work)]
    params = tuple(Layer(*leaves[at : at + 2]) for at in range(0, len(leaves), 2))
    state = optimizer.init(params)

    def cost(params, batch, target):
        return jnp.mean(jnp.sum((jax.vmap(partial(forward, params))(batch) - target) ** 2, axis=1))

    @jax.jit
    def step(params, state, batch, target):
        updates, state = optimizer.update(jax.grad(cost)(params, batch, target), state)
        return optax.apply_updates(params, updates), state

    def epoch(order):
        nonlocal params, state
        for places in order:
            params, state = step(params, state, images[places], targets[places])
        jax.block_until_ready(params)

    return Trainer(epoch, lambda: [np.asarray(leaf) for leaf in jax.tree.leaves(params)])


def torch_eager(work, compiled=False, device="cpu"):
    """PyTorch with its tensors in the device's memory: nn.Linear, torch.optim.SGD, one step after the other."""
    import torch

    linears = []
    for weights, biases in zip(*[iter(initial(work))] * 2, strict=True):
        linear = torch.nn.Linear(weights.shape[1], weights.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights))
            linear.bias.copy_(torch.from_numpy(biases))
        linears += [linear, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*linears).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=work.config.learning_rate, momentum=work.config.momentum, nesterov=True
    )
    images = torch.from_numpy(scaled(work.images)).to(device)
    targets = torch.nn.functional.one_hot(torch.from_numpy(work.labels).long(), 10).float().to(device)

    def step(batch, target):
        optimizer.zero_grad()
        cost = ((model(batch) - target) ** 2).sum(dim=1).mean()
        cost.backward()
        optimizer.step()

    chosen = torch.compile(step) if compiled else step

    def epoch(order):
        for places in torch.from_numpy(order.astype(np.int64)).to(device):
            chosen(images[places], targets[places])
        if device == "cuda":
            torch.cuda.synchronize()

    return Trainer(epoch, lambda: [parameter.detach().cpu().numpy() for parameter in model.parameters()])


def torch_compiled(work):
    """The same with the whole step under torch.compile; needs a C++ compiler."""
    return torch_eager(work, compiled=True)


def scikit_learn(work):
    """MLPClassifier, which shuffles by itself and has another cost (log-loss)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        hidden_layer_sizes=work.config.sizes[1:-1],
        activation="logistic",
        solver="sgd",
        batch_size=work.config.batch_size,
        learning_rate_init=work.config.learning_rate,
        momentum=work.config.momentum,
        nesterovs_momentum=True,
        alpha=0,
        max_iter=1,
        warm_start=True,
        random_state=0,
    )
    images = scaled(work.images)

    def epoch(_order):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(images, work.labels)

    def params():
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [array for weights, biases in pairs for array in (weights.T, biases)]

    return Trainer(epoch, params)


def scaled(images):
    return images.astype(np.float32) / np.float32(255)


TRAINERS = {
    "this project": ours,
    "tight NumPy": tight_numpy,
    "scikit-learn": scikit_learn,
    "PyTorch eager": torch_eager,
    "PyTorch compiled": torch_compiled,
    "the usual JAX way": usual_jax,
}
OTHER_COST = {"scikit-learn"}
"""Trainers whose parameters cannot be held against the others'."""

AGREE = 1e-4
"""Largest relative difference of a parameter array after 50 steps, by its norm: float32 rounding, 50 times over."""


def agreement(peers, work):
    """How far each peer's parameters are from ours after 50 steps; refuses those that do other work."""
    few = 50 * work.config.batch_size
    work = work._replace(images=np.resize(work.images, (few, 784)), labels=np.resize(work.labels, few))
    order = orders(work, 1)[0]
    found = {}
    for name, make in peers.items():
        trainer = make(work)
        trainer.epoch(order)
        found[name] = [np.array(array) for array in trainer.params()]
    expected = found.get("this project", next(iter(found.values())))
    differences = {name: difference(params, expected) for name, params in found.items()}
    wrong = {name: off for name, off in differences.items() if off > AGREE and name not in OTHER_COST}
    if wrong:
        raise SystemExit(f"error: not the same work: after 50 steps parameters differ by {wrong}, at most {AGREE}")
    return differences


def difference(theirs, ours):
    """The largest relative difference of a parameter array, by its norm."""
    pairs = zip(map(np.asarray, theirs), map(np.asarray, ours), strict=True)
    return max(float(np.linalg.norm(their - our) / np.linalg.norm(our)) for their, our in pairs)
