"""One SMTP session over one connection: opened, and run with a deadline for each reply.

A reply has its deadline however slowly its bytes arrive. `opener.py` tries again if opening fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.campaignfile.models import Security, Smtp
from campaign.clock import TellWait
from campaign.delivery import Stage
from campaign.errors import ConnectFailed, ConnectionLost
from campaign.sending.network.certificate import names_shown
from campaign.sending.network.hosts import certificate_name
from campaign.sending.network.tls import Misnamed, tls_context
from campaign.sending.network.tlswords import why_misnamed
from campaign.sending.network.transport import Transport
from campaign.sending.slices import SLICE, STOPPED
from campaign.smtp.auth import Login
from campaign.smtp.events import Closed, Event, Opened, StartTLS, Timeouts
from campaign.smtp.session import Session

OPENINGS = 6  # attempts at opening a session
_SILENCE = 10.0  # seconds; servers that delay their greeting on purpose take less


class NameRefused(ConnectFailed):
    """The server answered 421 to an EHLO with an address literal: it will do so again."""


class ProbeFailed(ConnectFailed):
    """The server ended the session during the probe for a window: no session should probe again."""


class LoginRefused(ConnectFailed):
    """The server refused the login for good: no connection may try again, as that locks accounts."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long to wait for a server, in seconds, and how often to open a session before giving up."""

    openings: int = field(default_factory=lambda: OPENINGS)
    connect: float = 30.0
    handshake: float = 60.0
    replies: Timeouts = field(default_factory=Timeouts)


