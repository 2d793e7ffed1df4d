"""What a ledger tells about one campaign: its rows, its copies, its counts; readable while a run sends.

Times are UTC, in integer nanoseconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from campaign.ledger.patterns import is_hash
from campaign.model import Status

ANYBODY = "…@…"
"""Stands for a row's address in what was said of it, so that what was said of many is one reply."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a campaign as it stands now. `number` is its place in the list, from 1."""

    number: int
    key: str
    email: str
    name: str
    status: Status
    attempts: int
    reply: str
    message_id: str
    started_at: int | None
    settled_at: int | None
    row: Mapping[str, str]

    @property
    def forgotten(self) -> bool:
        """Whether its person was forgotten: only the fact that somebody was mailed is left."""
        return is_hash(self.key)


@dataclass(frozen=True, slots=True)
class CopyEntry:
    """A copy as it stands now: the row's key and address, the copy's address, and what was said of it."""

    key: str
    email: str
    address: str
    status: Status
    reply: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a campaign stands. `sending` is the pid and host of the live run, if there is one.

    `next_due` is None where nothing waits, or something is due at once; `last_due` is when the last of
    those that were put off is due. `active` ns were spent in `stretches` of sending: what lies between the
    first and the last acceptance of each. They end where nothing is accepted for half a minute, and
    where a run begins.
    """

    counts: Mapping[Status, int]
    first_accepted_at: int | None
    last_accepted_at: int | None
    next_due: int | None
    last_due: int | None
    active: int
    stretches: int
    sending: tuple[int, str] | None
    copies: Mapping[Status, int]
    """Copies of accepted rows that are owed still, in doubt or refused, by status."""
    came_back: bool
    """Whether a bounce, complaint or unsubscribe was recorded."""

    @property
    def on_list(self) -> int:
        """The number of rows that are on the list."""
        return on_list(self.counts)

    @property
    def waiting(self) -> int:
        """The number of rows and copies that are still to be sent."""
        waiting = (Status.PENDING, Status.DEFERRED, Status.IN_FLIGHT)
        return sum(self.counts[status] + self.copies[status] for status in waiting)

    @property
    def left_out(self) -> int:
        """The number of bad rows that were skipped on request: corrected, they are sent."""
        return self.counts[Status.INVALID]

    @property
    def not_started(self) -> int:
        """Those of them whose content has not begun to leave: the others have their place in the rate."""
        return self.waiting - self.counts[Status.IN_FLIGHT] - self.copies[Status.IN_FLIGHT]

    @property
    def copies_not_started(self) -> int:
        """The copies among those."""
        return self.copies[Status.PENDING] + self.copies[Status.DEFERRED]

    @property
    def in_doubt(self) -> int:
        """The number of rows and copies in doubt."""
        return self.counts[Status.IN_DOUBT] + self.copies[Status.IN_DOUBT]

    @property
    def refused(self) -> int:
        """The number of rows and copies that were refused."""
        return self.counts[Status.REFUSED] + self.copies[Status.REFUSED]


def entry(row: Sequence[Any], columns: Sequence[str]) -> Entry:
    """Make an Entry of the row of a statement, its columns as `Entry` has them, and its list's columns."""
    number, key, email, name, status, attempts, reply, message_id, started, settled, fields = row
    return Entry(
        number,
        str(key),
        str(email),
        str(name),
        Status(str(status)),
        attempts,
        str(reply),
        str(message_id or ""),
        started,
        settled,
        dict(zip(columns, json.loads(str(fields)), strict=False)),
    )


def copy_entry(row: Sequence[Any]) -> CopyEntry:
    """Make a CopyEntry of the row of a statement."""
    key, email, address, status, reply, message_id = row
    return CopyEntry(str(key), str(email), str(address), Status(str(status)), str(reply), str(message_id))


