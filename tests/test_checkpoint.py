import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

from jaxmnist.config import Config
from jaxmnist.network import count_parameters, init
from jaxmnist.runs import checkpoint
from jaxmnist.runs.checkpoint import load_network, read, restore, save, save_network
from jaxmnist.runs.files import previous
from jaxmnist.training import start

GOLDEN = Path(__file__).parent / "data" / "format-1.safetensors"
CONFIG = Config(sizes=(784, 3, 10), activation="tanh", batch_size="full", epochs=7)


def same(one, other):
    one, other = (jax.tree.map(checkpoint._as_data, tree) for tree in (one, other))
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def state_of(config=CONFIG, optimizer=None):
    return start(jax.random.key(0), config, 100, optimizer)


@pytest.mark.parametrize("optimizer", [None, optax.adam(0.01), optax.sgd(0.1, 0.9, nesterov=True)])
def test_a_state_comes_back_bit_for_bit_whatever_its_optimizer(tmp_path, optimizer):
    state = state_of(optimizer=optimizer)
    save(tmp_path / "c", state, {"epoch": 3})
    tensors, about = read(tmp_path / "c")
    assert same(restore(tmp_path / "c", tensors, jax.eval_shape(lambda: state_of(optimizer=optimizer))), state)
    assert about == {"epoch": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_any_pytree_of_arrays_comes_back(tmp_path):
    class Pair(NamedTuple):
        one: jax.Array
        other: dict

    tree = Pair(jnp.arange(3), {"empty": jnp.zeros((0, 2)), "x": (jnp.float32(1.5), jax.random.key(7))})
    save(tmp_path / "c", tree, {})
    assert same(restore(tmp_path / "c", read(tmp_path / "c")[0], tree), tree)


def test_a_network_comes_with_its_recipe_from_a_folder_or_a_file(tmp_path):
    params = init(jax.random.key(0), CONFIG.sizes)
    save_network(tmp_path / "weights.safetensors", params, CONFIG, {"seed": 3})
    for run in (tmp_path, tmp_path / "weights.safetensors"):
        network = load_network(run)
        assert network.config == CONFIG
        assert network.about["seed"] == 3
        assert same(network.params, params)


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save(tmp_path / name, init(jax.random.key(0)), {"b": 1, "a": [2, None]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_safetensors_own_readers_can_read_it(tmp_path):
    save_network(tmp_path / "w", init(jax.random.key(0)), Config(), {})
    tensors = safetensors.numpy.load_file(tmp_path / "w")
    assert tensors["params.0.weights"].shape == (16, 784)
    assert sum(tensor.size for tensor in tensors.values()) == 13_002


def test_the_file_before_is_kept(tmp_path):
    path = tmp_path / "c"
    for number in range(3):
        save(path, {"x": jnp.float32(number)}, {}, keep_previous=True)
    assert read(path)[0]["x"] == 2
    assert read(previous(path))[0]["x"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_of_format_version_1_loads():
    """Written once, by the first version, with numbers that can be told: value i of an array of n is i / n."""
    tensors, about = read(GOLDEN)
    assert about["epoch"] == 2
    config = checkpoint.config_from(about["config"])
    template = {"state": jax.eval_shape(lambda: start(jax.random.key(0), config, 100))}
    state = restore(GOLDEN, tensors, template)["state"]
    assert state.epoch == 2
    assert state.optimizer_state.step == 20
    for leaf in jax.tree.leaves((state.params, state.optimizer_state.velocity)):
        np.testing.assert_array_equal(leaf.ravel(), np.arange(leaf.size, dtype=np.float32) / np.float32(leaf.size))
    assert count_parameters(state.params) == 785 + 20
    np.testing.assert_array_equal(jax.random.key_data(state.key), [1, 2])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>" * 10, "a web page"),
        (b"\n <html>" + b" " * 500, "a web page"),
        (b"\x80\x04\x95\x10" + bytes(500), "a Python pickle"),
        (b"\x93NUMPY\x01\x00" + bytes(200), "a NumPy .npy file"),
        (b"PK\x03\x04" + bytes(200), "a zip archive"),
        (b"\x1f\x8b\x08" + bytes(200), "a gzip archive"),
        (b"abc", "damaged"),
        (b"\xff" * 8, "damaged"),
        ((2).to_bytes(8, "little") + b"{}", "damaged"),
        ((9_000).to_bytes(8, "little") + b"[" * 9_000, "damaged"),
    ],
)
def test_another_file_is_named_for_what_it_is(tmp_path, content, named):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=named) as refusal:
        load_network(path)
    assert str(path) in str(refusal.value)
    assert "safetensors" in str(refusal.value)


def test_an_empty_name_is_not_the_folder_one_is_in(tmp_path, monkeypatch):
    config = Config(sizes=(784, 10))
    save_network(tmp_path / "weights.safetensors", init(jax.random.key(0), config.sizes), config, {})
    monkeypatch.chdir(tmp_path)
    assert load_network(".").config == config
    with pytest.raises(ValueError, match="run ''"):
        load_network("")


def test_what_is_no_run_is_refused_by_name(tmp_path):
    for run, said in ((tmp_path / "nowhere", "no such folder or file"), (tmp_path, "no weights.safetensors in it")):
        with pytest.raises(ValueError, match=said) as refusal:
            load_network(run)
        assert str(run) in str(refusal.value)
    save(tmp_path / "bare", {"params": init(jax.random.key(0), (784, 10))}, {})
    with pytest.raises(ValueError, match="recipe None"):
        load_network(tmp_path / "bare")


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    safetensors.numpy.save_file({"x": np.zeros(3, np.float32)}, tmp_path / "w")
    with pytest.raises(ValueError, match="header"):
        read(tmp_path / "w")


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "w"
    with path.open("wb") as file:
        file.truncate(checkpoint.MOST_BYTES + 1)  # sparse: takes no room
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("was opened"))
    with pytest.raises(ValueError, match="1,073,741,825 bytes, expected at most 1,073,741,824"):
        read(path)


