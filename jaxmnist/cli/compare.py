"""The compare command: the race of the four optimizers, and what it says of what is said of them."""

import time

from jaxmnist.cli.compare_race import Options, race
from jaxmnist.cli.options import load_data, select_device
from jaxmnist.config import LARGEST_RATE, Config, validate
from jaxmnist.runs import folder as run_folder

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Race, and write the run folder.

    Raises:
        ValueError: for options or data that can't be used.
        OSError: for files that can't be read or written.
    """
    begin = time.perf_counter()
    run_folder.refuse_used(options.run_dir)
    _check(options)
    device = select_device(options.data)

    import jax

    from jaxmnist.cli.compare_pictures import draw
    from jaxmnist.cli.compare_report import conditions, text, write
    from jaxmnist.studies.race import divide

    with jax.default_device(device):
        splits = load_data(options.data)
        field = divide(jax.random.key(0), splits.train, options.examples)
        racing = field.race.labels.shape[0]
        if options.batch_size > racing:
            raise ValueError(
                f"batch size {options.batch_size}: expected at most the {racing:,} examples that race; "
                f"try --batch-size {min(Options.batch_size, racing)}"
            )
        with run_folder.created(options.run_dir, "compare") as folder:
            print(f"{device.device_kind} ({device.platform}) · {splits.name} from {splits.origin}")
            print(conditions(options, field, splits), flush=True)
            results = race(options, field)
            write(folder, options, splits, field, results)
            print(f"\n{text(options, results)}\n\ndrawing", flush=True)
            draw(folder, options, splits, field, results)
            print(f"{time.perf_counter() - begin:.0f} s · in {folder}: {run_folder.listed(folder)}")
        return 0


def _check(options: Options) -> None:
    """Refuse what no race can be run with.

    Raises:
        ValueError: naming the value, what was expected and the remedy.
    """
    if not options.learning_rates:
        raise ValueError("learning rates: none given, expected at least one; try --learning-rates 0.2 0.4 0.8")
    for rate in options.learning_rates:
        if not 0 < rate <= LARGEST_RATE:
            raise ValueError(
                f"learning rate η = {rate}: expected numbers above 0, at most {LARGEST_RATE:g}; "
                f"try --learning-rates 0.2 0.4 0.8"
            )
    validate(Config(momentum=options.momentum))
    for name, least in (("seeds", 2), ("batch_size", 1), ("examples", 1), ("steps", 1), ("full_batch_steps", 1)):
        if getattr(options, name) < least:
            raise ValueError(
                f"{name.replace('_', ' ')} {getattr(options, name)}: expected a whole number from {least}; "
                f"try --{name.replace('_', '-')} {getattr(Options, name)}"
            )
