"""Reading the secrets of a campaign, for the commands that send."""

from __future__ import annotations

import time
from collections.abc import Callable

from campaign.campaignfile.models import CampaignFile
from campaign.ledger import Ledger
from campaign.message.context import Secrets
from campaign.smtp import Login, Mechanism

# Access tokens live for an hour or so; a session that is opened later gets a new one.
TOKEN_LIFE = 300.0


def secrets(campaign: CampaignFile, ledger: Ledger) -> Secrets:
    """Return what keys the tokens. Runs the campaign's command. Raises UserError."""
    source = campaign.unsubscribe.secret if campaign.unsubscribe is not None else None
    return Secrets(ledger.secret, source.read().encode() if source is not None else b"")


def login(campaign: CampaignFile) -> Callable[[], Login | None]:
    """Return what gives the login for each session; it has read the secret once already.

    Runs the campaign's command. Raises UserError.
    """
    smtp = campaign.smtp
    source = smtp.secret
    if smtp.username is None or source is None:
        return lambda: None
    username = smtp.username
    secret, read_at = source.read(), time.monotonic()

    def current() -> Login:
        nonlocal secret, read_at
        if smtp.auth is Mechanism.XOAUTH2 and time.monotonic() - read_at > TOKEN_LIFE:
            secret, read_at = source.read(), time.monotonic()
        return Login(username, secret, smtp.auth)

    return current
