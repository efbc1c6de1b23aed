import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

from jaxmnist.config import Config, config_from
from jaxmnist.network import count_parameters, init
from jaxmnist.runs import checkpoint
from jaxmnist.runs.checkpoint import load_network, read, restore, save, save_network
from jaxmnist.runs.files import previous
from jaxmnist.training import start

GOLDEN = Path(__file__).parent / "data" / "format-1.safetensors"
CONFIG = Config(sizes=(784, 3, 10), activation="tanh", batch_size="full", epochs=7)
PARAMS = init(jax.random.key(0), CONFIG.sizes)


def same(one, other):
    """Whether two pytrees are equal, bit for bit."""

    def data(tree):
        keys = jax.tree.map(lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key), tree)
        return jax.tree.map(lambda leaf, is_key: jax.random.key_data(leaf) if is_key else leaf, tree, keys)

    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(data(one)), jax.tree.leaves(data(other)), strict=True)
    )


def damaged(path):
    """What the ValueError says of a file that can't be read."""
    with pytest.raises(ValueError) as refusal:  # noqa: PT011, the message is tested
        load_network(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert len(str(refusal.value)) < 1_000
    return str(refusal.value)


@pytest.mark.parametrize("optimizer", [None, optax.adam(0.01), optax.sgd(0.1, 0.9, nesterov=True)])
def test_a_training_state_comes_back_bit_for_bit(optimizer, tmp_path):
    state = start(jax.random.key(0), CONFIG)
    state = state._replace(optimizer_state=optimizer.init(state.params)) if optimizer else state
    save(tmp_path / "c", state, {"epoch": 3})
    tensors, about = read(tmp_path / "c")
    assert same(restore(tmp_path / "c", tensors, jax.eval_shape(lambda: state)), state)
    assert about == {"epoch": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_any_pytree_of_arrays_comes_back(tmp_path):
    class Pair(NamedTuple):
        one: jax.Array
        other: dict

    transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
    tree = Pair(transposed, {"empty": jnp.zeros((0, 2)), "x": (jnp.float32(1.5), jax.random.key(7))})
    save(tmp_path / "c", tree, {"zeros": "0" * 64})
    tensors, about = read(tmp_path / "c")
    assert same(restore(tmp_path / "c", tensors, tree), tree)
    assert about == {"zeros": "0" * 64}


def test_a_network_and_its_recipe_come_back_from_a_folder_or_a_file(tmp_path):
    save_network(str(tmp_path / "weights.safetensors"), PARAMS, CONFIG, {"seed": 3})
    for run in (tmp_path, tmp_path / "weights.safetensors", str(tmp_path)):
        network = load_network(run)
        assert network.config == CONFIG
        assert network.about["seed"] == 3
        assert same(network.params, PARAMS)


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save(tmp_path / name, PARAMS, {"b": 1, "a": [2, None]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_safetensors_own_reader_reads_it(tmp_path):
    save_network(tmp_path / "w", PARAMS, CONFIG)
    tensors = safetensors.numpy.load_file(tmp_path / "w")
    assert tensors["params.0.weights"].shape == (3, 784)
    assert sum(tensor.size for tensor in tensors.values()) == count_parameters(PARAMS)


def test_the_previous_file_is_kept(tmp_path):
    path = tmp_path / "c"
    for number in range(3):
        save(path, {"x": jnp.float32(number)}, {}, keep_previous=True)
    assert read(path)[0]["x"] == 2
    assert read(previous(path))[0]["x"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_of_format_1_loads():
    """The first version wrote it, with value i of an array of n equal to i / n."""
    tensors, about = read(GOLDEN)
    assert about["epoch"] == 2
    config = config_from(about["config"])
    state = restore(GOLDEN, tensors, {"state": jax.eval_shape(lambda: start(jax.random.key(0), config))})["state"]
    assert state.epoch == 2
    assert state.optimizer_state.step == 20
    for leaf in jax.tree.leaves((state.params, state.optimizer_state.velocity)):
        np.testing.assert_array_equal(leaf.ravel(), np.arange(leaf.size, dtype=np.float32) / np.float32(leaf.size))
    assert count_parameters(state.params) == 785 + 20
    np.testing.assert_array_equal(jax.random.key_data(state.key), [1, 2])


def test_recipes_of_earlier_versions_take_todays_defaults(tmp_path):
    recipe = {name: value for name, value in CONFIG.to_json().items() if name != "schedule"}
    save(tmp_path / "w", {"params": PARAMS}, {"config": recipe})
    assert load_network(tmp_path / "w").config == dataclasses.replace(CONFIG, schedule=Config.schedule)


def test_networks_load_in_the_running_float_type(tmp_path):
    """float64 runs read float32 networks exactly, and float32 runs read float64 networks rounded."""
    program = (
        "import sys; from jaxmnist.runs.checkpoint import load_network, save_network\n"
        "network = load_network('source'); save_network(sys.argv[1], network.params, network.config)\n"
        "print(network.params[0].weights.dtype)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "w")]
    environment = {**os.environ, "JAX_ENABLE_X64": "1"}
    assert subprocess.check_output(command, env=environment, text=True) == "float64\n"
    assert safetensors.numpy.load_file(tmp_path / "w")["params.0.weights"].dtype == np.float64
    assert same(load_network(tmp_path / "w").params, load_network("source").params)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"<!DOCTYPE html><html><body>Not found</body></html>" * 10,
        b"\x80\x04\x95\x10" + bytes(500),
        b"PK\x03\x04" + bytes(200),
        b"\xff" * 8,
        (2).to_bytes(8, "little") + b"{}",
        (9_000).to_bytes(8, "little") + b"[" * 9_000,
        safetensors.numpy.save({"x": np.zeros(3, np.float32)}),
        safetensors.numpy.save({"x": np.zeros(3, np.float32)}, {"jaxmnist": "[]"}),
    ],
)
def test_a_foreign_file_is_refused(content, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    assert "expected a safetensors file that jaxmnist wrote" in damaged(path)


def test_what_is_no_file_or_too_large_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "w"
    with path.open("wb") as file:
        file.truncate(checkpoint.MAX_FILE_BYTES + 1)  # sparse: takes no space
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("was opened"))
    for path in (tmp_path / "w", tmp_path):
        with pytest.raises(ValueError, match="expected a regular file of at most 1,073,741,824 bytes"):
            read(path)


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    save_network(tmp_path / "weights.safetensors", PARAMS, CONFIG)
    monkeypatch.chdir(tmp_path)
    assert load_network(".").config == CONFIG
    with pytest.raises(ValueError, match="run '': no such folder or file"):
        load_network("")


def test_a_missing_run_is_refused_by_name(tmp_path):
    for run, problem in ((tmp_path / "nowhere", "no such folder or file"), (tmp_path, "no weights.safetensors in it")):
        with pytest.raises(ValueError, match=f"run {run}: {problem}"):
            load_network(run)


def with_header(content, change):
    """The file with a changed header and right digests, as only somebody who means to would write it."""
    end = 8 + int.from_bytes(content[:8], "little")
    text = change(content[8:end].decode()).encode()
    header = len(text).to_bytes(8, "little") + text
    old = json.loads(json.loads(text)["__metadata__"]["jaxmnist"])["sha256"]["header"].encode()
    digest = hashlib.sha256(header.replace(old, b"0" * 64)).hexdigest().encode()
    return header.replace(old, digest) + content[end:]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('\\"format\\": 1', '\\"format\\": 2', "format 2, expected 1"),
        ("[784, 3, 10]", "[784, 4, 10]", "params.0.biases is float32[3], expected float32[4]"),
        ("[784, 3, 10]", f"[784, {10**400}, 10]", "and 100,000,000 parameters"),
        ("[784, 3, 10]", f"[784, {'3, ' * 1_000}10]", "of at most 1,000 layers"),
        ("[784, 3, 10]", f"[784, {'3, ' * 400_000}10]", "a header of"),
        ("tanh", "step", "activation=step"),
        ("batch_size", "batch_zise", "batch_zise"),
        ("[784, 3, 10]", f"[784, {'3, ' * 10_000}3]", "sizes=784 3 3"),
        ('"F32"', '"BF16"', "SafetensorError"),
        ('"dtype":"F32"', '"dtype":"I32"', "int32"),
    ],
)
def test_a_tampered_header_is_refused(old, new, problem, tmp_path):
    save_network(tmp_path / "w", PARAMS, CONFIG, {"seed": 3})
    (tmp_path / "w").write_bytes(with_header((tmp_path / "w").read_bytes(), lambda text: text.replace(old, new)))
    assert problem in damaged(tmp_path / "w")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F4"])
def test_a_dtype_that_numpy_lacks_is_refused(dtype, tmp_path):
    save(tmp_path / "w", {"x": jnp.zeros((2, 2), jnp.uint8)}, {})
    content = with_header((tmp_path / "w").read_bytes(), lambda text: text.replace('"U8"', f'"{dtype}"'))
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match="damaged, or not from jaxmnist"):
        read(tmp_path / "w")


def test_many_arrays_are_verified_in_a_time_that_grows_as_their_number(tmp_path):
    """As many as a header can name; a check of each pair would take a minute."""
    save(tmp_path / "w", {f"{number:x}": np.zeros(0, np.uint8) for number in range(7_000)}, {})
    begin = time.process_time()
    assert len(read(tmp_path / "w")[0]) == 7_000
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("digest", ["", "0", "0" * 63 + "g", "0" * 64 + "\n", 1, None])
def test_a_header_without_a_digest_is_refused_unhashed(digest, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_digests", lambda _: pytest.fail("was hashed"))
    entry = {"about": {}, "format": 1, "sha256": {"header": digest}}
    (tmp_path / "w").write_bytes(safetensors.numpy.save({}, {"jaxmnist": json.dumps(entry)}))
    with pytest.raises(ValueError, match="damaged, or not from jaxmnist"):
        read(tmp_path / "w")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda params: params[:1], "params.1.biases is missing"),
        (lambda params: (*params, params[0]), "params.2.biases is float32[3], expected no such array"),
        (lambda params: jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params), "is float16[3], expected float32"),
        (lambda params: jax.tree.map(lambda leaf: leaf.at[..., 0].set(jnp.nan), params), "expected finite numbers"),
    ],
)
def test_names_shapes_dtypes_and_numbers_must_fit_the_recipe(change, problem, tmp_path):
    save_network(tmp_path / "w", change(PARAMS), CONFIG)
    assert problem in damaged(tmp_path / "w")


def test_every_single_bit_flip_is_found(tmp_path):
    """Half of 300 random ones are in the first 3,000 bytes, where the header is."""
    path = tmp_path / "c"
    save(path, start(jax.random.key(0), CONFIG), {"config": CONFIG.to_json(), "seed": 0})
    good, random = path.read_bytes(), np.random.default_rng(0)
    for number in range(300):
        bad = bytearray(good)
        bad[random.integers(3_000 if number % 2 else len(good))] ^= 1 << random.integers(8)
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="damaged"):
            read(path)
    path.write_bytes(good)
    read(path)


def test_missing_and_extra_bytes_are_found(tmp_path):
    path = tmp_path / "c"
    save(path, start(jax.random.key(0), CONFIG), {})
    good = path.read_bytes()
    for content in [*(good[:size] for size in range(0, len(good), 1_024)), good[:-1], good + b"\0"]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            read(path)
