import io
import json
import os
import subprocess
import sys
import time
from functools import partial

import command_line
import numpy as np
import pytest
from command_line import refusal
from handwriting import enlarged, lit, pasted
from PIL import Image

from jaxmnist import metrics
from jaxmnist.studies.characters import bar
from jaxmnist.cli.predict_text import Reading
from jaxmnist.handwriting.normalise import Normalised, normalise
from jaxmnist.network import forward
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.sources.idx import read_images, read_labels


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, offline."""
    return partial(command_line.run, tmp_path, "predict")


@pytest.fixture(scope="module")
def digits(mnist_dir):
    return read_images(mnist_dir / "t10k-images-idx3-ubyte.gz")


@pytest.fixture(scope="module")
def labels(mnist_dir):
    return read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz")


def written(path, picture):
    Image.fromarray(picture).save(path)
    return path


def read_by_best(image):
    network = load_network("best")
    return np.asarray(forward(network.params, image / 255, network.config.activation, network.config.cost))


def test_a_picture_is_read_and_told(run, tmp_path, digits):
    page = 255 - np.pad(enlarged(digits[0], 300), 40)
    result = run(written(tmp_path / "seven.png", page))
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    first, *rest = result.stdout.splitlines()
    outputs = read_by_best(normalise(page).image)
    assert f"seven.png: 7, confidence {outputs[7]:.2f} (dark on light" in first
    rows = [line[31:] for line in rest if line[31:32].isdigit()]
    assert [row[:7] for row in rows] == [f"{digit}  {output:4.2f}" for digit, output in enumerate(outputs)]
    assert max(rows, key=lambda row: row.count("█")).startswith("7")
    assert any("█" in line[:28] for line in rest)


def test_json_tells_all(run, tmp_path, digits):
    page = np.pad(enlarged(digits[1], 120), ((10, 40), (30, 5)))
    result = run(written(tmp_path / "two.png", page), tmp_path / "none.png", "--json")
    assert result.returncode == 2
    found = json.loads(result.stdout)
    (reading,) = found["readings"]
    expected = normalise(page)
    outputs = read_by_best(expected.image)
    assert (found["run"], reading["digit"], reading["place"], reading["doubts"]) == ("best", 2, 0, [])
    assert np.allclose(reading["activations"], outputs, atol=2e-6)  # rounded to six places
    assert reading["confidence"] == max(reading["activations"])
    assert (reading["box"], reading["dark_on_light"]) == (list(expected.box), False)
    (error,) = found["errors"]
    assert error["image"].endswith("none.png")
    assert "no such file" in error["error"]


def test_a_folder_and_a_row_of_digits(run, tmp_path, digits, labels):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        written(folder / f"{number:02}.{'png' if number % 2 else 'bmp'}", enlarged(digits[number], 60 + 10 * number))
    (folder / "notes.txt").write_text("no picture")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    head, *lines, last = result.stdout.splitlines()
    assert head.startswith("digit  confidence")
    assert [line.split()[3] for line in lines] == [str(path) for path in sorted(folder.glob("*.[pb]*"))]
    assert np.mean([int(line.split()[0]) == label for line, label in zip(lines, labels, strict=False)]) >= 0.9
    assert last.startswith("12 digits in 12 pictures")

    row = np.hstack([enlarged(digits[number], 90) for number in (10, 1, 2, 7, 3)])
    path = written(tmp_path / "row.webp", row)
    assert "5 strokes side by side" in run(path).stdout
    result = run(path, "--split")
    assert result.stdout.splitlines()[-2:] == [f"{path}: 02190", "5 digits in 1 picture, 0 doubtful"]


def test_standard_input(run, tmp_path, digits):
    buffer = io.BytesIO()
    Image.fromarray(enlarged(digits[3], 90)).save(buffer, "JPEG")
    command = [sys.executable, "-m", "jaxmnist", "predict", "-"]
    result = subprocess.run(command, input=buffer.getvalue(), capture_output=True, cwd=tmp_path, check=True)
    assert result.stdout.decode().startswith("standard input: 0,")
    result = subprocess.run(command, input=buffer.getvalue()[:500], capture_output=True, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.decode().startswith("error: standard input: ")


def test_show_draws_the_first_digits(run, tmp_path, digits):
    paths = [written(tmp_path / f"{number}.png", enlarged(digits[number], 100)) for number in range(9)]
    result = run(*paths, "--show", "--run-dir", tmp_path / "shown")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"in {tmp_path / 'shown'}: predict.png"
    with Image.open(tmp_path / "shown" / "predict.png") as image:
        assert image.width > 800
        assert image.height > 2000
    assert "never overwrites" in refusal(run(paths[0], "--show", "--run-dir", tmp_path / "shown"))


@pytest.mark.slow
def test_another_runs_network_reads(run, tmp_path, digits):
    trained = command_line.run(
        tmp_path,
        "train",
        "--dataset",
        "digits",
        "--cost",
        "cross_entropy",
        "--epochs",
        5,
        "--run-dir",
        tmp_path / "run",
    )
    assert trained.returncode == 0, trained.stderr
    page = enlarged(digits[0], 90)
    result = run(written(tmp_path / "digit.png", page), "--run", tmp_path / "run", "--json")
    (reading,) = json.loads(result.stdout)["readings"]
    assert sum(reading["activations"]) == pytest.approx(1, abs=1e-5)  # a softmax, rounded to six places
    network = load_network(tmp_path / "run")
    outputs = forward(network.params, normalise(page).image / 255, network.config.activation, network.config.cost)
    assert np.allclose(reading["activations"], outputs, atol=2e-6)


def test_bad_pictures_are_told_one_by_one_and_the_others_read(run, tmp_path, digits):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8)
    bad = {
        "blank.png": (np.full((50, 50), 240, np.uint8), "blank"),
        "noise.png": (noise, "all noise"),
    }
    for name, (picture, _said) in bad.items():
        written(tmp_path / name, picture)
    (tmp_path / "no.png").write_bytes(b"no picture")
    Image.fromarray(enlarged(digits[0], 90)).save(tmp_path / "moving.gif")
    (tmp_path / "short.jpg").write_bytes((tmp_path / "noise.png").read_bytes()[:1000])
    Image.new("1", (9000, 5000)).save(tmp_path / "large.png")
    said = {name: said for name, (_picture, said) in bad.items()}
    said |= {"no.png": "not a picture", "moving.gif": "is a GIF", "short.jpg": "damaged", "large.png": "40 million"}
    said |= {"absent.png": "no such file"}
    good = written(tmp_path / "good.png", enlarged(digits[0], 90))
    result = run(*(tmp_path / name for name in said), good)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "good.png: 7," in result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == len(said)
    for line, (name, text) in zip(lines, said.items(), strict=True):
        assert line.startswith(f"error: {tmp_path / name}: ")
        assert text in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no picture"),
        (("-", "-"), "only once"),
        (("empty",), "a folder without pictures"),
        (("none.png",), "none.png: no such file"),
        (("none.png", "--run", "nosuch"), "run nosuch: no such folder or file"),
        (("none.png", "--run", "empty"), "no weights.safetensors in it"),
        (("none.png", "--bogus"), "--bogus"),
        (("none.png", "--run-dir", "shown"), "--show"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    assert said in refusal(run(*arguments))


def test_what_is_no_picture_keeps_no_other_from_being_read(run, tmp_path, digits):
    (tmp_path / "empty").mkdir()
    good = written(tmp_path / "good.png", enlarged(digits[0], 90))
    bad = {"empty": "a folder without pictures", "": "an empty name", "long" * 100: "long" * 100, "no.png": "no such"}
    result = run(good, *bad)
    assert (result.returncode, result.stdout.splitlines()[0][:15]) == (2, f"{good}: 7,"[:15])
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad)
    for line, said in zip(lines, bad.values(), strict=True):
        assert line.startswith("error: ")
        assert said in line
        assert "Errno" not in line
    for name, said in bad.items():
        assert said in refusal(run(name))
        result = run(name, "--json")
        found = json.loads(result.stdout)
        assert (result.returncode, found["readings"]) == (2, [])
        (error,) = found["errors"]
        assert error["image"] == name
        assert said in error["error"]


def test_a_picture_given_twice_is_two_pictures(run, tmp_path, digits):
    path = written(tmp_path / "row.png", np.hstack([enlarged(digits[number], 90) for number in (0, 2, 0, 2)]))
    result = run(path, path, "--split")
    assert result.stdout.splitlines()[-3:] == [f"{path}: 7171"] * 2 + ["8 digits in 2 pictures, 0 doubtful"]


def test_of_a_row_the_good_digits_are_read_and_the_others_told_by_their_place(run, tmp_path, digits):
    good = [enlarged(digits[number], 90) for number in (0, 2, 0)]
    scribble = np.pad(np.uint8(255 * (np.random.default_rng(0).random((60, 60)) < 0.5)), 15)
    path = written(tmp_path / "row.png", np.hstack([*good[:2], scribble, good[2]]))
    result = run(path, "--split")
    assert f"{path}: 71?7" in result.stdout.splitlines()
    assert refusal(result).startswith(f"error: {path}, 3 from the left: all noise: its strokes are ")
    result = run(path, "--split", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == 2
    assert [(one["place"], one["digit"]) for one in found["readings"]] == [(0, 7), (1, 1), (3, 7)]
    (error,) = found["errors"]
    assert "3 from the left" in error["error"]


def test_a_network_that_computes_no_numbers_is_refused_by_name(run, tmp_path, digits):
    best = load_network("best")
    huge = [layer._replace(weights=np.full_like(layer.weights, 3e38)) for layer in best.params]
    save_network(tmp_path / "huge.safetensors", tuple(huge), best.config, {})
    path = written(tmp_path / "seven.png", enlarged(digits[0], 90))
    for also in ((), ("--json",)):
        result = run(path, "--run", "huge.safetensors", *also)
        assert refusal(result).startswith("error: run huge.safetensors: ")
        assert result.stdout == ""


def test_names_that_are_not_utf_8_are_told_with_escapes(run, tmp_path, digits):
    folder = tmp_path / "pictures"
    folder.mkdir()
    written(folder / "7.png", enlarged(digits[0], 90)).rename(folder / "caf\udce9.png")
    written(folder / "good.png", enlarged(digits[1], 90))
    result = run(folder, PYTHONIOENCODING="utf-8:strict")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split("/")[-1] for line in result.stdout.splitlines()[1:3]] == ["caf\\udce9.png", "good.png"]
    found = json.loads(run(folder, "--json", PYTHONIOENCODING="utf-8:strict").stdout)
    assert found["readings"][0]["image"] == str(folder / "caf\udce9.png")  # JSON can hold the name itself


def reading(outputs, pen=2.5, digits=1, several=False):
    found = Normalised(np.zeros(784, np.uint8), True, (0, 0, 9, 9), pen, digits)
    return Reading("it.png", 0, 0, found, several, np.asarray(outputs))


def test_doubts():
    sure = np.eye(10)[3] * 0.95
    assert reading(sure).doubts() == []
    assert reading(sure, digits=3, several=True).doubts() == []
    assert "--split" in reading(sure, digits=3).doubts()[0]
    assert "wide" in reading(sure, pen=7).doubts()[0]
    (unsure,) = reading(np.eye(10)[3] * 0.6 + np.eye(10)[5] * 0.4).doubts()
    assert unsure == "unsure, next is 5 with 0.40"
    assert reading(np.eye(10)[3] * 0.95 + np.eye(10)[5] * 0.4).doubts() == []
    assert reading(np.eye(10)[3] * 0.95 + np.eye(10)[5] * 0.5).doubts() == ["unsure, next is 5 with 0.50"]
    (unlike,) = reading(np.full(10, 0.1)).doubts()
    assert unlike.startswith("unlike any digit")


@pytest.mark.parametrize(("name", "rare", "right"), [("best", 0.03, 0.57), ("source", 0.06, 0.5)])
def test_the_packaged_networks_doubts_are_as_rare_and_as_right_as_help_says(name, rare, right, digits, labels):
    network = load_network(name)
    outputs = np.asarray(metrics.outputs(network.params, digits, network.config.activation, network.config.cost))
    doubtful = np.array([bool(reading(output).doubts()) for output in outputs])
    wrong = outputs.argmax(axis=1) != labels
    assert np.mean(doubtful) == pytest.approx(rare, abs=0.01)
    assert np.mean(doubtful[wrong]) == pytest.approx(right, abs=0.05)


@pytest.mark.parametrize("share", [0, 0.01, 0.33, 0.5, 0.999, 1])
def test_a_bar_is_as_long_as_its_share(share):
    drawn = bar(share, 40)
    eighths = sum("▏▎▍▌▋▊▉█".index(character) + 1 for character in drawn)
    assert abs(eighths / 320 - share) <= 1 / 640


def fastest(times, command, **options):
    """Wall and processor seconds of the fastest of some runs; other programs may slow some of them down."""
    measured = []
    for _ in range(times):
        before, begin = os.times(), time.monotonic()
        subprocess.run(command, capture_output=True, check=True, **options)
        wall, after = time.monotonic() - begin, os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        measured.append((wall, spent))
    return min(measured)


@pytest.mark.measured
def test_one_picture_takes_at_most_a_second_and_a_half(tmp_path, digits):
    path = written(tmp_path / "digit.png", pasted(digits[0], np.random.default_rng(0))[0])
    wall, spent = fastest(5, [sys.executable, "-m", "jaxmnist", "predict", str(path)])
    print(f"one picture: {wall:.2f} s, of which {spent:.2f} s processor time")
    assert min(wall, spent) <= 1.5  # on a processor that others keep busy too, its own time counts


@pytest.mark.measured
def test_a_thousand_pictures_take_at_most_six_seconds(tmp_path, digits):
    random = np.random.default_rng(0)
    for number in range(1000):
        page = np.pad(enlarged(digits[number], random.integers(28, 300)), 10)
        written(tmp_path / f"{number:04}.png", lit(255 - page, random))
    wall, spent = fastest(3, [sys.executable, "-m", "jaxmnist", "predict", str(tmp_path)])
    print(f"a thousand pictures: {wall:.2f} s, of which {spent:.2f} s processor time")
    assert min(wall, spent) <= 6
