"""Types for what comes back after sending, and the decision which address a report is about.

A report belongs to the row whose token it carries. Within that row it is about an address that the server
accepted for it. An address that a report merely mentions is never suppressed: otherwise anybody who can
forge a mail could stop mail to anyone.
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
"""How long after a later message was accepted, without a bounce, earlier bounces are forgiven, in ns."""

TOO_MANY_DEAD = 0.05
"""If this share of the accepted rows bounces as dead, a relay or directory is wrong, not the addresses."""

FEW = 3
"""With fewer events than this, a share says nothing."""

EVENTS_OF_ONE = 10
"""Events of one kind kept for one address of a row: whoever has its token could send any number."""


class Kind(StrEnum):
    """What came back, from the least to the most severe."""

    BLOCKED = "blocked"  # our mail is refused, which says nothing about the address
    BOUNCED_FOR_NOW = "bounced_for_now"
    BOUNCED = "bounced"  # the address does not exist
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


BOUNCES = (Kind.BLOCKED, Kind.BOUNCED_FOR_NOW, Kind.BOUNCED)
"""The kinds that mean that a message did not arrive."""

_ORDER = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Mailed:
    """A row that a token or Message-ID leads to. `addresses` are those that were accepted for it, folded.

    `own` is the row's own address, folded. `alone`: its envelope never held another address.
    """

    campaign: int
    key: str
    own: str
    addresses: frozenset[str]
    alone: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a report says about one recipient. `names` are the spellings of its address in the report.

    `text` begins with the status code, or with the kind of complaint.
    """

    kind: Kind
    names: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """What a report says about one address of a row, as the ledger records it.

    `source` identifies the report, and what it says about which address. `time` is when it was recorded,
    UTC ns.
    """

    campaign: int
    key: str
    kind: Kind
    address: str
    time: int
    text: str
    source: str


class Fate(StrEnum):
    """What the ledger did with one statement of a report."""

    SUPPRESSED = "suppressed"
    NOTED = "noted"  # recorded; it does not suppress the address, or not yet
    HELD = "held"  # so many bounced that the list or a relay is to blame: a person decides
    KNOWN = "known"  # it was recorded before
    TOO_OFTEN = "too often"
    UNNAMED = "unnamed"  # it is about one of several addresses, and does not say which


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was done with one `Said`. `address` is the one it is about, folded; "" if that is not known."""

    kind: Kind
    address: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Rules:
    """When bounces suppress an address: a dead one at once, others after bounces in `soft` campaigns.

    Those must be within `within` ns. If `dead` is false, dead addresses are not suppressed. Complaints and
    unsubscribe requests always suppress.
    """

    soft: int = 3
    within: int = 30 * DAY
    dead: bool = True


@dataclass(frozen=True, slots=True)
class Shares:
    """How a campaign was received: rows accepted, addresses that complained, addresses that are dead."""

    campaign: str
    accepted: int
    complained: int
    bounced: int


def by_address(mailed: Mailed, said: Sequence[Said]) -> Iterator[tuple[str, Said]]:
    """Yield (address, what is said about it), each address once, folded; "" if it is not known.

    If a report names none of the accepted addresses, and the envelope held only the row's own, it is about
    that one: the mail was forwarded. If it was forwarded to several, the mildest statement counts.
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
    """Return the folded forms of an address as a report spells it, decoding xtext too (RFC 3461 4)."""
    plain = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), name)
    forms: dict[str, None] = {}
    for spelling in (name, plain):
        try:
            forms[fold(parse_address(spelling))] = None
        except AddressError:
            forms[fold(spelling)] = None
    return forms
