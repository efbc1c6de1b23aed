"""Devices to compile for, which need not be here: a pod of TPUs, described by libtpu, or those of this machine."""

import os
from importlib.util import find_spec
from typing import Any, NamedTuple

from jax.experimental import topologies

from jaxmnist import devices


class Generation(NamedTuple):
    """What is published of a kind of TPU; a device is what JAX calls so, a chip or one of its two cores."""

    memory: int  # bytes a device, by Google Cloud's pages
    smallest: str  # a shape, in chips
    clock: float | None  # cycles a second; None if what it follows from isn't published
    source: str  # of the clock


GENERATIONS = {
    "v2": Generation(8 * 10**9, "2x2", 0.70e9, "the published 46 · 10¹² FLOPs over 2 · 2 · 128² a cycle"),
    "v3": Generation(16 * 10**9, "2x2", 0.94e9, "the published 123 · 10¹² FLOPs over 4 · 2 · 128² a cycle"),
    "v4": Generation(32 * 10**9, "2x2x1", 1.05e9, "the published 275 · 10¹² FLOPs over 8 · 2 · 128² a cycle"),
    "v5e": Generation(16 * 10**9, "1x1", 1.50e9, "the published 197 · 10¹² FLOPs over 4 · 2 · 128² a cycle"),
    "v5p": Generation(95 * 10**9, "2x2x1", 1.75e9, "the published 459 · 10¹² FLOPs over 8 · 2 · 128² a cycle"),
    "v6e": Generation(32 * 10**9, "1x1", None, ""),
    "tpu7x": Generation(96 * 10**9, "2x2x1", None, ""),
}
"""The TPUs that libtpu knows. A clock is a chip's bfloat16 peak, by Google Cloud's pages (v2's by JAX's table of TPUs),
over what its matrix units do in a cycle."""


class Speed(NamedTuple):
    """How fast a device works."""

    unit: str  # of its work: cycles, which XLA estimates, or FLOPs
    per_second: float
    source: str  # where the number comes from


class Topology(NamedTuple):
    """Devices to compile for, which need not be here."""

    name: str
    devices: list[Any]  # JAX's
    chips: int | None  # None for those of this machine
    memory: int | None  # bytes a device; None if unknown
    speed: Speed | None  # None if unknown


def describe(name: str) -> Topology:
    """Describe a topology by its name: libtpu's for TPUs, such as v5e:16x16, or cpu:N or gpu:N for devices here.

    Raises:
        ValueError: if it isn't known, or libtpu isn't installed.
    """
    kind, _, shape = name.partition(":")
    if kind in ("cpu", "gpu"):
        here = devices.several(devices.select(kind), None)  # type: ignore[arg-type]
        if not (shape.isdecimal() and 1 <= int(shape) <= len(here)):
            raise ValueError(f"topology={name}: expected from {kind}:1 to {kind}:{len(here)}, as JAX finds so many")
        limit = (here[0].memory_stats() or {}).get("bytes_limit")
        return Topology(name, here[: int(shape)], None, limit, None)
    known = ", ".join(f"{kind}:{generation.smallest}" for kind, generation in GENERATIONS.items())
    expected = f"expected a generation and a shape in chips that libtpu knows, from {known} on, or cpu:1"
    if kind not in GENERATIONS:
        raise ValueError(f"topology={name}: {expected}; for example topology=v5e:16x16")
    if "TPU_LIBRARY_PATH" not in os.environ and find_spec("libtpu") is None:
        raise ValueError(f"topology={name}: compiling for TPUs needs libtpu, which isn't here; install jaxmnist[tpu]")
    try:
        found = _absent(kind, shape)
    except RuntimeError as problem:
        raise ValueError(f"topology={name}: {problem!s:.200}; {expected}") from problem
    memory, _, clock, source = GENERATIONS[kind]
    speed = Speed("cycles", clock, f"the clock of a {kind} ({source})") if clock else None
    return Topology(name, found, len({tuple(device.coords) for device in found}), memory, speed)


def _absent(kind: str, shape: str) -> list[Any]:
    """Let libtpu describe TPUs, which it must neither look for nor lock, nor ask Google Cloud about."""
    settings = {
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_ACCELERATOR_TYPE": "v5litepod-4",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    for variable, value in settings.items():
        os.environ.setdefault(variable, value)
    devices.select("cpu")
    options: dict[str, Any] = {"chip_config_name": "megacore"} if kind == "v4" else {}
    if shape == "1x1":
        options["chips_per_host_bounds"] = (1, 1, 1)
    return list(topologies.get_topology_desc(f"{kind}:{shape}", "tpu", **options).devices)
