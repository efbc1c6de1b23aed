"""Measure the house: how long its files and functions are, and which names are defined twice.

    python tests/house.py                        # this checkout
    python tests/house.py --against ../base      # beside another one
    python tests/house.py --against ../base --weights --tests    # also train both, and time both suites (minutes)

Set JAXMNIST_DATA_DIR for --weights, which trains on MNIST with seed 0. Run --tests with nothing else running.
"""

import argparse
import ast
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXTBOOK = ("network", "cost", "backprop", "optimizers", "dataset", "config", "training", "metrics", "population")
TARGETS = {
    "Python lines": 6_300,
    "JavaScript lines": 1_000,
    "cli: files": 11,
    "cli: lines": 1_600,
    "textbook: lines": 1_400,
    "longest function": 50,
    "names defined in two modules": 8,
    "pytest, ratio": 0.4,
}


def count_lines(paths):
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def functions(package):
    """(lines, docstring included; where) of every function, the longest first."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.append((node.end_lineno - node.lineno + 1, f"{path.relative_to(package)}:{node.name}"))
    return sorted(found, reverse=True)


def shared_names(package):
    """Every name that more than one module defines at its top level, with those modules."""
    modules = defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            for name in names:
                if not name.startswith("__"):
                    modules[name].add(str(path.relative_to(package)))
    return {name: sorted(where) for name, where in sorted(modules.items()) if len(where) > 1}


def measure(root):
    package = root / "jaxmnist"
    cli = sorted((package / "cli").rglob("*.py"))
    return {
        "Python lines": count_lines(package.rglob("*.py")),
        "JavaScript lines": count_lines(package.rglob("*.js")),
        "cli: files": len(cli),
        "cli: lines": count_lines(cli),
        "textbook: lines": count_lines(package / f"{name}.py" for name in TEXTBOOK),
        "longest function": functions(package)[0][0],
        "names defined in two modules": len(shared_names(package)),
    }


def in_checkout(root, *command):
    """Run a command that imports the package of this checkout; returns the seconds it took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True)
    return time.perf_counter() - begin


def weights_digest(root):
    """sha256 of the parameters that `train.py --seed 0` gives, whatever the rest of the file says."""
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as folder:
        in_checkout(root, "train.py", "--seed", "0", "--run-dir", folder)
        tensors = load_file(Path(folder) / "weights.safetensors")
    return hashlib.sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors))).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of the project")
    parser.add_argument("--weights", action="store_true", help="train both on MNIST and compare their weights")
    parser.add_argument("--tests", action="store_true", help="time `pytest` in both")
    options = parser.parse_args()
    if (options.weights or options.tests) and options.against is None:
        parser.error("--weights and --tests compare two checkouts: add --against DIR")
    roots = [root.resolve() for root in (options.against, ROOT) if root]
    columns = [measure(root) for root in roots]
    if options.tests:
        seconds = [in_checkout(root, "-m", "pytest", "-q") for root in roots]
        for column, spent in zip(columns, seconds, strict=True):
            column["pytest, seconds"] = round(spent)
            column["pytest, ratio"] = round(spent / seconds[0], 2)
    if options.weights:
        for column, root in zip(columns, roots, strict=True):
            column["weights of train.py"] = weights_digest(root)[:12]
    print(
        "".join(f"{heading:>16}" for heading in ["", *(root.name for root in roots), "at most"]).replace(
            " " * 16, f"{'':30}", 1
        )
    )
    for name in columns[-1]:
        cells = [column.get(name, "") for column in columns] + [TARGETS.get(name, "")]
        print(f"{name:<30}" + "".join(f"{cell:>16,}" if isinstance(cell, int) else f"{cell:>16}" for cell in cells))
    package = ROOT / "jaxmnist"
    print("\nThe longest functions:", *(f"{lines} {where}" for lines, where in functions(package)[:5]), sep="\n  ")
    print(
        "\nNames defined in two modules:",
        *(f"{n}: {', '.join(w)}" for n, w in shared_names(package).items()),
        sep="\n  ",
    )


if __name__ == "__main__":
    main()
