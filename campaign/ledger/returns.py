"""What comes back of messages: its nouns, and which address a report is about.

A report is about the row whose token it has, and within it about an address that the server accepted
for that row. An address that a report merely names is never suppressed: who can forge a mail could
silence anybody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from campaign.address import AddressError, fold, parse_address
from campaign.model import SECOND

DAY = 86_400 * SECOND
FORGIVEN_AFTER = 14 * DAY
"""How long a later message must have been accepted, without a bounce, to forgive what bounced before it."""

TOO_MANY_DEAD = 0.05
"""The share of accepted rows from which on hard bounces are not believed: a relay or a directory is wrong."""

FEW = 3
"""Fewer events than these say nothing about a share."""

EVENTS_OF_ONE = 10
"""Events of one kind that are kept of one address of a row: who has its token could send any number."""


class Kind(StrEnum):
    """What came back, from the mildest to what settles most."""

    BLOCKED = "blocked"  # our mail is refused: it says nothing against the address
    BOUNCED_FOR_NOW = "bounced_for_now"
    BOUNCED = "bounced"  # the address does not exist
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


BOUNCES = (Kind.BLOCKED, Kind.BOUNCED_FOR_NOW, Kind.BOUNCED)
"""What says that a message did not arrive."""

_ORDER = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Mailed:
    """A row that a token or a Message-ID names. `addresses` are those that were accepted for it, folded.

    `own` is the row's own address, folded; `alone`: the envelope never held another.
    """

    campaign: int
    key: str
    own: str
    addresses: frozenset[str]
    alone: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a report says of one recipient: `names` are its address, as the report spells it.

    `text` begins with the code, or the kind of complaint.
    """

    kind: Kind
    names: tuple[str, ...]
    text: str


class Fate(StrEnum):
    """What the ledger did with what was said of an address."""

    SUPPRESSED = "suppressed"
    NOTED = "noted"  # nobody is suppressed for it, or not yet
    HELD = "held"  # so many bounced that the campaign is to blame: a person decides
    KNOWN = "known"  # it was recorded earlier
    TOO_OFTEN = "too often"
    UNNAMED = "unnamed"  # it is about one of several addresses, and does not say which


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one `Said`. `address` is the one that is meant, folded, "" where that is not known."""

    kind: Kind
    address: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Rules:
    """When bounces suppress an address: at once if it is dead, else in `soft` campaigns within `within` ns.

    `dead` is false where dead addresses are not suppressed. Who complains or unsubscribes always is.
    """

    soft: int = 3
    within: int = 30 * DAY
    dead: bool = True


@dataclass(frozen=True, slots=True)
class Shares:
    """How a campaign was received: rows that were accepted, and addresses that complained or are dead."""

    campaign: str
    accepted: int
    complained: int
    bounced: int


def apportioned(mailed: Mailed, said: Sequence[Said]) -> Iterator[tuple[str, Said]]:
    """Yield the address that each thing said is about, folded, "" where it does not say which.

    Each address once. What names none of the accepted addresses is about the row's own where the envelope
    held that alone: it was forwarded, perhaps to several, and the mildest word holds.
    """
    found: dict[str, Said] = {}
    unnamed = []
    for one in said:
        address = next((form for name in one.names for form in _forms(name) if form in mailed.addresses), "")
        if address:
            found.setdefault(address, one)
        else:
            unnamed.append(one)
    if mailed.alone and mailed.own in mailed.addresses:
        if unnamed and not found:
            found[mailed.own] = min(unnamed, key=lambda one: _ORDER.index(one.kind))
        unnamed = []
    yield from found.items()
    yield from (("", one) for one in unnamed)


def _forms(name: str) -> Collection[str]:
    """Return, folded, what an address may mean as a report spells it: in xtext too (RFC 3461 4)."""
    plain = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), name)
    forms: dict[str, None] = {}
    for spelling in (name, plain):
        try:
            forms[fold(parse_address(spelling))] = None
        except AddressError:
            forms[fold(spelling)] = None
    return forms
