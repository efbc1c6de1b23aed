import gc
import hashlib
import socket
import subprocess
import sys
import threading
import time

import loopback
import numpy as np
import pytest

from jaxmnist.sources import download
from jaxmnist.sources.download import STALL_BYTES, DownloadError, RemoteFile, fetch

CONTENT = np.random.default_rng(0).bytes(200_000)
HALF = CONTENT[:100_000]
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with loopback.running() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(download, "STALL_SECONDS", 0.6)


def remote_file(url):
    return RemoteFile(url, len(CONTENT), SHA256)


def failure(url, folder, seconds=4.5):
    """What the DownloadError says after the URL, within the time limit and with nothing left in the folder."""
    start = time.monotonic()
    with pytest.raises(DownloadError) as raised:
        fetch(remote_file(url), folder / "file.gz")
    assert time.monotonic() - start <= seconds
    assert list(folder.iterdir()) == []
    message = str(raised.value)
    assert message.startswith(f"{url}: ")
    return message.removeprefix(f"{url}: ")


def test_time_limits():
    assert download.ANSWER_SECONDS <= 5  # offline, training on the embedded digits starts within 5 s
    assert download.STALL_SECONDS <= 30


@pytest.mark.parametrize("send", [loopback.sends, loopback.sends_without_length])
def test_the_file_arrives_whole_and_alone(send, server, tmp_path):
    path, sizes = tmp_path / "file.gz", []
    url = server.serve("/file.gz", send(CONTENT))
    fetch(remote_file(url), path, sizes.append)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, len(CONTENT))


