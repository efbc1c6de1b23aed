import jax
import numpy as np
import pytest

from jaxmnist.network import init
from jaxmnist.runs import groups

MEASURED = {"cost": np.array([0.5, np.inf]), "weights_sha256": np.arange(64, dtype=np.uint8).reshape(2, 32)}
NETWORK = init(jax.random.key(1), (784, 3, 10))


def save(folder, index, grid_sha256="a"):
    return groups.save_group(folder, index, MEASURED, 1.5, NETWORK, grid_sha256)


def test_groups_are_read_as_they_were_saved(tmp_path):
    saved = save(tmp_path, 0)
    save(tmp_path, 2)
    finished, warnings = groups.read_groups(tmp_path, 3, "a")
    assert (list(finished), warnings) == ([0, 2], [])
    for read in (saved, finished[2]):
        assert set(read) == {*MEASURED, "seconds"}
        assert read["seconds"] == 1.5
        assert all(np.array_equal(read[name], array) for name, array in MEASURED.items())
    best = groups.read_best(tmp_path, 2, (784, 3, 10))
    assert all(map(np.array_equal, jax.tree.leaves(best), jax.tree.leaves(NETWORK)))


def test_a_damaged_group_is_left_out_with_a_warning(tmp_path):
    for index in (0, 1):
        save(tmp_path, index)
    path = tmp_path / "groups" / "000001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    finished, (warning,) = groups.read_groups(tmp_path, 2, "a")
    assert list(finished) == [0]
    assert "000001.safetensors" in warning
    assert warning.endswith("its group is trained again")


@pytest.mark.parametrize(("index", "grid"), [(0, "b"), (1, "a")], ids=["another grid", "another group's name"])
def test_groups_of_another_grid_are_refused(index, grid, tmp_path):
    save(tmp_path, 0, grid)
    path = tmp_path / "groups" / "000000.safetensors"
    path.rename(path.with_name(f"{index:06}.safetensors"))
    with pytest.raises(ValueError, match=f"00000{index}.safetensors: is a group of another grid"):
        groups.read_groups(tmp_path, 2, "a")
