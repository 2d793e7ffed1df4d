"""Intents and results: what is written while messages are sent.

A row becomes `in_flight`, with the id of the run, in a commit with synchronous=FULL before its content
leaves; its result is committed as soon as the answer is read. Several connections call `record` at
once: the one that gets the lock commits for all that wait (group commit), so they share one fsync.

When the disk is full, no further intent holds, and the results go into the space reserved for them.
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

    def __init__(self, database: Database, campaign_id: int, run_id: int, *, suppress: bool) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._run_id = run_id
        self._suppress = suppress
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._full: LedgerFull | None = None

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents together with those of waiting threads; see `protocols.Run`."""
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
        """Commit as much as possible, and set the outcome of every ticket."""
        try:
            self._write(batch, with_intents=self._full is None)
        except LedgerFull as full:
            # Nothing more is sent from here on; the reserved space takes the results.
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
        # A result lost in a power failure leaves doubt; a lost intent could lead to a duplicate.
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
        found = self._database.row("SELECT ended_at FROM runs WHERE id = ?", (self._run_id,))
        return found is None or found[0] is not None

    def _intend(self, intent: Intent) -> bool:
        held = self._database.change(
            "UPDATE messages SET status = 'in_flight', run = ?1, message_id = ?2 WHERE campaign = ?3"
            " AND key = ?4 AND status IN ('pending', 'deferred')"
            f" AND EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND ended_at IS NULL) AND NOT {SUPPRESSED}",
            (self._run_id, intent.message_id, self._campaign_id, intent.key),
        )
        if not held:
            self.suppress(intent.key)
        else:
            self._database.change(
                "INSERT INTO attempts (run, message, started_at, addresses)"
                " SELECT ?, id, ?, ? FROM messages WHERE campaign = ? AND key = ?",
                (self._run_id, intent.started_at, intent.addresses, self._campaign_id, intent.key),
            )
        return held == 1

    def suppress(self, key: str) -> None:
        """Mark a waiting row as suppressed if the suppression list covers it by now."""
        self._database.change(
            "UPDATE messages SET status = 'suppressed', reply = ''"
            f" WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred') AND {SUPPRESSED}",
            (self._campaign_id, key),
        )

    def _settle(self, result: Result) -> None:
        time = result.settled_at
        # A person's decision in the meantime stands, unless the server has accepted the message.
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
                self._campaign_id,
                result.key,
                self._run_id,
            ),
        )
        if not changed and not self._known(result.key):
            self._settle_forgotten(result)
            return
        if result.status is Status.PENDING and not result.reply:
            return  # no address got an answer
        for outcome in result.outcomes:
            self._database.change(
                "INSERT INTO events (campaign, key, address, kind, time, text) VALUES (?, ?, ?, ?, ?, ?)",
                (self._campaign_id, result.key, outcome.address, outcome.status, time, outcome.reply),
            )
        if result.suppress and self._suppress:
            self._database.change(
                "INSERT INTO suppressions VALUES (fold(?), ?, ?) ON CONFLICT DO NOTHING",
                (result.outcomes[0].address, f"refused: {result.reply}", time),
            )

    def _known(self, key: str) -> bool:
        found = self._database.row(
            "SELECT 1 FROM messages WHERE campaign = ? AND key = ?", (self._campaign_id, key)
        )
        return found is not None

    def _settle_forgotten(self, result: Result) -> None:
        """Settle the row of a person who was forgotten while it was in flight."""
        row = (self._campaign_id, result.key, self._run_id)
        which = "campaign = ? AND key = hashed(?) AND run = ? AND status = 'in_flight'"
        if result.status in (Status.ACCEPTED, Status.IN_DOUBT):
            self._database.change(
                f"UPDATE messages SET status = ?, settled_at = ? WHERE {which}",
                (result.status, result.settled_at, *row),
            )
        else:  # it was not sent: nothing needs to be remembered
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
