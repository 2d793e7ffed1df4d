"""What all kinds of ledger do alike when a list is enrolled: encode and compare rows, count for the plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from campaign.address import fold
from campaign.ledger.protocols import Plan
from campaign.ledger.statuses import MAILED
from campaign.model import BadRow, Recipient, Status

encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Return cells as the ledger stores them."""


def recipient(columns: tuple[str, ...], row: Sequence[Any]) -> Recipient:
    """Make a Recipient from (number, line, key, email, name, fields[, identity]); `fields` is JSON."""
    number, line, key, email, name, fields, *identity = row
    cells: Mapping[str, str] = dict(zip(columns, json.loads(str(fields)), strict=True))
    made_of = str(identity[0] or "") if identity else ""
    return Recipient(number, line, str(key), str(email), str(name), cells, made_of)


def content_hash(row: Recipient, shown: Collection[str]) -> int:
    """Return a number that is equal for rows whose messages go to the same address and say the same.

    `shown` are the columns that messages show or attach.
    """
    return hash((fold(row.email), row.name, *(row.row[column].strip() for column in shown)))


def bad_cells(row: BadRow, columns: Sequence[str]) -> str:
    """Return the cells of a bad row, encoded; blank ones if it is too short."""
    return encoded([row.row.get(column, "") for column in columns] if row.row else [])


def bad_reasons(row: BadRow) -> str:
    """Return what is wrong with a bad row, as one text."""
    return "; ".join(problem.message for problem in row.problems)


@dataclass(slots=True)
class Tally:
    """Counts the rows of a list by what they become and what they were.

    `met` rows, which were accepted earlier, are counted at once; the others with `add`.
    """

    met: int = 0
    listed: int = 0  # rows that may have been sent already
    barred: int = 0
    twice: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    to_send: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts[Status.ACCEPTED] = self.listed = self.met

    def add(self, becomes: str, was: str | None, differs: bool, suppressed: bool, count: int) -> None:
        """Count rows. `becomes` and `was` are statuses; `differs`: their cells differ from the ledger's."""
        self.counts[becomes] += count
        self.barred += count if becomes == Status.REFUSED and suppressed else 0
        self.listed += count if was in MAILED else 0
        if becomes in (Status.PENDING, Status.DEFERRED):
            self.to_send[_kind(becomes, was, differs)] += count
            self.twice += count if was in (Status.IN_DOUBT, Status.IN_FLIGHT) else 0

    def plan(
        self,
        *,
        copies: int,
        withdrawn: int,
        ends: tuple[str, str],
        again: tuple[int, int],
        had: int,
        rows: int,
        rows_before: int | None,
    ) -> Plan:
        """Return the plan.

        `ends` are the first and last address to send to, `again` the counts `rekeyed` and `further`; `had`
        rows of the campaign may have been sent already. For the others see `Plan`.
        """
        return Plan(
            to_send=self.to_send.total(),
            copies=copies,
            new=self.to_send["new"],
            waiting=self.to_send["waiting"],
            changed=self.to_send["changed"],
            returned=self.to_send["returned"],
            again=self.to_send["again"],
            deferred=self.to_send["deferred"],
            withdrawn=withdrawn,
            accepted=self.counts[Status.ACCEPTED],
            refused=self.counts[Status.REFUSED],
            barred=self.barred,
            in_doubt=self.counts[Status.IN_DOUBT],
            suppressed=self.counts[Status.SUPPRESSED],
            invalid=self.counts[Status.INVALID],
            twice=self.twice,
            first=ends[0],
            last=ends[1],
            rekeyed=again[0],
            further=again[1],
            gone=had - self.listed,
            rows=rows,
            rows_before=rows_before,
        )


def by_another_key(rows: Iterable[Sequence[Any]]) -> tuple[int, int]:
    """Return the counts `rekeyed` and `further` of the plan.

    Each of `rows` is (leaves, stays, count): `count` new rows go to addresses that were sent this campaign
    through other rows. `leaves`: such a row leaves the list now; `stays`: one stays.
    """
    rekeyed = further = 0
    for leaves, stays, count in rows:
        if leaves or not stays:
            rekeyed += count
        else:
            further += count
    return rekeyed, further


def _kind(becomes: str, was: str | None, differs: bool) -> str:
    """Return which count of the plan a row that will be sent belongs to."""
    if was is None:
        return "new"
    if was == Status.WITHDRAWN:
        return "returned"
    if differs:
        return "changed"
    if becomes == Status.DEFERRED:
        return "deferred"
    return "waiting" if was == Status.PENDING else "again"
