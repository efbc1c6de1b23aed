"""Data parallelism: every device takes its share of each minibatch, and all make the same step.

A device computes the gradient of its share, and needs one thing of the others: the mean of all shares' gradients. With
it every device makes the same step, so the network stays the same on all of them.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from jaxmnist.config import Config
from jaxmnist.cost import mean_cost
from jaxmnist.dataset import Dataset, one_hot, scale
from jaxmnist.devices import own_copy, replicated
from jaxmnist.network import Params
from jaxmnist.optimizers import Optimizer, apply_updates
from jaxmnist.training import TrainState, count_steps, make_optimizer, plan_epoch, train_in_order

AXIS = "batch"
"""The axis of a mesh that minibatches are divided over."""

Epoch = Callable[[TrainState], tuple[TrainState, Float[Array, "steps"]]]
"""A compiled epoch: the state before it to the state after it, and each minibatch's mean cost."""


def check_division(batch_size: int, devices: int, shards: int | None) -> None:
    """Reject a division of minibatches into unequal shares.

    Raises:
        ValueError: says what would divide them evenly.
    """
    if shards is not None and (shards < 1 or shards % devices):
        raise ValueError(
            f"logical_shards={shards}: expected a multiple of the {devices:,} devices; for example "
            f"logical_shards={devices}"
        )
    parts = shards or devices
    if batch_size % parts:
        nearest = max(1, round(batch_size / parts)) * parts
        what = "logical shards" if shards else "devices"
        raise ValueError(
            f"batch_size={batch_size}: expected a multiple of the {parts:,} {what} that share each minibatch; for "
            f"example batch_size={nearest}"
        )


def compile_epoch(
    state: TrainState, train_set: Dataset, config: Config, mesh: Mesh, shards: int | None = None
) -> Epoch:
    """Compile `train_epoch_divided` for a training set, which is copied to every device.

    Args:
        state: of the shapes to compile for.
        train_set: in bytes, on the host or on a device.
        config: the recipe, resolved.
        mesh: a row of devices, whose axis is `AXIS`.
        shards: as in `train_epoch_divided`.

    Raises:
        ValueError: if the devices or shards don't divide the minibatches evenly.
    """
    check_division(int(config.batch_size), mesh.size, shards)
    train_set = replicated(train_set, mesh)
    compiled = train_epoch_divided.lower(replicated(state, mesh), train_set, config, mesh, shards).compile()
    return lambda state: own_copy(compiled(replicated(state, mesh), train_set, config))


@partial(jax.jit, static_argnames=("mesh", "shards"))
def train_epoch_divided(
    state: TrainState, train_set: Dataset, config: Config, mesh: Mesh, shards: int | None = None
) -> tuple[TrainState, Float[Array, "steps"]]:
    """Make the epoch of `train_epoch`, from the same minibatches, on all devices of a mesh.

    The numbers differ from one device's as sums of a minibatch are made in another order. With logical shards the order
    is fixed: the same bits on any number of devices that divides the shards, and in any number of processes.

    Args:
        state: before the epoch, on all devices.
        train_set: in bytes, on all devices.
        config: the recipe, resolved.
        mesh: a row of devices, whose axis is `AXIS`.
        shards: equal parts of each minibatch whose gradients are added one by one; None for one a device, added in
            whatever order is fastest.
    """
    optimizer = make_optimizer(config, count_steps(config, train_set.labels.shape[0]))
    next_key, shuffle_key = jax.random.split(state.key)
    train_set, order = plan_epoch(shuffle_key, train_set, config)
    mean = _mean if shards is None else _mean_in_order

    def train_share(state: TrainState, train_set: Dataset, order: Any) -> Any:
        step = partial(_step, config=config, optimizer=optimizer, mean=mean)
        return train_in_order(state, train_set, order, lambda state, batches: jax.lax.scan(step, state, batches))

    order = order.reshape(order.shape[0], shards or mesh.size, -1)
    whole, share = PartitionSpec(), PartitionSpec(None, AXIS)  # type: ignore[no-untyped-call]
    # `check_vma` would add up the gradients by itself.
    divided = jax.shard_map(train_share, mesh=mesh, in_specs=(whole, whole, share), out_specs=whole, check_vma=False)
    state, costs = divided(state, train_set, order)
    return state._replace(key=next_key, epoch=state.epoch + 1), costs


def _step(
    state: TrainState, shards: Dataset, config: Config, optimizer: Optimizer, mean: Callable[[Array], Array]
) -> tuple[TrainState, Float[Array, ""]]:
    """Make the step of `training.train_step` on a minibatch of which this device has some shards.

    A loop goes over them, as a shard's sums must not depend on how many a device has.
    """
    cost_and_gradient = jax.value_and_grad(mean_cost)

    def of_shard(shard: Dataset) -> tuple[Float[Array, ""], Params]:
        images, targets = scale(shard.images), one_hot(shard.labels)
        return cost_and_gradient(state.params, images, targets, config.activation, config.cost)

    every = jax.lax.map(of_shard, shards)
    _, together = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], every))
    # As one vector, since each exchange takes a while, however small it is.
    cost, gradient = together(mean(jax.vmap(lambda of_one: ravel_pytree(of_one)[0])(every)))
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    return state._replace(params=apply_updates(state.params, updates), optimizer_state=optimizer_state), cost


def _mean(shards: Float[Array, "shards numbers"]) -> Float[Array, "numbers"]:
    """The mean over all devices' shards, added in whatever order is fastest."""
    mean: Array = jax.lax.pmean(shards.mean(axis=0), AXIS)  # type: ignore[no-untyped-call]
    return mean


def _mean_in_order(shards: Float[Array, "shards numbers"]) -> Float[Array, "numbers"]:
    """The mean over all devices' shards, added one by one: each device gets all, and adds them itself."""
    every: Array = jax.lax.all_gather(shards, AXIS, tiled=True)
    mean: Array = reduce(jnp.add, every) / every.shape[0]
    return mean
