"""Servers that are scripts on loopback, and a client that meets them with a real Connection.

A script runs in a thread with a `Peer` in its hand. Whatever it does, the client must end within
its own deadlines.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
import tracemalloc
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from campaign.campaignfile.models import Security, Smtp
from campaign.delivery import Answer, Envelope, Message, Settled
from campaign.errors import ConnectFailed
from campaign.sending.network.connection import Connection, ConnectionLimits
from campaign.smtp.auth import Login, Mechanism
from campaign.smtp.events import BodyDue, Closed, Event, Timeouts
from tests.servers.certificates import Certificates, Kind
from tests.servers.records import CIPHER, Records

GENEROUS = 60.0  # seconds: what no test may take, however slow the machine
LARGE = 16 << 20  # bytes: more than a kernel takes for a server that does not read
LOGIN = Login("news", "secret", Mechanism.PLAIN)


class Gone(Exception):
    """The client has hung up."""


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection: socket.socket, certificates: Certificates, over: threading.Event) -> None:
        self.heard: list[str] = []  # command lines
        self._socket = connection
        self._certificates = certificates
        self._over = over
        self._buffer = b""

    def say(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Gone from error

    def drip(self, octets: bytes) -> None:
        """Say a byte at a time, for ever."""
        self.say(octets)
        while not self._over.wait(0.02):
            self.say(b"x")

    def flood(self, octets: bytes, times: int) -> None:
        for _ in range(times):
            self.say(octets)

    def hear(self) -> str:
        """Return the next line."""
        while b"\r\n" not in self._buffer:
            self._read()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.heard.append(line.decode())
        return self.heard[-1]

    def hear_content(self) -> bytes:
        content = bytearray(b"\r\n" + self._buffer)
        while (end := content.find(b"\r\n.\r\n", max(0, len(content) - 2 * 65536))) < 0:
            self._buffer = b""
            self._read()
            content += self._buffer
        self._buffer = bytes(content[end + 5 :])
        return bytes(content[2:end])

    def read_slowly(self) -> None:
        while not self._over.wait(0.02):
            self._buffer = b""
            self._read(1)

    def stare(self) -> None:
        """Neither read nor say anything until the client has given up."""
        self._over.wait(GENEROUS)

    def tls(
        self, kind: Kind = Kind.LOCALHOST, *, version: str = "", outdated: bool = False, mutual: str = ""
    ) -> None:
        """Shake hands over that version; `plaintext` is the way around it from then on.

        `outdated`: TLS 1.1 at most. `mutual`: want a certificate of the client, over that TLS version.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if version or mutual:
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version or mutual]
        if mutual:
            context.load_verify_locations(self._certificates.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        if outdated:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore"):  # that is the point
                context.minimum_version = ssl.TLSVersion.TLSv1_1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.load_cert_chain(*self._certificates.pair(kind))
        try:
            self._socket = context.wrap_socket(self._socket, server_side=True)
        except OSError as error:
            raise Gone from error

    def records(self, folder: Path) -> Records:
        """Shake hands over TLS 1.3; what is said from then on is said by `say_bare`, in these records."""
        keys = folder / "keys"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.keylog_filename = str(keys)
        context.load_cert_chain(*self._certificates.pair(Kind.LOCALHOST))
        self._socket = encrypted = context.wrap_socket(self._socket, server_side=True)
        assert encrypted.cipher() == (CIPHER, "TLSv1.3", 256)
        return Records(keys)

    def plaintext(self, octets: bytes) -> None:
        """Say something in the clear, on a connection that is encrypted."""
        assert isinstance(self._socket, ssl.SSLSocket)
        with socket.socket(fileno=self._socket.detach()) as bare:
            bare.sendall(octets)
            self._over.wait(GENEROUS)

    def close_notify(self) -> None:
        """End TLS, and leave the connection open."""
        assert isinstance(self._socket, ssl.SSLSocket)
        self._socket.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):  # it waits for the client's own
            self._socket.unwrap()

    @contextlib.contextmanager
    def in_one_segment(self) -> Iterator[None]:
        """Send what is said meanwhile together."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        yield
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def say_bare(self, octets: bytes) -> None:
        """Say something in the clear, whatever was agreed."""
        os.write(self._socket.fileno(), octets)

    def hang_up(self) -> None:
        self._socket.close()

    def greet(self, *extensions: str) -> None:
        """Say who we are, and what we offer."""
        self.say(b"220 mx.example.test ESMTP\r\n")
        self.introduce(*extensions)

    def introduce(self, *extensions: str) -> None:
        self.hear()
        lines = ["mx.example.test", *extensions]
        self.say("".join(f"250-{line}\r\n" for line in lines).encode() + b"250 HELP\r\n")

    def take_envelope(self, addresses: int = 1) -> None:
        """MAIL, RCPT and DATA, each accepted."""
        for _ in range(addresses + 1):
            self.hear()
            self.say(b"250 Ok\r\n")
        assert self.hear() == "DATA"
        self.say(b"354 go on\r\n")

    def take_message(self) -> bytes:
        self.take_envelope()
        content = self.hear_content()
        self.say(b"250 2.0.0 Ok\r\n")
        return content

    def _read(self, most: int = 65536) -> None:
        try:
            octets = self._socket.recv(most)
        except OSError as error:
            raise Gone from error
        if not octets:
            raise Gone
        self._buffer += octets


Script = Callable[[Peer], None]


@dataclass
class Server:
    """A script's server; `peer` is there once a client has come."""

    port: int
    peer: Peer | None = None
    failure: BaseException | None = None


