"""SQL conditions about suppression, and the Python functions that SQL statements call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from campaign.address import fold
from campaign.ledger.patterns import domain_pattern, hashed


def suppressed(table: str, campaign: str) -> str:
    """Return the SQL condition that a row of `table` is suppressed in a campaign.

    Suppressions held for another campaign do not count. If the list is empty, only that is checked.
    """
    return (
        "(EXISTS (SELECT 1 FROM suppressions) AND EXISTS (SELECT 1 FROM suppressions s"
        f" WHERE s.pattern IN ({table}.folded, {table}.domain, {table}.hash)"
        f" AND (s.state = 'released' OR s.campaign = {campaign})))"
    )


SUPPRESSED = suppressed("messages", "messages.campaign")
"""Whether the suppression list covers a row of `messages`."""


def functions(secret: bytes) -> dict[str, Callable[[str], str]]:
    """Return the functions by their SQL names. No statement that runs while messages leave calls them."""
    return {"fold": fold, "domain_of": domain_pattern, "hashed": partial(hashed, secret)}
