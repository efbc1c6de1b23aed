"""3Blue1Brown's digit network in functional JAX, from random start to trained.

Read the modules from the bottom up: `config`, `network`, `cost`, `optimizers`, `dataset` are small pure
functions; `training` makes one pure program of them; `cli` is the edge that reads, writes and prints.
Import what you need by its module: `from jaxmnist.training import train`.
"""

__version__ = "0.1.0"
