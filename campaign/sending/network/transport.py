"""A TCP connection with TLS: sends and receives bytes, and knows how many have certainly not left.

The only module that imports `socket` for the network. A `Transport` never blocks longer than it is told.
It reads while it writes, because a server may stop reading until we read. Every end of a connection
becomes `ConnectionLost`. TLS runs over memory buffers, to know exactly which bytes the kernel has taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from campaign.errors import ConnectFailed, ConnectionLost
from campaign.sending.network.hosts import lookup_name
from campaign.sending.network.tls import TLSInfo, tls_info, unverified
from campaign.sending.network.tlswords import is_for_good, why_broken
from campaign.sending.slices import SLICE, STOPPED, unless_stopped

CONNECT_TIMEOUT = 30.0  # seconds; smtp_connect_timeout of Postfix's client
_CHUNK = 8192  # replies are short, and allocating a large buffer is slow
_RECORD = 16384  # RFC 8446 5.1: the most plaintext that a TLS record carries
_AWAKE = 0.0001  # seconds at the start of a wait in which a thread polls instead of sleeping
UNCERTAIN = "this process was suspended, and another may be sending by now: it sent no more of the message"
_SLOWEST = 1024  # bytes per second; a server that reads more slowly counts as stalled


class Transport:
    """One connection. Made by `connect`; `start_tls` encrypts it from there on."""

    def __init__(self, connection: socket.socket) -> None:
        self.tls: TLSInfo | None = None
        self.unwelcome = False  # the server ended TLS for a reason that another try cannot change
        self._socket = connection
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selected_for = selectors.EVENT_READ
        self._answers_soon = True
        self._object: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._out = memoryview(b"")  # bytes that the kernel has not taken yet, encrypted if TLS is on
        self._out_end = 0  # offset of its end in everything queued so far
        self._records: deque[tuple[int, int]] = deque()  # (offset of a record's end, bytes of plaintext)
        self._unsent = 0
        self._block_timeout = 0.0
        self._block_deadline = self._write_deadline = 0.0  # for some of `_out`, for all of it
        self._may_write: Callable[[], bool] | None = None  # called before each write
        self._broken: str | None = None  # why writing failed; earlier bytes from the server are read first

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        timeout: float = CONNECT_TIMEOUT,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Transport:
        """Connect to the first of the host's addresses that answers; each gets `timeout` seconds.

        Raises ConnectFailed, also if `stopped` meanwhile.
        """
        failure: OSError | None = None
        name = lookup_name(host).encode()  # the standard library would encode a str by IDNA 2003
        look = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        try:
            for family, kind, protocol, _, address in unless_stopped(look, stopped):
                try:
                    return cls(_connected(socket.socket(family, kind, protocol), address, timeout, stopped))
                except OSError as error:
                    failure = error
        except OSError as error:  # gaierror, or an error of the resolver such as too many open files
            raise ConnectFailed(f"no address is known for the host {host!r}: {error.strerror}") from error
        if isinstance(failure, TimeoutError):
            raise ConnectFailed(f"{host}:{port} did not answer within {timeout:g} seconds") from failure
        why = "it has no address" if failure is None else failure.strerror or failure
        raise ConnectFailed(f"cannot connect to {host}:{port}: {why}") from failure

    @property
    def client_name(self) -> str:
        """Our name for EHLO: this host's name if it is a full one, else our address on the connection.

        RFC 5321 4.1.4: a client without a meaningful name sends an address literal. No DNS lookup is made.
        """
        name = socket.gethostname()
        if "." in name.strip(".") and name.isascii():
            return name
        address = self._socket.getsockname()[0].partition("%")[0]  # without its zone
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    @property
    def unsent(self) -> int:
        """How many of the bytes given to `send` the kernel has not taken.

        Bytes in an incomplete TLS record count as unsent: nobody can decrypt them.
        """
        return self._unsent

    def start_tls(
        self,
        context: ssl.SSLContext,
        name: str,
        timeout: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Do the TLS handshake, and verify that the certificate is for `name`.

        Raises ConnectFailed with the reason, also if `stopped` meanwhile; Misnamed.
        """
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        deadline = time.monotonic() + timeout
        self._block_timeout = timeout
        self._block_deadline = self._write_deadline = deadline
        try:
            while True:
                try:
                    self._object.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush_tls()
                if (now := time.monotonic()) >= deadline:
                    raise ConnectFailed(f"the TLS handshake was not finished within {timeout:g} seconds")
                if stopped():
                    raise ConnectFailed(STOPPED, permanent=True)
                self._incoming.write(self._read_raw(min(deadline, now + SLICE)))
        except ssl.SSLCertVerificationError as error:
            with contextlib.suppress(ConnectionLost):  # the alert that tells the server why
                self._flush_tls()
                self._write_some()
            raise unverified(error, name) from error
        except ssl.SSLError as error:
            why = f"the TLS handshake failed: {why_broken(error.reason, str(error))}"
            raise ConnectFailed(why, permanent=is_for_good(error.reason)) from error
        except ConnectionLost as error:
            raise ConnectFailed(f"the TLS handshake failed: {error}") from error
        self._flush_tls()
        self.tls = tls_info(self._object)

    def send(self, octets: bytes, block_timeout: float, may_write: Callable[[], bool] | None = None) -> None:
        """Queue bytes; `exchange` writes them.

        `may_write` is called before each write, for everything that is queued then; if it returns False,
        nothing more is written and the connection counts as lost.

        Within every `block_timeout` seconds some bytes must leave, and all of them within that time plus a
        second per KiB: a server that reads a byte at a time is cut off.
        """
        if not octets:
            return
        self._may_write = may_write
        if not self._unsent:
            self._block_timeout = block_timeout
            self._block_deadline = self._write_deadline = time.monotonic() + block_timeout
        self._write_deadline += len(octets) / _SLOWEST
        self._unsent += len(octets)
        if self._broken is not None:
            return
        if self._object is None:
            self._queue(octets)
        else:
            self._encrypt(self._object, octets)
        with contextlib.suppress(ConnectionLost):  # `exchange` raises it, after reading what is left
            self._write_some()

    def exchange(self, wait: float) -> bytes:
        """Write what is queued, and return bytes from the server as soon as there are any.

        Returns b"" if none come for `wait` seconds. Raises ConnectionLost.
        """
        deadline = time.monotonic() + wait
        while True:
            # A server may send data together with the end of its handshake.
            held = self._incoming.pending > 0
            raw = b"" if held else self._read_raw(deadline)
            if self._object is None or not (raw or held):
                return raw
            octets = self._decrypt(self._object, raw)
            # A server can send empty TLS records for ever.
            if octets or time.monotonic() >= deadline:
                return octets

    def close(self) -> None:
        """Close the socket at once."""
        self._selector.close()
        self._socket.close()

    def _read_raw(self, deadline: float) -> bytes:
        """Wait for bytes until `deadline`, writing meanwhile; b"" if none came."""
        while True:
            if self._out and self._broken is None:
                with contextlib.suppress(ConnectionLost):
                    self._write_some()
            writing = bool(self._out) and self._broken is None
            now = time.monotonic()
            write_by = min(self._block_deadline, self._write_deadline)
            if writing and now >= write_by:
                raise ConnectionLost("the server stopped taking what we send")
            until = min(deadline, write_by) if writing else deadline
            if self._broken is not None:
                until = now  # only what is there already
            interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            if interest != self._selected_for:
                self._selector.modify(self._socket, interest)
                self._selected_for = interest
            ready = self._wait(now, until)
            if ready and ready[0][1] & selectors.EVENT_READ:
                raw = self._receive()
                if raw is not None:
                    return raw
            elif not ready and self._broken is not None:
                raise ConnectionLost(self._broken)
            elif not ready and time.monotonic() >= deadline:
                return b""

    def _wait(self, now: float, until: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready as soon as something is, or [] at `until`.

        Waking a sleeping thread takes longer than a nearby server takes to answer. So if the last answer
        came that fast, the thread polls for a moment before it sleeps.
        """
        asleep_at = min(now + _AWAKE, until) if self._answers_soon else now
        began = now
        while now < asleep_at:
            if ready := self._selector.select(0):
                return ready
            now = time.monotonic()
        if _QUICKACK is not None:
            # Without it, replies wait for delayed ACKs. The kernel resets it after each use.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        ready = self._selector.select(max(0.0, until - now))
        self._answers_soon = time.monotonic() - began < _AWAKE
        return ready

    def _receive(self) -> bytes | None:
        try:
            raw = self._socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or error}") from error
        if not raw:
            raise ConnectionLost("the server closed the connection")
        return raw

    def _decrypt(self, tls: ssl.SSLObject, raw: bytes) -> bytes:
        self._incoming.write(raw)
        octets = []
        over = ""
        try:
            while plaintext := tls.read(_CHUNK):
                octets.append(plaintext)
                if not self._incoming.pending and not tls.pending():
                    break
            else:
                over = "the server closed the connection"
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # RFC 8446 4.4.2.4: in TLS 1.3 a server can refuse our certificate after our handshake has ended.
            self.unwelcome = is_for_good(error.reason)
            over = f"TLS broke off: {why_broken(error.reason, str(error), begun=True)}"
        if over:
            # What was decrypted before the end still counts: it may be a last reply. Nothing more can be
            # written.
            self._broken = over
            if not octets:
                raise ConnectionLost(over)
        self._flush_tls()
        return b"".join(octets)

    def _encrypt(self, tls: ssl.SSLObject, octets: bytes) -> None:
        try:
            for start in range(0, len(octets), _RECORD):
                plaintext = memoryview(octets)[start : start + _RECORD]
                tls.write(plaintext)
                self._records.append((self._out_end + self._outgoing.pending, len(plaintext)))
        except ssl.SSLWantReadError:  # TLS cannot write before the server has sent the rest of its message
            self._broken = "TLS broke off: the server has left a message of its handshake unfinished"
        self._flush_tls()

    def _flush_tls(self) -> None:
        """Queue what TLS has to write."""
        if self._outgoing.pending:
            self._queue(self._outgoing.read())

    def _queue(self, octets: bytes) -> None:
        self._out = memoryview(bytes(self._out) + octets) if self._out else memoryview(octets)
        self._out_end += len(octets)

    def _write_some(self) -> None:
        while self._out:
            if self._may_write is not None and not self._may_write():
                self._broken = UNCERTAIN
                raise ConnectionLost(UNCERTAIN)
            try:
                taken = self._socket.send(self._out)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._broken = f"the connection broke: {error.strerror or error}"
                raise ConnectionLost(self._broken) from error
            self._out = self._out[taken:]
            self._block_deadline = time.monotonic() + self._block_timeout
        if self._object is None:
            self._unsent = len(self._out)
            return
        written = self._out_end - len(self._out)
        while self._records and self._records[0][0] <= written:
            self._unsent -= self._records.popleft()[1]


def _connected(
    connection: socket.socket, address: tuple[Any, ...], timeout: float, stopped: Callable[[], bool]
) -> socket.socket:
    """Connect to an address. Raises OSError, TimeoutError, and ConnectFailed if `stopped`."""
    try:
        connection.setblocking(False)
        code = connection.connect_ex(address)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            deadline = time.monotonic() + timeout
            with selectors.DefaultSelector() as selector:
                selector.register(connection, selectors.EVENT_WRITE)
                while not selector.select(min(SLICE, max(0.0, deadline - time.monotonic()))):
                    if stopped():
                        raise ConnectFailed(STOPPED, permanent=True)
                    if time.monotonic() >= deadline:
                        raise TimeoutError
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connection.close()
        raise
    return connection


# Only Linux has it.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
