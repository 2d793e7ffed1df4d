"""What SQL asks of Python: how addresses compare, and what stands for one that was forgotten."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial

from campaign.address import domain_of, fold

# Whether the suppression list holds `email`, or its domain.
SUPPRESSED = (
    "EXISTS (SELECT 1 FROM suppressions WHERE pattern IN (fold(email), domain_of(email), hashed(email)))"
)


def functions(secret: bytes) -> dict[str, Callable[[str], str]]:
    """Return the functions by their names in SQL."""
    return {"fold": fold, "domain_of": domain_pattern, "hashed": partial(hashed, secret)}


def hashed(secret: bytes, address: str) -> str:
    """Return what stands for an address that was forgotten: nobody can tell it without the secret."""
    return "#" + hmac.digest(secret, fold(address).encode(), "sha256").hex()


def domain_pattern(address: str) -> str:
    """Return the pattern that holds all of an address's domain."""
    return "@" + domain_of(fold(address))
