"""3Blue1Brown's digit network in functional JAX, from random start to trained.

The textbook is nine files. Read them in this order: `network`, `cost`, `backprop`, `optimizers`, `dataset`, `config`,
`metrics`, `training`, `population`; then `studies`, which measure what the textbook promises. The other folders are
the house around it: `sources` loads data, `handwriting` reads pictures, `runs` keeps results on disk, `plots` draws,
`page` makes the web page, and `cli` is the edge that prints.

Import what you need by its module: `from jaxmnist.training import train`.
"""

__version__ = "0.3.0"
