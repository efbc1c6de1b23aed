"""An HTTP server on this machine that answers as well or as badly as a test tells it to.

A behaviour is a function of the request's handler; most are made by the functions below.
"""

import contextlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PATIENCE_SECONDS = 60
"""How long the server keeps a client waiting, so that one without a time limit fails its test and does not hang it."""


class Loopback(ThreadingHTTPServer):
    """Serves until it is closed.

    Attributes:
        behaviours: what answers, by the path of the URL.
        requested: the paths that were asked for, in order.
        closing: is set when the server closes, for behaviours that wait.
    """

    daemon_threads = False  # so that closing waits for every answer to end

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviours = {}
        self.requested = []
        self.closing = threading.Event()

    def serve(self, path, behaviour):
        """Answer requests for a path with a behaviour; returns the URL."""
        self.behaviours[path] = behaviour
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a client may hang up at any time
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlsplit(self.path).path  # a proxy is asked for whole URLs
        self.server.requested.append(path)
        self.server.behaviours[path](self)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def running():
    """A server in a thread, closed at the end together with every answer that is still under way."""
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def refusing():
    """The URL of a port that nobody listens on; it is held, so that nobody else will meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/file"


def sends(content, offered=None, kind="application/octet-stream"):
    """Sends the content; offers its true length in the header, or another."""

    def behaviour(handler):
        _begin(handler, len(content) if offered is None else offered, kind)
        handler.wfile.write(content)

    return behaviour


def pauses(content, seconds):
    """Sends one half of the content, and after some seconds the other."""

    def behaviour(handler):
        _begin(handler, len(content))
        handler.wfile.write(content[: len(content) // 2])
        handler.server.closing.wait(seconds)
        handler.wfile.write(content[len(content) // 2 :])

    return behaviour


def stalls(content):
    """Sends one half of the content, and then nothing."""
    return pauses(content, PATIENCE_SECONDS)


def drips(content):
    """Sends the headers, and then four bytes of the content a second."""

    def behaviour(handler):
        _begin(handler, len(content))
        _drip(handler, content)

    return behaviour


def drips_headers(handler):
    """Sends four bytes of its headers a second, so that no wait for the next one is long."""
    _drip(handler, b"HTTP/1.0 200 OK\r\nServer: " + b"s" * 4 * PATIENCE_SECONDS)


def never_ends(handler):
    """Says no length and sends zeros for as long as anybody listens."""
    _begin(handler, None)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(65_536))


def stays_silent(handler):
    """Takes the request and says nothing."""
    handler.server.closing.wait(PATIENCE_SECONDS)


def refuses(code):
    """Answers with an HTTP error."""
    return lambda handler: handler.send_error(code)


def in_turn(*behaviours):
    """Answers the first request with the first behaviour, the next with the next, and all others with the last."""
    remaining = list(behaviours)
    return lambda handler: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)


def _begin(handler, length, kind="application/octet-stream"):
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _drip(handler, content):
    for byte in content[: 4 * PATIENCE_SECONDS]:
        handler.wfile.write(bytes([byte]))
        if handler.server.closing.wait(0.25):
            return
