"""Programs compiled ahead of time, for devices that need not be here, and what they will take; nothing is run."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast|ragged-all-to-all)"
    r"(?:-start)?\("
)
WORKING = ("fusion", "sort", "gather", "scatter", "dot", "convolution", "reduce")
"""Operations of which XLA is expected to estimate the cycles; the others move or rename a few bytes."""


class Program(NamedTuple):
    """What a compiled program takes, each time that it runs; bytes are those of one device."""

    arguments: int  # bytes
    outputs: int  # bytes
    temporaries: int  # bytes
    flops: int  # multiplications and additions of all matrix products, on all devices together
    collectives: dict[str, int]  # how often each kind of communication between devices happens
    cycles: int | None  # XLA's estimate for one device; None where it makes none, as for a CPU
    unestimated: dict[str, int]  # how many operations of each kind are not in that estimate

    @property
    def bytes(self) -> int:
        """The memory that it needs on a device while it runs."""
        return self.arguments + self.outputs + self.temporaries


def placed(tree: Any, mesh: Mesh, *axes: str) -> Any:
    """Make the shapes of arrays, whole on every device of a mesh or with the leading axes divided along its `axes`."""
    sharding = NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]
    shape: Any = jax.ShapeDtypeStruct
    return jax.tree.map(lambda leaf: shape(leaf.shape, leaf.dtype, sharding=sharding), tree)


def compile_ahead(traced: Any, platform: str) -> Program:
    """Compile a traced function, of `placed` arguments, for their devices, and read what it takes.

    Args:
        traced: what `jax.jit(f).trace(…)` returned.
        platform: tpu, cpu or gpu.

    Raises:
        jax.errors.JaxRuntimeError: if it doesn't compile; says why.
    """
    with _without_cache():
        compiled = traced.lower(lowering_platforms=(platform,)).compile()
    memory, text = compiled.memory_analysis(), compiled.as_text()
    return Program(
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes,
        memory.temp_size_in_bytes,
        count_flops(traced.jaxpr.jaxpr),
        collectives(text),
        *cycles(text),
    )


@contextmanager
def _without_cache() -> Iterator[None]:
    """Leave JAX's folder of compiled programs alone: it can't load those for devices that aren't here."""
    enabled = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    try:
        jax.config.update("jax_enable_compilation_cache", False)  # type: ignore[no-untyped-call]
        compilation_cache.reset_cache()
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)  # type: ignore[no-untyped-call]
        compilation_cache.reset_cache()


def count_flops(jaxpr: Jaxpr) -> int:
    """Count the multiplications and additions of all matrix products of a function, on all devices together."""
    total = 0
    for equation in jaxpr.eqns:
        times = 1
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, product = (variable.aval for variable in (equation.invars[0], equation.outvars[0]))
            depth = prod(left.shape[axis] for axis in contracted)  # type: ignore[attr-defined]
            total += 2 * depth * product.size  # type: ignore[attr-defined]
        elif equation.primitive.name == "scan":
            times = equation.params["length"]
        elif equation.primitive.name == "shard_map":
            times = equation.params["mesh"].size
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                total += times * count_flops(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)
    return total


def _is_jaxpr(value: object) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)


def collectives(text: str) -> dict[str, int]:
    """Count how often a compiled program's devices communicate while it runs, by kind."""
    computations, entry = _computations(text)
    counts = Counter[str]()
    for times, line in _executed(computations, entry):
        inside = re.search(r" fusion\(.*calls=%?([\w.\-]+)", line)
        for found in (line, *(computations[inside[1]] if inside else ())):
            if kind := COLLECTIVE.search(found):
                counts[kind[1]] += times
    return dict(counts)


def cycles(text: str) -> tuple[int | None, dict[str, int]]:
    """Add up XLA's estimates of cycles in a compiled program's text, a loop's as often as it turns.

    Returns:
        The sum, or None if there are no estimates; and how many operations of each kind have none.
    """
    total, estimated, missing = 0, False, Counter[str]()
    for times, line in _executed(*_computations(text)):
        if found := re.search(r'"estimated_cycles":"(\d+)"', line):
            total, estimated = total + times * int(found[1]), True
        elif (kind := COLLECTIVE.search(line)) or _operation(line) in WORKING:
            missing[kind[1] if kind else _operation(line)] += times
    return (total, dict(missing)) if estimated else (None, {})


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Divide a compiled program's text into its computations, by name; also returns where it starts."""
    found, entry, name = dict[str, list[str]](), "", ""
    for line in text.splitlines():
        if begin := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = begin[2]
            found[name] = []
            entry = name if begin[1] else entry
        elif name and line.startswith("  "):
            found[name].append(line)
    return found, entry


def _executed(computations: Mapping[str, list[str]], name: str, times: int = 1) -> Iterator[tuple[int, str]]:
    """Yield each line that is executed, with how often; a loop of unknown length counts as one turn."""
    for line in computations[name]:
        yield times, line
        operation = _operation(line)
        if operation == "while":
            names = dict(re.findall(r"(condition|body)=%?([\w.\-]+)", line))
            yield from _executed(computations, names["body"], times * _turns(line, computations[names["condition"]]))
        elif operation in ("call", "conditional", "async-start"):
            called = re.search(r"(?:to_apply|calls|branch_computations)=\{?([^}=]*?)(?:\}|, \w+=|$)", line)
            for inner in re.findall(r"%?([\w.\-]+)", called[1] if called else ""):
                yield from _executed(computations, inner, times)


def _operation(line: str) -> str:
    found = re.search(r" = .*? ([a-z][a-z\d\-]*)\(", line)
    return found[1] if found else ""


def _turns(loop: str, condition: list[str]) -> int:
    """How often a loop turns: XLA's own count, or the number that its condition compares with."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop)
    limits = [found[1] for line in condition if (found := re.search(r" s32\[\]\S* constant\((\d+)\)", line))]
    return int(known[1]) if known else int(limits[0]) if len(limits) == 1 else 1
