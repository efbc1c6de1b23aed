import gzip
import hashlib
import inspect
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import loopback
import numpy as np
import pytest

from jaxmnist import sources
from jaxmnist.sources import load, load_with_notice
from jaxmnist.sources.download import DownloadError, RemoteFile


def example_files(count=3, seed=0):
    """Four IDX files by name, with `count` training and `count` test examples."""
    generator = np.random.default_rng(seed)
    files = {}
    for part in ("train", "t10k"):
        images = generator.integers(0, 256, (count, 784), np.uint8)
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, count) + bytes(range(count))
    return files


FILES = example_files()


def qmnist_files(files):
    """The same examples as QMNIST's files: of a label's eight numbers, the first is the digit."""
    images = {name: content for name, content in files.items() if "images" in name}
    tables = {}
    for name, content in files.items():
        if name not in images:
            table = np.full((len(content) - 8, 8), -1, ">i4")
            table[:, 0] = list(content[8:])
            tables[name.replace("idx1-ubyte", "idx2-int")] = struct.pack(">3I", 0xC02, *table.shape) + table.tobytes()
    return {f"qmnist-{name.replace('t10k', 'test')}": content for name, content in (images | tables).items()}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, FILES)


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


def archives(files, mtime=0):
    return {f"{name}.gz": gzip.compress(content, mtime=mtime) for name, content in files.items()}


FASHION = example_files(seed=1)
CONTENTS = {
    "mnist": FILES,
    "mnist zipped anew": archives(FILES, mtime=7),
    "fashion archives": archives(FASHION),
    "fashion unzipped": FASHION,
    "fashion zipped anew": archives(FASHION, mtime=7),
    "part of mnist": example_files(2),
    "one pixel changed": {**FILES, "t10k-images-idx3-ubyte": FILES["t10k-images-idx3-ubyte"][:-1] + b"\0"},
    "qmnist": archives(qmnist_files(FASHION)),
}
NAMES = {"mnist": "mnist", "mnist zipped anew": "mnist", "fashion archives": "fashion_mnist", "qmnist": "qmnist"}
"""What a content is known as; all others are custom."""


