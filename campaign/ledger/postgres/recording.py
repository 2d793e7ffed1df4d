"""When intents and results are committed, and what happens if the connection breaks meanwhile.

When several connections call `record` at once, one of them commits for all that wait, in one transaction
and one round trip. A commit with intents waits for the disk (synchronous_commit on): it is durable before
the last octet of any of these contents leaves. Results alone do not wait: a result that is lost in a
crash of the server leaves its row in doubt. Each connection has at most one row in flight, or one window.

A commit costs more than what is in it. So before one with intents, the committing thread waits a moment
for connections that have a message in flight: they will come with the reply (`gathering.py`).

Each transaction stores its number in its run's row, whose lock it takes first. If the connection breaks
during a commit, the number shows afterwards whether all of it was committed or nothing; only then is it
tried again. Reading the number takes the lock too, so it waits for a server that is still committing.

If the server has no room for results and intents, the results are tried alone, once. A result that is
lost leaves its row in doubt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign import clock
from campaign.delivery import Result
from campaign.errors import LedgerFull
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.gathering import Gathering
from campaign.ledger.postgres.writes import Writes
from campaign.ledger.processes import lease_lost
from campaign.ledger.protocols import Intent, row_and_copy
from campaign.ledger.verdicts import JUDGED, RELEASE_EVERY

_LOOK = "SELECT recorded FROM runs WHERE id = %s FOR UPDATE"


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one thread wants committed."""

    results: Sequence[Result]
    intents: Sequence[Intent]
    thread: int
    granted: set[str] = field(default_factory=set)
    done: bool = False
    failure: BaseException | None = None


class Recorder:
    """Commits intents and results for one run of one campaign. Any thread may call its methods."""

    def __init__(self, database: Database, campaign_id: int, run_id: int, writes: Writes) -> None:
        self._database = database
        self._run_id = run_id
        self._writes = writes
        found = database.row(
            "SELECT count(*) FROM suppressions WHERE campaign = %s AND state = 'held'", (campaign_id,)
        )
        self._held = found[0] if found else 0
        self._since_release = 0
        self._number = 0  # number of the last transaction
        self._queue: list[_Ticket] = []
        self._arrived = threading.Condition()  # a ticket was put into the queue
        self._turn = threading.Lock()
        self._in_flight: dict[int, int] = {}  # number of messages in flight, by thread
        self.gathering = Gathering()

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, together with those of waiting threads; see `protocols.Run`."""
        ticket = _Ticket(results, intents, threading.get_ident())
        with self._arrived:
            self._queue.append(ticket)
            self._arrived.notify()
        with self._turn:
            if not ticket.done:
                batch = self._gather()
                began = clock.steady()
                with self._database.lock:
                    self._commit(batch)
                self.gathering.committed(clock.steady() - began)
                for one in batch:
                    self._count(one)
                    one.done = True
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.granted

    def _gather(self) -> list[_Ticket]:
        """Take the tickets that wait, and those that come within a moment."""
        with self._arrived:
            there = len(self._queue)
            durable = any(ticket.intents for ticket in self._queue)
            if durable and self._is_awaiting() and (wait := self.gathering.wait()):
                self._arrived.wait_for(lambda: not self._is_awaiting(), wait)
                self.gathering.waited(came=len(self._queue) > there)
            batch, self._queue = self._queue, []
            return batch

    def _is_awaiting(self) -> bool:
        """Whether a thread that has messages in flight has not come yet."""
        return not self._in_flight.keys() <= {ticket.thread for ticket in self._queue}

    def _count(self, ticket: _Ticket) -> None:
        in_flight = self._in_flight.pop(ticket.thread, 0) + len(ticket.granted) - len(ticket.results)
        if in_flight > 0:
            self._in_flight[ticket.thread] = in_flight

    def _commit(self, batch: list[_Ticket]) -> None:
        """Commit a batch, and set each ticket's outcome."""
        results = [result for ticket in batch for result in ticket.results]
        intents = [intent for ticket in batch for intent in ticket.intents]
        try:
            granted, alive = self._write(results, intents)
        except LedgerFull as full:
            self._write_without_intents(batch, results, full)
            return
        except BaseException as failure:
            _fail(batch, failure)
            return
        for ticket in batch:
            ticket.granted = {intent.key for intent in ticket.intents} & granted
            if not alive and ticket.intents:
                ticket.failure = lease_lost()

    def _write_without_intents(self, batch: list[_Ticket], results: list[Result], full: LedgerFull) -> None:
        """Commit the results only: there may be room for those."""
        with_intents = [ticket for ticket in batch if ticket.intents]
        _fail(with_intents or batch, full)
        if with_intents and results:
            try:
                self._write(results, ())
            except BaseException as failure:
                _fail(batch, failure)

    def _write(self, results: Sequence[Result], intents: Sequence[Intent]) -> tuple[set[str], bool]:
        """Commit results and intents; return the keys of intents that hold, and if the run is unended."""
        self._number += 1
        tried = False

        def act() -> tuple[set[str], bool]:
            nonlocal tried
            if tried:
                found = self._database.row(_LOOK, (self._run_id,))
                if found is not None and found[0] >= self._number:
                    return self._holding(intents), True
            tried = True
            return self._try(results, intents)

        return self._database.retried_while_away(act)

    def _holding(self, intents: Sequence[Intent]) -> set[str]:
        found = self._database.pipelined(list(self._writes.holding_intents(intents)))
        return {intents[place].key for rows in found for (place,) in rows}

    def _try(self, results: Sequence[Result], intents: Sequence[Intent]) -> tuple[set[str], bool]:
        release = self._is_release_due(results)
        found = self._database.row(*self._writes.record(self._number, results, intents, release=release))
        alive, missing, held, places = found or (None, None, 0, None)
        if release:
            self._since_release = 0
        self._held += held
        granted = {intents[place].key for place in places or ()}
        self._follow_up(results, missing or [], intents, granted)
        return granted, bool(alive)

    def _is_release_due(self, results: Sequence[Result]) -> bool:
        """Whether to check for suppressions that can be released."""
        self._since_release += sum(result.verdict in JUDGED for result in results)
        return self._held > 0 and self._since_release >= RELEASE_EVERY

    def _follow_up(
        self, results: Sequence[Result], missing: list[str], intents: Sequence[Intent], granted: set[str]
    ) -> None:
        """Do what is rarely needed: settle rows of forgotten people, and mark rows suppressed meanwhile."""
        forgotten = [result for result in results if row_and_copy(result.key)[0] in missing]
        statements = list(self._writes.settle_forgotten(forgotten)) if forgotten else []
        statements += [self._writes.suppress(intent.key) for intent in intents if intent.key not in granted]
        if statements:
            self._database.pipelined(statements, durable=False)

    def suppress(self, key: str) -> None:
        """Set a waiting row or copy to `suppressed` if it is covered by the suppression list now."""
        self._database.pipelined([self._writes.suppress(key)], durable=False)


def _fail(tickets: list[_Ticket], failure: BaseException) -> None:
    for ticket in tickets:
        ticket.failure = failure
