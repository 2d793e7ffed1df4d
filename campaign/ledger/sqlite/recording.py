"""Intents and results: what is written while messages leave.

A row goes to `in_flight` with the run's id, committed with synchronous=FULL, before its content
leaves; its answer is committed as soon as it is read. Several connections call `record` at once: who
gets the lock commits for all who wait, so the disk is asked once for many (group commit).

Where the disk is full, no further intent holds; the room that was kept for it takes the results.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.errors import LeaseLost, LedgerFull
from campaign.ledger.protocols import Intent
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.functions import SUPPRESSED
from campaign.model import Result, Status


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one connection wants committed."""

    results: Sequence[Result]
    intents: Sequence[Intent]
    granted: set[str] = field(default_factory=set)
    done: bool = False
    failure: BaseException | None = None


class Recorder:
    """Writes for one run of one campaign. `record` may be called from any thread."""

    def __init__(self, database: Database, campaign: int, run: int, *, suppress: bool) -> None:
        self._database = database
        self._campaign = campaign
        self._run = run
        self._suppress = suppress
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._full: LedgerFull | None = None

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
                self._commit(batch)
                for one in batch:
                    one.done = True
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.granted

    def _commit(self, batch: list[_Ticket]) -> None:
        """Commit what can be, and give every ticket its outcome."""
        try:
            self._write(batch, with_intents=self._full is None)
        except LedgerFull as full:
            # Nothing more is sent from here; what was answered finds the room that was kept for it.
            self._full = full
            self._database.use_reserve()
            try:
                self._write(batch, with_intents=False)
            except BaseException as failure:
                _fail(batch, failure)
        except BaseException as failure:
            _fail(batch, failure)
        if self._full is not None:
            _fail([ticket for ticket in batch if ticket.intents], self._full)

    def _write(self, batch: list[_Ticket], *, with_intents: bool) -> None:
        intents = [(ticket, i) for ticket in batch for i in ticket.intents] if with_intents else []
        lost = False
        # A result that a crash takes back makes doubt, never a duplicate; an intent must not be lost.
        with self._database.transaction(full=bool(intents)):
            for ticket in batch:
                for result in ticket.results:
                    self._settle(result)
            granted = [(ticket, intent.key) for ticket, intent in intents if self._intend(intent)]
            if len(granted) < len(intents):
                lost = self._has_ended()
        for ticket, key in granted:
            ticket.granted.add(key)
        if lost:
            _fail([ticket for ticket, _ in intents], lease_lost())

    def _has_ended(self) -> bool:
        found = self._database.row("SELECT ended_at FROM runs WHERE id = ?", (self._run,))
        return found is None or found[0] is not None

    def _intend(self, intent: Intent) -> bool:
        held = self._database.change(
            "UPDATE messages SET status = 'in_flight', run = ?1, message_id = ?2 WHERE campaign = ?3"
            " AND key = ?4 AND status IN ('pending', 'deferred')"
            f" AND EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND ended_at IS NULL) AND NOT {SUPPRESSED}",
            (self._run, intent.message_id, self._campaign, intent.key),
        )
        if not held:
            self.suppress(intent.key)
        else:
            self._database.change(
                "INSERT INTO attempts (run, message, started_at, addresses)"
                " SELECT ?, id, ?, ? FROM messages WHERE campaign = ? AND key = ?",
                (self._run, intent.started_at, intent.addresses, self._campaign, intent.key),
            )
        return held == 1

    def suppress(self, key: str) -> None:
        """Write down that a row that waits has come onto the suppression list meanwhile."""
        self._database.change(
            "UPDATE messages SET status = 'suppressed', reply = ''"
            f" WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred') AND {SUPPRESSED}",
            (self._campaign, key),
        )

    def _settle(self, result: Result) -> None:
        time = result.settled_at
        # What a person has decided meanwhile stands, unless the server has taken it.
        changed = self._database.change(
            "UPDATE messages SET status = ?1, reply = ?2, due_at = ?3, attempts = attempts + ?4,"
            " settled_at = ?5 WHERE campaign = ?6 AND key = ?7 AND (status IN ('pending', 'deferred')"
            " OR run = ?8 AND (status IN ('in_flight', 'in_doubt') OR ?1 = 'accepted'))",
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
        if result.suppress and self._suppress:
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


def _fail(tickets: list[_Ticket], failure: BaseException) -> None:
    for ticket in tickets:
        ticket.failure = failure


def lease_lost() -> LeaseLost:
    """Return the error of a run whose lease another process has taken."""
    return LeaseLost("another process has taken this ledger over; nothing more is sent from here")
