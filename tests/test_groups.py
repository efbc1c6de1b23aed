import numpy as np
import pytest

from jaxmnist.runs import groups

ARRAYS = {"cost": np.array([0.5, np.inf]), "weights_sha256": np.arange(64, dtype=np.uint8).reshape(2, 32)}


def test_groups_are_read_as_they_were_saved(tmp_path):
    groups.save(tmp_path, 0, ARRAYS, "a")
    groups.save(tmp_path, 2, ARRAYS, "a")
    finished, warnings = groups.read(tmp_path, 3, "a")
    assert (list(finished), warnings) == ([0, 2], [])
    for name, array in ARRAYS.items():
        assert np.array_equal(finished[2][name], array)


def test_a_damaged_group_is_left_out_with_a_warning(tmp_path):
    for index in (0, 1):
        groups.save(tmp_path, index, ARRAYS, "a")
    path = tmp_path / "groups" / "000001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    finished, (warning,) = groups.read(tmp_path, 2, "a")
    assert list(finished) == [0]
    assert "000001.safetensors" in warning
    assert warning.endswith("its group is trained again")


@pytest.mark.parametrize(("index", "grid"), [(0, "b"), (1, "a")], ids=["another grid", "another group's name"])
def test_groups_of_another_grid_are_refused(index, grid, tmp_path):
    groups.save(tmp_path, 0, ARRAYS, grid)
    path = tmp_path / "groups" / "000000.safetensors"
    path.rename(path.with_name(f"{index:06}.safetensors"))
    with pytest.raises(ValueError, match=f"00000{index}.safetensors: is a group of another grid"):
        groups.read(tmp_path, 2, "a")
