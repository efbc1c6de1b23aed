import io
import json
from functools import partial

import command_line
import jax
import numpy as np
import pytest
from command_line import refusal
from PIL import Image

from jaxmnist.cli import evaluate_text
from jaxmnist.config import Config
from jaxmnist.network import forward, init
from jaxmnist.plots import evaluate as plots
from jaxmnist.plots.style import png
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.sources.idx import read_images, read_labels

PICTURES = {"calibration.png", "confusion.png", "digits.png", "mistakes.png", "noise.png"}


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, offline."""
    return partial(command_line.run, tmp_path, "evaluate")


def on_digits(folder):
    """The folder of a run on the embedded digits, as far as evaluate looks at it."""
    folder.mkdir()
    config = Config(sizes=(784, 10))
    save_network(folder / "weights.safetensors", init(jax.random.key(0), config.sizes), config, {"dataset": "digits"})
    return folder


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
    (folder,) = (tmp_path / "runs").glob("*-evaluate")
    assert found == json.loads((folder / "evaluation.json").read_text())
    assert result.stderr.startswith(f"in runs/{folder.name}: calibration.png, ")
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


def test_any_folder_name_can_be_evaluated(run, tmp_path):
    folder = on_digits(tmp_path / "a$\\foo$_b\udce9")
    result = run(folder.name, "--run-dir", "out\udce9", PYTHONIOENCODING="utf-8:strict", JAXMNIST_DATA_DIR="nowhere")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.startswith("a$\\foo$_b\\udce9: 784-10")
    assert "in out\\udce9: " in result.stdout
    assert {path.name for path in (tmp_path / "out\udce9").glob("*.png")} == PICTURES
    found = json.loads((tmp_path / "out\udce9" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["run"] == folder.name


def test_the_share_of_noise_and_its_median_are_told_of_all():
    kind = {"kind": "dust", "images": 4, "sure_from": 0.9, "sure": 1, "median_confidence": 0.5, "read_as": {"8": 3}}
    assert [line.strip() for line in evaluate_text._noise({"noise": [kind]})[1:3]] == [
        "dust: 25.00 % are read with a confidence of at least 0.9,",
        "half of all with 0.500 or more, most often as 8 (3 of 4)",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "run nosuch: no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        ((__file__,), "test_evaluate.py"),
        (("--dataset", "cifar"), "cifar"),
        (("",), "run '': an empty name"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("digits", "--data-dir", "empty"), "data dir empty: contradicts the data set digits"),
        (("--dataset", "digits", "--data-dir", "nowhere"), "--dataset mnist, or leave --data-dir out"),
        (("digits", "--dataset", "mnist", "--data-dir", "empty"), "expected mnist's four IDX files"),
        (("--dataset", "digits", "--run-dir", "/proc/run"), "/proc/run"),
        (("--bogus",), "--bogus"),
        (("source", "other"), "other"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    on_digits(tmp_path / "digits")
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
