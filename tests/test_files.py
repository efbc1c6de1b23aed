import os
import stat

import pytest

from jaxmnist.runs import files
from jaxmnist.runs.files import clear_temporaries, write_atomically


def test_the_content_replaces_the_old_one_and_no_other_file_stays(tmp_path):
    path = tmp_path / ("n" * 250)  # file systems allow 255 bytes
    for content in (b"old", b"", b"new" * 100_000):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_other_file(step, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_appears_only_after_the_content_is_on_the_disk(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    for name, call in real.items():
        monkeypatch.setattr(files.os, name, lambda *given, name=name, call=call: (calls.append(name), call(*given)))
    write_atomically(tmp_path / "file", b"x")
    assert calls == ["fsync", "replace", "fsync"]


def test_only_our_own_temporaries_are_cleared(tmp_path, monkeypatch):
    with monkeypatch.context() as killed:  # before the last step, and before the file could be removed
        killed.setattr(files.os, "replace", lambda *_: 1 / 0)
        killed.setattr(files.os, "unlink", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            write_atomically(tmp_path / "file", b"x")
    (left,) = tmp_path.iterdir()
    others = [".mine.part", ".x.jaxmnist-part", "notes.jaxmnist-part", f"{left.name}.txt"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".00000000.jaxmnist-part").mkdir()
    (tmp_path / ".00000001.jaxmnist-part").symlink_to(tmp_path / ".mine.part")
    clear_temporaries(tmp_path)
    kept = sorted([*others, ".00000000.jaxmnist-part", ".00000001.jaxmnist-part"])
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
