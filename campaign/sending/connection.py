"""Runs an SMTP session over a connection, with deadlines; opens sessions, and tries again (`Opener`).

Each reply has a deadline, however slowly its bytes arrive. Only opening a session is retried here: no
message depends on it yet.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.campaignfile.models import RetryPolicy, Security, Smtp
from campaign.clock import TellWait
from campaign.delivery import Stage
from campaign.errors import ConnectFailed, ConnectionLost
from campaign.sending.certificate import names_shown
from campaign.sending.hosts import certificate_name
from campaign.sending.retry import backoff, opening_retry, opening_waits
from campaign.sending.slices import SLICE, STOPPED
from campaign.sending.tls import Misnamed, tls_context
from campaign.sending.tlswords import why_misnamed
from campaign.sending.transport import Transport
from campaign.smtp.auth import Login
from campaign.smtp.events import Closed, Event, Opened, StartTLS, Timeouts
from campaign.smtp.session import Session

OPENINGS = 6  # attempts at opening a session
_WORTH_TELLING = 5.0  # seconds; a shorter wait is not reported
_SILENCE = 10.0  # seconds; servers that delay their greeting on purpose take less
_REOPENING = RetryPolicy(first_delay=1, max_delay=30)  # waits after sessions without a verdict


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


class Waits:
    """Tells a person why nothing is sent for a while: once, even if many connections wait."""

    def __init__(self, tell: TellWait) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._told_until = 0.0

    def tell(self, seconds: float, why: str, *, however_short: bool = False) -> None:
        """Report a wait, unless it is short, has no reason, or was reported already."""
        until = time.monotonic() + seconds
        with self._lock:
            known = until < self._told_until + 0.5
            if known or not why or (seconds < _WORTH_TELLING and not however_short):
                return
            self._told_until = until
        self._tell(seconds, why)


class Opener:
    """Opens the sessions of a run, and tries again if that can help. All threads share it.

    `ended()`: nothing is left to do, or the run was stopped. `window`: how many messages may be unanswered
    in a session; once a server does not support it, it becomes 1 for the run, and `on_no_window` is called
    with the reason.
    """

    def __init__(
        self,
        smtp: Smtp,
        login: Callable[[], Login | None],
        limits: ConnectionLimits | None,
        waits: Waits,
        ended: Callable[[], bool],
        on_no_window: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.window = smtp.window
        self._on_no_window = on_no_window
        self._lock = threading.Lock()
        self._smtp = smtp
        self._login = login
        self._limits = limits or ConnectionLimits()
        self._waits = waits
        self._ended = ended
        self._opened = False  # a session was opened before

    def open(self, give_back: Callable[[], None], fruitless: int) -> Connection:
        """Open a session. After `fruitless` sessions in a row, wait before the first try too.

        `give_back` is called before every wait, so that other connections can send what the caller holds.
        Raises ConnectFailed.
        """
        why = ""
        tries = 0

        def sleep(seconds: float) -> None:
            give_back()
            self._waits.tell(seconds, f"{why}{self._outlook(tries)}", however_short=True)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                if self._ended():
                    raise ConnectFailed("the run has ended")
                time.sleep(min(left, SLICE))

        if fruitless:
            why = "the server ends one session after another"
            sleep(backoff(fruitless, _REOPENING, random.Random()) / 1e9)  # noqa: S311  (jitter)
        for attempt in opening_retry(self._limits.openings, sleep):
            with attempt:
                tries = attempt.retry_state.attempt_number
                try:
                    return self._open()
                except ConnectFailed as error:
                    why = str(error)
                    raise
        raise AssertionError("tenacity returns or raises")

    def end_windows(self, why: str) -> None:
        """Send no more messages in a window, if there is a reason (`why`)."""
        with self._lock:
            told, self.window = self.window == 1, 1 if why else self.window
        if why and not told:
            self._on_no_window(why)

    def _open(self) -> Connection:
        tell, window = self._waits.tell, self.window
        try:
            connection = Connection.open(self._smtp, self._login(), self._limits, self._ended, tell, window)
        except ProbeFailed as error:
            self.end_windows(str(error))
            return self._open()
        except NameRefused as error:
            if self._opened:  # then the name is not the cause
                raise ConnectFailed(str(error)) from error
            raise
        self.end_windows(connection.session.why_no_window)
        self._opened = True
        return connection

    def _outlook(self, tries: int) -> str:
        """Return how often, and until when, opening is tried again after `tries` tries."""
        if not tries:
            return ""
        openings = self._limits.openings
        last = time.localtime(time.time() + opening_waits(tries, openings))
        return f" (attempt {tries + 1} of {openings} follows, the last by {time.strftime('%H:%M:%S', last)})"
