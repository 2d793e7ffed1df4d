"""Intents and results: when they are committed, and what becomes of them where they cannot be.

A row becomes `in_flight` in a commit with synchronous=FULL before its content leaves; its result is
committed as soon as the answer is read. Several connections call `record` at once: the one that gets
the lock commits for all that wait (group commit), so they share one fsync.

While another process has the file locked, results are kept in memory and written when it is free, in
their order, however long that takes; an intent gives up after a while, since a server waits for the
content. When the disk is full, no further intent holds, and the results go into the space reserved for
them. What the statements are is in `writes`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from campaign.delivery import Result
from campaign.errors import LeaseLost, LedgerBusy, LedgerFull
from campaign.ledger.protocols import Intent
from campaign.ledger.sqlite import opening
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.watch import Watch
from campaign.ledger.sqlite.writes import Writes

# Seconds that one try waits for another process, and what it holds up in this one, and then rests.
A_TRY, _REST = 0.1, 0.005

Write = tuple[str, Callable[[], object]]
"""A change, and the key of the row whose result it is; "" for none."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one connection wants committed; its intents give up at `until`, by time.monotonic."""

    writes: Sequence[Write] = ()
    intents: Sequence[Intent] = ()
    until: float = 0.0
    granted: set[str] = field(default_factory=set)
    done: bool = False
    failure: BaseException | None = None


class Recorder:
    """Commits for one run. Its methods may be called from any thread.

    `written` is told the keys of the rows whose results are in the ledger.
    """

    def __init__(
        self,
        database: Database,
        run_id: int,
        writes: Writes,
        watch: Watch,
        written: Callable[[Sequence[str]], None],
    ) -> None:
        self._database = database
        self._run_id = run_id
        self._writes = writes
        self._watch = watch
        self._written = written
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._kept: list[Write] = []  # not committed yet, in order
        self._full: LedgerFull | None = None

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents together with those of waiting threads; see `protocols.Run`."""
        ticket = _Ticket([(result.key, partial(self._writes.settle, result)) for result in results], intents)
        self._submit(ticket)
        return ticket.granted

    def put(self, write: Callable[[], object]) -> None:
        """Make a change that can wait while another process has the file locked."""
        self._submit(_Ticket([("", write)]))

    def catch_up(self) -> int:
        """Try to write what is kept; return how much is left."""
        if self._kept:
            self._submit(_Ticket())
        return len(self._kept)

    @property
    def behind(self) -> bool:
        """Whether something is kept."""
        return bool(self._kept)

    def _submit(self, ticket: _Ticket) -> None:
        """Return when the ticket is done. Raises what became of it."""
        ticket.until = time.monotonic() + opening.BUSY_TIMEOUT
        with self._queue_lock:
            self._queue.append(ticket)
        while True:
            with self._database.lock:
                if not ticket.done:
                    with self._queue_lock:
                        batch, self._queue = self._queue, []
                    self._commit(batch)
            if ticket.done:
                break
            time.sleep(_REST)
        if ticket.failure is not None:
            raise ticket.failure

    def _commit(self, batch: list[_Ticket]) -> None:
        """Commit as much as possible. A ticket that is not done afterwards is in the queue again."""
        for ticket in batch:
            self._kept.extend(ticket.writes)
            ticket.writes = ()
        waiting: list[_Ticket] = []
        try:
            self._write(batch, with_intents=self._full is None)
        except LedgerBusy as busy:
            with_intents = [ticket for ticket in batch if ticket.intents]
            waiting = [ticket for ticket in with_intents if time.monotonic() < ticket.until]
            _fail([ticket for ticket in with_intents if ticket not in waiting], busy)
        except LedgerFull as full:
            # Nothing more is sent from here on; the reserved space takes the results.
            self._full = full
            self._database.use_reserve()
            self._write_without_intents(batch)
        except BaseException as failure:
            self._kept.clear()  # what cannot be written would stand before everything else
            _fail(batch, failure)
        if self._full is not None:
            _fail([ticket for ticket in batch if ticket.intents], self._full)
            waiting = []
        for ticket in batch:
            ticket.done = ticket not in waiting
        if waiting:
            with self._queue_lock:
                self._queue[:0] = waiting

    def _write_without_intents(self, batch: list[_Ticket]) -> None:
        try:
            self._write(batch, with_intents=False)
        except LedgerBusy:
            pass  # the results are kept
        except BaseException as failure:
            _fail(batch, failure)

    def _write(self, batch: list[_Ticket], *, with_intents: bool) -> None:
        intents = [(ticket, i) for ticket in batch for i in ticket.intents] if with_intents else []
        if not intents and not self._kept:
            return
        lost = False
        # A result lost in a power failure leaves doubt; a lost intent could lead to a duplicate.
        with self._database.transaction(full=bool(intents), patience=A_TRY):
            self._watch.look()
            for _, write in self._kept:
                write()
            granted = [(ticket, intent.key) for ticket, intent in intents if self._writes.intend(intent)]
            if len(granted) < len(intents):
                lost = self._has_ended()
        self._watch.accept()
        self._written([key for key, _ in self._kept])
        self._kept.clear()
        for ticket, key in granted:
            ticket.granted.add(key)
        if lost:
            _fail([ticket for ticket, _ in intents], lease_lost())

    def _has_ended(self) -> bool:
        found = self._database.row("SELECT ended_at FROM runs WHERE id = ?", (self._run_id,))
        return found is None or found[0] is not None


def _fail(tickets: list[_Ticket], failure: BaseException) -> None:
    for ticket in tickets:
        ticket.failure = failure


def lease_lost() -> LeaseLost:
    """Return the error of a run whose lease another process has taken."""
    return LeaseLost("another process has taken over this ledger; this one sends nothing more")
