"""A session on a transport, with its deadlines: what the sender, `test` and `check --server` hold.

Each reply has a deadline on the wall clock, however its bytes arrive: a server that drips must not
hold us. Only opening is tried again here (`Opener`), where nothing was promised yet.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.campaignfile.models import RetryPolicy, Security, Smtp
from campaign.delivery import Stage
from campaign.errors import ConnectFailed, ConnectionLost
from campaign.sending.certificate import names_shown
from campaign.sending.hosts import certified
from campaign.sending.retry import backoff, opening_retry, opening_waits
from campaign.sending.slices import SLICE, STOPPED, OnWait
from campaign.sending.tls import Misnamed, tls_context
from campaign.sending.tlswords import why_misnamed
from campaign.sending.transport import Transport
from campaign.smtp.auth import Login
from campaign.smtp.events import Closed, Event, Opened, StartTLS, Timeouts
from campaign.smtp.session import Session

OPENINGS = 6  # attempts at opening a session
_WORTH_TELLING = 5.0  # seconds
_SILENCE = 10.0  # seconds; servers that let a client wait before they greet take less
_REOPENING = RetryPolicy(first_delay=1, max_delay=30)  # the waits between sessions that get nowhere


class NameRefused(ConnectFailed):
    """The server answered 421 to an address in the place of our name: relays do, and will again."""


class ProbeFailed(ConnectFailed):
    """The server ended the session when it was asked for a window: no session should ask again."""


class LoginRefused(ConnectFailed):
    """The server refused the login for good: no connection may try it again, that locks accounts."""


@dataclass(frozen=True, slots=True)
class Patience:
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
        """Asked each time before some of a content is given to the kernel; if it says no, that is the end."""
        self._reply_due_since = time.monotonic()
        self._progress = (0, 0)

    @classmethod
    def open(
        cls,
        smtp: Smtp,
        login: Login | None,
        patience: Patience | None = None,
        stopped: Callable[[], bool] = lambda: False,
        on_silence: OnWait = lambda seconds, why: None,
        window: int = 1,
    ) -> Connection:
        """Connect, greet, encrypt and log in, unless `stopped`; open a window where the server can do that.

        `on_silence` is told once of a server that does not greet: a person may know why. Raises
        ConnectFailed, its message naming the server; LoginRefused or ProbeFailed where that is why.
        """
        patience = patience or Patience()
        transport = Transport.connect(smtp.host, smtp.port, patience.connect, stopped)
        try:
            return cls._open_on(transport, smtp, login, patience, stopped, on_silence, window)
        except ConnectFailed as error:
            transport.close()
            name = smtp.server_name or certified(smtp.host)
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
        patience: Patience,
        stopped: Callable[[], bool],
        on_silence: OnWait,
        window: int,
    ) -> Connection:
        context = None
        if smtp.security is not Security.NONE:
            context = tls_context(smtp.ca_file, smtp.client_cert, smtp.client_key)
        server_name = smtp.server_name or certified(smtp.host)
        client_name = smtp.client_name or transport.client_name
        if context is not None and smtp.security is Security.TLS:
            transport.start_tls(context, server_name, patience.handshake, stopped)
        session = Session(
            client_name,
            starttls=smtp.security is Security.STARTTLS,
            tls=smtp.security is Security.TLS,
            login=login,
            cleartext_login=smtp.security is Security.NONE,
            timeouts=patience.replies,
            window=window,
        )
        connection = cls(session, transport)
        told_at = time.monotonic() + _SILENCE
        while not stopped():
            if session.greeting is None and time.monotonic() >= told_at:
                told_at = float("inf")
                on_silence(
                    patience.replies.greeting - _SILENCE,
                    f"{smtp.host}:{smtp.port} does not greet us{_if_not_greeted(smtp)}",
                )
            for event in connection.step(SLICE):
                match event:
                    case StartTLS() if context is not None:
                        transport.start_tls(context, server_name, patience.handshake, stopped)
                        session.tls_established()
                    case Opened() if session.closed is None:  # else it was taken back in one breath
                        return connection
                    case Closed():
                        hint = _if_not_greeted(smtp) if session.greeting is None else ""
                        words = f"{event.stage}: {event.why}{hint}"
                        failed = _failure(event, client_name, words, opened=session.opened)
                        failed.permanent |= transport.unwelcome
                        raise failed
        raise ConnectFailed(STOPPED, permanent=True)

    @property
    def waited(self) -> float:
        """For how many seconds the server has taken and said nothing; 0 where no reply is due."""
        return time.monotonic() - self._reply_due_since if self.session.waiting else 0.0

    def flush(self) -> list[Event]:
        """Write what is due, without waiting; return what needs no answer."""
        session, transport = self.session, self.transport
        was_waiting = session.waiting
        octets = session.data_to_send()
        if octets:
            may_write = self.may_write if session.content_written() else None
            transport.send(octets, session.block_timeout, may_write)
        progress = (session.replies, transport.unsent)
        if progress != self._progress or not was_waiting:
            self._progress, self._reply_due_since = progress, time.monotonic()
        return session.events()  # of what was submitted and needs no answer

    def step(self, wait: float) -> list[Event]:
        """Write what is due, and return what has happened within `wait` seconds; [] for nothing.

        A lost connection is an event too (Closed), after the Settled of what was open.
        """
        session, transport = self.session, self.transport
        if events := self.flush():
            return events
        now = time.monotonic()
        # While something of ours has not left, the transport has a deadline for that.
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
        """Say QUIT, wait a little for the answer, and close."""
        self.session.quit()
        while self.session.closed is None:
            self.step(self.session.timeout)
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self.transport.close()


def _failure(closed: Closed, client_name: str, words: str, *, opened: bool) -> ConnectFailed:
    """Return the error for a session that closed while it was opened, or just when it was `opened`."""
    if closed.stage is Stage.AUTH and closed.permanent:
        return LoginRefused(words, permanent=True)
    if not opened and closed.stage in (Stage.MAIL, Stage.RCPT, Stage.BODY, Stage.RSET):
        return ProbeFailed(words)
    said_421 = closed.reply is not None and closed.reply.code == 421
    if closed.stage is Stage.EHLO and said_421 and client_name.startswith("["):
        return NameRefused(words, permanent=True)
    return ConnectFailed(words, permanent=closed.permanent)


def _if_not_greeted(smtp: Smtp) -> str:
    """Return what may be the cause where a server says nothing."""
    if smtp.security is Security.TLS:
        return ""
    return "; if it speaks TLS from the start, as port 465 does, write `security: tls`"


class Waits:
    """Tells a person why nothing is sent for a while: once, however many connections wait."""

    def __init__(self, tell: OnWait) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._told_until = 0.0

    def tell(self, seconds: float, why: str, *, however_short: bool = False) -> None:
        """Tell of a wait, if there is something to be said of it."""
        until = time.monotonic() + seconds
        with self._lock:
            known = until < self._told_until + 0.5
            if known or not why or (seconds < _WORTH_TELLING and not however_short):
                return
            self._told_until = until
        self._tell(seconds, why)


class Opener:
    """Opens the sessions of a run, trying again where that can help. Used by all its threads.

    `ended` says that nothing is left to do, or that the run was stopped. `window`: so many messages may
    be unanswered in a session; the first server that does not understand that ends it for the run, and
    `on_no_window` is told why.
    """

    def __init__(
        self,
        smtp: Smtp,
        login: Callable[[], Login | None],
        patience: Patience | None,
        waits: Waits,
        ended: Callable[[], bool],
        on_no_window: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.window = smtp.window
        self._on_no_window = on_no_window
        self._lock = threading.Lock()
        self._smtp = smtp
        self._login = login
        self._patience = patience or Patience()
        self._waits = waits
        self._ended = ended
        self._welcome = False  # a session was opened once

    def open(self, give_back: Callable[[], None], fruitless: int) -> Connection:
        """Open a session. After `fruitless` sessions in a row there is a wait before the first try too.

        `give_back` is called before every wait, to let others have what the caller holds. Raises
        ConnectFailed.
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
        for attempt in opening_retry(self._patience.openings, sleep):
            with attempt:
                tries = attempt.retry_state.attempt_number
                try:
                    return self._open()
                except ConnectFailed as error:
                    why = str(error)
                    raise
        raise AssertionError("tenacity returns or raises")

    def end_windows(self, why: str) -> None:
        """Let no further message be sent in a window, if `why` says something."""
        with self._lock:
            told, self.window = self.window == 1, 1 if why else self.window
        if why and not told:
            self._on_no_window(why)

    def _open(self) -> Connection:
        tell, window = self._waits.tell, self.window
        try:
            connection = Connection.open(self._smtp, self._login(), self._patience, self._ended, tell, window)
        except ProbeFailed as error:
            self.end_windows(str(error))
            return self._open()
        except NameRefused as error:
            if self._welcome:  # then it is not the name
                raise ConnectFailed(str(error)) from error
            raise
        self.end_windows(connection.session.why_no_window)
        self._welcome = True
        return connection

    def _outlook(self, tries: int) -> str:
        """Return how often, and until when, opening is tried again after so many tries."""
        if not tries:
            return ""
        openings = self._patience.openings
        last = time.localtime(time.time() + opening_waits(tries, openings))
        return f" (attempt {tries + 1} of {openings} follows, the last by {time.strftime('%H:%M:%S', last)})"