def test_redirects_are_followed(server, tmp_path):
    url = server.serve("/old", loopback.redirects("/file.gz"))
    server.serve("/file.gz", loopback.sends(CONTENT))
    fetch(remote_file(url), tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_the_environments_proxies_are_used(server, tmp_path, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("urllib.request._opener", None)  # it remembers the proxies of its first use
    server.serve("/file.gz", loopback.sends(CONTENT))
    fetch(remote_file("http://name.invalid/file.gz"), tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


REFUSED = {
    "404": (loopback.refuses(404), "the server answered 404 Not Found, expected 200 OK"),
    "503": (loopback.refuses(503), "the server answered 503 Service Unavailable, expected 200 OK"),
    "web page": (loopback.sends(b"<html>Log in</html>"), "ends after 19 bytes, expected 200,000"),
    "longer": (loopback.sends(CONTENT + b"\0"), "sends more than the expected 200,000 bytes"),
    "endless": (loopback.never_ends, "sends more than the expected 200,000 bytes"),
    "cut off": (loopback.sends(HALF, offered=len(CONTENT)), "100,000 bytes"),
    "unknown length, too short": (loopback.sends_without_length(HALF), "ends after 100,000 bytes, expected 200,000"),
    "other content": (loopback.sends(bytes(len(CONTENT))), f"another sha256 than the expected {SHA256}"),
    "not HTTP": (loopback.is_no_http, "the server's answer is broken"),
    "redirect to a local file": (loopback.redirects("file:///etc/passwd"), "302 Found"),
    "redirect to itself": (loopback.redirects("/file.gz"), "302 Found"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_anything_but_the_file_is_refused(fault, server, tmp_path):
    behaviour, words = REFUSED[fault]
    assert words in failure(server.serve("/file.gz", behaviour), tmp_path)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # urllib doesn't close the answer then
@pytest.mark.parametrize(
    "location",
    [
        "http://[::1/",
        f"http://{'a' * 70}.invalid/",
        "http://a..b/",
        "http://\xff/",
        "http://a:b/",
        "http://a b\x1b[31m/",
    ],
)
def test_a_redirect_to_an_impossible_url_is_named(location, server, tmp_path):
    message = failure(server.serve("/file.gz", loopback.redirects(location)), tmp_path)
    assert message.startswith("a redirect has an impossible address (")
    assert message.isprintable()
    gc.collect()


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://user:secret@127.0.0.1:b", "a redirect or http_proxy has an impossible address ("),
        (f"http://user:secret@{'a' * 70}.invalid", "a redirect or http_proxy has an impossible address ("),
        ("http://user:secret@[::1", "no connection ("),
        ("socks9://user:secret@127.0.0.1", "no connection (unknown url type: socks9)"),
        ("http://user:secret@127.0.0.1:1", "no connection (Connection refused)"),
    ],
)
def test_a_bad_proxy_is_named_without_its_password(proxy, said, tmp_path, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setattr("urllib.request._opener", None)
    message = failure("http://name.invalid/file.gz", tmp_path)
    assert message.startswith(said)
    assert "http_proxy" in message
    assert "secret" not in message


def test_a_port_that_refuses_and_an_unknown_name_mean_offline(tmp_path):
    with loopback.refusing() as url:
        assert "Connection refused); is this machine offline?" in failure(url, tmp_path)
    assert "is this machine offline?" in failure("http://name.invalid/file.gz", tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_silent_name_server_means_offline(tmp_path, monkeypatch):
    over = threading.Event()

    def look_up(*_, **__):
        over.wait(loopback.PATIENCE_SECONDS)
        raise socket.gaierror("no name server")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    message = failure("http://name.invalid/file.gz", tmp_path, 1.5)
    over.set()
    assert message == "no answer within 0.3 s; is this machine offline?"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("behaviour", [loopback.stays_silent, loopback.drips_headers])
def test_a_server_that_does_not_answer_is_given_up(behaviour, server, tmp_path):
    assert "no answer within 0.3 s" in failure(server.serve("/file.gz", behaviour), tmp_path, 1.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("stall", "arrived"), [(loopback.stalls, "100,000"), (loopback.drips, "0")])
def test_a_transfer_that_stalls_is_given_up(stall, arrived, server, tmp_path):
    message = failure(server.serve("/file.gz", stall(CONTENT)), tmp_path, 2.5)
    assert message == f"stalled after {arrived} bytes, expected 200,000"


@pytest.mark.slow
def test_a_drip_is_given_up_in_the_stated_time(server, tmp_path):
    assert 20 * download.STALL_SECONDS < STALL_BYTES
    message = failure(server.serve("/file.gz", loopback.drips(CONTENT)), tmp_path, download.STALL_SECONDS + 2)
    assert "stalled" in message


def test_only_a_whole_file_replaces_the_old_one(server, tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(b"damaged")
    url = server.serve("/file.gz", loopback.in_turn(loopback.sends(bytes(len(CONTENT))), loopback.sends(CONTENT)))
    with pytest.raises(DownloadError):
        fetch(remote_file(url), path)
    assert path.read_bytes() == b"damaged"
    fetch(remote_file(url), path)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_download_leaves_nothing(server, tmp_path):
    def interrupt(arrived):
        if arrived:
            raise KeyboardInterrupt

    url = server.serve("/file.gz", loopback.stalls(CONTENT))
    with pytest.raises(KeyboardInterrupt):
        fetch(remote_file(url), tmp_path / "file.gz", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    url = server.serve("/file.gz", loopback.sends(CONTENT))
    with pytest.raises(OSError, match="No space left"):
        fetch(remote_file(url), tmp_path / "file.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_download_leaves_nothing_and_nobody_who_goes_on(server, tmp_path):
    hung_up = threading.Event()
    url = server.serve("/file.gz", loopback.waits_for_the_client(HALF, len(CONTENT), hung_up))
    program = (
        "import sys; from pathlib import Path; from jaxmnist.sources.download import *\n"
        f"fetch(RemoteFile({url!r}, {len(CONTENT)}, {SHA256!r}), Path(sys.argv[1], 'file.gz'), print)"
    )
    command = [sys.executable, "-u", "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert next(int(line) for line in process.stdout if int(line)) <= len(HALF)
        assert not hung_up.is_set()
        process.kill()
    assert hung_up.wait(5)  # a child would keep the connection
    assert list(tmp_path.iterdir()) == []
