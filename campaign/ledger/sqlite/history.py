"""The history of a campaign: counts, rows by status, domains, replies, progress over time.

It can be read while another process sends. Rows that a dead run left in flight are reported as in doubt,
even before any process has recorded that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

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
from campaign.ledger.processes import BROKE_OFF
from campaign.ledger.sqlite import counting
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import live_runs
from campaign.ledger.statuses import listed
from campaign.model import Status

# From one acceptance it steps to the last one within half a minute, or if there is none, to the next one.
# So a million rows take as many steps as there were half minutes.
_ACCEPTED = "FROM messages WHERE campaign = ?1 AND status = 'accepted' AND settled_at"
_NEAR = f"(SELECT max(settled_at) {_ACCEPTED} > time AND settled_at <= min(time + ?2, ?4 - 1))"
_NEXT = f"(SELECT min(settled_at) {_ACCEPTED} > time AND settled_at < ?4)"
_STRETCHES = f"""
WITH RECURSIVE walk(time, active, stretches) AS (
    SELECT (SELECT min(settled_at) {_ACCEPTED} >= ?3 AND settled_at < ?4), 0, 1
    UNION ALL
    SELECT coalesce({_NEAR}, {_NEXT}), active + coalesce({_NEAR} - time, 0), stretches + ({_NEAR} IS NULL)
    FROM walk WHERE time IS NOT NULL AND {_NEXT} IS NOT NULL
)
SELECT active, stretches FROM walk WHERE time IS NOT NULL ORDER BY time DESC LIMIT 1
"""
# A subquery each for min and max: a query for both would read every waiting row.
_DUE = """
SELECT (SELECT min(due_at) FROM messages WHERE campaign = ?1 AND status IN ('pending', 'deferred')),
       (SELECT max(due_at) FROM messages WHERE campaign = ?1 AND status IN ('pending', 'deferred'))
UNION ALL
SELECT min(c.due_at), max(c.due_at) FROM copies c CROSS JOIN messages m ON m.id = c.message
    WHERE c.status IN ('pending', 'deferred') AND m.campaign = ?1 AND m.status = 'accepted'
