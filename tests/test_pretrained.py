import json
import shlex
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import command_line
import numpy as np
import pytest

from jaxmnist import sources
from jaxmnist.config import RECIPES
from jaxmnist.metrics import evaluate
from jaxmnist.network import SIZES, count_parameters
from jaxmnist.runs.checkpoint import PRETRAINED, load_network

ROOT = Path(__file__).parent.parent
NAMES = ("best", "source")


def test_the_installed_package_has_the_networks():
    packaged = files("jaxmnist").joinpath("pretrained")
    assert sorted(entry.name for entry in packaged.iterdir()) == sorted(f"{name}.safetensors" for name in NAMES)
    for name in NAMES:
        assert len(packaged.joinpath(f"{name}.safetensors").read_bytes()) <= 60_000


@pytest.mark.parametrize("name", NAMES)
def test_a_networks_file_says_how_it_was_made_and_how_accurate_it_is(name, mnist_dir):
    network = load_network(name)
    assert network.about["dataset"] == "mnist"
    assert network.about["seed"] == 0
    assert network.about["command"].startswith("python train.py --dataset mnist --seed 0 ")
    assert f"--learning-rate {network.config.learning_rate} " in network.about["command"]
    measured = evaluate(
        network.params, sources.load("mnist", mnist_dir).test, network.config.activation, network.config.cost
    )
    # Another order of additions may decide an image or two between two digits.
    assert float(measured.accuracy) == pytest.approx(network.about["test_accuracy"], abs=0.0002)


def test_source_is_3blue1browns_network():
    network = load_network("source")
    assert (network.config.sizes, count_parameters(network.params)) == (SIZES, 13_002)
    assert (network.config.activation, network.config.cost) == ("sigmoid", "squared_error")
    assert network.about["test_accuracy"] >= 0.945


def test_best_has_the_recipe_best():
    network = load_network("best")
    assert (network.config, count_parameters(network.params)) == (RECIPES["best"], 13_002)
    assert network.about["test_accuracy"] >= 0.973


def test_a_name_is_a_packaged_network_and_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").mkdir()
    by_name, by_path = load_network("source"), load_network(PRETRAINED / "source.safetensors")
    assert count_parameters(by_name.params) == 13_002
    assert np.array_equal(by_path.params[0].weights, by_name.params[0].weights)
    for path in ("./source", Path("source")):
        with pytest.raises(ValueError, match=r"no weights\.safetensors in it"):
            load_network(path)
    with pytest.raises(ValueError, match="come with jaxmnist: best, source"):
        load_network("nosuch")


@pytest.mark.slow
def test_a_wheel_has_the_networks(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(list(map(str, build)), check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in NAMES:
            packed = archive.read(f"jaxmnist/pretrained/{name}.safetensors")
            assert packed == PRETRAINED.joinpath(f"{name}.safetensors").read_bytes()


@pytest.mark.parametrize(
    "name", [pytest.param("best", marks=pytest.mark.measured), pytest.param("source", marks=pytest.mark.slow)]
)
def test_the_command_in_a_networks_file_reproduces_it(name, tmp_path, mnist_dir):
    packaged = load_network(name)
    python, script, *options = shlex.split(packaged.about["command"])
    assert (python, script) == ("python", "train.py")
    program = (str(ROOT / script),)
    result = command_line.run(
        tmp_path, *options, "--data-dir", mnist_dir, "--run-dir", tmp_path / "again", program=program, timeout=600
    )
    assert result.returncode == 0, result.stderr
    again = load_network(tmp_path / "again")
    assert again.about["command"] == packaged.about["command"]
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    same = np.array_equal(again.params[0].weights, packaged.params[0].weights)
    print(f"{name} again: accuracy {summary['test_accuracy']}, the same bits: {same}, jax {summary['jax']}")
    # Another version of JAX or another processor adds in another order, and ends in another, equally good minimum.
    assert summary["test_accuracy"] == pytest.approx(packaged.about["test_accuracy"], abs=0.006)