class Serve:
    """Starts servers for one test, and sees that their scripts end with it."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._servers: list[Server] = []
        self._sockets: list[socket.socket] = []

    def __call__(self, script: Script) -> Server:
        listener = socket.socket()
        # Small, so that a server that does not read is noticed soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(GENEROUS)
        server = Server(listener.getsockname()[1])
        thread = threading.Thread(target=self._run, args=(listener, server, script), daemon=True)
        self._sockets.append(listener)
        self._servers.append(server)
        self._threads.append(thread)
        thread.start()
        return server

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(GENEROUS)
            assert not thread.is_alive()
        for one in self._sockets:
            one.close()
        for server in self._servers:
            if server.failure is not None:
                raise server.failure

    def _run(self, listener: socket.socket, server: Server, script: Script) -> None:
        connection, _ = listener.accept()
        connection.settimeout(GENEROUS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.peer = Peer(connection, self.certificates, self._over)
        try:
            script(server.peer)
        except Gone:
            pass
        except BaseException as failure:  # shown when the test ends
            server.failure = failure
        finally:
            server.peer.hang_up()
            connection.close()


def smtp(server: Server, certificates: Certificates, security: Security) -> Smtp:
    values = {"host": "localhost", "port": server.port, "security": security}
    return Smtp.model_validate(values | {"ca_file": str(certificates.ca_file)})


def patient(**timeouts: float) -> ConnectionLimits:
    """Patient but for the replies that are named."""
    replies = Timeouts(*[GENEROUS] * 7)
    return ConnectionLimits(connect=GENEROUS, handshake=GENEROUS, replies=replace(replies, **timeouts))


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < GENEROUS / 2, "the client was held"


@contextlib.contextmanager
def in_little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


class Client:
    """What every test does: open, submit, release, and listen until the session is over."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    def fails(
        self,
        script: Script,
        match: str,
        *,
        security: Security = Security.NONE,
        login: Login | None = None,
        limits: ConnectionLimits | None = None,
        permanent: bool = False,
    ) -> Server:
        """Expect that no session can be opened, and these words."""
        server = self._serve(script)
        settings = smtp(server, self._serve.certificates, security)
        with in_time(), pytest.raises(ConnectFailed, match=match) as raised:
            Connection.open(settings, login, limits or patient())
        assert str(raised.value).startswith(f"localhost:{server.port}: ")
        assert raised.value.permanent is permanent
        return server

    def ends(
        self,
        script: Script,
        *messages: Message,
        security: Security = Security.NONE,
        limits: ConnectionLimits | None = None,
    ) -> tuple[list[Answer], Closed]:
        """Send the messages; return the answers to all their addresses, and the end."""
        server = self._serve(script)
        settings = smtp(server, self._serve.certificates, security)
        with in_time():
            connection = Connection.open(settings, None, limits or patient())
            try:
                return self._converse(connection, deque(messages))
            finally:
                connection.close()

    def _converse(self, connection: Connection, waiting: deque[Message]) -> tuple[list[Answer], Closed]:
        session, answers = connection.session, list[Answer]()
        while True:
            if session.wants_message and waiting:
                session.submit(waiting.popleft())
            elif session.idle and not waiting:
                session.quit()
            events: list[Event] = connection.step(0.1)
            for event in events:
                match event:
                    case BodyDue() if session.closed is None:
                        session.release(event.message)
                    case Settled():
                        answers.extend(event.answers)
                    case Closed():
                        return answers, event


def message(number: int = 1, size: int = 0, copies: tuple[str, ...] = ()) -> Message:
    content = f"Subject: {number}\r\n\r\n.hello\r\n".encode() + b"0123456789abcd\r\n" * (size // 16)
    envelope = Envelope("news@example.com", (f"u{number}@example.test", *copies))
    return Message(str(number), number, envelope, f"<{number}@example.com>", (content,))


def to_ehlo(peer: Peer) -> None:
    peer.say(b"220 mx.example.test\r\n")
    peer.hear()


def to_starttls(peer: Peer) -> None:
    peer.greet("STARTTLS")
    peer.hear()


def to_handshake(peer: Peer) -> None:
    to_starttls(peer)
    peer.say(b"220 go ahead\r\n")


def to_inner_ehlo(peer: Peer) -> None:
    to_handshake(peer)
    peer.tls()
    peer.hear()


def to_auth(peer: Peer) -> None:
    peer.tls()
    peer.greet("AUTH PLAIN")
    peer.hear()


def to_mail(peer: Peer) -> None:
    peer.greet()
    peer.hear()


def to_rcpt(peer: Peer) -> None:
    to_mail(peer)
    peer.say(b"250 Ok\r\n")
    peer.hear()


def to_data(peer: Peer) -> None:
    to_rcpt(peer)
    peer.say(b"250 Ok\r\n")
    peer.hear()


def to_dot(peer: Peer) -> None:
    to_data(peer)
    peer.say(b"354 go on\r\n")
    peer.hear_content()