def on_list(counts: Mapping[Status, int]) -> int:
    """Return how many rows are on the list: those that left it before they were sent are not."""
    return sum(counts.values()) - counts.get(Status.WITHDRAWN, 0)


@dataclass(frozen=True, slots=True)
class SomeCells:
    """Some rows as they are exported: what each has, in the same order.

    `cells` are as the ledger keeps them: for each row a JSON list of texts, with no blanks between them.
    Together, as most of the time of an export goes into calls.
    """

    keys: Sequence[str]
    cells: Sequence[str]
    statuses: Sequence[str]
    replies: Sequence[str]


class Layouts:
    """The columns that the rows of a campaign's lists have had, by layout.

    `stored` returns a layout's columns as the ledger keeps them, or None.
    """

    def __init__(self, stored: Callable[[int], str | None]) -> None:
        self._stored = stored
        self._known: dict[int, tuple[str, ...]] = {}

    def columns(self, layout: int) -> tuple[str, ...]:
        """Return the columns of a layout."""
        if layout not in self._known:
            self._known[layout] = tuple(json.loads(self._stored(layout) or "[]"))
        return self._known[layout]

    def every_column(self, layouts: Iterable[int]) -> tuple[str, ...]:
        """Return the columns of all these layouts, each once, in their order."""
        return tuple(dict.fromkeys(column for layout in layouts for column in self.columns(layout)))

    def some_cells(self, rows: Sequence[Sequence[Any]], columns: tuple[str, ...]) -> SomeCells:
        """Return what some rows have in these columns; each is (key, layout, cells, status, reply)."""
        keys, layouts, stored, statuses, replies = zip(*rows, strict=True)
        places = {layout: self._places(layout, columns) for layout in set(layouts)}
        cells: Sequence[str] = stored
        if any(order is not None for order in places.values()):
            cells = [
                one if order is None else rearranged(one, order)
                for one, order in zip(stored, map(places.__getitem__, layouts), strict=True)
            ]
        return SomeCells(keys, cells, statuses, replies)

    def _places(self, layout: int, columns: tuple[str, ...]) -> list[int | None] | None:
        """Return where the cells of `columns` are in a row of a layout; None if it has just these."""
        known = self.columns(layout)
        if known == columns:
            return None
        return [known.index(column) if column in known else None for column in columns]


def rearranged(cells: str, places: Sequence[int | None]) -> str:
    """Return a row's cells, a JSON list, in the order of `places`; None is a blank cell."""
    known = json.loads(cells)
    found = ["" if place is None or place >= len(known) else known[place] for place in places]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def broke_off(counts: dict[Status, int], count: int) -> None:
    """Move rows that a dead run left in flight to those in doubt."""
    counts[Status.IN_FLIGHT] = max(0, counts.get(Status.IN_FLIGHT, 0) - count)
    counts[Status.IN_DOUBT] = counts.get(Status.IN_DOUBT, 0) + count


class History(Protocol):
    """The history of one campaign. Rows that a dead run left in flight are shown as in doubt."""

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""

    def entries(self, now: int, statuses: Collection[Status] = tuple(Status)) -> Iterator[Entry]:
        """Iterate over the rows of these statuses, in list order."""

    def cells(self, now: int, statuses: Collection[Status], columns: Sequence[str]) -> Iterator[SomeCells]:
        """Iterate over rows of these statuses with their cells of these columns, some at once, in list order.

        Those of people who were forgotten are left out.
        """

    def copies(self, now: int, statuses: Collection[Status]) -> Iterator[CopyEntry]:
        """Iterate over the copies of these statuses, of rows that were accepted or are in doubt."""

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has, the newest list's first."""

    def domains(self, now: int, summary: Summary) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the domains and their counts by status, those with the most rows first.

        `summary` is of the same moment, here and below: what it has counted need not be counted again.
        """

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, reply, count) of rows that were not accepted, the most frequent first."""

    def accepted_by_time(self, summary: Summary, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (time, accepted until then) over the campaign's course."""
