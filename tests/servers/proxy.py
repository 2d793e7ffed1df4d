"""A forwarding proxy on loopback: gives a connection a round trip, or cuts it at a chosen byte.

    with Proxy(server.port, delay=0.010) as proxy: ...                        # 20 ms there and back
    with Proxy(server.port, cut_upstream=117, reset=True) as proxy: ...
    with delayed(server.port, 0.010) as port: ...                             # in a process of its own

The kernel's own netem is not to be had everywhere. Chunks are held for a fixed time each and leave
in order, so that the delay adds a round trip and takes no bandwidth.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(slots=True)
class Traffic:
    """How many bytes of one connection were forwarded each way; upstream is towards the server."""

    upstream: int = 0
    downstream: int = 0


class Proxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`server_port`, in a thread, from construction to `close`.

    `delay`: seconds for which each chunk is held, in each direction. `cut_upstream`,
    `cut_downstream`: forward exactly so many bytes that way, then end both sides: with RST where
    `reset`, else with FIN (and what still comes is read and dropped, since closing upon unread
    bytes would send RST). The first `cuts` connections are cut; later ones pass whole. `traffic`
    has an entry per connection, in order.
    """

    def __init__(
        self,
        server_port: int,
        *,
        delay: float = 0.0,
        cut_upstream: int | None = None,
        cut_downstream: int | None = None,
        reset: bool = False,
        cuts: int = sys.maxsize,
    ) -> None:
        self.traffic: list[Traffic] = []
        self._server_port = server_port
        self._delay = delay
        self._cut = (cut_upstream, cut_downstream)
        self._reset, self._cuts = reset, cuts
        self._ends: set[_End] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut whatever is open and stop listening."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _End(self._begin), sock=self._listener)
        )
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for end in tuple(self._ends):
            end.abort()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    def _begin(self, client: _End) -> None:
        task = self._loop.create_task(self._link(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _link(self, client: _End) -> None:
        """Connect a client that has come to the server."""
        traffic = Traffic()
        cut = self._cut if len(self.traffic) < self._cuts else (None, None)
        self.traffic.append(traffic)
        self._ends.add(client)
        server = _End()
        try:
            await self._loop.create_connection(lambda: server, "127.0.0.1", self._server_port)
        except OSError:
            client.abort()
            return
        self._ends.add(server)
        link = _Link(client, server, traffic, self._reset)
        upstream = _Way(server, link, "upstream", cut[0], self._delay)
        downstream = _Way(client, link, "downstream", cut[1], self._delay)
        client.start(upstream, server)
        server.start(downstream, client)


class _Link:
    """Both ends of a connection, and how it is cut."""

    def __init__(self, client: _End, server: _End, traffic: Traffic, reset: bool) -> None:
        self.ends = (client, server)
        self.traffic = traffic
        self.reset = reset
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            if self.reset:
                end.abort()
            else:
                end.finish()


class _Way:
    """One direction: holds each chunk for `delay`, then writes it to `target`, up to the cut."""

    def __init__(self, target: _End, link: _Link, name: str, cut: int | None, delay: float) -> None:
        self._target, self._link, self._name, self._cut, self._delay = target, link, name, cut, delay
        self._held: deque[bytes] = deque()  # b"" is the end of the stream
        self._loop = asyncio.get_running_loop()
        if cut == 0:
            link.cut()

    def take(self, chunk: bytes) -> None:
        self._held.append(chunk)
        if self._delay:
            # Not the chunk is bound to its timer, only a turn: equal times have no order of their own.
            self._loop.call_later(self._delay, self._release)
        else:
            self._release()

    def _release(self) -> None:
        chunk = self._held.popleft()
        if self._link.is_cut:
            return
        if not chunk:
            self._target.finish()
            return
        forwarded: int = getattr(self._link.traffic, self._name)
        if self._cut is not None:
            chunk = chunk[: self._cut - forwarded]
        self._target.write(chunk)
        setattr(self._link.traffic, self._name, forwarded + len(chunk))
        if self._cut is not None and forwarded + len(chunk) >= self._cut:
            self._link.cut()


class _End(asyncio.Protocol):
    """One of the two connections of a link."""

    def __init__(self, on_connect: Callable[[_End], None] | None = None) -> None:
        self._on_connect = on_connect
        self._way: _Way | None = None
        self._other: _End | None = None
        self._finished = self._ended = False  # our stream, our peer's

    def start(self, way: _Way, other: _End) -> None:
        self._way, self._other = way, other
        self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()  # until both ends are there
        own: socket.socket = transport.get_extra_info("socket")
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = own
        self._acknowledge()
        if self._on_connect is not None:
            self._on_connect(self)

    def _acknowledge(self) -> None:
        """Acknowledge at once: a server's next small write waits for it, and we are no party to that."""
        if quickack := getattr(socket, "TCP_QUICKACK", None):  # Linux alone has it, and forgets it
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, quickack, 1)

    def data_received(self, data: bytes) -> None:
        self._acknowledge()
        assert self._way is not None
        self._way.take(data)

    def eof_received(self) -> bool:
        assert self._way is not None
        self._ended = True
        self._way.take(b"")
        if self._finished:
            self._transport.close()
        return True  # half open until the other side has ended too

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._other is not None:
            self._other.abort()  # a reset goes through

    def pause_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.resume_reading()

    def write(self, chunk: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(chunk)

    def finish(self) -> None:
        """End our stream with FIN; the connection closes once its peer has ended too."""
        if self._transport.is_closing() or self._finished:
            return
        self._finished = True
        with contextlib.suppress(OSError):  # it went away meanwhile
            self._transport.write_eof()
        if self._ended:
            self._transport.close()

    def abort(self) -> None:
        """Close with RST."""
        if self._transport.is_closing():
            return
        own: socket.socket = self._transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


@contextlib.contextmanager
def delayed(server_port: int, delay: float) -> Iterator[int]:
    """Run a Proxy with a delay in its own process, and yield its port.

    For measuring: within the process a client that computes would hold up the proxy's thread.
    """
    command = [sys.executable, "-m", __name__, str(server_port), str(delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


if __name__ == "__main__":
    with Proxy(int(sys.argv[1]), delay=float(sys.argv[2])) as running:
        print(running.port, flush=True)
        sys.stdin.read()  # until whoever started it ends, or dies
