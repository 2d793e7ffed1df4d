"""The list's rows, where each stands, and rates. Frozen values; no input, no output, no clock.

`recipients` makes a Recipient from a row of the list; `delivery.py` has what follows from it. Times
are UTC, in integer nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from campaign.errors import Problem

SECOND = 1_000_000_000
"""Nanoseconds in a second."""

PERIODS = {"second": SECOND, "minute": 60 * SECOND, "hour": 3600 * SECOND, "day": 86400 * SECOND}
"""The periods that a rate may name, in nanoseconds."""


RESERVED = frozenset({"row", "campaign", "recipient", "unsubscribe", "bounce"})
"""Names that the program defines in templates; a column of such a name is reached through `row`."""

ITEM = "item"
"""The name by which templates beside `each` use the items of its list; it hides a column of that name."""


class Status(StrEnum):
    """Where a row of the ledger stands; `campaign guide architecture` shows what leads where."""

    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    IN_DOUBT = "in_doubt"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One valid data record of the list.

    `number` counts data records from 1; `line` is the file line on which the record starts.
    `key` is the normalised key that makes the row its own message. `email` is one normalised
    addr-spec, its domain in A-labels. `row` maps column name to cell, every cell a str. `identity` is
    what its Message-ID and tokens are made of, where that is not the key.
    """

    number: int
    line: int
    key: str
    email: str
    name: str
    row: Mapping[str, str]
    identity: str = ""

    @property
    def token_key(self) -> str:
        """What Message-ID and tokens are made of."""
        return self.identity or self.key


@dataclass(frozen=True, slots=True)
class BadRow:
    """A data record that cannot be mailed, with everything that is wrong with it.

    `key` is its key where the row has one, else "". `row` maps columns to cells as far as it can be
    read, for whoever corrects it.
    """

    number: int
    line: int
    key: str
    problems: tuple[Problem, ...]
    row: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Double:
    """A row that is left out because an earlier line, `first`, has the same key.

    `differs`: its message would have other content or attachments, or go to another address.
    """

    number: int
    line: int
    key: str
    email: str
    first: int
    differs: bool


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key. `addressed`: it holds the address, and is compared folded.

    `name` is "" where an earlier release noted no more than that.
    """

    name: str
    addressed: bool = False

    def same_as(self, other: KeyColumn) -> bool:
        """Whether it is the same column, as far as is known."""
        unknown = "" in (self.name, other.name)
        return self.addressed == other.addressed and (unknown or self.name == other.name)

    def __str__(self) -> str:
        return f"`{self.name}`" if self.name else "the address"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` envelope addresses in any interval of `period` nanoseconds."""

    count: int
    period: int

    def __str__(self) -> str:
        unit = next((name for name, period in PERIODS.items() if period == self.period), None)
        return f"{self.count}/{unit}" if unit else f"{self.count} in {self.period / SECOND:g} s"
