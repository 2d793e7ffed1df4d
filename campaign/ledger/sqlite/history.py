"""The history of a campaign: counts, rows by status, domains, replies, progress over time.

Reading works while another process sends. Rows that a dead run left in flight are shown as in doubt,
before any process has written that down.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from campaign.ledger.protocols import CopyEntry, Entry, Summary
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import BROKE_OFF, live_runs
from campaign.model import Status


class SqliteHistory:
    """The history of one campaign; see `protocols.History`."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""
        counts = dict.fromkeys(Status, 0)
        first = last = None
        for status, count, earliest, latest in self._database.rows(
            "SELECT status, count(*), min(settled_at), max(settled_at) FROM messages"
            " WHERE campaign = ? GROUP BY status",
            (self._campaign_id,),
        ):
            counts[Status(str(status))] = count
            if status == Status.ACCEPTED:
                first, last = earliest, latest
        copies = dict.fromkeys(Status, 0)
        for status, count in self._database.rows(
            f"SELECT {self._status(now, 'c')}, count(*) FROM copies c JOIN messages m ON m.id = c.message"
            " WHERE c.status IN ('pending', 'deferred', 'in_flight', 'in_doubt', 'refused')"
            " AND m.campaign = ? AND m.status = 'accepted' GROUP BY 1",
            (self._campaign_id,),
        ):
            copies[Status(str(status))] = count
        broken = self._database.row(
            "SELECT count(*) FROM messages m"
            f" WHERE campaign = ? AND status = 'in_flight' AND {self._dead(now)}",
            (self._campaign_id,),
        ) or (0,)
        counts[Status.IN_FLIGHT] -= broken[0]
        counts[Status.IN_DOUBT] += broken[0]
        due = self._database.row(
            "SELECT min(due_at) FROM (SELECT due_at FROM messages WHERE campaign = ?1"
            " AND status IN ('pending', 'deferred') UNION ALL SELECT c.due_at FROM copies c"
            " JOIN messages m ON m.id = c.message WHERE c.status IN ('pending', 'deferred')"
            " AND m.campaign = ?1 AND m.status = 'accepted')",
            (self._campaign_id,),
        ) or (None,)
        run = next(iter(live_runs(self._database, now)), None)
        sending = (run.pid, run.host) if run else None
        return Summary(counts, first, last, due[0], sending, copies)

    def entries(self, now: int, statuses: Collection[Status] = tuple(Status)) -> Iterator[Entry]:
        """Iterate over the rows of these statuses, in list order."""
        names = ",".join(f"'{status}'" for status in statuses)
        statement = f"""
            SELECT number, key, email, name, now_status, attempts, words, message_id,
                   (SELECT max(started_at) FROM attempts a WHERE a.message = n.id), settled_at, layout, fields
            FROM ({self._as_of(now)}) n WHERE now_status IN ({names}) ORDER BY number, id
        """
        layouts: dict[object, tuple[str, ...]] = {}
        for (
            number, key, email, name, status, attempts, reply, message_id, started, settled, layout, fields,
        ) in self._database.each(statement, (self._campaign_id,)):  # fmt: skip
            if layout not in layouts:
                layouts[layout] = self._columns(layout)
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

    def _columns(self, layout: int) -> tuple[str, ...]:
        found = self._database.row("SELECT columns FROM layouts WHERE id = ?", (layout,))
        return tuple(json.loads(str(found[0]))) if found else ()

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has, the newest list's first."""
        columns: dict[str, None] = {}
        for (layout,) in self._database.rows(
            "SELECT DISTINCT layout FROM messages WHERE campaign = ? ORDER BY layout DESC",
            (self._campaign_id,),
        ):
            columns.update(dict.fromkeys(self._columns(layout)))
        return tuple(columns)

    def domains(self, now: int, most: int) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the `most` domains with the most rows, and their counts by status."""
        counts: dict[str, dict[Status, int]] = {}
        for domain, status, count in self._database.rows(
            "SELECT domain, status, count(*) FROM messages"
            " WHERE campaign = ? AND domain != '' GROUP BY status, domain",
            (self._campaign_id,),
        ):
            counts.setdefault(str(domain)[1:], {})[Status(str(status))] = count
        ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        return [(domain, by_status) for domain, by_status in ordered[:most]]

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, reply, count) of rows that were not accepted, the most frequent first."""
        for status, reply, count in self._database.rows(
            f"SELECT now_status, words, count(*) FROM (SELECT now_status, words FROM ({self._as_of(now)})"
            f" UNION ALL SELECT {self._status(now, 'c')}, c.reply FROM copies c JOIN messages m"
            " ON m.id = c.message WHERE m.campaign = ?1 AND m.status = 'accepted') WHERE words != ''"
            " AND now_status IN ('refused', 'deferred', 'in_doubt', 'invalid') GROUP BY 1, 2 ORDER BY 3 DESC",
            (self._campaign_id,),
        ):
            yield Status(str(status)), str(reply), count

    def accepted_by_time(self, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (time, accepted until then) over the campaign's course."""
        rows = self._database.rows(
            "WITH ends AS (SELECT min(settled_at) AS first, max(settled_at) - min(settled_at) + 1 AS length"
            " FROM messages WHERE campaign = ?1 AND status = 'accepted')"
            " SELECT max(settled_at), count(*) FROM messages, ends"
            " WHERE campaign = ?1 AND status = 'accepted'"
            " GROUP BY (settled_at - first) / (length / ?2 + 1) ORDER BY 1",
            (self._campaign_id, places),
        )
        total, curve = 0, []
        for settled, count in rows:
            total += count
            curve.append((settled, total))
        return curve

    def _as_of(self, now: int) -> str:
        """Return a query for the campaign's rows, with `now_status` and its reply, `words`."""
        status = self._status(now)
        words = f"CASE WHEN {status} != m.status THEN '{BROKE_OFF}' ELSE m.reply END"
        return f"SELECT m.*, {status} AS now_status, {words} AS words FROM messages m WHERE campaign = ?1"

    def copies(self, now: int, statuses: Collection[Status]) -> Iterator[CopyEntry]:
        """Iterate over the copies of these statuses, of rows that were accepted or are in doubt."""
        names = ",".join(f"'{status}'" for status in statuses)
        for key, email, address, status, reply, message_id in self._database.each(
            "SELECT * FROM (SELECT m.key, m.email, c.address,"
            f" {self._status(now, 'c')} AS now_status, c.reply, coalesce(m.message_id, '')"
            " FROM copies c JOIN messages m ON m.id = c.message WHERE m.campaign = ?"
            " AND m.status IN ('accepted', 'in_doubt', 'in_flight') ORDER BY m.number, c.id)"
            f" WHERE now_status IN ({names})",
            (self._campaign_id,),
        ):
            yield CopyEntry(
                str(key), str(email), str(address), Status(str(status)), str(reply), str(message_id)
            )

    def _status(self, now: int, table: str = "m") -> str:
        dead = f"{table}.status = 'in_flight' AND {self._dead(now, table)}"
        return f"CASE WHEN {dead} THEN 'in_doubt' ELSE {table}.status END"

    def _dead(self, now: int, table: str = "m") -> str:
        live = ",".join(str(run.run_id) for run in live_runs(self._database, now))
        return f"{table}.run NOT IN ({live})"
