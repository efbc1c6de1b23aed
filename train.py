"""Train the digit network: the `train` command of jaxmnist. Start with `python train.py --help`."""

import sys

from jaxmnist.__main__ import program

if __name__ == "__main__":
    sys.exit(program("train"))
