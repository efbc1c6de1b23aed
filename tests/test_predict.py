import io
import json
import os
import subprocess
import sys
import time
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from handwriting import enlarged, lit, pasted
from PIL import Image

from jaxmnist import handwriting, metrics
from jaxmnist.cli import predict as predict_command
from jaxmnist.cli.console import UNPRINTABLE
from jaxmnist.handwriting.normalise import normalise
from jaxmnist.network import forward
from jaxmnist.runs.checkpoint import load_network, save_network
from jaxmnist.sources.idx import read_images, read_labels


@pytest.fixture
def predict(command):
    return partial(command, "predict")


@pytest.fixture(scope="module")
def digits(mnist_dir):
    return read_images(mnist_dir / "t10k-images-idx3-ubyte.gz")


@pytest.fixture(scope="module")
def labels(mnist_dir):
    return read_labels(mnist_dir / "t10k-labels-idx1-ubyte.gz")


def written(path, picture):
    Image.fromarray(picture).save(path)
    return path


def outputs_of(run, image):
    network = load_network(run)
    pixels = jnp.asarray(np.float32(image) / np.float32(255))
    return np.asarray(forward(network.params, pixels, network.config.activation, network.config.cost))


def test_one_picture_is_reported_with_its_ten_outputs(predict, tmp_path, digits):
    picture = 255 - np.pad(enlarged(digits[0], 300), 40)
    code, output, errors = predict(written(tmp_path / "seven.png", picture))
    assert (code, errors) == (0, "")
    first, *rest = output.splitlines()
    outputs = outputs_of("best", normalise(picture).image)
    assert f"seven.png: 7, confidence {outputs[7]:.2f} (dark on light" in first
    rows = [line[31:] for line in rest if line[31:32].isdigit()]
    assert [row[:7] for row in rows] == [f"{digit}  {output:4.2f}" for digit, output in enumerate(outputs)]
    assert max(rows, key=lambda row: row.count("█")).startswith("7")
    assert any("█" in line[:28] for line in rest)


def test_a_program_reads_a_picture_in_one_call_and_its_digit_in_another(tmp_path, digits):
    network = load_network("best")
    path = written(tmp_path / "seven.png", np.pad(enlarged(digits[0], 90), 10))
    image = handwriting.read(str(path))
    assert np.array_equal(image, normalise(np.asarray(Image.open(path))).image)
    assert int(metrics.predict(network.params, image, network.config.activation, network.config.cost)) == 7
    blank = written(tmp_path / "blank.png", np.zeros((9, 9), np.uint8))
    for bad, message in ((blank, "blank"), (tmp_path / "absent.png", "no such file")):
        with pytest.raises(ValueError, match=f"^{bad}: {message}"):
            handwriting.read(bad)


def test_json_has_every_reading_and_every_error(predict, tmp_path, digits):
    picture = np.pad(enlarged(digits[1], 120), ((10, 40), (30, 5)))
    code, output, _ = predict(written(tmp_path / "two.png", picture), tmp_path / "none.png", "--json")
    assert code == 2
    content = json.loads(output)
    (reading,) = content["readings"]
    expected = normalise(picture)
    assert (content["run"], reading["digit"], reading["place"], reading["doubts"]) == ("best", 2, 0, [])
    assert reading["image"] == str(tmp_path / "two.png")
    assert np.allclose(reading["activations"], outputs_of("best", expected.image), atol=2e-6)  # six decimals
    assert reading["confidence"] == max(reading["activations"])
    assert (reading["box"], reading["dark_on_light"]) == (list(expected.box), False)
    assert reading["pen"] == pytest.approx(expected.pen, abs=5e-4)  # three decimals
    (error,) = content["errors"]
    assert error["image"] == str(tmp_path / "none.png")
    assert error["error"].startswith(f"{tmp_path / 'none.png'}: no such file")


def test_a_folder_and_a_row_of_digits(predict, tmp_path, digits, labels):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        written(folder / f"{number:02}.{'png' if number % 2 else 'bmp'}", enlarged(digits[number], 60 + 10 * number))
    (folder / "notes.txt").write_text("no picture")
    code, output, _ = predict(folder)
    assert code == 0
    head, *lines, last = output.splitlines()
    assert head.startswith("digit  confidence")
    assert [line.split()[3] for line in lines] == [str(path) for path in sorted(folder.glob("*.[pb]*"))]
    assert np.mean([int(line.split()[0]) == label for line, label in zip(lines, labels, strict=False)]) >= 0.9
    assert last.startswith("12 digits in 12 pictures")

    path = written(tmp_path / "row.webp", np.hstack([enlarged(digits[number], 90) for number in (10, 1, 2, 7, 3)]))
    assert "5 strokes side by side" in predict(path)[1]
    assert predict(path, "--split")[1].splitlines()[-2:] == [f"{path}: 02190", "5 digits in 1 picture, 0 doubtful"]
    assert predict(path, path, "--split")[1].splitlines()[-3:] == [
        f"{path}: 02190", f"{path}: 02190", "10 digits in 2 pictures, 0 doubtful",
    ]  # fmt: skip


