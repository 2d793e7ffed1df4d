"""Counts a campaign's rows by status, by domain, and over time.

Counting a million index entries takes 50 ms, and grouping them 80 ms, which was most of a report's time.
So the largest group is not counted: it is the total less all others. A sample of rows from all over the
table says which group is the largest. If the sample is misleading, the result is the same, only slower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from campaign.ledger.history import Summary
from campaign.ledger.sqlite.database import Database
from campaign.model import Status

_SAMPLE = 15
_MOVING = (Status.IN_FLIGHT, Status.IN_DOUBT)  # a summary reports some rows in flight as in doubt

_Group = TypeVar("_Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Sampled:
    status: Status
    domain: str
    settled_at: int | None


def is_only_campaign(database: Database, campaign_id: int) -> bool:
    """Whether the ledger has no other campaign."""
    return database.row("SELECT 1 FROM campaigns WHERE id != ?", (campaign_id,)) is None


def by_status(database: Database, campaign_id: int) -> dict[Status, int]:
    """Return how many rows have each status, as stored."""
    largest = None
    if is_only_campaign(database, campaign_id):  # only a whole table can be counted by its pages
        largest = _largest(row.status for row in _sample(database, campaign_id))
    counts = {
        # Counting a range of an index takes half the time of grouping.
        status: _one(
            database, "SELECT count(*) FROM messages WHERE campaign = ? AND status = ?", campaign_id, status
        )
        for status in Status
        if status is not largest
    }
    if largest is not None:
        counts[largest] = _one(database, "SELECT count(*) FROM messages") - sum(counts.values())
    return counts


def by_domain(database: Database, campaign_id: int, summary: Summary) -> Iterator[tuple[str, Status, int]]:
    """Iterate over (domain, status, rows), as stored. `summary` must be of the same moment.

    A domain begins with @. It is "" for people who were forgotten and rows without an address.
    """
    sampled = _sample(database, campaign_id)
    largest = _largest((row.status, row.domain) for row in sampled if row.status not in _MOVING)
    group = "SELECT domain, count(*) FROM messages WHERE campaign = ? AND status = ?"
    for status in Status:
        if largest is None or largest[0] is not status:
            for domain, count in database.rows(f"{group} GROUP BY domain", (campaign_id, status)):
                yield str(domain), status, count
            continue
        left = summary.counts[status]
        for side in ("<", ">"):
            for domain, count in database.rows(
                f"{group} AND domain {side} ? GROUP BY domain", (campaign_id, status, largest[1])
            ):
                left -= count
                yield str(domain), status, count
        if left > 0:
            yield largest[1], status, left


def accepted_by_time(
    database: Database, campaign_id: int, summary: Summary, places: int
) -> list[tuple[int, int]]:
    """Return at most `places` points (UTC ns, rows accepted by then); see `History`."""
    first, last = summary.first_accepted_at, summary.last_accepted_at
    if first is None or last is None:
        return []
    step = (last - first) // places + 1
    sampled = (row.settled_at for row in _sample(database, campaign_id) if row.status is Status.ACCEPTED)
    largest = _largest((time - first) // step for time in sampled if time is not None)
    accepted = "FROM messages WHERE campaign = ? AND status = 'accepted' AND settled_at"
    counts = {
        place: _one(
            database, f"SELECT count(*) {accepted} >= ? AND settled_at < ?", campaign_id, start, start + step
        )
        for place, start in enumerate(range(first, last + 1, step))
        if place != largest
    }
    if largest is not None:
        never = _one(database, f"SELECT count(*) {accepted} IS NULL", campaign_id)
        counts[largest] = summary.counts[Status.ACCEPTED] - never - sum(counts.values())
    total, curve = 0, []
    for place, count in sorted(counts.items()):
        if count > 0:
            total += count
            end = first + (place + 1) * step
            curve.append((_one(database, f"SELECT max(settled_at) {accepted} < ?", campaign_id, end), total))
    return curve


def _sample(database: Database, campaign_id: int) -> Iterator[_Sampled]:
    """Iterate over some of a campaign's rows, spread over the whole table."""
    first, last = database.row("SELECT (SELECT min(id) FROM messages), (SELECT max(id) FROM messages)") or (
        None,
        None,
    )
    if first is None or last is None:
        return
    for place in range(_SAMPLE):
        row_id = first + (last - first) * place // _SAMPLE
        found = database.row(
            "SELECT campaign, status, domain, settled_at FROM messages WHERE id >= ? ORDER BY id LIMIT 1",
            (row_id,),
        )
        if found is not None and found[0] == campaign_id:
            yield _Sampled(Status(found[1]), str(found[2]), found[3])


def _largest(groups: Iterable[_Group]) -> _Group | None:
    """Return the most frequent group, None if there is none."""
    return next((group for group, _ in Counter(groups).most_common(1)), None)


def _one(database: Database, statement: str, *parameters: object) -> int:
    found = database.row(statement, parameters)
    return int(found[0] or 0) if found else 0
