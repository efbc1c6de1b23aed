import json
import time
from functools import partial

import command_line
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_explanation import LINEAR, ledger

from jaxmnist.config import Config
from jaxmnist.network import Layer
from jaxmnist.runs.checkpoint import save_network


@pytest.fixture
def explain(command):
    return partial(command, "explain")


def save_run(folder, config=LINEAR, **about):
    """The part of a run's folder that explain reads."""
    folder.mkdir()
    params = tuple(
        Layer(jnp.zeros((outputs, inputs)), jnp.zeros(outputs))
        for inputs, outputs in zip(config.sizes[:-1], config.sizes[1:], strict=True)
    )
    save_network(folder / "weights.safetensors", params, config, about)
    return folder


@pytest.mark.slow
def test_without_a_run_it_explains_an_untrained_network(explain, tmp_path):
    code, said, complaints = explain("--dataset", "digits", "--index", 7, "--seed", 3)
    assert (code, complaints) == (0, "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-explain")
    assert [path.name for path in folder.iterdir()] == ["explain.png"]
    with Image.open(folder / "explain.png") as image:
        assert min(image.size) > 700
    assert said.startswith("digits, test example 7 of 360: a ")
    assert "; 784-16-16-10, sigmoid, squared_error\nbefore training (seed 3): a mess\n\n1 · " in said
    assert said.endswith(f"\n\nin {folder.relative_to(tmp_path)}: explain.png\n")
    outputs, labels, terms, total = ledger(said)
    assert sorted(labels) == [0] * 9 + [1]
    np.testing.assert_allclose(terms, (outputs - labels) ** 2, atol=2e-4)  # four and six decimals are printed
    assert total == pytest.approx(terms.sum(), abs=1e-5)
    assert total > 0.5


@pytest.mark.slow
def test_a_run_of_any_name_brings_its_own_data_set(explain, tmp_path):
    folder = save_run(tmp_path / "a$\\foo$_b\udce9", dataset="digits")
    code, said, complaints = explain(folder.name, "--run-dir", "out\udce9")
    assert (code, complaints) == (0, "")
    assert said.startswith("digits, test example 0 of 360: a ")
    assert "; 784-10, sigmoid, cross_entropy\ntrained network a$\\foo$_b\\udce9\n" in said
    outputs, labels, terms, total = ledger(said)
    assert total == pytest.approx(-np.log(outputs[labels == 1][0]), rel=1e-2)  # four decimals are printed
    assert terms[labels == 0].sum() == 0
    assert said.endswith("in out\\udce9: explain.png\n")
    assert (tmp_path / "out\udce9" / "explain.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere: no such folder or file"),
        (("empty",), "no weights.safetensors in it"),
        (("notes.txt",), "safetensors file"),
        (("small",), "sizes=20 10"),
        (("--dataset", "digits", "--index", "360"), "--index 360: expected 0 to 359"),
        (("--dataset", "digits", "--index", "-1"), "--index -1"),
        (("--seed", "-1"), "--seed -1"),
        (("--index", "seven"), "seven"),
        (("--dataset", "digits", "--epoch", "210"), "--epoch 210: expected 0 to 209"),
        (("--dataset", "digits", "--epoch", "-1"), "--epoch -1: expected 0 to 209"),
        (("--dataset", "digits", "--step", "45"), "--step 45: expected 0 to 44"),
        (("--dataset", "digits", "--epoch", "209", "--step", "1"), "--step 1: the run ends after epoch 209"),
        (("seedless", "--epoch", "1"), "seed is missing"),
        (("other", "--dataset", "digits", "--epoch", "1"), "other: was trained on other data"),
        (("shards", "--dataset", "digits", "--step", "1"), "4 logical shards"),
        (("--dataset", "digits", "--run-dir", "full"), "never overwrites"),
    ],
)
def test_it_refuses_bad_input(explain, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "notes.txt").write_text("12 eggs")
    save_run(tmp_path / "small", Config(sizes=(20, 10)))
    save_run(tmp_path / "seedless")
    record = {"seed": 0, "dataset": "digits", "data_sha256": "0" * 64, "origin": "", "config": Config().to_json()}
    for name, shards in (("other", None), ("shards", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({**record, "logical_shards": shards}))
    code, _, complaint = explain(*arguments)
    assert code == 2
    assert said in complaint
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def trained(command, tmp_path):
    """A run of two epochs on the digits, with a constant rate: an epoch is the same in a longer run."""
    words = ("--dataset", "digits", "--epochs", 2, "--sizes", 784, 3, 10, "--optimizer", "momentum", "--seed", 7)
    assert command("train", *words, "--run-dir", "run")[0] == 0
    return tmp_path / "run"


def numbers(said):
    """The report without its title."""
    return said.split("\n\n1 · ")[1].split("\n\nin ")[0]


@pytest.mark.slow
def test_it_goes_back_to_any_step_of_a_run(explain, command, trained, tmp_path):
    code, at_the_end, complaints = explain("run")
    assert (code, complaints) == (0, "")
    code, again, complaints = explain("run", "--epoch", 2)
    assert (code, complaints) == (0, "1 of 2 epochs in " + complaints.partition("1 of 2 epochs in ")[2])
    assert "note" not in complaints
    assert "\nnetwork run after epoch 2\n" in again
    assert numbers(again) == numbers(at_the_end)  # the network of weights.safetensors
    steps = [explain("run", "--epoch", epoch, "--step", step) for epoch, step in ((1, 44), (1, 43))]
    assert numbers(steps[0][1]) == numbers(at_the_end) != numbers(steps[1][1])
    assert "\nnetwork run after epoch 1 and 43 steps\n" in steps[1][1]
    _, untrained, _ = explain("--dataset", "digits", "--seed", 7)
    assert numbers(explain("--dataset", "digits", "--seed", 7, "--epoch", 0)[1]) == numbers(untrained)
    (trained / "weights.safetensors").rename(tmp_path / "alone")
    assert numbers(explain("alone", "--epoch", 2)[1]) == numbers(at_the_end)
    assert numbers(explain("run", "--epoch", 2)[1]) == numbers(at_the_end)  # nor is it needed
    # Made longer, its cosine was another one in the first epochs.
    assert command("train", "--resume", "run", "--epochs", 3)[0] == 0
    assert "note: after epoch 1 the test cost is" in explain("run", "--epoch", 1)[2]


@pytest.mark.measured
def test_the_whole_command_is_quick(tmp_path, mnist_dir):
    run = save_run(tmp_path / "run", Config(), dataset="mnist")
    for given in ((), (run,)):
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            result = command_line.run(tmp_path, "explain", *given, "--index", 7, "--data-dir", mnist_dir)
            seconds.append(time.monotonic() - begin)
            assert result.returncode == 0, result.stderr
        print(f"explain {' '.join(map(str, given))}: fastest of {len(seconds)} runs {min(seconds):.2f} s")
        assert min(seconds) <= 4