def test_a_folder_is_read_past_what_macos_leaves_there_and_other_files_are_counted(predict, tmp_path, digits):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(enlarged(digits[0], 90)).save(folder / "7.GIF")
    for name in ("._7.png", ".DS_Store", "a.heic", "b.HEIC", "notes\x1b.txt", "README"):
        (folder / name).write_bytes(b"\0")
    (folder / "renamed_7.png").write_bytes(b"\0\5\x16\7")
    (folder / "more").mkdir()
    code, output, errors = predict(folder)
    assert code == 0
    assert output.startswith(f"{folder / '7.GIF'}: 7, ")
    assert errors == f"note: {folder}: 4 other files passed over (2 .heic, 1 without a suffix, 1 .txt)\n"
    (folder / "7.GIF").unlink()
    code, output, errors = predict(folder)
    assert (code, output) == (2, "")
    assert errors.endswith(".gif, found 2 .heic, 1 without a suffix, 1 .txt\n")


def test_a_picture_too_large_for_the_memory_never_loses_the_others(predict, tmp_path, digits, monkeypatch):
    read, names = predict_command.read_file, [written(tmp_path / f"{n}.png", enlarged(digits[n], 90)) for n in (0, 1)]

    def read_file(path):
        if path.name == "bad.png":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(predict_command, "read_file", read_file)
    code, output, errors = predict(names[0], "bad.png", names[1])
    assert (code, output.splitlines()[-1]) == (2, "2 digits in 2 pictures, 0 doubtful")
    assert errors == "error: bad.png: too large for this machine's memory; scale the picture down\n"


def test_standard_input_is_read(predict, monkeypatch, digits):
    buffer = io.BytesIO()
    Image.fromarray(enlarged(digits[3], 90)).save(buffer, "JPEG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
    assert predict("-")[1].startswith("standard input: 0,")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue()[:500])))
    code, _, errors = predict("-")
    assert code == 2
    assert errors.startswith("error: standard input: damaged")
    monkeypatch.setattr(sys, "stdin", None)  # as Python does where the shell closed it
    code, output, errors = predict("-")
    assert (code, output) == (2, "")
    assert errors == "error: standard input: is closed, expected a picture there, as in jaxmnist predict - < 7.png\n"


def test_show_draws_the_first_eight_digits(predict, tmp_path, digits):
    paths = [written(tmp_path / f"{number}.png", enlarged(digits[number], 100)) for number in range(9)]
    code, output, _ = predict(*paths, "--show", "--run-dir", tmp_path / "shown")
    assert code == 0
    assert output.splitlines()[-1] == f"in {tmp_path / 'shown'}: predict.png"
    with Image.open(tmp_path / "shown" / "predict.png") as image:
        assert image.width > image.height > 1000  # four a row
    code, _, errors = predict(paths[0], "--show", "--run-dir", tmp_path / "shown")
    assert code == 2
    assert f"--run-dir {tmp_path / 'shown'}: holds" in errors


def test_another_runs_network_reads(predict, tmp_path, digits):
    source = load_network("source")
    save_network(tmp_path / "weights.safetensors", source.params, source.config, {})
    picture = enlarged(digits[0], 90)
    _, output, _ = predict(written(tmp_path / "digit.png", picture), "--run", tmp_path, "--json")
    (reading,) = json.loads(output)["readings"]
    assert np.allclose(reading["activations"], outputs_of("source", normalise(picture).image), atol=2e-6)


