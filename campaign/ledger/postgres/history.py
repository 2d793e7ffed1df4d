"""The history of a campaign: counts, rows by status, domains, replies, progress over time.

Rows that a dead run left in flight are reported as in doubt, even before any process has recorded that.
All rows of an iteration are of one moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from campaign.ledger.history import (
    ANYBODY,
    PAUSE,
    CellBatch,
    CopyEntry,
    Entry,
    Layouts,
    Summary,
    copy_entry,
    due_times,
    entry,
    move_to_doubt,
    sending_time,
)
from campaign.ledger.patterns import HASH_LENGTH
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.runs import live_runs
from campaign.ledger.processes import BROKE_OFF
from campaign.ledger.statuses import listed
from campaign.model import Status

# From one acceptance it steps to the last one within half a minute, or if there is none, to the next one.
# So a million rows take as many steps as there were half minutes.
_ACCEPTED = "FROM messages WHERE campaign = %(campaign)s AND status = 'accepted' AND settled_at"
_NEAR = (
    f"(SELECT max(settled_at) {_ACCEPTED} > time AND settled_at <= least(time + %(pause)s, %(until)s - 1))"
)
_NEXT = f"(SELECT min(settled_at) {_ACCEPTED} > time AND settled_at < %(until)s)"
_STRETCHES = f"""
WITH RECURSIVE walk(time, active, stretches) AS (
    SELECT (SELECT min(settled_at) {_ACCEPTED} >= %(since)s AND settled_at < %(until)s), 0::bigint, 1::bigint
    UNION ALL
    SELECT coalesce({_NEAR}, {_NEXT}), active + coalesce({_NEAR} - time, 0),
           stretches + CASE WHEN {_NEAR} IS NULL THEN 1 ELSE 0 END
    FROM walk WHERE time IS NOT NULL AND {_NEXT} IS NOT NULL
)
SELECT active, stretches FROM walk WHERE time IS NOT NULL ORDER BY time DESC LIMIT 1
"""
# One query each: a query over several of them would read every waiting row.
_FREE = "FROM messages WHERE campaign = %(campaign)s AND status IN ('pending', 'deferred') AND claim IS NULL"
_DUE = f"""
SELECT (SELECT min(due_at) {_FREE}), (SELECT max(due_at) {_FREE})
UNION ALL
SELECT min(due_at), max(due_at) FROM messages
    WHERE claim IS NOT NULL AND campaign = %(campaign)s AND status IN ('pending', 'deferred')
UNION ALL
SELECT min(c.due_at), max(c.due_at) FROM copies c,
    LATERAL (SELECT campaign, status FROM messages WHERE id = c.message OFFSET 0) m
    WHERE c.status IN ('pending', 'deferred') AND m.campaign = %(campaign)s AND m.status = 'accepted'
