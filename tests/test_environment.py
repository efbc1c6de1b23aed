"""What the environment may do: JAX's variables, no home folder, a damaged cache, another operating system."""

import os
import re
from functools import partial

import command_line
import numpy as np
import pytest
from command_line import refusal
from PIL import Image
from small_data import small_splits, write_idx_files

from jaxmnist.cli.options import _private, _show_or_mend

TRAIN = (
    "train",
    "--dataset",
    "custom",
    "--sizes",
    "784",
    "4",
    "10",
    "--batch-size",
    "10",
    "--epochs",
    "2",
    "--run-dir",
    "r",
)
PREDICT = ("predict", "../digit.png", "--run", "r", "--show")
OTHER_SYSTEM = """
import os, signal, sys
for module in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[module] = None
for name in ("getuid", "geteuid", "getgid", "getegid", "fork", "fchmod", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
del signal.SIGHUP
real_open = os.open
def refuse_folders(path, *arguments, **more):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied")
    return real_open(path, *arguments, **more)
os.open = refuse_folders
from jaxmnist.__main__ import program
sys.exit(program())
"""
"""Takes away what Windows lacks, and then is `jaxmnist`."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs jaxmnist in an empty folder with the small data, and a cache of compiled programs of the test's own."""
    write_idx_files(tmp_path)
    digit = np.asarray(small_splits().test.images[0]).reshape(28, 28)
    Image.fromarray(digit).resize((280, 280)).save(tmp_path / "digit.png")
    monkeypatch.setenv("JAXMNIST_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    (tmp_path / "work").mkdir()
    return partial(command_line.run, tmp_path / "work", XDG_CACHE_HOME=str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"JAX_ENABLE_X64": "1", "JAX_DEBUG_NANS": "1"},
        {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"},
        {"JAX_PLATFORM_NAME": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "0"},
    ],
)
def test_every_use_of_a_network_works_with_settings_of_jax(run, settings):
    run = partial(run, **settings)
    longer = ("train", "--resume", "r", "--epochs", "3")
    for words in (TRAIN, longer, PREDICT, PREDICT[:2], ("evaluate", "r"), ("explain", "r"), ("page", "r")):
        result = run(*words)
        told = re.sub(r"^\d of 2 epochs in .*\n", "", result.stderr, flags=re.MULTILINE)  # as the page repeats the run
        assert (result.returncode, told) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("JAX_DISABLE_JIT=1", "JAX_DISABLE_JIT is set: expected it unset"),
        ("JAX_PLATFORM_NAME=nonsense", "JAX_PLATFORM_NAME=nonsense: JAX finds no such device"),
        ("JAX_PLATFORMS=nonsense", "JAX_PLATFORMS=nonsense: JAX finds no such device"),
        ("JAX_TRANSFER_GUARD=disallow", "Disallowed host-to-device transfer"),
        ("JAX_DEFAULT_MATMUL_PRECISION=nonsense", "jax_default_matmul_precision"),
    ],
)
def test_a_setting_of_jax_under_which_nothing_trains_is_named_and_leaves_nothing(run, tmp_path, setting, said):
    name, value = setting.split("=")
    line = refusal(run(*TRAIN, **{name: value}))
    assert said in line
    assert "smaller sizes" not in line or setting in line
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["JAX_PLATFORM_NAME=nonsense", "JAX_PLATFORMS=nonsense"])
def test_what_runs_on_the_cpu_needs_no_other_platform(run, setting):
    name, value = setting.split("=")
    for words in ((*TRAIN, "--platform", "cpu"), ("page", "best")):
        assert run(*words, **{name: value}).returncode == 0


@pytest.mark.slow
def test_nothing_needs_a_home_folder(run, tmp_path):
    """As in a container that runs under a number that has no user."""
    hide = "import os, pwd, sys; pwd.getpwuid = {}.__getitem__; del os.environ['HOME'], os.environ['XDG_CACHE_HOME']; "
    program = ("-c", f"{hide}from jaxmnist.__main__ import program; sys.exit(program())")
    for words in (TRAIN, PREDICT[:2], ("page", "best")):
        result = run(*words, program=program, MPLCONFIGDIR=str(tmp_path / "work"))
        assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["damaged", "full", "a file", "open to all"])
def test_the_cache_of_compiled_programs_is_mended_or_left_out_in_silence(run, tmp_path, how):
    cache = tmp_path / "cache" / "jaxmnist" / "compiled"
    assert run("predict", "../digit.png").returncode == 0
    entries = {path: path.read_bytes() for path in cache.glob("*-cache")}
    assert entries
    program = ("-m", "jaxmnist")
    if how == "damaged":
        for number, (path, content) in enumerate(entries.items()):
            path.write_bytes((b"", b"nonsense", content[: len(content) // 2])[number % 3])
    elif how == "a file":
        cache.rename(cache.with_name("old"))
        cache.touch()
    elif how == "open to all":
        cache.parent.chmod(0o777)
    else:
        for path in entries:
            path.unlink()
        limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        program = ("-c", f"{limit}from jaxmnist.__main__ import program; sys.exit(program())")
    result = run("predict", "../digit.png", program=program)
    assert (result.returncode, result.stderr) == (0, "")
    if how == "damaged":
        assert {path.name for path in entries} == {path.name for path in cache.glob("*-cache")}
        assert all(path.stat().st_size > len(content) / 2 for path, content in entries.items())


@pytest.mark.slow
def test_commands_run_without_what_only_posix_has(run):
    program = ("-c", OTHER_SYSTEM)
    for words in (TRAIN, ("train", "--resume", "r", "--epochs", "3"), PREDICT, ("page", "r"), ("evaluate", "r")):
        result = run(*words, program=program)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_cache_is_its_owners_alone_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = _private(tmp_path / "cache" / "jaxmnist" / "compiled")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]


@pytest.mark.parametrize("which", ["jaxmnist", "jaxmnist/compiled"])
@pytest.mark.parametrize("how", ["group", "others", "link"])
def test_a_cache_that_others_can_change_is_left_out(tmp_path, which, how):
    folder = _private(tmp_path / "jaxmnist" / "compiled")
    path = tmp_path / which
    if how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.chmod({"group": 0o770, "others": 0o702}[how])
    with pytest.raises(OSError, match="others can write there"):
        _private(folder)


def test_only_warnings_about_the_cache_are_kept_back(tmp_path, capsys):
    damaged, whole = tmp_path / "jit_epoch-0123-cache", tmp_path / "jit_other-0123-cache"
    for path in (damaged, whole):
        path.touch()
    for verb in ("reading", "writing"):
        _show_or_mend(tmp_path, UserWarning(f"Error {verb} persistent compilation cache entry for 'jit_epoch': E: no"))
    _show_or_mend(None, "Error reading persistent compilation cache entry for 'jit_other': E: no")
    assert not damaged.exists()
    assert whole.exists()
    _show_or_mend(tmp_path, UserWarning("something\nelse"))
    assert capsys.readouterr() == ("", "warning: something else\n")
