"""The account that a campaign sends with: its secrets, its login, and what its rate is counted for.

Reading a secret may run the campaign's own command: `check`, `preview` and `rehearse` never come here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from campaign.ledger import Scope
from campaign.model import SECOND, Window

if TYPE_CHECKING:  # `status` loads a pace, and needs neither pydantic nor Jinja2
    from campaign.campaignfile.models import CampaignFile
    from campaign.message.tokens import Secrets
    from campaign.smtp import Login

# Access tokens live for an hour or so; a session that is opened later gets a new one.
_TOKEN_LIFE = 300.0
_COMMIT = SECOND  # ns from the time in an intent until the content has left, at most


def scope_of(campaign: CampaignFile) -> Scope:
    """Return the account that the campaign's rate is counted for."""
    return Scope(campaign.smtp.host, campaign.smtp.username or "")


def secrets_of(campaign: CampaignFile, ledger_secret: bytes) -> Secrets:
    """Return what keys the tokens. Runs the campaign's command. Raises UserError."""
    from campaign.message.tokens import Secrets

    source = campaign.unsubscribe.secret if campaign.unsubscribe is not None else None
    return Secrets(ledger_secret, source.read().encode() if source is not None else b"")


def login_of(campaign: CampaignFile) -> Callable[[], Login | None]:
    """Return what gives the login for each session; it has read the secret once already.

    Runs the campaign's command. Raises UserError.
    """
    from campaign.smtp import Login, Mechanism

    smtp = campaign.smtp
    source = smtp.secret
    if smtp.username is None or source is None:
        return lambda: None
    username = smtp.username
    secret, read_at = source.read(), time.monotonic()

    def current() -> Login:
        nonlocal secret, read_at
        if smtp.auth is Mechanism.XOAUTH2 and time.monotonic() - read_at > _TOKEN_LIFE:
            secret, read_at = source.read(), time.monotonic()
        return Login(username, secret, smtp.auth)

    return current


class _Loaded(Protocol):
    def load(self, ages: Iterable[tuple[int, int]], now: int) -> None: ...


class Started(Protocol):
    """What knows of the starts in an account: a ledger, or a run of it."""

    def starts(self, scope: Scope, since: int) -> list[tuple[int, int]]:
        """Return (started_at, addresses) of every attempt in `scope` since then, oldest first; UTC ns."""


def load_pace(pace: _Loaded, scope: Scope, windows: tuple[Window, ...], ledger: Started, now: int) -> None:
    """Rebuild the rate windows from what was sent in `scope` before; `now` is monotonic ns."""
    utc = time.time_ns()
    longest = max((window.period for window in windows), default=0)
    starts = ledger.starts(scope, utc - longest - _COMMIT)
    pace.load([(utc - started - _COMMIT, addresses) for started, addresses in starts], now)
