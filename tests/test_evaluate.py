import gzip
import json
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxmnist.cli import evaluate as command
from jaxmnist.config import Config
from jaxmnist.network import Layer, forward
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.sources.idx import read_images, read_labels

FIGURES = {"calibration.png", "confusion.png", "digits.png", "mistakes.png", "noise.png"}


@pytest.fixture
def evaluate(command):
    return partial(command, "evaluate")


def save_run(folder, **about):
    """The part of a run's folder that evaluate reads."""
    folder.mkdir()
    config = Config(sizes=(784, 10), cost="cross_entropy")
    params = (Layer(jnp.zeros((10, 784)), jnp.zeros(10)),)
    save_network(folder / "weights.safetensors", params, config, about)
    return folder


@pytest.mark.slow
def test_the_packaged_network_on_mnist(evaluate, tmp_path, mnist_dir):
    code, said, complaints = evaluate("source", "--data-dir", mnist_dir, "--run-dir", "out")
    assert (code, complaints) == (0, "")
    lines = said.splitlines()
    assert lines[:2] == [
        "source: 784-16-16-10, sigmoid, squared_error, trained on mnist",
        f"on the 10,000 test images of mnist from {mnist_dir}",
    ]
    assert lines[-1] == "in out: calibration.png, confusion.png, digits.png, evaluation.json, mistakes.png, noise.png"
    assert max(map(len, lines[2:])) <= 100
    results = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    network = load_network("source")
    assert results["accuracy"] == pytest.approx(network.about["test_accuracy"], abs=2e-4)  # one or two near ties
    low, high = results["accuracy_interval_95"]
    assert 0.94 < low < results["accuracy"] < high < 0.96
    assert f"accuracy {100 * results['accuracy']:.2f} % ({results['right']:,} right)" in said
    images = read_images(mnist_dir / "t10k-images-idx3-ubyte.gz")
    labels = read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz")
    mistakes = results["mistakes"]
    for index, label, predicted, outputs in zip(*mistakes.values(), strict=True):
        assert label == labels[index] != predicted == np.argmax(outputs)
        np.testing.assert_allclose(
            outputs, forward(network.params, jnp.asarray(images[index] / 255, jnp.float32)), atol=1e-5
        )  # float32
    assert sum(results["calibration"]["examples"]) == results["examples"] == 10_000
    assert 0 <= results["calibration"]["expected_error"] <= 0.02
    hidden = np.random.default_rng(0).integers(0, 256, (10_000, 784)).astype(np.uint8) / 255
    for weights, biases in network.params:
        hidden = 1 / (1 + np.exp(-(hidden @ np.asarray(weights).T + np.asarray(biases))))
    random, shuffled = results["noise"]["random pixels"], results["noise"]["digits with their pixels shuffled"]
    assert random["sure"] == pytest.approx(np.sum(hidden.max(axis=1) >= 0.9), abs=2)  # float32 here, float64 there
    assert sum(random["read_as"]) == random["images"] == 10_000
    assert shuffled["sure"] > 0  # the limitation that the report names is there
    for name in FIGURES:
        with Image.open(tmp_path / "out" / name) as image:
            assert min(image.size) >= 500


def test_without_a_run_it_evaluates_the_best_packaged_network(evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "figures", lambda *_: {})
    code, said, complaints = evaluate("--dataset", "digits", "--json")
    results = json.loads(said)
    assert (code, results["run"], results["activation"], results["trained_on"]) == (0, "best", "silu", "mnist")
    (folder,) = (tmp_path / "runs").glob("*-evaluate")
    assert results == json.loads((folder / "evaluation.json").read_text())
    assert complaints == f"in runs/{folder.name}: evaluation.json\n"


@pytest.mark.slow
def test_a_run_of_any_name_brings_its_own_data_set(evaluate, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMNIST_DATA_DIR", "nowhere")
    folder = save_run(tmp_path / "a$\\foo$_b\udce9", dataset="digits")
    code, said, complaints = evaluate(folder.name, "--run-dir", "out\udce9")
    assert (code, complaints) == (0, "")
    assert said.startswith("a$\\foo$_b\\udce9: 784-10, sigmoid, cross_entropy, trained on digits\non the 360 test ")
    assert "which add up to 1, as a softmax's always do.\n" in said
    assert "\nin out\\udce9: " in said
    assert {path.name for path in (tmp_path / "out\udce9").glob("*.png")} == FIGURES
    results = json.loads((tmp_path / "out\udce9" / "evaluation.json").read_text(encoding="utf-8"))
    assert (results["run"], results["dataset"], results["examples"]) == (folder.name, "digits", 360)


@pytest.mark.slow
def test_qmnists_60000_test_digits_narrow_the_interval(evaluate, tmp_path, mnist_dir):
    """MNIST's test digits six times, in QMNIST's format; then 0.974 ± 1.96 √(0.974 · 0.026 / 60,000)."""
    for part, count in (("train", 1), ("test", 6)):
        images = np.tile(read_images(mnist_dir / "t10k-images-idx3-ubyte.gz"), (count, 1))
        table = np.zeros((len(images), 8), ">i4")
        table[:, 0] = np.tile(read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz"), count)
        head = bytes([0, 0, 8, 3]) + np.array([len(images), 28, 28], ">i4").tobytes()
        (tmp_path / f"qmnist-{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes(), 1))
        head = bytes([0, 0, 12, 2]) + np.array(table.shape, ">i4").tobytes()
        (tmp_path / f"qmnist-{part}-labels-idx2-int").write_bytes(head + table.tobytes())
    for index, asked in enumerate(((), ("--dataset", "qmnist"))):
        code, said, complaints = evaluate("best", *asked, "--data-dir", ".", "--run-dir", f"out{index}")
        assert (code, complaints) == (0, "")
        results = json.loads((tmp_path / f"out{index}" / "evaluation.json").read_text())
        assert (results["dataset"], results["examples"], results["accuracy"]) == ("qmnist", 60_000, 0.9736)
        low, high = results["accuracy_interval_95"]
        assert (high - low) / 2 == pytest.approx(0.0013, abs=5e-5)  # stated to 0.01 %
        assert "on the 60,000 test images of qmnist from " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "nosuch: no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        ((__file__,), "test_evaluate.py"),
        (("--dataset", "cifar"), "cifar"),
        (("digits", "--data-dir", "empty"), "empty"),
        (("digits", "--dataset", "mnist", "--data-dir", "empty"), "no train-images-idx3-ubyte there"),
        (("digits", "--dataset", "qmnist"), "--dataset qmnist: isn't downloaded, expected a folder"),
        (
            ("own",),
            "--dataset custom: isn't downloaded, expected a folder with its four IDX files; name it with --data-",
        ),
        (("--dataset", "digits", "--run-dir", "digits"), "never overwrites"),
        (("source", "other"), "other"),
    ],
)
def test_it_refuses_bad_input(evaluate, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    save_run(tmp_path / "digits", dataset="digits")
    save_run(tmp_path / "own", dataset="custom")
    code, _, complaint = evaluate(*arguments)
    assert code == 2
    assert said in complaint
    assert not (tmp_path / "runs").exists()
