"""What a sending run asks of the ledger and tells it: the lease, claims, intents, results.

    start → (claim → record(intent) → record(result))… → end

A row goes to `in_flight` with the run's id, committed with synchronous=FULL, before its content
leaves; its answer is committed as soon as it is read. Several connections call `record` at once: who
gets the lock commits for all who wait, so the disk is asked once for many (group commit).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.address import fold
from campaign.errors import LeaseHeld, LeaseLost, Problem
from campaign.ledger.database import Database
from campaign.ledger.enrolment import recipient
from campaign.ledger.runs import live_runs, reap, this_process
from campaign.model import Recipient, Result, Status
from campaign.place import shown


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rate is counted for: an account on a server."""

    host: str
    username: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to send now. `attempts` were charged before; `accepted` are folded addresses that have it."""

    recipient: Recipient
    attempts: int
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Intent:
    """A content is about to leave, to so many addresses. `started_at` is UTC ns."""

    key: str
    started_at: int
    addresses: int
    message_id: str


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one connection wants committed."""

    results: Sequence[Result]
    intents: Sequence[Intent]
    granted: set[str] = field(default_factory=set)
    done: bool = False
    failure: BaseException | None = None


class Sending:
    """One run: it holds the lease of the ledger from `start` to `end`."""

    def __init__(self, database: Database, campaign: int, run: int, longest_delay: int) -> None:
        self._database = database
        self._campaign = campaign
        self._run = run
        self._longest_delay = longest_delay
        self._claimed: set[str] = set()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()

    @classmethod
    def start(cls, database: Database, campaign: int, scope: Scope, now: int, longest_delay: int) -> Sending:
        """Take the lease. What a dead run left in flight becomes in doubt.

        `longest_delay` is how far ahead, in ns, a row can be due: what is due later than that is so
        because the clock was set back, and is due now. Raises LeaseHeld.
        """
        with database.transaction():
            for run in live_runs(database, now):
                held = f"process {run.pid} on {run.host} is sending from this ledger; wait for it, or stop it"
                raise LeaseHeld(Problem(held, shown(database.path) if database.path else None))
            reap(database, now)
            database.change(
                "INSERT INTO runs (campaign, host, pid, process, server, username, started_at, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (campaign, *this_process(), scope.host, scope.username, now, now),
            )
            found = database.row("SELECT max(id) FROM runs")
        database.may_checkpoint(True)
        return cls(database, campaign, found[0] if found else 0, longest_delay)

    def heartbeat(self, now: int) -> None:
        """Say that this run lives. Raises LeaseLost where another process has taken over."""
        changed = self._database.change(
            "UPDATE runs SET heartbeat = ? WHERE id = ? AND ended_at IS NULL", (now, self._run)
        )
        if changed == 0:
            raise LeaseLost("another process has taken this ledger over; nothing more is sent from here")
        # Somebody was forgotten meanwhile; only the sender's connection checkpoints.
        if self._database.setting("truncate") and self._database.truncate_wal():
            self._database.set_setting("truncate", None)

    def end(self, now: int) -> None:
        """Give the lease back."""
        self._database.change(
            "UPDATE runs SET ended_at = ?, heartbeat = ? WHERE id = ? AND ended_at IS NULL",
            (now, now, self._run),
        )
        self._database.may_checkpoint(False)

    def claim(self, now: int, count: int) -> list[Claim]:
        """Return up to `count` rows that are due, in the order of the list, and hold them.

        A row that is held stays as it is in the ledger: only an intent changes it.
        """
        claims: list[Claim] = []
        # What is due first, by its index; then what only a clock that was set back has put so far off.
        for due, moment in (("due_at <= ?", now), ("due_at > ?", now + self._longest_delay)):
            # Those that are held are skipped; there are never more of them than a few batches.
            rows = self._database.rows(
                "SELECT layout, attempts, number, line, key, email, name, fields FROM messages"
                f" WHERE campaign = ? AND status IN ('pending', 'deferred') AND {due}"
                " ORDER BY due_at, number LIMIT ?",
                (self._campaign, moment, count - len(claims) + len(self._claimed)),
            )
            for layout, attempts, *rest in rows:
                row = recipient(self._layout(layout), tuple(rest))
                if row.key in self._claimed or len(claims) == count:
                    continue
                self._claimed.add(row.key)
                claims.append(Claim(row, attempts, self._accepted(row.key) if attempts else frozenset()))
            if len(claims) == count:
                break
        return claims

    def release(self, keys: Sequence[str]) -> None:
        """Let go of rows that were claimed and not sent."""
        self._claimed.difference_update(keys)

    def is_due(self, key: str) -> bool:
        """Whether a row that was claimed is still to be sent, as far as can be told before its intent."""
        found = self._database.row(
            "SELECT 1 FROM messages WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred')",
            (self._campaign, key),
        )
        return found is not None

    def next_due(self, now: int) -> int | None:
        """Return when the next row that nobody holds is due, UTC ns, or None where there is none."""
        rows = self._database.rows(
            "SELECT key, due_at FROM messages WHERE campaign = ? AND status IN ('pending', 'deferred')"
            " ORDER BY due_at LIMIT ?",
            (self._campaign, 1 + len(self._claimed)),
        )
        due = next((due_at for key, due_at in rows if key not in self._claimed), None)
        return None if due is None else min(due, now + self._longest_delay)

    def starts(self, scope: Scope, since: int) -> list[tuple[int, int]]:
        """Return (started_at, addresses) of every attempt in `scope` since then, oldest first."""
        return starts(self._database, scope, since)

    def note_start(self, started_at: int, addresses: int) -> None:
        """Count a test message in the rate; it belongs to no row."""
        self._database.change(
            "INSERT INTO attempts (run, message, started_at, addresses) VALUES (?, NULL, ?, ?)",
            (self._run, started_at, addresses),
        )

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list holds an address, or its domain."""
        return is_suppressed(self._database, address)

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, with those of other threads that wait.

        Returns the keys whose intents hold: a row that was withdrawn, suppressed or settled
        meanwhile must not be sent. Raises LedgerFull, LeaseLost.
        """
        ticket = _Ticket(results, intents)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._database.lock:
            if not ticket.done:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                try:
                    self._commit(batch)
                except BaseException as failure:
                    for one in batch:
                        one.failure = failure
                for one in batch:
                    one.done = True
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.granted

    def _commit(self, batch: list[_Ticket]) -> None:
        # A result that a crash takes back makes doubt, never a duplicate; an intent must not be lost.
        with self._database.transaction(full=any(ticket.intents for ticket in batch)):
            for ticket in batch:
                for result in ticket.results:
                    self._settle(result)
            for ticket in batch:
                for intent in ticket.intents:
                    if self._intend(intent):
                        ticket.granted.add(intent.key)
        for ticket in batch:
            for result in ticket.results:
                self._claimed.discard(result.key)

    def _intend(self, intent: Intent) -> bool:
        held = self._database.change(
            "UPDATE messages SET status = 'in_flight', run = ?1, message_id = ?2 WHERE campaign = ?3"
            " AND key = ?4 AND status IN ('pending', 'deferred')"
            " AND EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND ended_at IS NULL)",
            (self._run, intent.message_id, self._campaign, intent.key),
        )
        if held:
            self._database.change(
                "INSERT INTO attempts (run, message, started_at, addresses)"
                " SELECT ?, id, ?, ? FROM messages WHERE campaign = ? AND key = ?",
                (self._run, intent.started_at, intent.addresses, self._campaign, intent.key),
            )
        return held == 1

    def _settle(self, result: Result) -> None:
        time = result.settled_at
        # Suppressed or resolved meanwhile by a person: that stands, unless the server has taken it.
        changed = self._database.change(
            "UPDATE messages SET status = ?1, reply = ?2, due_at = ?3, attempts = attempts + ?4,"
            " settled_at = ?5 WHERE campaign = ?6 AND key = ?7 AND (status = 'in_flight' AND run = ?8"
            " OR status IN ('pending', 'deferred') OR ?1 IN ('accepted', 'in_doubt') AND run = ?8)",
            (
                result.status,
                result.reply,
                result.due_at,
                result.charged,
                time,
                self._campaign,
                result.key,
                self._run,
            ),
        )
        if not changed and not self._known(result.key):
            self._settle_forgotten(result)
            return
        if result.status is Status.PENDING and not result.reply:
            return  # nothing was said of anybody
        for outcome in result.outcomes:
            self._database.change(
                "INSERT INTO events (campaign, key, address, kind, time, text) VALUES (?, ?, ?, ?, ?, ?)",
                (self._campaign, result.key, outcome.address, outcome.status, time, outcome.reply),
            )
        if result.suppress:
            self._database.change(
                "INSERT INTO suppressions VALUES (fold(?), ?, ?) ON CONFLICT DO NOTHING",
                (result.outcomes[0].address, f"refused: {result.reply}", time),
            )

    def _known(self, key: str) -> bool:
        found = self._database.row(
            "SELECT 1 FROM messages WHERE campaign = ? AND key = ?", (self._campaign, key)
        )
        return found is not None

    def _settle_forgotten(self, result: Result) -> None:
        """Settle the row of a person who was forgotten while it was on its way: nothing says whose it is."""
        row = (self._campaign, result.key, self._run)
        which = "campaign = ? AND key = hashed(?) AND run = ? AND status = 'in_flight'"
        if result.status in (Status.ACCEPTED, Status.IN_DOUBT):
            self._database.change(
                f"UPDATE messages SET status = ?, settled_at = ? WHERE {which}",
                (result.status, result.settled_at, *row),
            )
        else:  # it did not leave, and needs no memory
            self._database.change(
                "UPDATE attempts SET message = NULL"
                f" WHERE message IN (SELECT id FROM messages WHERE {which})",
                row,
            )
            self._database.change(f"DELETE FROM messages WHERE {which}", row)

    def _accepted(self, key: str) -> frozenset[str]:
        rows = self._database.rows(
            "SELECT address FROM events WHERE campaign = ? AND key = ? AND kind = 'accepted'",
            (self._campaign, key),
        )
        return frozenset(fold(str(address)) for (address,) in rows)

    def _layout(self, layout: int) -> tuple[str, ...]:
        if layout not in self._layouts:
            found = self._database.row("SELECT columns FROM layouts WHERE id = ?", (layout,))
            self._layouts[layout] = tuple(json.loads(str(found[0]))) if found else ()
        return self._layouts[layout]


def starts(database: Database, scope: Scope, since: int) -> list[tuple[int, int]]:
    """Return (started_at, addresses) of every attempt in `scope` since then, oldest first; UTC ns."""
    return database.rows(
        "SELECT a.started_at, a.addresses FROM attempts a JOIN runs r ON r.id = a.run"
        " WHERE a.started_at >= ? AND r.server = ? AND r.username = ? ORDER BY a.started_at",
        (since, scope.host, scope.username),
    )


def is_suppressed(database: Database, address: str) -> bool:
    """Whether the suppression list holds an address, or its domain."""
    found = database.row(
        "SELECT 1 FROM suppressions WHERE pattern IN (fold(?1), domain_of(?1), hashed(?1))", (address,)
    )
    return found is not None
