"""Suppression patterns, and the keyed hashes that stand for people who were forgotten.

A pattern is a folded address, `@domain` for every address of a domain, or `#` and 64 hex digits: the
HMAC-SHA256 of a folded address under the ledger's secret. Every kind of ledger stores the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from campaign.address import AddressError, display_domain, domain_of, fold, fold_of_version_1, parse_address

_WORD = r"[^\s,;:<>()\[\]\"'\\]+@[^\s,;:<>()\[\]\"'\\]+"
HASH_LENGTH = 65  # characters
_HASH = re.compile("#[0-9a-f]{64}")


def parse_pattern(text: str) -> str:
    """Return the pattern for an address, a domain (`example.com`, `@example.com`, `*@example.com`) or a hash.

    Raises AddressError.
    """
    text = text.strip()
    if is_hash(text):
        return text
    domain = text[1:] if text.startswith("*@") else text
    if "*" in domain:
        raise AddressError(
            f"{text!r} cannot be matched: a * stands for all before the @, as in *@example.com,"
            " and a domain for itself alone, without its subdomains"
        )
    if domain and ("@" not in domain or domain.startswith("@")):
        return "@" + fold(parse_address(f"x@{domain.removeprefix('@')}").partition("@")[2])
    return fold(parse_address(text))


def addresses_in(text: str) -> set[str]:
    """Return, folded, the addresses that stand in a text: cells, or what a server says."""
    found = set()
    for word in re.findall(_WORD, text):
        try:
            found.add(fold(parse_address(word.strip("."))))
        except AddressError:
            found.add(fold(word.strip(".")))
    return found


def described(pattern: str) -> str:
    """Return a pattern in words: `everybody at example.com`."""
    return f"everybody at {display_domain(pattern[1:])}" if pattern.startswith("@") else pattern


def domain_pattern(address: str) -> str:
    """Return the pattern that covers the whole domain of an address."""
    return "@" + domain_of(fold(address))


def hashed(secret: bytes, address: str) -> str:
    """Return the pattern for an address that was forgotten; without the secret it names nobody."""
    return _hash(secret, fold(address))


def _hash(secret: bytes, folded: str) -> str:
    import hmac  # slow to load, and `status` hashes nobody

    return "#" + hmac.digest(secret, folded.encode(), "sha256").hex()


def is_hash(text: str) -> bool:
    """Whether a pattern, or the key of a row, is the hash of an address or key that was forgotten."""
    return _HASH.fullmatch(text) is not None


def compared_with(pattern: str) -> Literal["folded", "domain", "hash"]:
    """Return which form of an address a pattern is compared with. An address may begin with a # too."""
    if pattern.startswith("@"):
        return "domain"
    return "hash" if is_hash(pattern) else "folded"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` did: `rows` were removed or made nameless.

    `others` are rows of other people that name the address in a cell; they stay. Where nothing was
    `found`, nothing was changed. `earlier`: they were forgotten before.
    """

    rows: int
    others: int
    found: bool
    earlier: bool


@dataclass(frozen=True, slots=True)
class Forms:
    """What an address is compared by, and stored with: the three patterns that cover it."""

    folded: str
    domain: str
    hash: str


def forms(secret: bytes, address: str) -> Forms:
    """Return the forms of an address; blank ones for none."""
    return (
        Forms(fold(address), domain_pattern(address), hashed(secret, address))
        if address
        else Forms("", "", "")
    )


def forms_of_version_1(secret: bytes, address: str) -> tuple[str, ...]:
    """Return the patterns that cover an address as schema 1 folded it, if those are others."""
    folded = fold_of_version_1(address)
    if folded == fold(address):
        return ()
    return folded, _hash(secret, folded)
