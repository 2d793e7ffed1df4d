"""What a ledger reports about one campaign: rows, copies, counts. It can be read while a run is sending.

Times are UTC, in integer nanoseconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from campaign.ledger.patterns import is_hash
from campaign.model import SECOND, Status

PAUSE = 30 * SECOND
"""A stretch of sending ends after this many ns without an acceptance."""

_NEVER = (1 << 63) - 1

ANYBODY = "…@…"
"""Replaces a row's address in its reply, so that equal replies to different addresses count as one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The current state of a row. `number` is its position in the list, from 1; times are UTC ns."""

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
        """Whether its person was forgotten: the ledger only keeps the fact that somebody was mailed."""
        return is_hash(self.key)


@dataclass(frozen=True, slots=True)
class CopyEntry:
    """The current state of a copy: `key` and `email` are its row's, `address` is its own."""

    key: str
    email: str
    address: str
    status: Status
    reply: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a campaign stands. `sending` is the pid and host of the live run, if there is one.

    `next_due` is None if nothing is waiting, or if something is due now; `last_due` is when the last
    deferred one is due. `active` is how many ns were spent sending, in `stretches`: each counts from its
    first to its last acceptance. A stretch ends when nothing is accepted for half a minute, or when a run
    begins.
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
    """Copies of accepted rows that are waiting, in flight, in doubt or refused, by status."""
    came_back: bool
    """Whether a bounce, complaint or unsubscribe request was recorded."""

    @property
    def on_list(self) -> int:
        """How many rows are on the list."""
        return on_list(self.counts)

    @property
    def waiting(self) -> int:
        """How many rows and copies are still to be sent, including those in flight."""
        waiting = (Status.PENDING, Status.DEFERRED, Status.IN_FLIGHT)
        return sum(self.counts[status] + self.copies[status] for status in waiting)

    @property
    def left_out(self) -> int:
        """How many bad rows were skipped on request. They are sent once they are corrected."""
        return self.counts[Status.INVALID]

    @property
    def not_started(self) -> int:
        """How many of `waiting` have not started: those in flight are already counted by the rate."""
        return self.waiting - self.counts[Status.IN_FLIGHT] - self.copies[Status.IN_FLIGHT]

    @property
    def copies_not_started(self) -> int:
        """How many of `not_started` are copies."""
        return self.copies[Status.PENDING] + self.copies[Status.DEFERRED]

    @property
    def in_doubt(self) -> int:
        """How many rows and copies are in doubt."""
        return self.counts[Status.IN_DOUBT] + self.copies[Status.IN_DOUBT]

    @property
    def refused(self) -> int:
        """How many rows and copies were refused."""
        return self.counts[Status.REFUSED] + self.copies[Status.REFUSED]


def entry(row: Sequence[Any], columns: Sequence[str]) -> Entry:
    """Make an Entry from a row of a query: its columns in the order of `Entry`, the last one the cells.

    `columns` are the columns of the list that the row was read from.
    """
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
    """Make a CopyEntry from a row of a query."""
    key, email, address, status, reply, message_id = row
    return CopyEntry(str(key), str(email), str(address), Status(str(status)), str(reply), str(message_id))


def on_list(counts: Mapping[Status, int]) -> int:
    """Return how many rows are on the list; withdrawn rows are not."""
    return sum(counts.values()) - counts.get(Status.WITHDRAWN, 0)


@dataclass(frozen=True, slots=True)
class CellBatch:
    """A batch of rows for export: four sequences in the same order of rows.

    `cells` are as stored: for each row a JSON list of strings, without blanks between them. Rows come in
    batches because calls take most of an export's time.
    """

    keys: Sequence[str]
    cells: Sequence[str]
    statuses: Sequence[str]
    replies: Sequence[str]


