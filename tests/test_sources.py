import gzip
import hashlib
import inspect
import shutil
import struct
import subprocess
import sys

import loopback
import numpy as np
import pytest

from jaxmnist import sources
from jaxmnist.sources import load
from jaxmnist.sources.download import DownloadError, RemoteFile


def example_files(count=3):
    """Four IDX files by name, with `count` training and `count` test examples."""
    generator = np.random.default_rng(0)
    files = {}
    for part in ("train", "t10k"):
        images = generator.integers(0, 256, (count, 784), np.uint8)
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, count) + bytes(range(count))
    return files


FILES = example_files()


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxmnist"


@pytest.fixture
def server(monkeypatch):
    """Serves the four files as every data set of the catalogue."""
    with loopback.running() as server:
        remotes = {}
        for name, content in FILES.items():
            packed = gzip.compress(content, mtime=0)
            url = server.serve(f"/{name}.gz", loopback.sends(packed))
            remotes[f"{name}.gz"] = RemoteFile(url, len(packed), hashlib.sha256(packed).hexdigest())
        monkeypatch.setattr(sources, "catalogue", lambda _name: remotes)
        yield server


@pytest.fixture
def offline(monkeypatch):
    with loopback.refusing() as url:
        monkeypatch.setattr(sources, "catalogue", lambda _name: {"file.gz": RemoteFile(url, 1, "")})
        yield url


def is_example(splits):
    return all(
        np.asarray(part.images).tobytes() == FILES[f"{name}-images-idx3-ubyte"][16:]
        and np.asarray(part.labels).tolist() == [0, 1, 2]
        for name, part in (("train", splits.train), ("t10k", splits.test))
    )


def test_the_catalogue_knows_every_file_of_each_data_set():
    for name in ("mnist", "fashion_mnist", "kmnist"):
        remotes = sources.catalogue(name)
        assert remotes.keys() == {f"{file}.gz" for file in FILES}
        for file, remote in remotes.items():
            assert remote.url.startswith("http")
            assert remote.url.endswith(file)
            assert 1_000 < remote.size < 50_000_000
            assert len(remote.sha256) == 64


def test_digits_are_like_mnist():
    """Every digit has its ink in a box of 20×20, with the centre of mass at the centre, as MNIST's makers put it."""
    splits = load("digits")
    assert (splits.name, splits.origin, splits.notice) == ("digits", "scikit-learn's load_digits", "")
    assert (splits.train.images.shape, splits.test.images.shape) == ((1_437, 784), (360, 784))
    shares = [np.bincount(part.labels) / len(part.labels) for part in (splits.train, splits.test)]
    np.testing.assert_allclose(*shares, atol=1 / 360)  # stratified: off by less than one test example
    images = np.concatenate([splits.train.images, splits.test.images]).reshape(-1, 28, 28).astype(float)
    for axis in (1, 2):
        ink = images.sum(axis=3 - axis)
        centres = ink @ np.arange(28) / ink.sum(axis=1)
        assert np.abs(centres - 14).max() <= 1  # rounded to whole pixels
        assert (ink > 0).sum(axis=1).max() <= 20


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("name", ["auto", "mnist", "kmnist"])
def test_a_folders_files_are_read_gzipped_or_plain(name, pack, folder):
    if pack:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.write_bytes(b"the gzipped file is the one to read")
    splits = load(name, folder)
    assert is_example(splits)
    assert splits.name == ("mnist" if name == "auto" else name)
    assert (splits.origin, splits.notice) == (str(folder), "")


def test_a_subfolder_named_like_the_data_set_is_the_folder(folder, monkeypatch):
    (folder / "kmnist").mkdir()
    for name in FILES:
        shutil.move(folder / name, folder / "kmnist" / name)
    monkeypatch.setenv("JAXMNIST_DATA_DIR", str(folder))
    assert load("kmnist").origin == str(folder / "kmnist")
    with pytest.raises(ValueError, match="no train-images-idx3-ubyte there"):
        load("mnist")


def test_an_incomplete_folder_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"data_dir=.*nowhere: no such folder, expected the four IDX files"):
        load("mnist", tmp_path / "nowhere")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match=r"data_dir=.*: no t10k-labels-idx1-ubyte there"):
        load("auto", folder)


def test_as_many_labels_as_images_are_expected(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(example_files(2)["train-labels-idx1-ubyte"])
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: 2 labels, expected 3"):
        load("auto", folder)


def test_contradictions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="dataset=cifar: expected one of auto, mnist"):
        inspect.unwrap(load)("cifar")  # without the tests' type checks
    with pytest.raises(ValueError, match=r"data_dir=.*: contradicts dataset=digits"):
        load("digits", tmp_path)


def test_missing_and_damaged_files_are_downloaded_into_the_cache(server, cache):
    progress = []
    splits = load("fashion_mnist", on_progress=lambda *now: progress.append(now))
    assert is_example(splits)
    assert (splits.name, splits.origin) == ("fashion_mnist", f"{cache / 'fashion_mnist'} (downloaded)")
    assert len(server.requested) == 4
    assert {name for name, size, arrived in progress if size == arrived} == {f"{name}.gz" for name in FILES}
    assert [folder.stat().st_mode & 0o777 for folder in (cache, cache / "fashion_mnist")] == [0o700, 0o700]

    assert is_example(load("fashion_mnist"))
    assert len(server.requested) == 4
    labels = cache / "fashion_mnist" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(example_files()["t10k-labels-idx1-ubyte"], mtime=1))  # good, but another file
    assert is_example(load("fashion_mnist"))
    assert server.requested[4:] == ["/train-labels-idx1-ubyte.gz"]


def test_offline_auto_is_digits_with_a_notice_and_a_name_never_falls_back(offline, cache):
    splits = load()
    assert splits.name == "digits"
    for words in ("NOT MNIST", offline, "is this machine offline?", "data_dir=", "JAXMNIST_DATA_DIR"):
        assert words in splits.notice
    for name in ("mnist", "fashion_mnist", "kmnist"):
        with pytest.raises(DownloadError, match="is this machine offline"):
            load(name)


@pytest.mark.usefixtures("offline")
def test_a_cache_that_cannot_be_written_is_a_failed_download(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load().name == "digits"
    with pytest.raises(OSError, match="file"):
        load("mnist")


def test_the_cache_is_in_the_home_folder_unless_xdg_names_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, expected in (("", ".cache"), ("relative", ".cache"), (str(tmp_path / "x"), "x")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert sources.cache_dir() == tmp_path / expected / "jaxmnist"


def test_local_mnist_imports_neither_catalogue_nor_scikit_learn(folder):
    program = (
        "import sys; from jaxmnist.sources import load; load('mnist', sys.argv[1])\n"
        "sys.exit(bool({'tensorflow_datasets', 'sklearn'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
