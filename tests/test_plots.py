import hashlib
import os
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from jaxmnist.plots.style import own_settings, png

DRAW = """
import hashlib, sys
from jaxmnist.plots.style import own_settings, png
from matplotlib.figure import Figure
with own_settings():
    figure = Figure(layout="constrained")
    figure.subplots().set(title="η", xlabel="x")
    print(hashlib.sha256(png(figure)()).hexdigest())
"""
STRANGE = (
    "text.usetex: True\nfigure.dpi: 7\nsavefig.format: pdf\nsavefig.bbox: tight\nfont.size: 30\naxes.facecolor: red\n"
)


@pytest.fixture(scope="module")
def expected():
    """The digest of the figure that `DRAW` draws."""
    with own_settings():
        figure = Figure(layout="constrained")
        figure.subplots().set(title="η", xlabel="x")
        return hashlib.sha256(png(figure)()).hexdigest()


@pytest.mark.parametrize(
    ("environment", "matplotlibrc"),
    [
        pytest.param(
            {"MPLBACKEND": "Qt4Agg", "MPLCONFIGDIR": "/dev/null/none"},
            f"{STRANGE}no colon\nno.such: key\nlines.linewidth: thick\n".encode(),
            id="all at once",
        ),
        pytest.param({}, b"\xff\xfe\x00", id="no text"),
        pytest.param({"MPLBACKEND": "nonsense"}, b"", id="backend", marks=pytest.mark.slow),
        pytest.param({"MPLBACKEND": "nonsense"}, b"\xff\xfe\x00", id="both", marks=pytest.mark.slow),
        pytest.param({}, b"backend: Qt4Agg\n", id="backend in the file", marks=pytest.mark.slow),
        pytest.param({}, STRANGE.encode(), id="strange settings", marks=pytest.mark.slow),
        pytest.param({"MPLCONFIGDIR": "/dev/null/none"}, b"", id="no cache", marks=pytest.mark.slow),
        pytest.param({"HOME": "/dev/null/none"}, b"", id="no home", marks=pytest.mark.slow),
    ],
)
def test_no_configuration_of_matplotlib_stops_or_changes_or_warns(tmp_path, expected, environment, matplotlibrc):
    (tmp_path / "matplotlibrc").write_bytes(matplotlibrc)
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", DRAW]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, expected, "")
