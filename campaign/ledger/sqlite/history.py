"""The history of a campaign: counts, rows by status, domains, replies, progress over time.

Reading works while another process sends. Rows that a dead run left in flight are shown as in doubt,
before any process has written that down.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from campaign.ledger.protocols import Entry, Summary
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
        for status, count in self._database.rows(
            f"SELECT {self._status(now)}, count(*) FROM messages m WHERE campaign = ? GROUP BY 1",
            (self._campaign_id,),
        ):
            counts[Status(str(status))] = count
        times = self._database.row(
            "SELECT min(settled_at), max(settled_at) FROM messages"
            " WHERE campaign = ? AND status = 'accepted'",
            (self._campaign_id,),
        ) or (None, None)
        due = self._database.row(
            "SELECT min(due_at) FROM messages WHERE campaign = ? AND status IN ('pending', 'deferred')",
            (self._campaign_id,),
        ) or (None,)
        run = next(iter(live_runs(self._database, now)), None)
        return Summary(counts, times[0], times[1], due[0], (run.pid, run.host) if run else None)

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
            f"SELECT domain_of(email), {self._status(now)}, count(*) FROM messages m"
            " WHERE campaign = ? AND email != '' GROUP BY 1, 2",
            (self._campaign_id,),
        ):
            counts.setdefault(str(domain)[1:], {})[Status(str(status))] = count
        ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        return [(domain, by_status) for domain, by_status in ordered[:most]]

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, reply, count) of rows that were not accepted, the most frequent first."""
        for status, reply, count in self._database.rows(
            f"SELECT now_status, words, count(*) FROM ({self._as_of(now)}) WHERE words != ''"
            " AND now_status IN ('refused', 'deferred', 'in_doubt', 'invalid') GROUP BY 1, 2 ORDER BY 3 DESC",
            (self._campaign_id,),
        ):
            yield Status(str(status)), str(reply), count

    def accepted_by_time(self, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (time, accepted until then) over the campaign's course."""
        rows = self._database.rows(
            "SELECT max(settled_at), count(*) FROM"
            " (SELECT settled_at, ntile(?) OVER (ORDER BY settled_at) AS n FROM messages"
            " WHERE campaign = ? AND status = 'accepted') GROUP BY n ORDER BY 1",
            (places, self._campaign_id),
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
        return f"SELECT m.*, {status} AS now_status, {words} AS words FROM messages m WHERE campaign = ?"

    def _status(self, now: int) -> str:
        live = ",".join(str(run.run_id) for run in live_runs(self._database, now))
        return f"CASE WHEN m.status = 'in_flight' AND m.run NOT IN ({live}) THEN 'in_doubt' ELSE m.status END"
