"""The rates command: the theory of the optimizers, measured where it gives exact numbers."""

import dataclasses
import time

import jax

from jaxmnist.cli.console import progress, say
from jaxmnist.cli.drawing import figures_of, write_figures
from jaxmnist.cli.options import DataOptions, OptionalPath, select_device
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.results import to_json, write_json
from jaxmnist.studies import rates

figures = figures_of("rates")


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure how fast gradient descent, momentum and Nesterov's method are, beside what the theory says.

    On quadratics of every condition, on Nesterov's worst functions, under noise, and on a function where momentum need
    not arrive. It needs no data, and computes on the CPU, in float64.
    """

    run_dir: OptionalPath = None
    """New folder for the results (default: runs/<time>-rates)."""


def run(options: Options) -> int:
    """Measure, and write the run folder."""
    begin = time.perf_counter()
    run_folder.refuse_used(options.run_dir)
    select_device(DataOptions(platform="cpu"))
    with run_folder.created(options.run_dir, "rates") as folder:
        with progress(rates.MEASUREMENTS, "measurements") as advance:
            result = rates.run(jax.random.key(0), on_progress=advance)
        ends = {name: path[-rates.PERIOD :] for name, path in result.kinked.items()}
        checks = [check._asdict() for check in rates.assess(result)]
        write_json(folder / "rates.json", {"checks": checks, **to_json(result._replace(kinked=ends))})
        print(f"\n{rates.report(result)}\n", flush=True)
        write_figures(folder, figures, result)
        say(f"{time.perf_counter() - begin:.0f} s · in {folder}: {run_folder.listed(folder)}")
    return 0
