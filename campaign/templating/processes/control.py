"""The protocol between a parent and its fork server: a request, then an answer, both in JSON.

    {"do": "fork", "modules": […], "folder": "…", "seconds": 5} with the worker's socket   → {"pid": 17}
    {"do": "look", "pid": 17}                          → {"begun": 3, "place": "…"}
    {"do": "end", "pid": 17}                           → {"begun": 3, "place": "…", "status": -9}

Each is preceded by its length (4 octets, big-endian). `status` is the worker's exit status, or a negated
signal number.
"""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress

_LENGTH = struct.Struct("!I")


def send(control: socket.socket, words: dict[str, object], pass_on: socket.socket | None = None) -> None:
    """Send a request or an answer, and pass on a socket if given. Raises OSError."""
    octets = json.dumps(words).encode()
    octets = _LENGTH.pack(len(octets)) + octets
    if pass_on is not None:
        socket.send_fds(control, [octets[:1]], [pass_on.fileno()])
        octets = octets[1:]
    control.sendall(octets)


def receive(control: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """Return a request or an answer, and the passed descriptors; None if the other end is closed."""
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
