"""Suppression patterns, and the keyed hashes that stand for people who were forgotten.

A pattern is a folded address, `@domain` for every address of a domain, or `#` and 64 hex digits: the
HMAC-SHA256 of a folded address under the ledger's secret. Every kind of ledger stores the same.
"""

from __future__ import annotations

import hmac

from campaign.address import domain_of, fold, parse_address

_HASH = 65  # characters


def parse_pattern(text: str) -> str:
    """Return the pattern for an address, `@example.com`, `example.com` or a hash. Raises AddressError."""
    text = text.strip()
    if is_hash(text):
        return text
    if "@" not in text or text.startswith("@"):
        return "@" + fold(parse_address(f"x@{text.removeprefix('@')}").partition("@")[2])
    return fold(parse_address(text))


def domain_pattern(address: str) -> str:
    """Return the pattern that covers the whole domain of an address."""
    return "@" + domain_of(fold(address))


def hashed(secret: bytes, address: str) -> str:
    """Return the pattern for an address that was forgotten; without the secret it names nobody."""
    return "#" + hmac.digest(secret, fold(address).encode(), "sha256").hex()


def is_hash(text: str) -> bool:
    """Whether a pattern, or the key of a row, is the hash of an address or key that was forgotten."""
    return len(text) == _HASH and text.startswith("#")
