import io
import json
from functools import partial

import command_line
import numpy as np
import pytest
from command_line import refusal
from PIL import Image

from jaxmnist.checkpoint import load_network
from jaxmnist.idx import read_images, read_labels
from jaxmnist.network import forward
from jaxmnist.plots import evaluate as plots
from jaxmnist.plots.style import png

PICTURES = {"calibration.png", "confusion.png", "digits.png", "mistakes.png", "noise.png"}


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, offline."""
    return partial(command_line.run, tmp_path, "evaluate")


def test_the_packaged_network_on_mnist(run, tmp_path, mnist_dir):
    result = run("source", "--data-dir", mnist_dir, "--run-dir", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines()[3:-1])) <= 100
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    network = load_network("source")
    assert found["examples"] == 10_000
    assert found["accuracy"] == pytest.approx(network.about["test_accuracy"], abs=2e-4)  # one or two near ties
    low, high = found["accuracy_interval_95"]
    assert 0.94 < low < found["accuracy"] < high < 0.96
    assert f"{100 * found['accuracy']:.2f} % ({found['right']:,} right)" in result.stdout
    matrix = np.array(found["confusion"])
    assert matrix.trace() == found["right"]
    for digit in found["digits"]:
        row = matrix[digit["digit"]].copy()
        assert digit["recall"] == pytest.approx(row[digit["digit"]] / row.sum(), rel=1e-5)  # written with six digits
        row[digit["digit"]] = 0
        assert digit["read_instead"] == {str(read): count for read, count in enumerate(row) if count}
    images = read_images(mnist_dir / "t10k-images-idx3-ubyte.gz")
    labels = read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz")
    for mistake in found["mistakes"]:
        output = np.asarray(forward(network.params, images[mistake["index"]] / 255))
        assert (mistake["label"], mistake["read"]) == (labels[mistake["index"]], output.argmax())
        assert mistake["label"] != mistake["read"]
        assert mistake["confidence"] == pytest.approx(float(output.max()), abs=1e-5)  # float32, written with six digits
    bins = found["calibration"]["bins"]
    assert sum(place["examples"] for place in bins) == 10_000
    assert 0 <= found["calibration"]["expected_error"] <= 0.02
    files = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert files == {*PICTURES, "evaluation.json"}
    for name in PICTURES:
        with Image.open(tmp_path / "out" / name) as image:
            assert min(image.size) >= 500


def test_without_a_run_the_best_packaged_network_is_evaluated(run, mnist_dir):
    found = json.loads(run("--data-dir", mnist_dir, "--json").stdout)
    assert found["run"] == "best"
    assert found["accuracy"] == pytest.approx(load_network("best").about["test_accuracy"], abs=2e-4)


def test_noise_that_it_is_sure_of_is_counted_and_called_noise(run, tmp_path, mnist_dir):
    result = run("source", "--data-dir", mnist_dir, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads(next((tmp_path / "runs").glob("*-evaluate/evaluation.json")).read_text())
    network = load_network("source")
    random = np.random.default_rng(0).integers(0, 256, (10_000, 784)).astype(np.uint8)
    hidden = random / 255
    for weights, biases in network.params:
        hidden = 1 / (1 + np.exp(-(hidden @ np.asarray(weights).T + np.asarray(biases))))
    kind, shuffled = found["noise"]
    assert kind["kind"] == "random pixels"
    assert kind["sure"] == pytest.approx(np.sum(hidden.max(axis=1) >= 0.9), abs=2)  # float32 here, float64 there
    assert sum(kind["read_as"].values()) == kind["images"] == 10_000
    assert shuffled["images"] == 10_000
    assert shuffled["sure"] > 0  # the limitation is there, and told


@pytest.mark.slow
def test_a_run_on_the_embedded_digits_brings_its_own_data(run, tmp_path):
    trained = command_line.run(
        tmp_path,
        "train",
        "--dataset",
        "digits",
        "--cost",
        "cross_entropy",
        "--epochs",
        20,
        "--run-dir",
        tmp_path / "run",
    )
    assert trained.returncode == 0, trained.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    result = run(tmp_path / "run", "--run-dir", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["dataset"], found["examples"]) == ("digits", 360)
    assert found["accuracy"] == pytest.approx(summary["test_accuracy"], abs=1e-6)  # written with seven digits
    assert found["mean_cost"] == pytest.approx(summary["test_cost"], rel=1e-4)  # another order of float32 additions
    assert "softmax" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "run nosuch: no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        ((__file__,), "test_evaluate.py"),
        (("--dataset", "cifar"), "cifar"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--dataset", "digits", "--run-dir", "/proc/run"), "/proc/run"),
        (("--bogus",), "--bogus"),
        (("source", "other"), "other"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    assert said in refusal(run(*arguments))
    assert not (tmp_path / "runs").exists()


def test_pictures_of_one_kind_and_of_digits_that_never_came_draw():
    digit = {"digit": 0, "precision": None, "recall": None, "recall_interval_95": None}
    place = {"from": 0.0, "to": 1.0, "examples": 3, "confidence": 0.4, "right": 1.0, "right_interval_95": (0.4, 1.0)}
    kind = {"kind": "dust", "sure": 1, "sure_from": 0.9, "images": 3}
    for figure in (
        plots.digits([{**digit, "digit": number} for number in range(10)], "none"),
        plots.calibration({"bins": [place], "expected_error": 0.6}, "one bin"),
        plots.noise({"dust": np.zeros((3, 784), np.uint8)}, {"dust": np.eye(10)[:3]}, [kind], "it"),
    ):
        with Image.open(io.BytesIO(png(figure))) as picture:
            assert min(picture.size) >= 480
