"""Maps of momentum with steps that are made up, to be tested and drawn."""

import numpy as np

from jaxmnist.studies import momentum_map as study

PLAN = study.Map({16: 1, 512: 1}, (0.5, 0.9), (0.5, 1.0, 2.0), 4, 20)


def steps_of(factors, noise=0.01, plan=PLAN):
    """A map where SGD needs 1,000 steps at length 1, twice as many at a half and never gets there at 2.

    The others need as many times a factor, by (batch size, method, μ) if not 1.
    """
    random = np.random.default_rng(0)
    steps = np.empty((len(plan.epochs), len(study.methods(plan)), len(plan.lengths), plan.seeds, 2))
    for batch, batch_size in enumerate(plan.epochs):
        for row, (method, momentum) in enumerate(study.methods(plan)):
            factor = factors.get((batch_size, method, momentum), 1.0)
            varied = factor * np.exp(noise * random.standard_normal((3, plan.seeds, 1)))
            steps[batch, row] = np.array([2_000, 1_000, np.inf])[:, None, None] * varied
    return study.Result(plan, steps)
