import dataclasses
import json
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxmnist.checkpoint import FORMAT, load_network, load_params, save_params
from jaxmnist.config import Config
from jaxmnist.network import init


def test_what_is_saved_is_what_is_loaded(tmp_path):
    params = init(jax.random.key(0), (784, 3, 5, 10))
    save_params(tmp_path / "weights.safetensors", params, {"activation": "sigmoid"})
    loaded, about = load_params(tmp_path / "weights.safetensors")
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    assert all(map(np.array_equal, jax.tree.leaves(loaded), jax.tree.leaves(params)))
    assert about == {"activation": "sigmoid"}
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save_params(tmp_path / name, init(jax.random.key(0)), {"b": 1, "a": [2, None]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_safetensors_own_readers_can_read_it(tmp_path):
    save_params(tmp_path / "w", init(jax.random.key(0)), {})
    raw = (tmp_path / "w").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["layers.0.weights"]["shape"] == [16, 784]
    assert header["layers.0.weights"]["dtype"] == "F32"


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04}.", b"\x93NUMPY" + bytes(200)])
def test_another_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a safetensors file") as refusal:
        load_params(path)
    assert str(path) in str(refusal.value)


def test_a_network_comes_with_its_recipe_from_a_folder_or_a_file(tmp_path):
    config = Config(sizes=(784, 3, 10), activation="tanh", batch_size="full", epochs=7)
    params = init(jax.random.key(0), config.sizes)
    save_params(tmp_path / "weights.safetensors", params, {"seed": 3, "config": dataclasses.asdict(config)})
    for run in (tmp_path, tmp_path / "weights.safetensors"):
        network = load_network(run)
        assert network.config == config
        assert network.about["seed"] == 3
        assert all(map(np.array_equal, jax.tree.leaves(network.params), jax.tree.leaves(params)))


def test_what_is_no_run_is_refused_by_name(tmp_path):
    def refused(run, said):
        with pytest.raises(ValueError, match=re.escape(said)) as refusal:
            load_network(run)
        assert str(run) in str(refusal.value)

    refused(tmp_path / "nowhere", "no such folder or file")
    refused(tmp_path, "no weights.safetensors in it")
    bare, strange, unfit = (tmp_path / name for name in ("bare", "strange", "unfit"))
    save_params(bare, init(jax.random.key(0), (784, 10)), {})
    refused(bare, "'config'")
    tensors = {"one": np.zeros(3), "two": np.zeros(3)}
    strange.write_bytes(safetensors.numpy.save(tensors, {FORMAT: '{"config": {}}'}))
    refused(strange, "layers.0.weights")
    recipe = dataclasses.asdict(Config(sizes=(784, 6, 10)))
    save_params(unfit, init(jax.random.key(0), (784, 5, 10)), {"config": recipe})
    refused(unfit, "expected those of sizes (784, 6, 10)")
    save_params(unfit, init(jax.random.key(0), (784, 6, 10)), {"config": {**recipe, "depth": 3}})
    refused(unfit, "depth")
