"""What `waits.py` runs inside a process that it measures, with either checkout's package.

    inside.py first-step TRAIN.PY WORDS…    says when the first step begins
    inside.py epoch DATASET BATCH_SIZE      the seconds of an epoch
    inside.py population DATASET NETWORKS   a network and epoch of many, in times of one network's epoch

The function that is wrapped is `timed` of the training loop, in `jaxmnist.runs.loop` or, in older checkouts,
`jaxmnist.cli.training_run`: a run enters `timed("train", …)` for the first time when its first step begins. The module
is caught when the command itself imports it, so that nothing is imported earlier than without us. Where the functions
of older checkouts have other names or arguments, both are known here.
"""

import importlib.abc
import importlib.machinery
import inspect
import runpy
import statistics
import sys
import time

FIRST_STEP = "the first step begins"
LOOPS = ("jaxmnist.runs.loop", "jaxmnist.cli.training_run")
WARM_UP, EPOCHS, EPOCHS_OF_MANY = 3, 15, 3


class Watch(importlib.abc.MetaPathFinder):
    """Wraps the loop's `timed` as soon as the command has imported its module."""

    def find_spec(self, name, path, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in LOOPS else None
        if spec:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                module.timed = telling(module.timed)

            spec.loader.exec_module = exec_module
        return spec


def telling(timed):
    def call(purpose, *arguments):
        if purpose == "train":
            print(FIRST_STEP, flush=True)
        return timed(purpose, *arguments)

    return call


def first_step(script, *words):
    sys.meta_path.insert(0, Watch())
    sys.argv = [script, *words]
    runpy.run_path(script, run_name="__main__")


def epoch(dataset, batch_size):
    from jaxmnist.sources import load

    print(seconds_of_an_epoch(load(dataset).train, int(batch_size)))


def seconds_of_an_epoch(train_set, batch_size):
    """The median of some epochs, compiled and called as the train command does."""
    import jax

    from jaxmnist.config import Config
    from jaxmnist.training import start, train_epoch

    config = Config(batch_size=batch_size, epochs=WARM_UP + EPOCHS)
    examples = {"examples": len(train_set.labels)} if "examples" in inspect.signature(start).parameters else {}
    state, spent = start(jax.random.key(0), config, **examples), []
    compiled = train_epoch.lower(state, train_set, config).compile()
    for _ in range(WARM_UP + EPOCHS):
        begin = time.perf_counter()
        state, costs = compiled(state, train_set, config)
        costs.block_until_ready()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent[WARM_UP:])


def population(dataset, networks):
    """The time from one call of its progress to the next, with hardly any examples to measure the networks on."""
    import jax
    import numpy as np

    from jaxmnist import population
    from jaxmnist.config import Config
    from jaxmnist.dataset import take
    from jaxmnist.sources import load

    train_set, ends = load(dataset).train, []
    one = seconds_of_an_epoch(train_set, batch_size=32)
    combine = population.make_members if hasattr(population, "make_members") else population.grid
    parameters = inspect.signature(population.train_population).parameters
    on_progress = "on_progress" if "on_progress" in parameters else "show"
    population.train_population(
        combine([(0.9, 0.08)], range(int(networks))),
        jax.random.key(1),
        train_set,
        take(train_set, np.arange(100)),
        Config(batch_size=32, epochs=1 + EPOCHS_OF_MANY),
        **{on_progress: lambda _: ends.append(time.perf_counter())},
    )
    print(statistics.median(np.diff(ends)) / int(networks) / one)


if __name__ == "__main__":
    {"first-step": first_step, "epoch": epoch, "population": population}[sys.argv[1]](*sys.argv[2:])
