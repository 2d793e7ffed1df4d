"""What happened, read from the ledger: counts, rows by status, domains, replies, the course of time.

Readers work beside a running send. What a dead run left in flight is in doubt, whether or not
anybody has written that down yet.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.forgetting import is_forgotten
from campaign.ledger.sqlite.runs import BROKE_OFF, live_runs
from campaign.model import Status


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger, as it stands. Times are UTC ns."""

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
        """Whether it is a person's who was forgotten: nothing is left but that they were mailed."""
        return is_forgotten(self.key)


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a campaign stands. Times are UTC ns; `sending` is the pid and host of a run that lives."""

    counts: Mapping[Status, int]
    first_accepted_at: int | None
    last_accepted_at: int | None
    next_due: int | None
    sending: tuple[int, str] | None

    @property
    def waiting(self) -> int:
        """Rows that are to be sent still."""
        return sum(self.counts[status] for status in (Status.PENDING, Status.DEFERRED, Status.IN_FLIGHT))


class History:
    """The history of one campaign; `campaign` is its row in `campaigns`."""

    def __init__(self, database: Database, campaign: int) -> None:
        self._database = database
        self._campaign = campaign

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""
        counts = dict.fromkeys(Status, 0)
        for status, count in self._database.rows(
            f"SELECT {self._status(now)}, count(*) FROM messages m WHERE campaign = ? GROUP BY 1",
            (self._campaign,),
        ):
            counts[Status(str(status))] = count
        times = self._database.row(
            "SELECT min(settled_at), max(settled_at) FROM messages"
            " WHERE campaign = ? AND status = 'accepted'",
            (self._campaign,),
        ) or (None, None)
        due = self._database.row(
            "SELECT min(due_at) FROM messages WHERE campaign = ? AND status IN ('pending', 'deferred')",
            (self._campaign,),
        ) or (None,)
        run = next(iter(live_runs(self._database, now)), None)
        return Summary(counts, times[0], times[1], due[0], (run.pid, run.host) if run else None)

    def entries(self, now: int, statuses: Collection[Status] = tuple(Status)) -> Iterator[Entry]:
        """Iterate over rows of these statuses, in the order of the list."""
        names = ",".join(f"'{status}'" for status in statuses)
        statement = f"""
            SELECT number, key, email, name, now_status, attempts, words, message_id,
                   (SELECT max(started_at) FROM attempts a WHERE a.message = n.id), settled_at, layout, fields
            FROM ({self._as_of(now)}) n WHERE now_status IN ({names}) ORDER BY number, id
        """
        layouts: dict[object, tuple[str, ...]] = {}
        for (
            number, key, email, name, status, attempts, reply, message_id, started, settled, layout, fields,
        ) in self._database.each(statement, (self._campaign,)):  # fmt: skip
            if layout not in layouts:
                layouts[layout] = self.columns(layout)
            yield Entry(
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
                dict(zip(layouts[layout], json.loads(str(fields)), strict=False)),
            )

    def columns(self, layout: int) -> tuple[str, ...]:
        """Return the columns of a layout."""
        found = self._database.row("SELECT columns FROM layouts WHERE id = ?", (layout,))
        return tuple(json.loads(str(found[0]))) if found else ()

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has, the newest list's first."""
        columns: dict[str, None] = {}
        for (layout,) in self._database.rows(
            "SELECT DISTINCT layout FROM messages WHERE campaign = ? ORDER BY layout DESC", (self._campaign,)
        ):
            columns.update(dict.fromkeys(self.columns(layout)))
        return tuple(columns)

    def domains(self, now: int, most: int) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the domains with the most rows, and their counts by status."""
        counts: dict[str, dict[Status, int]] = {}
        for domain, status, count in self._database.rows(
            f"SELECT domain_of(email), {self._status(now)}, count(*) FROM messages m"
            " WHERE campaign = ? AND email != '' GROUP BY 1, 2",
            (self._campaign,),
        ):
            counts.setdefault(str(domain)[1:], {})[Status(str(status))] = count
        ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        return [(domain, by_status) for domain, by_status in ordered[:most]]

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, words, count) of what was said of the rows that were not accepted."""
        for status, reply, count in self._database.rows(
            f"SELECT now_status, words, count(*) FROM ({self._as_of(now)}) WHERE words != ''"
            " AND now_status IN ('refused', 'deferred', 'in_doubt', 'invalid') GROUP BY 1, 2 ORDER BY 3 DESC",
            (self._campaign,),
        ):
            yield Status(str(status)), str(reply), count

    def accepted_by_time(self, places: int) -> list[tuple[int, int]]:
        """Return (UTC ns, accepted until then) at most `places` times over the campaign's course."""
        rows = self._database.rows(
            "SELECT max(settled_at), count(*) FROM"
            " (SELECT settled_at, ntile(?) OVER (ORDER BY settled_at) AS n FROM messages"
            " WHERE campaign = ? AND status = 'accepted') GROUP BY n ORDER BY 1",
            (places, self._campaign),
        )
        total, curve = 0, []
        for settled, count in rows:
            total += count
            curve.append((settled, total))
        return curve

    def _as_of(self, now: int) -> str:
        """Return a query for the campaign's rows, with `now_status`, and `words` that go with it."""
        status = self._status(now)
        words = f"CASE WHEN {status} != m.status THEN '{BROKE_OFF}' ELSE m.reply END"
        return f"SELECT m.*, {status} AS now_status, {words} AS words FROM messages m WHERE campaign = ?"

    def _status(self, now: int) -> str:
        live = ",".join(str(run.id) for run in live_runs(self._database, now))
        return f"CASE WHEN m.status = 'in_flight' AND m.run NOT IN ({live}) THEN 'in_doubt' ELSE m.status END"
