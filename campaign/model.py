"""The rows of the list, their statuses, and rates. Frozen values; no input, no output, no clock.

`recipients` makes a Recipient from a row of the list; `delivery.py` defines what is made from it. Times
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
"""Names that the program defines in templates; a column with such a name is reached through `row`."""

ITEM = "item"
"""The name of the current item of an `each` list in its templates; it hides a column of that name."""


class Status(StrEnum):
    """The status of a row in the ledger; `campaign guide architecture` shows the transitions."""

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
    `key` is the normalised key; each key gets one message. `email` is one normalised addr-spec, its
    domain in A-labels. `row` maps column names to cells; every cell is a str. Message-ID and tokens are
    made from `identity`, or from the key if that is not set.
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
        """The text that Message-ID and tokens are made from."""
        return self.identity or self.key


@dataclass(frozen=True, slots=True)
class BadRow:
    """A data record that cannot be mailed, with all its problems.

    `key` is "" if the row has none. `row` maps column names to cells, as far as the record can be read,
    so that `export` can write it for correction.
    """

    number: int
    line: int
    key: str
    problems: tuple[Problem, ...]
    row: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Double:
    """A row that is left out because an earlier one, at line `first`, has the same key.

    `differs`: its message would have other content or attachments, or another address.
    """

    number: int
    line: int
    key: str
    email: str
    first: int
    differs: bool


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key. `addressed`: it contains the address, and is compared in folded form.

    `name` is "" if an earlier release did not record it.
    """

    name: str
    addressed: bool = False

    def same_as(self, other: KeyColumn) -> bool:
        """Whether it is the same column, as far as recorded."""
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
