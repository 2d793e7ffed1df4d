"""When intents and results are committed, and what happens if they cannot be.

A row becomes `in_flight` in a commit with synchronous=FULL before the last octet of its content leaves;
its result is committed as soon as the reply is read. Each connection has at most one row in flight, or
one window. When several connections call `record` at once, the one that gets the lock commits for all
that wait (group commit): they share one fsync.

While another process has the file locked, results are kept in memory, in order, and written when it is
free, however long that takes. Intents are given up after half a minute, because a server is waiting for
the content. When the disk is full, no more intents are granted, and results go into the reserved space.
The SQL is in `writes`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from campaign.delivery import Result
from campaign.errors import LedgerBusy, LedgerFull
from campaign.ledger.processes import lease_lost
from campaign.ledger.protocols import Intent
from campaign.ledger.sqlite import opening
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.watch import Watch
from campaign.ledger.sqlite.writes import Writes

# Seconds that one try waits for another process, blocking other threads; and seconds between tries.
A_TRY, _REST = 0.1, 0.005

Write = tuple[str, Callable[[], object]]
"""A change to make, with the key of the row whose result it is; "" if it is no result."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one thread wants committed. `until` is when its intents are given up, by time.monotonic."""

    writes: Sequence[Write] = ()
    intents: Sequence[Intent] = ()
    until: float = 0.0
    granted: set[str] = field(default_factory=set)
    done: bool = False
    failure: BaseException | None = None


class Recorder:
    """Commits intents and results for one run. Any thread may call its methods.

    `written` is called with the keys of the rows whose results have been committed.
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
        self._kept: list[Write] = []  # not yet committed, in order
        self._full: LedgerFull | None = None

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, together with those of waiting threads; see `protocols.Run`."""
        ticket = _Ticket([(result.key, partial(self._writes.settle, result)) for result in results], intents)
        self._submit(ticket)
        return ticket.granted

    def put(self, write: Callable[[], object]) -> None:
        """Make a change; while another process has the file locked, it is kept and made later."""
        self._submit(_Ticket([("", write)]))

    def catch_up(self) -> int:
        """Try to write what was kept; return how much is left."""
        if self._kept:
            self._submit(_Ticket())
        return len(self._kept)

    @property
    def has_kept(self) -> bool:
        """Whether anything is kept."""
        return bool(self._kept)

    def _submit(self, ticket: _Ticket) -> None:
        """Return when the ticket is done. Raises its failure."""
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
        """Commit as much as possible. Tickets that are not done afterwards are put back into the queue."""
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
            # From here on nothing is sent; the reserved space holds the results.
            self._full = full
            self._database.use_reserve()
            self._write_without_intents(batch)
        except BaseException as failure:
            self._kept.clear()  # a write that always fails would block all later ones
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
            pass  # the results stay in `_kept`
        except BaseException as failure:
            _fail(batch, failure)

    def _write(self, batch: list[_Ticket], *, with_intents: bool) -> None:
        intents = [(ticket, i) for ticket in batch for i in ticket.intents] if with_intents else []
        if not intents and not self._kept:
            return
        lost = False
        # Losing a result in a power failure leaves the row in doubt; losing an intent could send it twice.
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
