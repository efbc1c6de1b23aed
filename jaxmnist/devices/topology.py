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
    peak: int | None = None  # bfloat16 FLOPs a second of a chip, by Google Cloud's pages (v2's by JAX's table of TPUs)
    matrix_units: int = 0  # of a chip, each of 128×128; given with the peak


GENERATIONS = {
    "v2": Generation(8 * 10**9, "2x2", 46 * 10**12, 2),
    "v3": Generation(16 * 10**9, "2x2", 123 * 10**12, 4),
    "v4": Generation(32 * 10**9, "2x2x1", 275 * 10**12, 8),
    "v5e": Generation(16 * 10**9, "1x1", 197 * 10**12, 4),
    "v5p": Generation(95 * 10**9, "2x2x1", 459 * 10**12, 8),
    "v6e": Generation(32 * 10**9, "1x1"),
    "tpu7x": Generation(96 * 10**9, "2x2x1"),
}
"""The TPUs that libtpu knows."""


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
    chips = len({tuple(device.coords) for device in found})
    return Topology(name, found, chips, GENERATIONS[kind].memory, _clock(kind))


def _clock(kind: str) -> Speed | None:
    """A TPU's cycles a second: its peak over what its matrix units do in a cycle; None if the peak isn't known."""
    _, _, peak, units = GENERATIONS[kind]
    if peak is None:
        return None
    source = f"the published {peak / 1e12:.0f} · 10¹² FLOPs over {units} · 2 · 128² a cycle"
    return Speed("cycles", peak / (units * 2 * 128**2), f"the clock of a {kind} ({source})")


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
