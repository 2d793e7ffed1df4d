"""Conditions of SQL statements, and the Python functions that some of them call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from campaign.address import fold
from campaign.ledger.patterns import domain_pattern, hashed


def suppressed(table: str, campaign: str) -> str:
    """Return the condition that the suppression list covers a row of `table` in a campaign.

    What is held for another campaign does not. While the list is empty, that is all that is looked at.
    """
    return (
        "(EXISTS (SELECT 1 FROM suppressions) AND EXISTS (SELECT 1 FROM suppressions s"
        f" WHERE s.pattern IN ({table}.folded, {table}.domain, {table}.hash)"
        f" AND (s.state = 'released' OR s.campaign = {campaign})))"
    )


SUPPRESSED = suppressed("messages", "messages.campaign")
"""Whether the suppression list covers a row of `messages`."""


def functions(secret: bytes) -> dict[str, Callable[[str], str]]:
    """Return the functions by their names in SQL; none is called while messages leave."""
    return {"fold": fold, "domain_of": domain_pattern, "hashed": partial(hashed, secret)}