class Connection:
    """One SMTP session over one connection. Not thread-safe: it belongs to the thread that opened it."""

    def __init__(self, session: Session, transport: Transport) -> None:
        self.session = session
        self.transport = transport
        self.may_write: Callable[[], bool] | None = None
        """Called before each write of content; if it returns False, the connection ends."""
        self._reply_due_since = time.monotonic()
        self._progress = (0, 0)

    @classmethod
    def open(
        cls,
        smtp: Smtp,
        login: Login | None,
        limits: ConnectionLimits | None = None,
        stopped: Callable[[], bool] = lambda: False,
        on_silence: TellWait = lambda seconds, why: None,
        window: int = 1,
    ) -> Connection:
        """Connect, greet, encrypt and log in, unless `stopped`; open a window if the server supports it.

        `on_silence` is called once if the server does not greet: a person may know why. Raises
        ConnectFailed, with a message that names the server, or its subclass for the cause.
        """
        limits = limits or ConnectionLimits()
        transport = Transport.connect(smtp.host, smtp.port, limits.connect, stopped)
        try:
            return cls._open_on(transport, smtp, login, limits, stopped, on_silence, window)
        except ConnectFailed as error:
            transport.close()
            name = smtp.server_name or certificate_name(smtp.host)
            words = why_misnamed(name, names_shown(smtp, stopped)) if isinstance(error, Misnamed) else error
            what = f"{smtp.host}:{smtp.port}: {words}"
            raise type(error)(what, permanent=error.permanent, path=error.path) from error
        except BaseException:
            transport.close()
            raise

    @classmethod
    def _open_on(
        cls,
        transport: Transport,
        smtp: Smtp,
        login: Login | None,
        limits: ConnectionLimits,
        stopped: Callable[[], bool],
        on_silence: TellWait,
        window: int,
    ) -> Connection:
        context = None
        if smtp.security is not Security.NONE:
            context = tls_context(smtp.ca_file, smtp.client_cert, smtp.client_key)
        server_name = smtp.server_name or certificate_name(smtp.host)
        client_name = smtp.client_name or transport.client_name
        if context is not None and smtp.security is Security.TLS:
            transport.start_tls(context, server_name, limits.handshake, stopped)
        session = Session(
            client_name,
            starttls=smtp.security is Security.STARTTLS,
            tls=smtp.security is Security.TLS,
            login=login,
            cleartext_login=smtp.security is Security.NONE,
            timeouts=limits.replies,
            window=window,
        )
        connection = cls(session, transport)
        told_at = time.monotonic() + _SILENCE
        while not stopped():
            if session.greeting is None and time.monotonic() >= told_at:
                told_at = float("inf")
                on_silence(
                    limits.replies.greeting - _SILENCE,
                    f"{smtp.host}:{smtp.port} does not greet us{_greeting_hint(smtp)}",
                )
            for event in connection.step(SLICE):
                match event:
                    case StartTLS() if context is not None:
                        transport.start_tls(context, server_name, limits.handshake, stopped)
                        session.tls_established()
                    case Opened() if session.closed is None:  # else the server closed it at once
                        return connection
                    case Closed():
                        hint = _greeting_hint(smtp) if session.greeting is None else ""
                        words = f"{event.stage}: {event.why}{hint}"
                        failed = _failure(event, client_name, words, opened=session.opened)
                        failed.permanent |= transport.unwelcome
                        raise failed
        raise ConnectFailed(STOPPED, permanent=True)

    @property
    def waited(self) -> float:
        """For how many seconds a due reply has made no progress; 0 if no reply is due."""
        return time.monotonic() - self._reply_due_since if self.session.waiting else 0.0

    def flush(self) -> list[Event]:
        """Write what is due, without waiting; return the events that need no reply."""
        session, transport = self.session, self.transport
        was_waiting = session.waiting
        octets = session.data_to_send()
        if octets:
            may_write = self.may_write if session.content_written() else None
            transport.send(octets, session.block_timeout, may_write)
        progress = (session.replies, transport.unsent)
        if progress != self._progress or not was_waiting:
            self._progress, self._reply_due_since = progress, time.monotonic()
        return session.events()

    def step(self, wait: float) -> list[Event]:
        """Write what is due, and return the events of the next `wait` seconds at most; [] for none.

        A lost connection is an event too (Closed), after Settled for each open message.
        """
        session, transport = self.session, self.transport
        if events := self.flush():
            return events
        now = time.monotonic()
        # While some of our bytes are unsent, the transport has a deadline for them.
        reply_due = session.waiting and not transport.unsent
        deadline = self._reply_due_since + session.timeout if reply_due else now + wait
        try:
            received = transport.exchange(max(0.0, min(wait, deadline - now)))
        except ConnectionLost as lost:
            return session.lost(str(lost), transport.unsent)
        if received:
            return session.receive(received, transport.unsent)
        if reply_due and time.monotonic() >= deadline:
            why = f"the server did not answer within {session.timeout:g} seconds"
            return session.lost(why, transport.unsent)
        return []

    def quit(self) -> None:
        """Send QUIT, wait a little for the reply, and close."""
        self.session.quit()
        while self.session.closed is None:
            self.step(self.session.timeout)
        self.close()

    def close(self) -> None:
        """Close the connection without QUIT."""
        self.transport.close()


def _failure(closed: Closed, client_name: str, words: str, *, opened: bool) -> ConnectFailed:
    """Return the error for a session that closed during its opening, or right after it was `opened`."""
    if closed.stage is Stage.AUTH and closed.permanent:
        return LoginRefused(words, permanent=True)
    if not opened and closed.stage in (Stage.MAIL, Stage.RCPT, Stage.BODY, Stage.RSET):
        return ProbeFailed(words)
    said_421 = closed.reply is not None and closed.reply.code == 421
    if closed.stage is Stage.EHLO and said_421 and client_name.startswith("["):
        return NameRefused(words, permanent=True)
    return ConnectFailed(words, permanent=closed.permanent)


def _greeting_hint(smtp: Smtp) -> str:
    """Return a possible cause for a server's silence."""
    if smtp.security is Security.TLS:
        return ""
    return "; if it speaks TLS from the start, as port 465 does, write `security: tls`"
