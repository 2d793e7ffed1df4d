"""The account that a campaign sends with: its secrets, its login, and the scope of its rate.

Reading a secret may run a command of the campaign file, so `check`, `preview` and `rehearse` never do it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from campaign import clock
from campaign.errors import ConnectFailed, Problem, UserError
from campaign.ledger import Scope
from campaign.model import SECOND, Window

if TYPE_CHECKING:  # `status` loads a pace, and needs neither pydantic nor Jinja2
    from campaign.campaignfile.models import CampaignFile
    from campaign.message.tokens import Secrets
    from campaign.smtp.auth import Login

_TOKEN_LIFE = 300 * SECOND  # after which a new session gets a new access token; they live about an hour
TARDY = SECOND // 10  # ns that a content may start after the time in its intent


def scope_of(campaign: CampaignFile) -> Scope:
    """Return the account that the campaign's rate is counted for."""
    smtp = campaign.smtp
    return Scope.of(smtp.host, smtp.username, smtp.account)


def secrets_of(campaign: CampaignFile, ledger_secret: bytes) -> Secrets:
    """Return the secrets behind the tokens. May run the campaign's command. Raises UserError."""
    from campaign.message.tokens import Secrets

    source = campaign.unsubscribe.secret if campaign.unsubscribe is not None else None
    return Secrets(ledger_secret, source.read().encode() if source is not None else b"")


def logins_of(campaign: CampaignFile) -> Logins:
    """Return the logins for the sessions of a run; the secret is read at once.

    May run the campaign's command. Raises UserError.
    """
    from campaign.smtp.auth import Login, Mechanism

    smtp = campaign.smtp
    username, source = smtp.username, smtp.secret
    if username is None or source is None:
        return Logins(None)

    def read(ended: Callable[[], bool] = lambda: False) -> Login:
        return Login(username, source.read(ended), smtp.auth)

    return Logins(read(), read if smtp.auth is Mechanism.XOAUTH2 else None)


class Logins:
    """The login for each session of a run. All threads share it.

    `read` returns a login with a new access token, and stops waiting for it once what it is given says that
    the run has ended; it raises UserError.
    """

    def __init__(
        self, login: Login | None, read: Callable[[Callable[[], bool]], Login] | None = None
    ) -> None:
        self._login = login
        self._read = read
        self._read_at = clock.steady()
        self._failed_at = self._read_at
        self._failure = ""
        self._lock = threading.Lock()

    def current(self, ended: Callable[[], bool] = lambda: False) -> Login | None:
        """Return the login for a new session, if possible with a token that has just been read."""
        asked_at = clock.steady()
        with self._lock:
            tried_at = max(self._read_at, self._failed_at)  # a command that hangs must not delay each session
            if self._read is not None and clock.steady() - tried_at > _TOKEN_LIFE:
                with suppress(ConnectFailed):  # the old token may still be good
                    self._renew(self._read, asked_at, ended)
            return self._login

    def newer(self, refused: Login, ended: Callable[[], bool] = lambda: False) -> Login | None:
        """Return another login than the one that was `refused`: its token may have expired. None if none.

        Raises ConnectFailed if a token cannot be read now, or the run has ended.
        """
        asked_at = clock.steady()
        with self._lock:
            if self._read is not None and self._login == refused:
                self._renew(self._read, asked_at, ended)
            return self._login if self._login != refused else None

    def _renew(
        self, read: Callable[[Callable[[], bool]], Login], asked_at: int, ended: Callable[[], bool]
    ) -> None:
        if self._failed_at > asked_at:  # while this thread waited: another try would take as long again
            raise ConnectFailed(self._failure)
        if ended():
            raise ConnectFailed("the run has ended")
        try:
            self._login, self._read_at = read(ended), clock.steady()
        except UserError as error:
            self._failed_at, self._failure = clock.steady(), str(error)
            raise ConnectFailed(self._failure) from error


class _Loaded(Protocol):
    def load(self, ages: Iterable[tuple[int, int]], now: int) -> None: ...


class Started(Protocol):
    """Knows the earlier starts in an account: a ledger, or a run of it."""

    def start_ages(self, scope: Scope, now: clock.Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `Run.start_ages`."""


def load_pace(
    pace: _Loaded, scope: Scope, windows: tuple[Window, ...], ledger: Started, now: clock.Moment
) -> None:
    """Rebuild the rate windows from what was sent in `scope` before.

    Each start counts from the latest moment at which it can have happened, so that a restart never lets
    a window hold more.
    """
    longest = max((window.period for window in windows), default=0)
    most = max((window.count for window in windows), default=0)
    ages = ledger.start_ages(scope, now, longest + TARDY, most)
    pace.load([(age - TARDY, addresses) for age, addresses in ages], now.steady)


def too_narrow(campaign: CampaignFile) -> list[Problem]:
    """Return a problem for each rate that a message and its copies can never fit into."""
    addresses = 1 + len(campaign.cc) + len(campaign.bcc)
    path = "rate" if campaign.rate else "smtp.rate"
    return [
        campaign.problem(
            path, f"{window} is too narrow: with cc and bcc each message has {addresses} addresses at once"
        )
        for window in campaign.windows
        if window.count < addresses
    ]
