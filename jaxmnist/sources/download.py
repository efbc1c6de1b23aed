"""One file from a URL to a place on disk: verified, whole or not there, and bounded in time.

tensorflow-datasets' downloader does the transfer. It retries for minutes and waits without end on a silent
server, so it runs in a process of its own, which is watched, and stopped when nothing arrives.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

ANSWER_SECONDS = 4.0
"""How long a server may take to answer at all: a machine that is offline is known as such within 5 s."""
STALL_SECONDS = 15.0
"""How long a transfer may bring less than STALL_BYTES."""
STALL_BYTES = 16 * 1024
WRONG_CONTENT = 3
"""Exit code of the downloader's process when it finds a checksum that it knows to be another."""
ABANDONED_SECONDS = 3_600.0
"""Age at which a temporary folder that a killed process left behind is cleared away."""


class DownloadError(OSError):
    """A download that did not succeed: says the URL, what happened and what was expected."""


class RemoteFile(NamedTuple):
    """A file that can be downloaded and what must arrive.

    Attributes:
        url: where it is.
        size: in bytes.
        sha256: of its content, in hexadecimal.
    """

    url: str
    size: int
    sha256: str


def download(remote: RemoteFile, path: Path, progress: Callable[[int], None] = lambda size: None) -> None:
    """Download a file, verify it, and only then give it its name.

    Args:
        remote: what to get.
        path: where it goes; its folder exists.
        progress: is called with the number of bytes that have arrived, several times a second.

    Raises:
        DownloadError: when the server does not answer within 5 s, sends nothing for 15 s, refuses, or sends
            something else. Nothing is left on disk then.
        OSError: when the folder can't be written.
    """
    _look(remote)
    _clear_abandoned(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
        arrived = _transfer(remote, Path(folder), progress)
        if not matches(arrived, remote):
            raise _wrong_content(remote)
        arrived.replace(path)


def matches(path: Path, remote: RemoteFile) -> bool:
    """Whether a file on disk is, byte for byte, the one that is expected."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256


def _wrong_content(remote: RemoteFile) -> DownloadError:
    return DownloadError(f"{remote.url}: what arrived has another sha256 than {remote.sha256}")


def _look(remote: RemoteFile) -> None:
    """Ask the server for the file's headers, within ANSWER_SECONDS, through the environment's proxies.

    In a thread, as the look-up of a host's name can't be given a time limit.
    """
    problem = ["no answer within 5 s; is this machine offline?"]

    def ask() -> None:
        try:
            request = urllib.request.Request(remote.url, headers={"Accept-Encoding": "identity"})
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                kind, length = response.headers.get_content_type(), response.headers.get("Content-Length")
        except urllib.error.HTTPError as refusal:
            problem[0] = f"the server answered {refusal.code} {refusal.reason}, expected 200"
            refusal.close()
        except (OSError, HTTPException) as failure:
            reason = getattr(failure, "reason", failure)
            if not isinstance(reason, TimeoutError):  # that is the problem it began with
                problem[0] = f"no connection ({reason}); is this machine offline?"
        else:
            problem.clear()
            if kind == "text/html":
                problem.append(f"the server answered with a web page, expected a file of {remote.size:,} bytes")
            elif length is not None and length != str(remote.size):
                problem.append(f"the server offers {length} bytes, expected {remote.size:,}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if problem:
        raise DownloadError(f"{remote.url}: {problem[0]}")


def _transfer(remote: RemoteFile, folder: Path, progress: Callable[[int], None]) -> Path:
    """Run the downloader on an empty folder and watch the folder grow; returns the file."""
    command = [sys.executable, "-P", __file__, remote.url, str(folder)]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
        try:
            mark, marked_at = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(0.05)
                size = _size(folder)
                progress(min(size, remote.size))
                if size > remote.size:
                    raise DownloadError(f"{remote.url}: the server sends more than the {remote.size:,} bytes expected")
                now = time.monotonic()
                if size >= mark + STALL_BYTES:
                    mark, marked_at = size, now
                elif now > marked_at + STALL_SECONDS:
                    raise DownloadError(
                        f"{remote.url}: stalled, {size - mark:,} bytes in {STALL_SECONDS:.0f} s after {mark:,} of "
                        f"{remote.size:,}"
                    )
        finally:
            process.kill()
            process.wait()
        messages.seek(0)
        lines = messages.read().decode(errors="replace").split("\n")
    if process.returncode == WRONG_CONTENT:
        raise _wrong_content(remote)
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size == remote.size]
    if process.returncode != 0 or len(files) != 1:
        reason = next((line for line in reversed(lines) if line.strip()), f"{_size(folder):,} bytes arrived")
        raise DownloadError(f"{remote.url}: {reason.strip()}, expected {remote.size:,} bytes")
    progress(remote.size)
    return files[0]


def _size(folder: Path) -> int:
    """Bytes that have arrived, without the downloader's own note about them."""
    total = 0
    for parent, _folders, names in os.walk(folder):  # unlike rglob, it takes it calmly when a folder vanishes
        for name in names:
            if not name.endswith(".INFO"):
                with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                    total += Path(parent, name).stat().st_size
    return total


def _clear_abandoned(folder: Path) -> None:
    for leftover in folder.glob(".download-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() > leftover.stat().st_mtime + ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _run_downloader(url: str, folder: str) -> None:
    """What the watched process does: tensorflow-datasets' own download, in this folder."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    try:
        tfds.download.DownloadManager(download_dir=folder).download(url)
    except tfds.download.download_manager.NonMatchingChecksumError:
        sys.exit(WRONG_CONTENT)


if __name__ == "__main__":
    _run_downloader(*sys.argv[1:])
