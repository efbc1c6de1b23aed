"""A line from process 0 to each other process of one program: there they meet, watch each other, and end together.

JAX's own runtime does all computing and communicating. But it can't say which process has not come or was lost, and it
aborts every process whose connection to process 0 breaks. So JAX gets a connection that never breaks (`meeting.relay`),
and the lines tell of a lost process: its line closes when it ends, and is silent when it is frozen.

The lines are TCP connections to the port that JAX itself uses afterwards. They carry text, one message a line.
"""

import json
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

BEAT, SILENCE = 0.5, 8.0
"""Seconds from one sign of life to the next, and without any until a process counts as lost."""
FAREWELL = 3.0
"""Most seconds to wait until all others have ended."""
WAITING, MISSING, REFUSED, START = "waiting", "missing", "refused", "start"
ALIVE, VALUE, FAILED, LOST, END = "alive", "value", "failed", "lost", "end"
"""The first words of messages: before all have met, and afterwards."""


class Address(NamedTuple):
    """Where process 0 listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Lines(NamedTuple):
    """The lines of one process."""

    process: int  # this one
    processes: int  # how many there are
    sockets: dict[int, socket.socket]  # by the process at the other end: at process 0 all others, elsewhere process 0
    values: queue.SimpleQueue[Any]  # what process 0 has shared and this process has not taken yet


_SENDING = threading.Lock()


def send(line: socket.socket, *words: str) -> bool:
    """Send a line; return whether the other end can still hear."""
    try:
        with _SENDING:  # one thread says that the process lives, another one what it has to say
            line.sendall(f"{' '.join(words)}\n".encode())
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def watch(
    lines: Lines, left: threading.Event, on_lost: Callable[[str], object], on_end: Callable[[int], object]
) -> None:
    """Tell the others that this process lives, and hear of them, until this process has `left`.

    Args:
        lines: to the others.
        left: set when this process ends; then the others may end, too.
        on_lost: called with what to say of a process that was lost; ends this process.
        on_end: called with the exit code of process 0 when it ends in good order; ends this process.
    """
    silent, unread = dict.fromkeys(lines.sockets, 0.0), dict.fromkeys(lines.sockets, "")
    selector = selectors.DefaultSelector()
    for other, line in lines.sockets.items():
        selector.register(line, selectors.EVENT_READ, other)
    said = 0.0
    while not left.is_set():
        begin = time.monotonic()
        if begin - said >= BEAT:
            said = begin
            for line in lines.sockets.values():
                send(line, ALIVE)
        for key, _ in selector.select(BEAT):
            other = key.data
            heard = _read(lines.sockets[other])
            if not heard:
                _announce(lines, other, "was lost", on_lost)
            silent[other] = 0.0
            *texts, unread[other] = (unread[other] + heard).split("\n")
            for text in texts:
                _react(lines, other, text, on_lost, on_end)
        elapsed = min(time.monotonic() - begin, 2 * BEAT)  # this process may have been frozen itself
        for other in silent:
            silent[other] += elapsed
            if silent[other] > SILENCE:
                _announce(lines, other, f"does not answer for {SILENCE:.0f} s", on_lost)


def _read(line: socket.socket) -> str:
    try:
        return line.recv(1 << 12).decode(errors="replace")
    except OSError:
        return ""


def _react(
    lines: Lines, other: int, text: str, on_lost: Callable[[str], object], on_end: Callable[[int], object]
) -> None:
    """React to a line of text from another process."""
    word, _, rest = text.partition(" ")
    if word == END and other == 0:
        on_end(int(rest))
    elif word == LOST and other == 0:
        number, _, how = rest.partition(" ")
        _announce(lines, int(number), how, on_lost)
    elif word == VALUE and other == 0:
        lines.values.put(json.loads(rest))
    elif word == FAILED:
        _announce(lines, other, "ended with an error", on_lost)


def _announce(lines: Lines, other: int, how: str, on_lost: Callable[[str], object]) -> None:
    """Tell the others, and then this process, that one is lost; this ends all."""
    for number, line in lines.sockets.items():
        if lines.process == 0 and number != other:
            send(line, LOST, str(other), how)
    on_lost(f"process {other} of {lines.processes} {how}")


def pass_on(lines: Lines, value: Any) -> Any:
    """Return process 0's value, which JSON can hold; the others' doesn't count."""
    if lines.process:
        return lines.values.get()
    content = json.dumps(value)
    for line in lines.sockets.values():
        send(line, VALUE, content)
    return json.loads(content)


def say_goodbye(lines: Lines, code: int, failed: bool) -> None:
    """Tell the others that this process ends; process 0 then waits until they have ended."""
    for line in lines.sockets.values():
        if lines.process == 0:
            send(line, END, str(code))
        elif failed:
            send(line, FAILED)
    deadline = time.monotonic() + FAREWELL
    for line in lines.sockets.values() if lines.process == 0 else ():
        line.settimeout(FAREWELL)
        while time.monotonic() < deadline and _read(line):
            pass
