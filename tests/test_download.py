import hashlib
import os
import socket
import threading
import time

import loopback
import numpy as np
import pytest

from jaxmnist.sources import catalogue
from jaxmnist.sources.download import ABANDONED_SECONDS, STALL_BYTES, STALL_SECONDS, DownloadError, RemoteFile, download

CONTENT = np.random.default_rng(0).bytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

AT_ONCE_SECONDS = 5
"""What a user is promised to wait at most for a server that can't be reached or says nothing."""
IN_ALL_SECONDS = 30
"""What a user is promised to wait at most for any server that sends nothing useful."""


@pytest.fixture
def server():
    with loopback.running() as server:
        yield server


@pytest.fixture
def proxied(server, monkeypatch):
    """All HTTP goes through the server, which then stands for any host."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies that it found when it was first used


@pytest.fixture
def impatient(monkeypatch):
    """Waits for 1 and 2 s, so that the tests are quick; the downloader itself starts in less than 1 s."""
    monkeypatch.setattr("jaxmnist.sources.download.ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("jaxmnist.sources.download.STALL_SECONDS", 2.0)


def remote_file(url, content=CONTENT):
    return RemoteFile(url, len(content), hashlib.sha256(content).hexdigest())


def failure(url, folder, seconds):
    """What the DownloadError says, after the URL; in the promised time, and with nothing left in the folder."""
    start = time.monotonic()
    with pytest.raises(DownloadError) as raised:
        download(remote_file(url), folder / "file.gz")
    assert time.monotonic() - start <= seconds
    assert list(folder.iterdir()) == []
    message = str(raised.value)
    assert message.startswith(f"{url}: ")
    return message.removeprefix(f"{url}: ")


def test_a_download_is_the_file_and_nothing_else(server, tmp_path):
    path = tmp_path / "file.gz"
    # half a second between the halves, in which the progress is told of ten times
    url = server.serve("/file.gz", loopback.in_turn(loopback.sends(CONTENT), loopback.pauses(CONTENT, 0.5)))
    sizes = []
    download(remote_file(url), path, sizes.append)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(CONTENT)
    assert any(0 < size < len(CONTENT) for size in sizes)


@pytest.mark.parametrize("size", [1, 4_542])
def test_a_small_file_arrives_too(size, server, tmp_path):
    """Also one that is smaller than the notes that the downloader keeps beside it."""
    content = CONTENT[:size]
    url = server.serve("/file.gz", loopback.sends(content))
    download(remote_file(url, content), tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == content


def test_a_length_that_the_server_does_not_say_is_no_fault(server, tmp_path):
    def behaviour(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    download(remote_file(server.serve("/file.gz", behaviour)), tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.usefixtures("proxied")
def test_proxies_of_the_environment_are_used(server, tmp_path):
    server.serve("/file.gz", loopback.sends(CONTENT))
    download(remote_file("http://name.invalid/file.gz"), tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


HALF = CONTENT[:100_000]
OTHER = bytes(len(CONTENT))
REFUSED = {
    "403": (loopback.refuses(403), ["403", "expected 200"]),
    "404": (loopback.refuses(404), ["404", "expected 200"]),
    "503": (loopback.refuses(503), ["503", "expected 200"]),
    "web page": (loopback.sends(b"<html>Log in</html>", kind="text/html; charset=utf-8"), ["web page", "200,000"]),
    "shorter": (loopback.sends(HALF), ["offers 100000 bytes", "expected 200,000"]),
    "longer": (loopback.sends(CONTENT + b"\0"), ["offers 200001 bytes", "expected 200,000"]),
    "cut off": (loopback.sends(HALF, offered=len(CONTENT)), ["expected 200,000 bytes"]),
    "other content": (loopback.sends(OTHER), ["another sha256", SHA256]),
    "endless": (loopback.never_ends, ["more than the 200,000 bytes expected"]),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_server_that_sends_something_else_is_refused(fault, server, tmp_path):
    behaviour, words = REFUSED[fault]
    message = failure(server.serve("/file.gz", behaviour), tmp_path, IN_ALL_SECONDS)
    assert [word for word in words if word not in message] == []


def test_an_unknown_length_that_ends_too_early_is_refused(server, tmp_path):
    def behaviour(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(HALF)

    message = failure(server.serve("/file.gz", behaviour), tmp_path, IN_ALL_SECONDS)
    assert "expected 200,000 bytes" in message


@pytest.mark.usefixtures("proxied")
def test_a_wrong_content_is_named_as_such_where_the_downloader_checks_it_too(server, tmp_path):
    """tensorflow-datasets knows Fashion-MNIST's real files and says in its own way when one is not the file."""
    remote = catalogue("fashion_mnist")["t10k-labels-idx1-ubyte.gz"]
    server.serve("/t10k-labels-idx1-ubyte.gz", loopback.sends(CONTENT[: remote.size]))
    with pytest.raises(DownloadError, match=f"another sha256 than {remote.sha256}"):
        download(remote, tmp_path / "file.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_refuses_is_known_at_once(tmp_path):
    with loopback.refusing() as url:
        message = failure(url, tmp_path, AT_ONCE_SECONDS)
    assert "no connection" in message
    assert "offline" in message


def test_a_name_that_does_not_exist_is_known_at_once(tmp_path):
    message = failure("http://name.invalid/file.gz", tmp_path, AT_ONCE_SECONDS)
    assert "offline" in message


@pytest.mark.usefixtures("impatient")
def test_a_name_server_that_says_nothing_is_known_at_once(tmp_path, monkeypatch):
    over = threading.Event()

    def look_up(*_, **__):
        over.wait(loopback.PATIENCE_SECONDS)
        raise socket.gaierror("no name server")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    message = failure("http://name.invalid/file.gz", tmp_path, AT_ONCE_SECONDS)
    over.set()
    assert "no answer within 5 s" in message


def test_a_server_that_never_answers_is_known_at_once(server, tmp_path):
    message = failure(server.serve("/file.gz", loopback.stays_silent), tmp_path, AT_ONCE_SECONDS)
    assert "no answer within 5 s" in message


@pytest.mark.usefixtures("impatient")
def test_a_server_that_drips_its_headers_is_known_at_once(server, tmp_path):
    message = failure(server.serve("/file.gz", loopback.drips_headers), tmp_path, AT_ONCE_SECONDS)
    assert "no answer within 5 s" in message


STALLED = {
    "stalls": loopback.stalls(CONTENT),
    "drips": loopback.drips(CONTENT),
    "answers once": loopback.in_turn(loopback.sends(CONTENT), loopback.stays_silent),
    "fails after the first answer": loopback.in_turn(loopback.sends(CONTENT), loopback.refuses(503)),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", STALLED)
def test_a_transfer_that_stalls_is_given_up(fault, server, tmp_path):
    message = failure(server.serve("/file.gz", STALLED[fault]), tmp_path, AT_ONCE_SECONDS)
    assert "stalled" in message
    assert "200,000" in message


@pytest.mark.slow
def test_a_transfer_that_drips_is_given_up_in_the_promised_time(server, tmp_path):
    assert 4 * STALL_SECONDS < 4 * IN_ALL_SECONDS < STALL_BYTES  # four bytes a second are too few
    message = failure(server.serve("/file.gz", loopback.drips(CONTENT)), tmp_path, IN_ALL_SECONDS)
    assert "stalled" in message


def test_a_damaged_file_is_replaced_only_by_a_whole_one(server, tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(b"damaged")
    url = server.serve(
        "/file.gz", loopback.in_turn(loopback.sends(OTHER), loopback.sends(OTHER), loopback.sends(CONTENT))
    )
    with pytest.raises(DownloadError):
        download(remote_file(url), path)
    assert path.read_bytes() == b"damaged"
    assert list(tmp_path.iterdir()) == [path]
    download(remote_file(url), path)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_download_leaves_nothing(server, tmp_path):
    def interrupt(size):
        raise KeyboardInterrupt

    url = server.serve("/file.gz", loopback.stalls(CONTENT))
    with pytest.raises(KeyboardInterrupt):
        download(remote_file(url), tmp_path / "file.gz", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_downloads_left_is_cleared_away_after_an_hour(server, tmp_path):
    assert ABANDONED_SECONDS == 60 * 60
    old, fresh, foreign = (tmp_path / name for name in (".download-old", ".download-fresh", "notes"))
    for folder, minutes in ((old, 61), (fresh, 59), (foreign, 61)):
        folder.mkdir()
        (folder / "part").write_bytes(HALF)
        os.utime(folder, (time.time() - 60 * minutes,) * 2)
    download(remote_file(server.serve("/file.gz", loopback.sends(CONTENT))), tmp_path / "file.gz")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, foreign, tmp_path / "file.gz"])
