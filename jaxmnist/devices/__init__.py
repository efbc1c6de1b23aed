"""Which devices compute, and how work is divided among them.

The training functions know nothing of it: JAX computes where the data is. So a population whose members are divided
among devices is trained on all of them, each with its own members, and no device waits for another.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Platform = Literal["auto", "cpu", "gpu", "tpu"]
T = TypeVar("T")


def select(platform: Platform) -> jax.Device:
    """Select the first device of a platform; auto is the fastest that JAX finds.

    Raises:
        ValueError: if there is none; says what JAX found instead.
    """
    if platform == "cpu":  # so that JAX leaves an accelerator to others
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
        jax.config.update("jax_platform_name", "cpu")  # type: ignore[no-untyped-call]
    try:
        return jax.local_devices(backend=None if platform == "auto" else platform)[0]
    except (RuntimeError, AssertionError) as problem:
        for variable in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
            if (named := os.environ.get(variable)) and platform == "auto":
                raise ValueError(
                    f"{variable}={named}: JAX finds no such device on this machine; unset it, or use platform=cpu"
                ) from problem
        try:
            available = ", ".join(sorted({device.platform for device in jax.devices()}))
        except (RuntimeError, AssertionError):  # JAX_PLATFORMS names only missing ones
            available = "nothing that the variables JAX_PLATFORMS and JAX_PLATFORM_NAME allow"
        raise ValueError(
            f"platform={platform}: JAX can't use one on this machine, it found {available}; install jaxmnist[cuda] or "
            f"jaxmnist[tpu] for an accelerator, or use platform=cpu"
        ) from problem


def several(first: jax.Device, count: int | None) -> list[jax.Device]:
    """Return so many devices of a device's platform, that one first, and as many of each other process; all if None.

    Raises:
        ValueError: if there aren't so many.
    """
    found = jax.local_devices(backend=first.platform)
    if count is not None and not 1 <= count <= len(found):
        raise ValueError(
            f"devices={count}: expected from 1 to {len(found)}, as JAX finds {len(found)} on the platform "
            f"{first.platform}; for example devices=1"
        )
    everywhere = groupby(
        sorted(jax.devices(first.platform), key=attrgetter("process_index")), attrgetter("process_index")
    )
    return [device for _, of_process in everywhere for device in islice(of_process, count)]


def mesh(devices: Sequence[jax.Device], axis: str) -> Mesh:
    """Put devices in a row whose only axis has this name."""
    return Mesh(np.array(devices), (axis,))


def replicated(tree: Any, mesh: Mesh) -> Any:
    """Copy arrays to every device of a mesh."""
    return _placed(tree, NamedSharding(mesh, PartitionSpec()))  # type: ignore[no-untyped-call]


def divided(tree: Any, mesh: Mesh) -> Any:
    """Divide the leading axis of every array among the devices of a mesh, in equal shares."""
    return _placed(tree, NamedSharding(mesh, PartitionSpec(mesh.axis_names[0])))  # type: ignore[no-untyped-call]


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    """Place arrays, of which every process has all, on devices, of which it may have some."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def place(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            keys: jax.Array = jax.jit(jax.random.wrap_key_data)(place(jax.random.key_data(leaf)))
            return keys
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    return jax.tree.map(place, tree)


def fetched(tree: Any) -> Any:
    """Bring arrays to the host, whole, in every process that has a part of them."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def own_copy(tree: Any) -> Any:
    """Return the copy of replicated arrays that is on this process's first device."""
    return jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, tree)


@cache
def each_on_its_share(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Compile a function that every device runs on its share of the first argument's leading axis, and of the results'.

    The same function and mesh give the same program, so that it is compiled once.
    """
    share, whole = PartitionSpec(mesh.axis_names[0]), PartitionSpec()  # type: ignore[no-untyped-call]
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=(share, whole), out_specs=share))


def cores() -> int:
    """How many cores of the CPU this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(function: Callable[..., T], *columns: Iterable[Any]) -> list[T]:
    """Call a function as `map` does, but in as many threads as there are cores, each with this one's default device.

    On a CPU, JAX runs the programs of one thread one after the other. One program of thin matrix products leaves cores
    idle, however many it may use; several from as many threads don't.
    """
    device = jax.config.jax_default_device  # type: ignore[attr-defined]

    def call(*arguments: Any) -> T:
        with jax.default_device(device):
            return function(*arguments)

    with ThreadPoolExecutor(cores()) as threads:
        return list(threads.map(call, *columns))
