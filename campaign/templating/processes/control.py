"""How a parent speaks with its fork server: a request, an answer, each a line of JSON, never two at once.

    {"do": "fork", "modules": […], "folder": "…", "seconds": 5} with the worker's socket   → {"pid": 17}
    {"do": "look", "pid": 17}                          → {"begun": 3, "place": "…"}
    {"do": "end", "pid": 17}                           → {"begun": 3, "place": "…", "status": -9}

`status` is the worker's exit status, or a signal's number, negated. Pure but for the socket.
"""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress

_LENGTH = struct.Struct("!I")


def send(control: socket.socket, words: dict[str, object], pass_on: socket.socket | None = None) -> None:
    """Send a request or an answer, with a socket where one is passed on. Raises OSError."""
    octets = json.dumps(words).encode()
    octets = _LENGTH.pack(len(octets)) + octets
    if pass_on is not None:
        socket.send_fds(control, [octets[:1]], [pass_on.fileno()])
        octets = octets[1:]
    control.sendall(octets)


def receive(control: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """Return what was sent, and the descriptors with it; None where the other end is closed."""
    with suppress(ConnectionError):
        octets, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        octets += _exactly(control, _LENGTH.size - 1)
        if len(octets) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(octets)
        octets = _exactly(control, length)
        if len(octets) == length:
            return json.loads(octets), list(descriptors)
    return None


def _exactly(control: socket.socket, length: int) -> bytes:
    octets = b""
    while len(octets) < length and (more := control.recv(length - len(octets))):
        octets += more
    return octets
