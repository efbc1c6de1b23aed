import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from jaxmnist.runs.files import TEMPORARY
from jaxmnist.runs.folder import LOCK, WRITER, created, held, listed, parents_made, refuse_used
from jaxmnist.runs.unfinished import take_back_all


def test_folders_made_in_the_same_second_have_different_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = set()
    for _ in range(3):
        with created(None, "sgd") as folder:
            (folder / "result").write_text("")
            names.add(folder)
    assert len(names) == 3
    assert {folder.parent for folder in names} == {Path("runs")}
    assert all("-sgd" in folder.name for folder in names)


def test_a_folder_that_stays_empty_is_removed_unless_it_was_there_before(tmp_path):
    for existed in (False, True):
        folder = tmp_path / str(existed)
        if existed:
            folder.mkdir()
        with pytest.raises(KeyboardInterrupt), created(folder, ""):
            raise KeyboardInterrupt
        assert folder.exists() == existed


def test_a_used_folder_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "result").write_text("1")
    with pytest.raises(ValueError, match=r"run_dir=.*: holds result already.*choose another folder"):
        refuse_used(tmp_path)
    with pytest.raises(ValueError, match="holds result already"), created(tmp_path, ""):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_hidden_files_do_not_make_a_folder_used(tmp_path):
    partial = tmp_path / f".0123abcd{TEMPORARY}"
    partial.write_text("left by a killed process")
    with created(tmp_path, "") as folder:
        assert listed(folder) == ""
        assert not partial.exists()


def test_a_held_folder_is_refused_by_the_number_of_the_process(tmp_path):
    with created(tmp_path / "r", "") as folder:
        for refused in (lambda: refuse_used(folder), lambda: held(folder).__enter__()):
            with pytest.raises(ValueError, match=rf"process {os.getpid()} is writing there"):
                refused()
        (folder / "result").write_text("")
    with held(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_other_programs_hidden_files_stay(tmp_path):
    names = (".lock", ".writer", ".mine.part", ".x.jaxmnist-part")
    for name in names:
        (tmp_path / name).write_text("mine")
    with created(tmp_path, ""):
        pass
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "mine")


def test_a_link_in_the_place_of_the_writers_number_is_not_followed(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    folder.mkdir()
    other.write_text("mine")
    (folder / WRITER).symlink_to(other)
    with held(folder):
        pass
    assert other.read_text() == "mine"


@pytest.mark.parametrize("text", [b"", b"\x1b[2J", b"\xff"])
def test_a_holder_without_a_number_is_another_process(tmp_path, text):
    with held(tmp_path):
        (tmp_path / WRITER).write_bytes(text)
        with pytest.raises(ValueError, match="another process is writing there"):
            held(tmp_path).__enter__()


def test_a_killed_process_holds_no_folder(tmp_path):
    hold = f"""
import os, pathlib, signal
from jaxmnist.runs.files import TEMPORARY
from jaxmnist.runs.folder import held
with held(pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", hold]).returncode == -9
    assert (tmp_path / LOCK).exists()
    with held(tmp_path):
        pass


@pytest.mark.parametrize("inside", ["file", "file/folder"])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"can't be written .*; choose another folder"), created(tmp_path / inside, ""):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="can't be written"), created(tmp_path, ""):
        pass
    tmp_path.chmod(0o700)


def test_an_interrupt_takes_back_what_was_made_with_its_parents_and_nothing_else(tmp_path):
    """As the signal handler does, which ends the process with the blocks unfinished."""
    (tmp_path / "mine").mkdir()
    with created(tmp_path / "mine" / "a" / "b", "") as folder:
        take_back_all()
        assert not folder.parent.exists()
        assert (tmp_path / "mine").exists()
    with created(tmp_path / "r", "") as folder:
        (folder / "result").touch()
        take_back_all()
        assert [path.name for path in folder.iterdir()] == ["result"]


def test_a_file_that_is_not_written_leaves_no_folder(tmp_path):
    with pytest.raises(OSError, match="full"), parents_made(tmp_path / "a" / "b" / "file"):
        raise OSError("full")
    with parents_made(tmp_path / "c" / "file"):
        (tmp_path / "c" / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", fail)
    with pytest.warns(UserWarning, match="can't be locked there .No locks available.") as warned, created(tmp_path, ""):
        (tmp_path / "result").touch()
    assert len(warned) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
