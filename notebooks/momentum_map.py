"""Train the map of momentum, as momentum_map.md describes it, and write its numbers and its figure.

    python notebooks/momentum_map.py              # about an hour on two cores
    python notebooks/momentum_map.py --reduced    # minutes

Stop it whenever you like: started again, it goes on with what is left in runs/momentum-map, or in --run-dir. The full
map is written to momentum_map.csv beside this file, which notebook 4 reads; the reduced one stays in its folder.
"""

import argparse
import time
from pathlib import Path

import jax

from jaxmnist.plots.momentum_map import figures
from jaxmnist.plots.style import own_settings, png
from jaxmnist.runs import folder, groups
from jaxmnist.runs.files import clear_temporaries, write_atomically
from jaxmnist.runs.loop import digest
from jaxmnist.sources import load
from jaxmnist.studies import grid
from jaxmnist.studies import momentum_map as study
from jaxmnist.studies.momentum_map_report import report

TABLE = Path(__file__).with_suffix(".csv")


def main(arguments=None):
    """Train what is missing of the map, and once nothing is missing write and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true", help="a smaller map, which decides nothing")
    parser.add_argument("--run-dir", type=Path, help="folder to keep the finished groups in")
    options = parser.parse_args(arguments)
    plan = study.REDUCED if options.reduced else study.FULL
    run_dir = options.run_dir or Path("runs/momentum-map-reduced" if options.reduced else "runs/momentum-map")
    run_dir.mkdir(parents=True, exist_ok=True)
    with folder.held(run_dir):
        result, name = train(plan, run_dir)
    table = run_dir / TABLE.name if options.reduced else TABLE
    write_atomically(table, study.to_csv(result).encode())
    with own_settings():
        for file, figure in figures(result, name).items():
            write_atomically(run_dir / file, png(figure)())
    print(report(result), f"\n\n{table} has all numbers, {run_dir} the figure")


def train(plan, run_dir):
    """Train the groups that the folder doesn't have, and keep each as it ends; return the map, and its data's name."""
    splits = load()
    asked = study.grid_of(plan, study.examples(splits.train))
    sha256, count = grid.sha256(asked, digest(splits)), len(grid.groups(asked))
    clear_temporaries(run_dir / groups.FOLDER)
    finished, warnings = groups.read_groups(run_dir, count, sha256)
    print(*warnings, f"{splits.name}: {len(finished)} of {count} groups are finished", sep="\n")
    begin = time.monotonic()

    def keep(number, population, steps):
        nonlocal begin
        now = time.monotonic()
        first = jax.tree.map(lambda leaf: leaf[0], population.params)
        groups.save_group(run_dir, number, {"steps": steps}, now - begin, first, sha256)
        print(f"group {number + 1} of {count}: {len(steps)} networks in {now - begin:.0f} s", flush=True)
        begin = now

    key = jax.random.fold_in(jax.random.key(0), 3)  # 0 and 1 would be the keys of the network from seed 0
    steps = {number: arrays["steps"] for number, arrays in finished.items()}
    return study.run(key, plan, splits.train, steps, keep), splits.name


if __name__ == "__main__":
    main()