def rewritten(path, change):
    """The file with its header changed and all digests made right again: what only a deliberate hand would do."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    text = change(content[8:end].decode())
    content = len(text.encode()).to_bytes(8, "little") + text.encode() + content[end:]
    end = 8 + len(text.encode())
    entry = json.loads(json.loads(text)["__metadata__"]["jaxmnist"])
    old = entry["sha256"]["header"].encode()
    plain = content[:end].replace(old, b"0" * 64)
    digest = checkpoint.hashlib.sha256(plain).hexdigest().encode()
    path.write_bytes(content[:end].replace(old, digest) + content[end:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('\\"format\\": 1', '\\"format\\": 2'), "format 2, expected 1"),
        (lambda text: text.replace('"params.1.biases"', '"params.0.biases"'), "duplicate key 'params.0.biases'"),
        (lambda text: text.replace('\\"seed\\": 3', '\\"seed\\": 3, \\"seed\\": 4'), "duplicate key 'seed'"),
        (
            lambda text: text.replace("[784, 3, 10]", "[784, 4, 10]"),
            "float32[3, 784], expected float32[4, 784]",
        ),
        (lambda text: text.replace("tanh", "step"), "activation 'step'"),
        (lambda text: text.replace("batch_size", "batch_zise"), "batch_zise"),
    ],
)
def test_a_file_that_is_whole_and_still_wrong_is_refused(tmp_path, change, said):
    path = tmp_path / "w"
    save_network(path, init(jax.random.key(0), CONFIG.sizes), CONFIG, {"seed": 3})
    load_network(path)
    rewritten(path, change)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011, the text is looked at
        load_network(path)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (lambda params: params[:1], "lacks params.1.biases"),
        (lambda params: (*params, params[0]), "params.2.biases"),
        (lambda params: jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params), "float16"),
        (lambda params: jax.tree.map(lambda leaf: leaf.at[..., 0].set(jnp.nan), params), "not finite"),
    ],
)
def test_names_shapes_dtypes_and_numbers_must_fit_the_recipe(tmp_path, tree, said):
    save_network(tmp_path / "w", tree(init(jax.random.key(0), CONFIG.sizes)), CONFIG, {})
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        load_network(tmp_path / "w")
    assert said in str(refusal.value)


def test_every_single_bit_flip_is_found(tmp_path):
    """300 random ones, half of them in the first 3,000 bytes, where the header is."""
    path = tmp_path / "c"
    save(path, state_of(), {"config": CONFIG.to_json(), "seed": 0})
    good, random = path.read_bytes(), np.random.default_rng(0)
    for number in range(300):
        place = int(random.integers(3_000 if number % 2 else len(good)))
        bad = bytearray(good)
        bad[place] ^= 1 << random.integers(8)
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"damaged|format|header"):
            read(path)
    path.write_bytes(good)
    read(path)


def test_truncation_at_each_kilobyte_and_bytes_too_many_are_found(tmp_path):
    path = tmp_path / "c"
    save(path, state_of(), {})
    good = path.read_bytes()
    for size in [*range(0, len(good), 1_024), len(good) - 1]:
        path.write_bytes(good[:size])
        with pytest.raises(ValueError, match=r"truncated|damaged|empty"):
            read(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError, match="more bytes follow"):
        read(path)


def test_the_damaged_part_is_named_with_its_bytes(tmp_path):
    path = tmp_path / "c"
    save(path, state_of(), {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    last = len(content) - 1
    with pytest.raises(ValueError, match=rf"another sha256 than expected in .* \(bytes [0-9,]+ to {last:,}\)"):
        read(path)


def test_recipes_of_earlier_versions_take_todays_defaults():
    values = CONFIG.to_json()
    del values["schedule"]
    assert checkpoint.config_from(values) == dataclasses.replace(CONFIG, schedule=Config.schedule)
