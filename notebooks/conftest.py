"""Under pytest the notebooks run on the embedded digits, quickly and offline, unless the caller names another set."""

import os

os.environ.setdefault("JAXMNIST_DATASET", "digits")
