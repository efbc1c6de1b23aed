"""How the processes of one program meet: all connect to process 0, which lets them start when nobody is missing."""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from jaxmnist.devices.lifelines import BEAT, FAREWELL, MISSING, REFUSED, SILENCE, START, WAITING, Address, Lines, send


class MissingError(Exception):
    """Some processes did not come in time."""


def meet(address: Address, process: int, processes: int, seconds: float) -> Lines:
    """Wait until all processes have come.

    Raises:
        MissingError: if some haven't in so many seconds; names them.
        ValueError: if process 0 can't listen at the address, or refuses this process.
    """
    deadline = time.monotonic() + seconds
    sockets = (
        _gather(address, processes, deadline) if process == 0 else {0: _come(address, process, processes, deadline)}
    )
    for line in sockets.values():
        line.settimeout(SILENCE)
    return Lines(process, processes, sockets, queue.SimpleQueue())


def _gather(address: Address, processes: int, deadline: float) -> dict[int, socket.socket]:
    """As process 0: listen until all others have come, and let them start."""
    lines = dict[int, socket.socket]()
    with _listen(address) as listener:
        while missing := [str(number) for number in range(1, processes) if number not in lines]:
            late = time.monotonic() > deadline
            for number, line in list(lines.items()):
                if not send(line, MISSING if late else WAITING, *missing):
                    del lines[number]
            if late:
                for line in lines.values():
                    line.close()
                raise MissingError(_did_not_come(missing, processes))
            try:
                arrived, _address = listener.accept()
            except TimeoutError:
                continue
            arrived.settimeout(BEAT)
            if welcome := _welcome(arrived, lines, processes):
                lines[welcome] = arrived
    for line in lines.values():
        send(line, START)
    return lines


def _listen(address: Address) -> socket.socket:
    try:
        family, *_, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(place[:2], family=family)
    except OSError as problem:
        reason = str(problem.strerror).split(" (")[0]
        raise ValueError(
            f"coordinator={address}: process 0 can't listen there ({reason}), expected an address of its "
            "machine, and a port that no other program uses"
        ) from problem
    listener.settimeout(BEAT)
    return listener


def _welcome(arrived: socket.socket, lines: dict[int, socket.socket], processes: int) -> int | None:
    """Return the number that an arrived process calls itself, or None if it is none of this program's."""
    try:
        said = re.fullmatch(r"jaxmnist ([1-9]\d{0,8}) (\d{1,9})\n", arrived.recv(100).decode())
    except (OSError, ValueError):
        said = None
    if said is None:
        arrived.close()
        return None
    number, count = map(int, said.groups())
    if count == processes and number < processes and number not in lines:
        return number
    if count != processes:
        send(arrived, REFUSED, f"processes={count}: process 0 has {processes}, expected the same in every process")
    else:
        send(arrived, REFUSED, f"process_id={number}: another process is {number} already, expected each number once")
    arrived.close()
    return None


def _come(address: Address, process: int, processes: int, deadline: float) -> socket.socket:
    """As another process: connect to process 0, again and again, and wait until it lets all start."""
    missing, problem = ["0"], ""
    while time.monotonic() < deadline:
        with ExitStack() as stack, suppress(OSError):
            try:
                line = stack.enter_context(socket.create_connection(address, timeout=1))
            except OSError as refusal:
                problem = f"; nothing answers at {address} ({refusal.strerror or refusal})"
                raise
            line.settimeout(SILENCE)
            line.sendall(f"jaxmnist {process} {processes}\n".encode())
            for word, rest in _heard(line):
                if word == START:
                    stack.pop_all()
                    return line
                if word == REFUSED:
                    raise ValueError(rest)
                if word in (WAITING, MISSING):
                    missing = rest.split()
                if word == MISSING or time.monotonic() > deadline:
                    raise MissingError(_did_not_come(missing, processes))
        time.sleep(BEAT)
    raise MissingError(_did_not_come(missing, processes) + (problem if missing == ["0"] else ""))


def _heard(line: socket.socket) -> Iterator[tuple[str, str]]:
    """Yield the first word and the rest of each line that arrives, until the other end closes it."""
    with line.makefile(encoding="utf-8", errors="replace") as texts:
        for text in texts:
            word, _, rest = text.rstrip("\n").partition(" ")
            yield word, rest


def _did_not_come(missing: list[str], processes: int) -> str:
    return f"process {', '.join(missing)} of {processes} did not come (they count from 0)"


def relay(address: Address, on_break: Callable[[], object]) -> Address:
    """Return an address on this machine from which a connection leads to `address`, and stays when that one breaks."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while content := source.recv(1 << 16):
                target.sendall(content)
        except OSError:
            pass
        time.sleep(FAREWELL)  # the line to process 0 knows better what has happened
        on_break()

    def connect() -> None:
        near, _address = listener.accept()
        listener.close()
        far = _connected(address)
        if far is None:
            on_break()
            return
        threading.Thread(target=carry, args=(near, far), daemon=True).start()
        carry(far, near)

    threading.Thread(target=connect, daemon=True).start()
    return Address(*listener.getsockname())


def _connected(address: Address) -> socket.socket | None:
    """Connect to where another program is about to listen."""
    for _ in range(round(SILENCE / BEAT)):
        try:
            far = socket.create_connection(address, timeout=SILENCE)
        except OSError:
            time.sleep(BEAT)
        else:
            far.settimeout(None)
            return far
    return None
