"""Opens the sessions of a run, and tries again: no message depends on a session that is not open yet."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from campaign.campaignfile.models import RetryPolicy, Smtp
from campaign.clock import TellWait
from campaign.errors import ConnectFailed
from campaign.sending.account import Logins
from campaign.sending.network.connection import (
    Connection,
    ConnectionLimits,
    LoginRefused,
    NameRefused,
    ProbeFailed,
)
from campaign.sending.retry import backoff, opening_retry, opening_waits
from campaign.sending.slices import SLICE
from campaign.smtp.auth import Login

_WORTH_TELLING = 5.0  # seconds; a shorter wait is not reported
_REOPENING = RetryPolicy(first_delay=1, max_delay=30)  # waits after sessions without a verdict


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
        logins: Logins,
        limits: ConnectionLimits | None,
        waits: Waits,
        ended: Callable[[], bool],
        on_no_window: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.window = smtp.window
        self._on_no_window = on_no_window
        self._lock = threading.Lock()
        self._smtp = smtp
        self._logins = logins
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
            if self._ended():
                raise ConnectFailed("the run has ended")
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
                    return self._open(self._logins.current(self._ended))
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

    def _open(self, login: Login | None, *, renewed: bool = False) -> Connection:
        tell, window = self._waits.tell, self.window
        try:
            connection = Connection.open(self._smtp, login, self._limits, self._ended, tell, window)
        except ProbeFailed as error:
            self.end_windows(str(error))
            return self._open(login, renewed=renewed)
        except LoginRefused:
            # An access token may have expired. Only one other is tried: refused logins lock accounts.
            newer = self._logins.newer(login, self._ended) if login is not None and not renewed else None
            if newer is None:
                raise
            return self._open(newer, renewed=True)
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
