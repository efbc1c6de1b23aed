"""`python -m jaxmnist` is the `jaxmnist` command."""

import sys

from jaxmnist.cli import main

if __name__ == "__main__":
    sys.exit(main())
