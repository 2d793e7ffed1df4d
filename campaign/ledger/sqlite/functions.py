"""The Python functions that SQL statements call, and a condition that uses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from campaign.address import fold
from campaign.ledger.patterns import domain_pattern, hashed

# Whether the suppression list covers the column `email`.
SUPPRESSED = (
    "EXISTS (SELECT 1 FROM suppressions WHERE pattern IN (fold(email), domain_of(email), hashed(email)))"
)


def functions(secret: bytes) -> dict[str, Callable[[str], str]]:
    """Return the functions by their names in SQL."""
    return {"fold": fold, "domain_of": domain_pattern, "hashed": partial(hashed, secret)}
