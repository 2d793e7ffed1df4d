"""The program of a worker that cannot be forked: `python -m … .alone SECONDS PAGE SOCKET MODULE…`.

PAGE is a file that the parent reads while the worker runs. SOCKET is a descriptor, or "-" if stdin has the
result of `socket.share` (Windows).
"""

from __future__ import annotations

import io
import socket
import sys
from contextlib import suppress
from importlib import import_module
from mmap import mmap
from pathlib import Path

from campaign.templating.processes import limits, worker
from campaign.templating.processes.page import SIZE, here
from campaign.templating.processes.signals import ignore


def main() -> None:
    """Serve the parent at the other end of the socket."""
    ignore()
    seconds, page, connection, *modules = sys.argv[1:]
    with Path(page).open("r+b") as file:
        here.memory = mmap(file.fileno(), SIZE)
    for module in modules:
        import_module(module)
    limits.SECONDS = int(seconds)
    limits.confine()
    with _connected(connection) as ours, suppress(ConnectionError):
        read, write = socket.SocketIO(ours, "r"), socket.SocketIO(ours, "w")
        worker.serve(io.BufferedReader(read, 1 << 16), write)


def _connected(connection: str) -> socket.socket:
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    return socket.socket(fileno=int(connection))


if __name__ == "__main__":
    main()