"""


class SqliteHistory:
    """The history of one campaign; see `ledger.history.History`."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._layouts = Layouts(self._columns)

    def summary(self, now: int) -> Summary:
        """Count the rows by status."""
        counts = counting.by_status(self._database, self._campaign_id)
        first, last = self._accepted_between()
        copies = self._copy_counts(now)
        broken = self._database.row(
            "SELECT count(*) FROM messages m"
            f" WHERE campaign = ? AND status = 'in_flight' AND {self._dead(now)}",
            (self._campaign_id,),
        ) or (0,)
        counts[Status.IN_FLIGHT] -= broken[0]
        counts[Status.IN_DOUBT] += broken[0]
        next_due, last_due = due_times(self._database.rows(_DUE, (self._campaign_id,)))
        active, stretches = self._active()
        run = next(iter(live_runs(self._database, now)), None)
        sending = (run.pid, run.host) if run else None
        came_back = self._database.row(
            "SELECT 1 FROM events WHERE campaign = ? AND source IS NOT NULL LIMIT 1", (self._campaign_id,)
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
            " FROM copies c CROSS JOIN messages m ON m.id = c.message"
            " WHERE c.status IN ('pending', 'deferred', 'in_flight', 'in_doubt', 'refused')"
            " AND m.campaign = ? AND m.status = 'accepted' GROUP BY 1",
            (self._campaign_id,),
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
        for *row, layout, fields in self._database.each(statement, (self._campaign_id,)):
            yield entry((*row, fields), self._layouts.columns(layout))

    def cells(self, now: int, statuses: Collection[Status], columns: Sequence[str]) -> Iterator[CellBatch]:
        """Iterate over rows and their cells of these columns, in batches; see `History`."""
        # Only ids are sorted: sorting whole rows takes longer than looking them up. In table order they are
        # nearly sorted; using an index pays only if it leaves rows out.
        whole = set(statuses) == set(Status) and counting.is_only_campaign(self._database, self._campaign_id)
        table = "messages m NOT INDEXED" if whole else "messages m"
        statement = f"""
            SELECT n.key, n.layout, n.fields, n.now_status, n.words
            FROM (SELECT id FROM {table} WHERE {self._which(now, statuses)}
                  ORDER BY number, id LIMIT -1) o
            CROSS JOIN ({self._as_of(now, statuses)}) n ON n.id = o.id
            WHERE length(n.key) != {HASH_LENGTH} OR n.key NOT GLOB '#*'
        """
        for some in self._database.chunks(statement, (self._campaign_id,)):
            yield self._layouts.cell_batch(some, tuple(columns))

    def _columns(self, layout: int) -> str | None:
        found = self._database.row("SELECT columns FROM layouts WHERE id = ?", (layout,))
        return str(found[0]) if found else None

    def all_columns(self) -> tuple[str, ...]:
        """Return every column that a row of the campaign has; those of the newest list come first."""
        return self._layouts.every_column(self._used_layouts())

    def _used_layouts(self) -> list[int]:
        """Return the layouts that the campaign's rows have, the newest first."""
        known = self._database.rows("SELECT id FROM layouts LIMIT 2")
        # If there is only one layout, finding any row is enough.
        one = "SELECT layout FROM messages WHERE campaign = ? LIMIT 1"
        every = "SELECT DISTINCT layout FROM messages WHERE campaign = ? ORDER BY layout DESC"
        rows = self._database.rows(one if len(known) == 1 else every, (self._campaign_id,))
        return [layout for (layout,) in rows]

    def domains(self, now: int, summary: Summary) -> list[tuple[str, Mapping[Status, int]]]:
        """Return the domains and their counts by status, those with the most rows first."""
        counts: dict[str, dict[Status, int]] = {}
        for domain, status, count in counting.by_domain(self._database, self._campaign_id, summary):
            if domain:  # "" for people who were forgotten
                counts.setdefault(domain[1:], {})[status] = count
        for domain, count in self._database.rows(
            "SELECT domain, count(*) FROM messages m"
            f" WHERE campaign = ? AND status = 'in_flight' AND {self._dead(now)} GROUP BY domain",
            (self._campaign_id,),
        ):
            if domain:
                move_to_doubt(counts.setdefault(domain[1:], {}), count)
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
            f"  FROM ({self._as_of(now, statuses)})"
            f" UNION ALL SELECT {status}, replace(c.reply, c.address, '{ANYBODY}') FROM copies c"
            " CROSS JOIN messages m ON m.id = c.message WHERE c.status IN ('refused', 'deferred', 'in_doubt',"
            " 'in_flight') AND m.campaign = ?1 AND m.status = 'accepted') WHERE said != ''"
            " GROUP BY 1, 2 ORDER BY 3 DESC",
            (self._campaign_id,),
        ):
            yield Status(str(found)), str(reply), count

    def accepted_by_time(self, summary: Summary, places: int) -> list[tuple[int, int]]:
        """Return at most `places` points (UTC ns, rows accepted by then) over the campaign's course."""
        return counting.accepted_by_time(self._database, self._campaign_id, summary, places)

    def _active(self) -> tuple[int, int]:
        """Return `active` and `stretches` of the summary."""
        starts = self._database.rows(
            "SELECT started_at FROM runs WHERE campaign = ? ORDER BY started_at", (self._campaign_id,)
        )
        return sending_time(
            (started for (started,) in starts),
            lambda begin, end: self._database.row(_STRETCHES, (self._campaign_id, PAUSE, begin, end)),
        )

    def _accepted_between(self) -> tuple[int | None, int | None]:
        """Return when the first and the last row were accepted."""
        ends = "FROM messages WHERE campaign = ?1 AND status = 'accepted'"
        first, last = self._database.row(
            f"SELECT (SELECT min(settled_at) {ends}), (SELECT max(settled_at) {ends})", (self._campaign_id,)
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
            return "m.campaign = ?1"
        # The stored status lets the index find them; rows of a dead run are stored as in flight.
        stored = {*statuses, *((Status.IN_FLIGHT,) if Status.IN_DOUBT in statuses else ())}
        return (
            f"m.campaign = ?1 AND m.status IN {listed(stored)} AND {self._status(now)} IN {listed(statuses)}"
        )

    def copies(self, now: int, statuses: Collection[Status]) -> Iterator[CopyEntry]:
        """Iterate over the copies with one of these statuses whose row was accepted or is in doubt."""
        for copy in self._database.each(
            "SELECT * FROM (SELECT m.key, m.email, c.address,"
            f" {self._status(now, 'c')} AS now_status, c.reply, coalesce(m.message_id, '')"
            " FROM copies c CROSS JOIN messages m ON m.id = c.message WHERE m.campaign = ?"
            " AND m.status IN ('accepted', 'in_doubt', 'in_flight') ORDER BY m.number, c.id)"
            f" WHERE now_status IN {listed(statuses)}",
            (self._campaign_id,),
        ):
            yield copy_entry(copy)

    def _status(self, now: int, table: str = "m") -> str:
        dead = f"{table}.status = 'in_flight' AND {self._dead(now, table)}"
        return f"CASE WHEN {dead} THEN 'in_doubt' ELSE {table}.status END"

    def _dead(self, now: int, table: str = "m") -> str:
        live = ",".join(str(run.run_id) for run in live_runs(self._database, now))
        return f"{table}.run NOT IN ({live})"