def test_each_bad_picture_is_one_error_and_the_others_are_read(predict, tmp_path, digits):
    (tmp_path / "empty").mkdir()
    written(tmp_path / "blank.png", np.full((50, 50), 240, np.uint8))
    written(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8))
    (tmp_path / "no.png").write_bytes(b"no picture")
    frames = [Image.fromarray(enlarged(digits[number], 90)) for number in (0, 1)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("1", (70_000, 1)).save(tmp_path / "strip.png")
    (tmp_path / "short.jpg").write_bytes((tmp_path / "noise.png").read_bytes()[:1000])
    Image.new("1", (9000, 5000)).save(tmp_path / "large.png")
    messages = {
        "empty": "a folder without pictures", "": "an empty name", "long" * 100: "File name too long, expected",
        "blank.png": "blank", "noise.png": "all noise", "no.png": "not a picture", "moving.gif": "is an animation",
        "short.jpg": "damaged", "strip.png": "65,535 a side", "large.png": "40 million", "absent.png": "no such file",
    }  # fmt: skip
    good = written(tmp_path / "good.png", enlarged(digits[0], 90))
    code, output, errors = predict(good, *messages)
    assert code == 2
    assert "good.png: 7," in output
    for line, (name, message) in zip(errors.splitlines(), messages.items(), strict=True):
        assert line.startswith(f"error: {name or repr(name)}: ")
        assert message in line
    code, output, _ = predict(*messages, "--json")
    content = json.loads(output)
    assert (code, content["readings"]) == (2, [])
    assert {error["image"] for error in content["errors"]} == set(messages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: no picture"),
        (("-", "-"), "only once"),
        (("none.png",), "error: none.png: no such file"),
        (("none.png", "--run", "nosuch"), "nosuch"),
        (("none.png", "--run", "empty"), "weights.safetensors"),
        (("none.png", "--run-dir", "shown"), "error: --run-dir shown: is for the figure of --show"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(predict, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    code, output, errors = predict(*arguments)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert message in line


def test_split_reads_the_good_digits_and_names_the_others_by_position(predict, tmp_path, digits):
    good = [enlarged(digits[number], 90) for number in (0, 2, 0)]
    scribble = np.pad(np.uint8(255 * (np.random.default_rng(0).random((60, 60)) < 0.5)), 15)
    path = written(tmp_path / "row.png", np.hstack([*good[:2], scribble, good[2]]))
    code, output, errors = predict(path, "--split")
    assert code == 2
    assert f"{path}: 71?7" in output.splitlines()
    assert errors.startswith(f"error: {path}, 3 from the left: all noise: its strokes are ")
    content = json.loads(predict(path, "--split", "--json")[1])
    assert [(one["place"], one["digit"]) for one in content["readings"]] == [(0, 7), (1, 1), (3, 7)]
    (error,) = content["errors"]
    assert "3 from the left" in error["error"]


def test_a_network_whose_outputs_are_not_finite_is_refused_by_name(predict, tmp_path, digits):
    best = load_network("best")
    huge = [layer._replace(weights=np.full_like(layer.weights, 3e38)) for layer in best.params]
    save_network(tmp_path / "huge.safetensors", tuple(huge), best.config, {})
    path = written(tmp_path / "seven.png", enlarged(digits[0], 90))
    for options in ((), ("--json",)):
        code, output, errors = predict(path, "--run", "huge.safetensors", *options)
        assert (code, output) == (2, "")
        assert errors.startswith("error: --run huge.safetensors: ")


def test_names_that_are_not_utf_8_are_printed_with_escapes(predict, tmp_path, digits):
    folder = tmp_path / "pictures"
    folder.mkdir()
    written(folder / "7.png", enlarged(digits[0], 90)).rename(folder / "caf\udce9.png")
    written(folder / "good.png", enlarged(digits[1], 90))
    code, output, errors = predict(folder)
    assert (code, errors) == (0, "")
    assert [line.split("/")[-1] for line in output.splitlines()[1:3]] == ["caf\\udce9.png", "good.png"]
    content = json.loads(predict(folder, "--json")[1])
    assert content["readings"][0]["image"] == str(folder / "caf\udce9.png")  # JSON has the name itself


@pytest.mark.parametrize("name", ["b\n9  1.00 forged", "\x1b]0;owned\a", "\x9b2J", "\u202egnp.7", "\u2028", "\x7f"])
def test_a_name_cannot_write_to_the_terminal(predict, tmp_path, digits, name):
    plain, odd = (written(tmp_path / f"{name}.png", enlarged(digits[0], 90)) for name in ("plain", name))
    for options in ((), ("--split",), ("--json",)):
        for count in (1, 2):
            texts = ["".join(predict(*[path] * count, "absent" + path.name, *options)[1:]) for path in (plain, odd)]
            assert texts[0].count("\n") == texts[1].count("\n")
            assert not UNPRINTABLE.search(texts[1].replace("\n", ""))
    assert json.loads(predict(odd, "--json")[1])["readings"][0]["image"] == str(odd)


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
        picture = np.pad(enlarged(digits[number], random.integers(28, 300)), 10)
        written(tmp_path / f"{number:04}.png", lit(255 - picture, random))
    wall, spent = fastest(3, [sys.executable, "-m", "jaxmnist", "predict", str(tmp_path)])
    print(f"a thousand pictures: {wall:.2f} s, of which {spent:.2f} s processor time")
    assert min(wall, spent) <= 6