class Layouts:
    """The columns of each layout, that is, of each list that a campaign's rows were read from.

    `stored` returns a layout's columns as the ledger stores them, or None.
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
        """Return the columns of all these layouts, each once, in order of first appearance."""
        return tuple(dict.fromkeys(column for layout in layouts for column in self.columns(layout)))

    def cell_batch(self, rows: Sequence[Sequence[Any]], columns: tuple[str, ...]) -> CellBatch:
        """Return a batch of rows with their cells in these columns.

        Each of `rows` is (key, layout, cells, status, reply).
        """
        keys, layouts, stored, statuses, replies = zip(*rows, strict=True)
        places = {layout: self._places(layout, columns) for layout in set(layouts)}
        cells: Sequence[str] = stored
        if any(order is not None for order in places.values()):
            cells = [
                one if order is None else rearranged(one, order)
                for one, order in zip(stored, map(places.__getitem__, layouts), strict=True)
            ]
        return CellBatch(keys, cells, statuses, replies)

    def _places(self, layout: int, columns: tuple[str, ...]) -> list[int | None] | None:
        """Return where the cells of `columns` are in a row of a layout; None if its columns are the same."""
        known = self.columns(layout)
        if known == columns:
            return None
        return [known.index(column) if column in known else None for column in columns]


def rearranged(cells: str, places: Sequence[int | None]) -> str:
    """Return a row's cells, a JSON list, in the order of `places`; None stands for a blank cell."""
    known = json.loads(cells)
    found = ["" if place is None or place >= len(known) else known[place] for place in places]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def sending_time(
    starts: Iterable[int], accepted: Callable[[int, int], Sequence[int] | None]
) -> tuple[int, int]:
    """Return `active` and `stretches` of a summary; `starts` are those of the campaign's runs, in order.

    `accepted` returns both for the acceptances from a time until another, None if there are none.
    """
    active = stretches = 0
    for begin, end in pairwise([0, *starts, _NEVER]):
        found = accepted(begin, end)
        if found is not None:
            active, stretches = active + found[0], stretches + found[1]
    return active, stretches


def due_times(found: Iterable[Sequence[int | None]]) -> tuple[int | None, int | None]:
    """Return `next_due` and `last_due` of a summary.

    Each of `found` is the first and last due time of some waiting rows or copies, None for none.
    """
    due = [(first, last) for first, last in found if first is not None and last is not None]
    next_due = min((first for first, _ in due), default=0)
    last_due = max((last for _, last in due), default=0)
    return next_due or None, last_due or None


def move_to_doubt(counts: dict[Status, int], count: int) -> None:
    """Count `count` rows, which a dead run left in flight, as in doubt."""
    counts[Status.IN_FLIGHT] = max(0, counts.get(Status.IN_FLIGHT, 0) - count)
    counts[Status.IN_DOUBT] = counts.get(Status.IN_DOUBT, 0) + count


class History(Protocol):
    """The history of one campaign. Rows that a dead run left in flight are reported as in doubt.

    `now` is UTC ns; which runs are dead depends on it.
    """

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""

    def entries(self, now: int, statuses: Collection[Status] = tuple(Status)) -> Iterator[Entry]:
        """Iterate over the rows with one of these statuses, in list order."""

    def cells(self, now: int, statuses: Collection[Status], columns: Sequence[str]) -> Iterator[CellBatch]:
        """Iterate, in batches and in list order, over the rows with one of these statuses and their cells.

        The cells are those of `columns`. Rows of people who were forgotten are left out.
        """

    def copies(self, now: int, statuses: Collection[Status]) -> Iterator[CopyEntry]:
        """Iterate over the copies with one of these statuses whose row was accepted or is in doubt."""

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has; those of the newest list come first."""

    def domains(self, now: int, summary: Summary) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the domains with their counts by status, those with the most rows first.

        Here and below, `summary` must be of the same moment; its counts are not counted again.
        """

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, reply, count) of rows that were not accepted, the most frequent first."""

    def accepted_by_time(self, summary: Summary, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (UTC ns, rows accepted by then) over the campaign's course."""