@pytest.fixture
def published(monkeypatch):
    """As if these examples were what MNIST and Fashion-MNIST are known by."""
    remotes = {name: RemoteFile("", 0, hashlib.sha256(data).hexdigest()) for name, data in archives(FASHION).items()}
    monkeypatch.setattr(sources, "catalogue", lambda name: remotes if name == "fashion_mnist" else {})
    content = b"".join(content[16 if "images" in name else 8 :] for name, content in FILES.items())
    monkeypatch.setattr(sources, "MNIST_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(sources, "EXAMPLES", (3, 3))


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("asked", ["auto", "mnist", "fashion_mnist", "kmnist", "qmnist", "custom"])
def test_a_folders_data_is_called_by_its_content_whatever_is_asked_for(asked, content, tmp_path):
    write(tmp_path, CONTENTS[content])
    name = NAMES.get(content, "custom")
    if name != "custom" and asked not in ("auto", "custom", name):
        with pytest.raises(ValueError, match=rf"data_dir=.*: holds {name}, expected {asked}; choose dataset={name}"):
            load(asked, tmp_path)
        return
    splits = load_with_notice(asked, tmp_path, print)
    assert (splits.name, splits.origin) == (name, str(tmp_path))
    if name != "custom" or asked == "custom":
        assert splits.notice == ""
    else:
        said = "are no known data set" if asked == "auto" else f"aren't {asked}"
        assert f"{tmp_path} {said} as published, so they are called custom" in splits.notice


def test_the_real_mnist_is_known_however_it_is_packed(mnist_dir, tmp_path):
    for path in mnist_dir.glob("*ubyte.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(ValueError, match="holds mnist, expected kmnist"):
        load("kmnist", tmp_path)


@pytest.mark.parametrize("pack", [False, True])
def test_a_folders_files_are_read_gzipped_or_plain(pack, folder):
    if pack:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.write_bytes(b"the gzipped file is the one to read")
    splits = load("custom", folder)
    assert is_example(splits)
    assert (splits.origin, splits.notice) == (str(folder), "")


IN_THE_WILD = {  # where a file of this published name is
    "dot for dash": lambda name: name.replace("-idx", ".idx"),
    "upper case": lambda name: name.upper(),
    "a folder for each": lambda name: f"{name}/{name}",
    "a folder for each, with a dot": lambda name: f"{name.replace('-idx', '.idx')}/{name.replace('-idx', '.idx')}",
    "torchvision": lambda name: f"MNIST/raw/{name}",
    "torchvision's FashionMNIST": lambda name: f"FashionMNIST/raw/{name}",
    "torchvision's own folder": lambda name: f"raw/{name}",
    "plain bytes in a .gz": lambda name: f"{name}.gz",
    "macOS's shadows": lambda name: name,
}


@pytest.mark.parametrize("kind", IN_THE_WILD)
def test_files_are_found_under_the_names_that_the_world_gives_them(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JAXMNIST_DATA_DIR", "~/data")
    for name, content in FILES.items():
        path = tmp_path / "data" / IN_THE_WILD[kind](name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    assert is_example(load("custom"))
    assert is_example(load("custom", "~/data"))


def test_a_subfolder_named_like_the_data_set_is_the_folder(tmp_path, monkeypatch):
    write(tmp_path / "kmnist", FILES)
    write(tmp_path / "KMNIST" / "raw", FASHION)
    monkeypatch.setenv("JAXMNIST_DATA_DIR", str(tmp_path))
    assert load_with_notice("kmnist", None, print).origin == str(tmp_path / "kmnist")
    assert load("custom").origin == str(tmp_path / "kmnist")
    with pytest.raises(ValueError, match=r"JAXMNIST_DATA_DIR=.*: no train-images-idx3-ubyte there, nor train-lab"):
        load("mnist")


def test_both_layouts_in_one_folder_are_told_apart_by_the_name(folder):
    write(folder, archives(qmnist_files(FASHION)))
    assert load("qmnist", folder).name == "qmnist"
    assert is_example(load("custom", folder))


def test_a_folder_is_refused_with_what_is_missing(folder, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError,
        match=r"data_dir=.*nowhere: no such folder, expected one with the four IDX files; leave data_dir=… out",
    ):
        load("mnist", tmp_path / "nowhere")
    with pytest.raises(
        ValueError, match=r"data_dir=.*ubyte: is a file, expected the folder that it is in with the four"
    ):
        load("mnist", folder / "t10k-labels-idx1-ubyte")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    (folder / "train-images-idx3-ubyte").unlink()
    missing = "no train-images-idx3-ubyte there, nor t10k-labels-idx1-ubyte"
    with pytest.raises(ValueError, match=rf"data_dir=.*: {missing}, expected the four"):
        load("auto", folder)
    (folder / "emnist-mnist-train-images-idx3-ubyte.gz").touch()
    with pytest.raises(ValueError, match=rf"{missing}, expected .*; EMNIST, which is there, .* can't be read as MNIST"):
        load("auto", folder)
    with pytest.raises(ValueError, match=r"data_dir=.*: can't be read \(File name too long\)"):
        load("auto", folder / ("x" * 300))


def test_an_unreadable_folder_or_file_is_named_without_an_error_number(folder, monkeypatch):
    def deny(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", deny)
        with pytest.raises(ValueError, match=r"^data_dir=.*: can't be read \(Permission denied\)"):
            load("custom", folder)
    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(OSError, match=r"^.*train-images-idx3-ubyte: can't be read \(Permission denied\)"):
        load("custom", folder)


def test_as_many_labels_as_images_are_expected(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(example_files(2)["train-labels-idx1-ubyte"])
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: 2 labels, expected 3"):
        load("auto", folder)


@pytest.mark.parametrize("name", ["qmnist", "custom"])
def test_data_that_is_nowhere_to_be_downloaded_needs_its_folder(name):
    with pytest.raises(ValueError, match=rf"dataset={name}: isn't downloaded, expected a folder .* data_dir=FOLDER or"):
        load(name)


def test_contradictions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="dataset=cifar: expected one of auto, mnist"):
        inspect.unwrap(load_with_notice)("cifar", None, print)  # without the tests' type checks
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
    splits = load_with_notice("auto", None, print)
    assert splits.name == "digits"
    for words in ("NOT MNIST", offline, "is this machine offline?", "data_dir=", "JAXMNIST_DATA_DIR"):
        assert words in splits.notice
    for name in ("mnist", "fashion_mnist", "kmnist"):
        with pytest.raises(DownloadError, match=rf"^dataset={name}: .*is this machine offline.*data_dir=FOLDER or JAX"):
            load(name)


@pytest.mark.usefixtures("offline")
def test_a_cache_that_cannot_be_written_is_a_failed_download(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    splits = load_with_notice("auto", None, print)
    assert splits.name == "digits"
    for words in (
        "file: can't be read or written as a cache (File exists); set XDG_CACHE_HOME to a folder that you can write",
        "put the four IDX files",
    ):
        assert words in splits.notice
        with pytest.raises(OSError, match=f"^dataset=mnist: .*{re.escape(words)}"):
            load("mnist")
    assert "network" not in splits.notice
    assert "Errno" not in splits.notice


@pytest.mark.usefixtures("server")
def test_a_full_disk_is_named_with_its_remedy(cache, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"^dataset=mnist: .*\.gz: .* \(No space left on device\); set XDG_CACHE_HOME"):
        load("mnist")


@pytest.mark.usefixtures("offline")
def test_without_a_home_folder_only_a_download_is_refused(folder, monkeypatch):
    def no_account(_number):
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_account)
    assert (load("digits").name, load("custom", folder).name) == ("digits", "custom")
    with pytest.raises(ValueError, match="data_dir=~/x: no such folder"):
        load("custom", "~/x")
    splits, said = load_with_notice("auto", None, print), "no folder for the cache .*; set XDG_CACHE_HOME to one"
    assert splits.name == "digits"
    assert re.search(said, splits.notice)
    with pytest.raises(OSError, match=f"^dataset=mnist: .*{said}"):
        load("mnist")


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_all_folders_made_for_the_cache_are_the_users_only_whatever_the_umask(umask, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "cache"))
    before = os.umask(umask)
    try:
        folder = sources.cache_folder("mnist")
    finally:
        os.umask(before)
    assert folder == tmp_path / "new" / "cache" / "jaxmnist" / "mnist"
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.parents[:3])] == [0o700] * 4


def test_what_is_verified_is_what_is_decoded(server, cache, monkeypatch):
    """Whoever may write the cache can't change a file between the two."""
    load("mnist")
    read_bytes = Path.read_bytes

    def read_and_swap(path):
        content = read_bytes(path)
        path.write_bytes(b"swapped")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_swap)
    assert is_example(load("mnist"))


def test_the_cache_is_in_the_home_folder_unless_xdg_names_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, expected in (("", ".cache"), ("relative", ".cache"), (str(tmp_path / "x"), "x")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert sources.cache_dir() == tmp_path / expected / "jaxmnist"


def test_a_process_that_loads_a_folder_is_warned_where_it_does_and_imports_no_more_than_it_needs(folder):
    """In a process without the type checks, whose wrappers would be the callers."""
    program = (
        "import sys; from jaxmnist.sources import load; load('mnist', sys.argv[1])\n"
        "sys.exit(bool({'tensorflow_datasets', 'sklearn'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert result.stderr.startswith(f"<string>:1: UserWarning: the files in {folder} aren't mnist as published")
