"""Suppression patterns, and the keyed hashes that stand for people who were forgotten.

A pattern is a folded address, `@domain` for every address of a domain, or `#` and 64 hex digits: the
HMAC-SHA256 of a folded address under the ledger's secret. All kinds of ledger store the same patterns.
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
    """Return the addresses found in a text (cells, or a server's reply), folded."""
    found = set()
    for word in re.findall(_WORD, text):
        try:
            found.add(fold(parse_address(word.strip("."))))
        except AddressError:
            found.add(fold(word.strip(".")))
    return found


def described(pattern: str) -> str:
    """Return a pattern as words for a person: `everybody at example.com`."""
    return f"everybody at {display_domain(pattern[1:])}" if pattern.startswith("@") else pattern


def domain_pattern(address: str) -> str:
    """Return the pattern that covers the whole domain of an address."""
    return "@" + domain_of(fold(address))


def hashed(secret: bytes, address: str) -> str:
    """Return the pattern for a forgotten address. Without the secret, nobody can tell whose it is."""
    return _hash(secret, fold(address))


def _hash(secret: bytes, folded: str) -> str:
    import hmac  # slow to load, and `status` computes no hash

    return "#" + hmac.digest(secret, folded.encode(), "sha256").hex()


def is_hash(text: str) -> bool:
    """Whether a pattern, or a row's key, is the hash of a forgotten address or key."""
    return _HASH.fullmatch(text) is not None


def compared_with(pattern: str) -> Literal["folded", "domain", "hash"]:
    """Return which form of an address a pattern is compared with. A folded address may begin with # too."""
    if pattern.startswith("@"):
        return "domain"
    return "hash" if is_hash(pattern) else "folded"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` did: `rows` were deleted, or stripped of everything that names the person.

    `others` are other people's rows with a cell that names the address; they stay. If nothing was `found`,
    nothing was changed. `earlier`: the person had been forgotten before.
    """

    rows: int
    others: int
    found: bool
    earlier: bool


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms in which an address is stored and compared: the three patterns that cover it."""

    folded: str
    domain: str
    hash: str


def forms(secret: bytes, address: str) -> Forms:
    """Return the forms of an address; if it is "", all are ""."""
    return (
        Forms(fold(address), domain_pattern(address), hashed(secret, address))
        if address
        else Forms("", "", "")
    )


def forms_of_version_1(secret: bytes, address: str) -> tuple[str, ...]:
    """Return the patterns that cover an address as schema 1 folded it; () if they are today's."""
    folded = fold_of_version_1(address)
    if folded == fold(address):
        return ()
    return folded, _hash(secret, folded)
