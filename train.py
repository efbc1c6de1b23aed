"""Train the digit network: the `train` command of jaxmnist. Start with `python train.py --help`."""

import sys

from jaxmnist.cli import main

if __name__ == "__main__":
    sys.exit(main(command="train"))
