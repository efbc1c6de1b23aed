"""Mutants of the optimizers: does a test notice each mistake that one could make in them?

    python tests/mutants.py

Each mutant is the package with one line of optimizers.py changed. The quick tests of the optimizers and of their rates
run against it, and must fail. Without a change they must pass.
"""

import contextlib
import io
import multiprocessing
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("test_rates.py", "test_optimizers.py")
LEFT_OUT = ("test_optimizers.py::test_a_thousand_minibatch_steps_are_optax_s",)
"""A long one, and one that would notice nearly all of them."""
LIBRARIES = ["jax", "optax", "matplotlib.figure", "pytest", "tyro"]
"""Imported once for all mutants, by the process that theirs are forks of."""


class Mutant(NamedTuple):
    mistake: str  # in words
    line: str  # of optimizers.py, there once
    instead: str  # what it becomes


MUTANTS = (
    Mutant(
        "uphill: the step's sign is lost",
        "return jax.tree.map(lambda d: -jnp.asarray(rate, d.dtype) * d, direction)",
        "return jax.tree.map(lambda d: jnp.asarray(rate, d.dtype) * d, direction)",
    ),
    Mutant(
        "the velocity is a mean: (1−μ) g + μ m",
        "return jax.tree.map(lambda g, m: g + jnp.asarray(kept, g.dtype) * m, gradient, velocity)",
        "return jax.tree.map(lambda g, m: jnp.asarray(1 - kept, g.dtype) * g + jnp.asarray(kept, g.dtype) * m, "
        "gradient, velocity)",
    ),
    Mutant(
        "μ weighs the gradient, not the velocity",
        "return jax.tree.map(lambda g, m: g + jnp.asarray(kept, g.dtype) * m, gradient, velocity)",
        "return jax.tree.map(lambda g, m: jnp.asarray(kept, g.dtype) * g + m, gradient, velocity)",
    ),
    Mutant(
        "momentum steps along the velocity before this gradient",
        "return _descend(learning_rate, state.step, velocity), MomentumState(state.step + 1, velocity)",
        "return _descend(learning_rate, state.step, state.velocity), MomentumState(state.step + 1, velocity)",
    ),
    Mutant(
        "Nesterov doesn't look ahead",
        "return _descend(learning_rate, state.step, ahead), MomentumState(state.step + 1, velocity)",
        "return _descend(learning_rate, state.step, velocity), MomentumState(state.step + 1, velocity)",
    ),
    Mutant(
        "Nesterov keeps the look ahead as its velocity",
        "return _descend(learning_rate, state.step, ahead), MomentumState(state.step + 1, velocity)",
        "return _descend(learning_rate, state.step, ahead), MomentumState(state.step + 1, ahead)",
    ),
    Mutant(
        "Nesterov looks ahead with this step's μ, not the next one's",
        "ahead = _accumulate(gradient, momentum, state.step + 1, velocity)",
        "ahead = _accumulate(gradient, momentum, state.step, velocity)",
    ),
    Mutant(
        "a schedule of η is one step ahead",
        "rate = learning_rate(step) if callable(learning_rate) else learning_rate",
        "rate = learning_rate(step + 1) if callable(learning_rate) else learning_rate",
    ),
    Mutant(
        "a schedule of μ is one step behind",
        "kept = momentum(step) if callable(momentum) else momentum",
        "kept = momentum(step - 1) if callable(momentum) else momentum",
    ),
    Mutant(
        "SGD doesn't count its steps",
        "return _descend(learning_rate, state.step, gradient), SgdState(state.step + 1)",
        "return _descend(learning_rate, state.step, gradient), SgdState(state.step)",
    ),
    Mutant(
        "the velocity begins as the parameters",
        "return MomentumState(step=jnp.zeros((), jnp.int32), velocity=jax.tree.map(jnp.zeros_like, params))",
        "return MomentumState(step=jnp.zeros((), jnp.int32), velocity=jax.tree.map(jnp.asarray, params))",
    ),
    Mutant(
        "the rate is float32, whatever the parameters are",
        "return jax.tree.map(lambda d: -jnp.asarray(rate, d.dtype) * d, direction)",
        "return jax.tree.map(lambda d: (-jnp.asarray(rate, jnp.float32) * d.astype(jnp.float32)).astype(d.dtype), "
        "direction)",
    ),
    Mutant(
        "the updated parameters take the update's dtype",
        "return jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)",
        "return jax.tree.map(lambda p, u: p.astype(u.dtype) + u, params, updates)",
    ),
    Mutant(
        "the cosine goes on after its last step",
        "done = jnp.minimum(step.astype(jnp.result_type(float)) / steps, 1)",
        "done = step.astype(jnp.result_type(float)) / steps",
    ),
)


def apply(mutant, source):
    """The source with the mutant's line changed, which must be there once."""
    assert source.count(mutant.line) == 1, f"{mutant.mistake}: its line is there {source.count(mutant.line)} times"
    return source.replace(mutant.line, mutant.instead)


class Recorder:
    """A plugin of pytest's that records which tests fail."""

    def __init__(self):
        self.failed = []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid.split("/")[-1])


def noticed_by(mutant):
    """The test that fails first against a mutant, or against no change if it is None; None if all pass."""
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()) as printed:
        folder = Path(name)
        shutil.copytree(ROOT / "jaxmnist", folder / "jaxmnist", ignore=shutil.ignore_patterns("__pycache__"))
        if mutant:
            file = folder / "jaxmnist" / "optimizers.py"
            file.write_text(apply(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        sys.path.insert(0, name)
        sys.dont_write_bytecode = True
        files = [str(ROOT / "tests" / test) for test in TESTS]
        left_out = [f"--deselect=tests/{test}" for test in LEFT_OUT]
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
        code = pytest.main([*options, *left_out, *files], [recorder])
        import jaxmnist

        assert Path(jaxmnist.__file__).is_relative_to(folder), "the tests saw another package"
    assert code == (1 if recorder.failed else 0), printed.getvalue()
    return recorder.failed[0] if recorder.failed else None


def table(processes=2):
    """(mistake, the test that notices it) of every mutant; the last is the package without one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        found = pool.map(noticed_by, (*MUTANTS, None))
        return list(zip([*(mutant.mistake for mutant in MUTANTS), "none"], found, strict=True))


def show(rows):
    """The table, as text."""
    return "\n".join(f"{mistake:<62}{test or 'no test'}" for mistake, test in rows)


if __name__ == "__main__":
    print(show(table()))