"""


class PostgresHistory:
    """The history of one campaign; see `ledger.history.History`."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._of = {"campaign": campaign_id}
        self._layouts = Layouts(self._columns)

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""
        counts = dict.fromkeys(Status, 0)
        for status in Status:  # counting a range of an index takes half the time of grouping
            found = self._database.row(
                "SELECT count(*) FROM messages WHERE campaign = %(campaign)s AND status = %(status)s",
                {**self._of, "status": str(status)},
            )
            counts[status] = found[0] if found else 0
        first, last = self._accepted_between()
        copies = self._copy_counts(now)
        broken = self._database.row(
            "SELECT count(*) FROM messages m"
            f" WHERE campaign = %(campaign)s AND status = 'in_flight' AND {self._dead(now)}",
            self._of,
        ) or (0,)
        counts[Status.IN_FLIGHT] -= broken[0]
        counts[Status.IN_DOUBT] += broken[0]
        next_due, last_due = due_times(self._database.rows(_DUE, self._of))
        active, stretches = self._active()
        run = next(iter(live_runs(self._database)), None)
        sending = (run.pid, run.host) if run else None
        came_back = self._database.row(
            "SELECT 1 FROM events WHERE campaign = %(campaign)s AND source IS NOT NULL LIMIT 1", self._of
        )
        return Summary(
            counts,
            first,
            last,
            next_due,
            last_due,
            active,
            stretches,
            sending,
            copies,
            came_back is not None,
        )

    def _copy_counts(self, now: int) -> dict[Status, int]:
        """Return how many copies of accepted rows are waiting, in flight, in doubt or refused, by status."""
        copies = dict.fromkeys(Status, 0)
        for status, count in self._database.rows(
            f"SELECT {self._status(now, 'c')}, count(*)"
            " FROM copies c JOIN messages m ON m.id = c.message"
            " WHERE c.status IN ('pending', 'deferred', 'in_flight', 'in_doubt', 'refused')"
            " AND m.campaign = %(campaign)s AND m.status = 'accepted' GROUP BY 1",
            self._of,
        ):
            copies[Status(str(status))] = count
        return copies

    def entries(self, now: int, statuses: Collection[Status] = tuple(Status)) -> Iterator[Entry]:
        """Iterate over the rows with one of these statuses, in list order."""
        statement = f"""
            SELECT number, key, email, name, now_status, attempts, words, message_id,
                   (SELECT max(started_at) FROM attempts a WHERE a.message = n.id), settled_at, layout, fields
            FROM ({self._as_of(now, statuses)}) n ORDER BY number, id
        """
        for *row, layout, fields in self._database.each(statement, self._of):
            yield entry((*row, fields), self._layouts.columns(layout))

    def cells(self, now: int, statuses: Collection[Status], columns: Sequence[str]) -> Iterator[CellBatch]:
        """Iterate over rows and their cells of these columns, in batches; see `History`."""
        statement = f"""
            SELECT key, layout, fields, now_status, words FROM ({self._as_of(now, statuses)}) n
            WHERE length(key) != {HASH_LENGTH} OR left(key, 1) != '#' ORDER BY number, id
        """
        rows = self._database.each(statement, self._of)
        while batch := list(islice(rows, 500)):
            yield self._layouts.cell_batch(batch, tuple(columns))

    def _columns(self, layout: int) -> str | None:
        found = self._database.row("SELECT columns FROM layouts WHERE id = %s", (layout,))
        return str(found[0]) if found else None

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has; those of the newest list come first."""
        used = self._database.rows(
            "SELECT DISTINCT layout FROM messages WHERE campaign = %(campaign)s ORDER BY layout DESC",
            self._of,
        )
        return self._layouts.every_column(layout for (layout,) in used)

    def domains(self, now: int, summary: Summary) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the domains and their counts by status, those with the most rows first."""
        counts: dict[str, dict[Status, int]] = {}
        for domain, status, count in self._database.rows(
            "SELECT domain, status, count(*) FROM messages"
            " WHERE campaign = %(campaign)s AND domain != '' GROUP BY status, domain",
            self._of,
        ):
            counts.setdefault(str(domain)[1:], {})[Status(str(status))] = count
        for domain, count in self._database.rows(
            "SELECT domain, count(*) FROM messages m WHERE campaign = %(campaign)s AND domain != ''"
            f" AND status = 'in_flight' AND {self._dead(now)} GROUP BY domain",
            self._of,
        ):
            move_to_doubt(counts.setdefault(str(domain)[1:], {}), count)
        return sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))

    def replies(self, now: int) -> Iterator[tuple[Status, str, int]]:
        """Iterate over (status, reply, count) of rows that were not accepted, the most frequent first.

        In replies, `ANYBODY` replaces the row's address.
        """
        statuses = (Status.REFUSED, Status.DEFERRED, Status.IN_DOUBT, Status.INVALID)
        status = self._status(now, "c")
        for found, reply, count in self._database.rows(
            "SELECT now_status, said, count(*) FROM"
            f" (SELECT now_status, replace(words, email, '{ANYBODY}') AS said"
            f"  FROM ({self._as_of(now, statuses)}) a"
            f" UNION ALL SELECT {status}, replace(c.reply, c.address, '{ANYBODY}') FROM copies c"
            " JOIN messages m ON m.id = c.message WHERE c.status IN ('refused', 'deferred', 'in_doubt',"
            " 'in_flight') AND m.campaign = %(campaign)s AND m.status = 'accepted') r WHERE said != ''"
            " GROUP BY 1, 2 ORDER BY 3 DESC",
            self._of,
        ):
            yield Status(str(found)), str(reply), count

    def accepted_by_time(self, summary: Summary, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (UTC ns, rows accepted by then) over the campaign's course."""
        first, last = summary.first_accepted_at, summary.last_accepted_at
        if first is None or last is None:
            return []
        step = (last - first) // places + 1
        total, curve = 0, []
        for start in range(first, last + 1, step):
            # Counting a range of an index takes a fraction of the time of grouping.
            count, settled = self._database.row(
                "SELECT count(*), max(settled_at) FROM messages WHERE campaign = %(campaign)s"
                " AND status = 'accepted' AND settled_at >= %(start)s AND settled_at < %(end)s",
                {**self._of, "start": start, "end": start + step},
            ) or (0, None)
            total += count
            if count:
                curve.append((settled, total))
        return curve

    def _active(self) -> tuple[int, int]:
        """Return `active` and `stretches` of the summary."""
        starts = self._database.rows(
            "SELECT started_at FROM runs WHERE campaign = %(campaign)s ORDER BY started_at", self._of
        )
        return sending_time(
            (started for (started,) in starts),
            lambda begin, end: self._database.row(
                _STRETCHES, {**self._of, "pause": PAUSE, "since": begin, "until": end}
            ),
        )

    def _accepted_between(self) -> tuple[int | None, int | None]:
        """Return when the first and the last row were accepted."""
        ends = "FROM messages WHERE campaign = %(campaign)s AND status = 'accepted'"
        first, last = self._database.row(
            f"SELECT (SELECT min(settled_at) {ends}), (SELECT max(settled_at) {ends})", self._of
        ) or (None, None)
        return first, last

    def _as_of(self, now: int, statuses: Collection[Status]) -> str:
        """Return a query for the campaign's rows with one of these statuses.

        `now_status` is the status, and `words` the reply, in which dead runs are taken into account.
        """
        status = self._status(now)
        words = f"CASE WHEN {status} != m.status THEN '{BROKE_OFF}' ELSE m.reply END"
        which = self._which(now, statuses)
        return f"SELECT m.*, {status} AS now_status, {words} AS words FROM messages m WHERE {which}"

    def _which(self, now: int, statuses: Collection[Status]) -> str:
        """Return the condition that a row `m` of the campaign has one of these statuses now."""
        if set(statuses) == set(Status):
            return "m.campaign = %(campaign)s"
        # The stored status lets the index find them; rows of a dead run are stored as in flight.
        stored = {*statuses, *((Status.IN_FLIGHT,) if Status.IN_DOUBT in statuses else ())}
        return (
            f"m.campaign = %(campaign)s AND m.status IN {listed(stored)}"
            f" AND {self._status(now)} IN {listed(statuses)}"
        )

    def copies(self, now: int, statuses: Collection[Status]) -> Iterator[CopyEntry]:
        """Iterate over the copies with one of these statuses whose row was accepted or is in doubt."""
        for copy in self._database.each(
            "SELECT * FROM (SELECT m.key, m.email, c.address,"
            f" {self._status(now, 'c')} AS now_status, c.reply, coalesce(m.message_id, '')"
            " FROM copies c JOIN messages m ON m.id = c.message WHERE m.campaign = %(campaign)s"
            " AND m.status IN ('accepted', 'in_doubt', 'in_flight') ORDER BY m.number, c.id) n"
            f" WHERE now_status IN {listed(statuses)}",
            self._of,
        ):
            yield copy_entry(copy)

    def _status(self, now: int, table: str = "m") -> str:
        dead = f"{table}.status = 'in_flight' AND {self._dead(now, table)}"
        return f"CASE WHEN {dead} THEN 'in_doubt' ELSE {table}.status END"

    def _dead(self, now: int, table: str = "m") -> str:
        live = ",".join(str(run.run_id) for run in live_runs(self._database))
        return f"{table}.run != ALL (ARRAY[{live}]::bigint[])"
