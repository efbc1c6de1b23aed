"""Download one file: verified, bounded in time and size, and written whole or not at all."""

import hashlib
import tempfile
import time
from collections.abc import Callable
from http.client import InvalidURL, responses
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass, urlopen

ANSWER_SECONDS, STALL_SECONDS, STALL_BYTES = 4.0, 15.0, 16 * 1024
"""Time limits for a server's first answer, name lookup and redirects included, and for each STALL_BYTES of a file."""


class DownloadError(OSError):
    """A failed download."""


class RemoteFile(NamedTuple):
    """A file to download."""

    url: str
    size: int  # in bytes
    sha256: str  # of its content, in hexadecimal


def fetch(remote: RemoteFile, path: Path, on_progress: Callable[[int], object] = lambda arrived: None) -> bytes:
    """Download a file into memory, verify it, and only then write it to `path`, whose folder exists.

    Returns:
        The file's content.

    Raises:
        DownloadError: if the server doesn't answer in time, stalls, or sends anything but this file.
    """
    content = bytes(_transfer(remote, on_progress))
    if hashlib.sha256(content).hexdigest() != remote.sha256:
        raise DownloadError(f"{remote.url}: what arrived has another sha256 than the expected {remote.sha256}")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
        temporary = Path(folder, path.name)
        temporary.write_bytes(content)
        temporary.replace(path)
    return content


def _transfer(remote: RemoteFile, on_progress: Callable[[int], object]) -> bytearray:
    """Receive the content from another thread, since urllib has no time limit for a name lookup or a slow header."""
    pieces: SimpleQueue[bytes | str | None] = SimpleQueue()
    abandoned = Event()
    Thread(target=_read_pieces, args=(remote.url, pieces, abandoned), daemon=True).start()
    content, goal, deadline = bytearray(), 0, time.monotonic() + ANSWER_SECONDS
    problem = f"no answer within {ANSWER_SECONDS:g} s; is this machine offline?"
    try:
        while (piece := pieces.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if isinstance(piece, str):
                raise DownloadError(f"{remote.url}: {piece}")
            content += piece
            if len(content) > remote.size:
                raise DownloadError(f"{remote.url}: sends more than the expected {remote.size:,} bytes")
            on_progress(len(content))
            if len(content) >= goal:  # also at the first piece, the answer, which is empty
                goal, deadline = len(content) + STALL_BYTES, time.monotonic() + STALL_SECONDS
                problem = f"stalled after {len(content):,} bytes, expected {remote.size:,}"
    except Empty:
        raise DownloadError(f"{remote.url}: {problem}") from None
    finally:
        abandoned.set()
    if len(content) < remote.size:
        raise DownloadError(f"{remote.url}: ends after {len(content):,} bytes, expected {remote.size:,}")
    return content


def _read_pieces(url: str, pieces: SimpleQueue[bytes | str | None], abandoned: Event) -> None:
    """Queue b"" when the server answers, then the content, then None; or, as a string, what went wrong."""
    try:
        with urlopen(url, timeout=2 * STALL_SECONDS) as response:
            pieces.put(b"")
            while not abandoned.is_set() and (piece := response.read1(1 << 16)):
                pieces.put(piece)
        pieces.put(None)
    except HTTPError as problem:
        problem.close()
        pieces.put(f"the server answered {problem.code} {responses.get(problem.code, '')}, expected 200 OK")
    except URLError as problem:
        reason = getattr(problem.reason, "strerror", None) or problem.reason
        proxy = _proxy(url)
        pieces.put(f"no connection ({reason}); is this machine offline{proxy and f', or {proxy} wrong'}?")
    except (ValueError, InvalidURL) as problem:  # UnicodeError is a ValueError
        proxy = _proxy(url)
        pieces.put(f"a redirect{proxy and f' or {proxy}'} has an impossible address ({problem!r}), expected a URL")
    except Exception as problem:
        pieces.put(f"the server's answer is broken ({problem!r}), expected the file")


def _proxy(url: str) -> str:
    """Name the environment variable of the proxy that is used, if any; its value may hold a password."""
    address = urlsplit(url)
    used = address.scheme in getproxies() and not proxy_bypass(address.netloc)
    return f"{address.scheme}_proxy" if used else ""
