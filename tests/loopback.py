"""An HTTP server on this machine that answers as well or as badly as a test tells it to.

A behaviour is a function of the request's handler.
"""

import contextlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PATIENCE_SECONDS = 60
"""How long the server keeps a client waiting: a client without a time limit fails its test, but doesn't hang it."""


class Loopback(ThreadingHTTPServer):
    """An HTTP server.

    Attributes:
        behaviours: the behaviour for each path.
        requested: the paths that were requested, in order.
        closing: set when the server closes, for behaviours that wait.
    """

    daemon_threads = False  # closing waits for every answer to end

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
    """A server in a thread. At the end it closes, with all answers that are still under way."""
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
    """The URL of a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/file"


def sends(content, offered=None):
    """Sends the content and its length, or another length."""
    return lambda handler: _answer(handler, len(content) if offered is None else offered, content)


def sends_without_length(content):
    """Sends the content without saying how long it is."""
    return lambda handler: _answer(handler, None, content)


def stalls(content):
    """Sends half of the content, then nothing."""

    def behaviour(handler):
        _answer(handler, len(content), content[: len(content) // 2])
        stays_silent(handler)

    return behaviour


def waits_for_the_client(content, offered, hung_up):
    """Sends the content, offers more, and sets the event as soon as the client has closed the connection."""

    def behaviour(handler):
        _answer(handler, offered, content)
        handler.connection.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionError):  # the client left unread bytes behind
            handler.rfile.read(1)
        hung_up.set()

    return behaviour


def drips(content):
    """Sends the headers, then 20 bytes a second of the content."""

    def behaviour(handler):
        _answer(handler, len(content))
        _drip(handler, content)

    return behaviour


def drips_headers(handler):
    """Sends 20 bytes a second of its headers."""
    _drip(handler, b"HTTP/1.0 200 OK\r\nServer: " + b"s" * 10_000)


def never_ends(handler):
    """Sends zeros for as long as anybody listens."""
    _answer(handler, None)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(65_536))


def stays_silent(handler):
    """Takes the request and sends nothing."""
    handler.server.closing.wait(PATIENCE_SECONDS)


def is_no_http(handler):
    """Sends something that isn't HTTP."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")


def refuses(code):
    """Answers with an HTTP error."""
    return lambda handler: handler.send_error(code)


def redirects(location):
    """Answers with a redirect."""

    def behaviour(handler):
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    return behaviour


def in_turn(*behaviours):
    """Answers each request with the next behaviour; after the last one, with the last."""
    remaining = list(behaviours)
    return lambda handler: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)


def _answer(handler, length, content=b""):
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)


def _drip(handler, content):
    for byte in content:
        handler.wfile.write(bytes([byte]))
        if handler.server.closing.wait(0.05):
            return
