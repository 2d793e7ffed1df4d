"""A sending run: it holds the lease, claims rows, and records intents and results.

    start → (claim → record(intent) → record(result))… → end

Claims are kept in memory: only one run holds the lease, so no other process claims. An intent is the first
change to the ledger: it puts the row in flight, durably, before the content's last octet leaves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from campaign import clock
from campaign.address import fold
from campaign.delivery import Result, Verdict
from campaign.errors import LeaseHeld, LedgerFull
from campaign.ledger.planning import recipient
from campaign.ledger.processes import lease_lost, this_process
from campaign.ledger.protocols import Claim, Intent, copy_key, row_and_copy
from campaign.ledger.scope import Scope
from campaign.ledger.sqlite.completeness import note_file
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.forgetting import scrub
from campaign.ledger.sqlite.functions import SUPPRESSED, suppressed
from campaign.ledger.sqlite.recording import A_TRY, Recorder
from campaign.ledger.sqlite.runs import LEASE, reap, refuse_held
from campaign.ledger.sqlite.starts import start_ages
from campaign.ledger.sqlite.suppression import is_suppressed
from campaign.ledger.sqlite.watch import Watch
from campaign.ledger.sqlite.writes import Writes
from campaign.ledger.verdicts import TRIPPED, WINDOW, since_trip
from campaign.model import SECOND, Recipient, Window

_RECIPIENT = "m.layout, m.number, m.line, m.key, m.email, m.name, m.fields, m.identity"
_COLUMNS = f"id, attempts, spared, message_id IS NOT NULL, {_RECIPIENT.replace('m.', '')}"


class SqliteRun:
    """One run; see `protocols.Run`."""

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        run_id: int,
        longest_delay: int,
        steady: int,
        *,
        suppress: bool,
    ) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._run_id = run_id
        self._longest_delay = longest_delay
        self._claimed: set[str] = set()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._watch = Watch(database)
        self._ids: dict[str, int] = {}  # ids of claimed rows, by key
        self._writes = Writes(database, campaign_id, run_id, self._ids, self._watch, suppress=suppress)
        self._recorder = Recorder(database, run_id, self._writes, self._watch, self.unclaim)
        self._renewed_at = steady  # when the lease was last renewed, on `clock.steady`
        self.has_sent = False

    @classmethod
    def start(
        cls,
        database: Database,
        campaign_id: int,
        scope: Scope,
        now: int,
        longest_delay: int,
        *,
        suppress: bool,
    ) -> SqliteRun:
        """Take the lease; see `Ledger.start`. Rows that a dead run left in flight become `in_doubt`."""
        steady = clock.steady()
        database.keep_reserve()
        with database.transaction():
            refuse_held(database, now)
            reap(database, now)
            # Pending rows are due now, even if a clock that was ahead wrote a later time.
            database.change(
                "UPDATE messages SET due_at = ?1 WHERE campaign = ?2 AND status = 'pending' AND due_at > ?1",
                (now, campaign_id),
            )
            database.change(
                "INSERT INTO runs"
                " (campaign, host, pid, process, server, username, started_at, heartbeat, steady)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (campaign_id, *this_process(), scope.host, scope.username, now, now, steady),
            )
            found = database.row("SELECT max(id) FROM runs")
            database.run = found[0] if found else None
            note_file(database)
        database.may_checkpoint(True)
        database.checkpoint()  # so that the file records the run even if its WAL is lost
        run_id = found[0] if found else 0
        return cls(database, campaign_id, run_id, longest_delay, steady, suppress=suppress)

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Renew the lease; see `protocols.Run`. Raises LeaseLost, LedgerBusy, LedgerMoved."""
        self._database.refuse_moved()
        steady = clock.steady() if steady is None else steady
        with self._database.transaction(full=False, patience=A_TRY):
            changed = self._database.change(
                "UPDATE runs SET heartbeat = ?, steady = ? WHERE id = ? AND ended_at IS NULL",
                (now, steady, self._run_id),
            )
        if changed == 0:
            raise lease_lost()
        self._renewed_at = steady

    def holds(self, steady: int) -> bool:
        """Whether less than half the lease has passed from renewal to `steady`: nobody can have taken it."""
        return steady - self._renewed_at < LEASE // 2

    def hurry(self) -> None:
        """Do nothing: a file makes a process wait only while another has it locked."""

    def end(self, now: int) -> None:
        """Give the lease back. If the disk is full, it lasts until the process ends."""
        try:
            self._recorder.catch_up()
            self._database.change(
                "UPDATE runs SET ended_at = ?, heartbeat = ?, steady = ? WHERE id = ? AND ended_at IS NULL",
                (now, now, clock.steady(), self._run_id),
            )
            with suppress(LeaseHeld):  # another process has taken the lease already
                scrub(self._database, now)  # a person may have been forgotten during the run
        except LedgerFull:
            pass  # a dead process holds no lease
        finally:
            self._database.may_checkpoint(False)
            self._database.use_reserve()

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        """Return up to `count` copies and rows that are due, and hold them."""
        with self._database.lock, self._database.translated:
            self._watch.look()
        fresh: list[str] = []
        claims = self._claim_copies(now, count)
        # First the due rows, by the index; then rows that seem due very late because the clock was set back.
        wanted = [("due_at <= ?", now), ("due_at > ?", now + self._longest_delay)]
        if retries_first:
            wanted.insert(0, ("status = 'deferred' AND due_at <= ?", now))
        for due, moment in wanted:
            if len(claims) == count:
                break
            # Rows that are already claimed are skipped; there are never more than a few batches of them.
            rows = self._database.rows(
                f"SELECT {_COLUMNS} FROM messages"
                f" WHERE campaign = ? AND status IN ('pending', 'deferred') AND {due}"
                " ORDER BY due_at, number LIMIT ?",
                (self._campaign_id, moment, count - len(claims) + len(self._claimed)),
            )
            for row_id, attempts, spared, intended, *rest in rows:
                row = self._recipient(rest)
                if row.key in self._claimed or len(claims) == count:
                    continue
                settled = self._settled(row_id) if intended else frozenset()
                claims.append(Claim(row, attempts, spared, settled))
                self._claimed.add(row.key)
                self._ids[row.key] = row_id
                if not intended:  # a row that was in flight may wait again, and its person be suppressed
                    fresh.append(row.key)
        with self._database.lock:
            self._watch.add(fresh)
        return claims

    def _claim_copies(self, now: int, count: int) -> list[Claim]:
        """Return the copies that are due, of accepted rows."""
        claims: list[Claim] = []
        for address, attempts, *rest in self._database.rows(
            f"SELECT c.address, c.attempts, {_RECIPIENT} FROM copies c JOIN messages m ON m.id = c.message"
            " WHERE c.status IN ('pending', 'deferred') AND c.due_at <= ? AND m.campaign = ?"
            " AND m.status = 'accepted' ORDER BY c.due_at LIMIT ?",
            (now, self._campaign_id, count + len(self._claimed)),
        ):
            claim = Claim(self._recipient(rest), attempts, copy=str(address))
            if claim.key not in self._claimed and len(claims) < count:
                self._claimed.add(claim.key)
                claims.append(claim)
        return claims

    def _recipient(self, columns: Sequence[Any]) -> Recipient:
        layout, *rest = columns
        return recipient(self._layout(layout), tuple(rest))

    def _settled(self, row_id: int) -> frozenset[str]:
        """Return the folded addresses of a row's copies to which nothing is to be sent any more."""
        rows = self._database.rows(
            "SELECT folded FROM copies WHERE message = ? AND status NOT IN ('pending', 'deferred')", (row_id,)
        )
        return frozenset(str(folded) for (folded,) in rows)

    def unclaim(self, keys: Sequence[str]) -> None:
        """Release rows that were claimed and not sent, or that are settled."""
        self._claimed.difference_update(keys)
        for key in keys:
            self._ids.pop(key, None)

    def is_due(self, key: str) -> bool:
        """Whether a claimed row or copy is still to be sent. Only an intent that holds makes that certain."""
        with self._database.lock:
            if key in self._claimed and key in self._watch:
                return True
        row, copy = row_and_copy(key)
        if copy:
            found = self._database.row(
                f"SELECT {suppressed('copies', '?1')} FROM copies WHERE message ="
                " (SELECT id FROM messages WHERE campaign = ?1 AND key = ?2 AND status = 'accepted')"
                " AND folded = ?3 AND status IN ('pending', 'deferred')",
                (self._campaign_id, row, fold(copy)),
            )
        else:
            found = self._database.row(
                f"SELECT {SUPPRESSED} FROM messages"
                " WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred')",
                (self._campaign_id, row),
            )
        if found is not None and found[0]:
            self._recorder.put(lambda: self._writes.suppress(key))
        return found is not None and not found[0]

    def next_due(self, now: int) -> int | None:
        """Return when the next unclaimed row or copy is due, UTC ns, or None if there is none."""
        free = [
            due_at
            for key, due_at in self._database.rows(
                "SELECT key, due_at FROM messages WHERE campaign = ? AND status IN ('pending', 'deferred')"
                " ORDER BY due_at LIMIT ?",
                (self._campaign_id, 1 + len(self._claimed)),
            )
            if key not in self._claimed
        ]
        copies = self._database.rows(
            "SELECT m.key, c.address, c.due_at FROM copies c JOIN messages m ON m.id = c.message"
            " WHERE c.status IN ('pending', 'deferred') AND m.campaign = ? AND m.status = 'accepted'"
            " ORDER BY c.due_at LIMIT ?",
            (self._campaign_id, 1 + len(self._claimed)),
        )
        free += [due for key, address, due in copies if copy_key(key, address) not in self._claimed]
        if self._recorder.has_kept:  # a deferred one may be among the results that are kept
            free.append(now + SECOND)
        return min([*free, now + self._longest_delay]) if free else None

    def recent_verdicts(self, count: int) -> list[Verdict]:
        """Return the verdicts on the campaign's last results since the breaker tripped, oldest first."""
        rows = self._database.rows(
            "SELECT verdict FROM events WHERE campaign = ? AND verdict IS NOT NULL ORDER BY id DESC LIMIT ?",
            (self._campaign_id, count),
        )
        return since_trip(str(verdict) for (verdict,) in rows)

    def trip(self, now: int, *, take_back: bool) -> None:
        """Start a new window of results. `take_back`: remove the suppressions that the old window holds."""

        def tripped() -> None:
            if take_back:
                self._database.change(
                    "DELETE FROM suppressions WHERE campaign = ?1 AND state = 'held' AND event >= (SELECT"
                    " coalesce(min(id), 0) FROM (SELECT id FROM events WHERE campaign = ?1"
                    " AND verdict IS NOT NULL ORDER BY id DESC LIMIT ?2))",
                    (self._campaign_id, WINDOW),
                )
            self._database.change(
                "INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)"
                " VALUES (?1, '', '', ?2, ?3, '', ?4, ?2)",
                (self._campaign_id, TRIPPED, now, self._run_id),
            )

        self._recorder.put(tripped)

    def release_held(self) -> None:
        """Make the suppressions held for this campaign hold for every campaign."""
        release = "UPDATE suppressions SET state = 'released' WHERE campaign = ? AND state = 'held'"
        self._recorder.put(lambda: self._database.change(release, (self._campaign_id,)))

    def addresses_suppressed(self) -> int:
        """Return how many addresses this run has suppressed."""
        found = self._database.row("SELECT count(*) FROM suppressions WHERE run = ?", (self._run_id,))
        return found[0] if found else 0

    def start_ages(self, scope: Scope, now: clock.Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `starts.start_ages`."""
        return start_ages(self._database, scope, now, period, places)

    def slots(self, windows: Sequence[Window]) -> None:
        """Return None: no other machine can send from a file, so slots need not be booked."""

    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        """Count a test message, which belongs to no row, in the rate."""
        self.has_sent = True
        self._database.change(
            "INSERT INTO attempts (run, message, started_at, steady, addresses) VALUES (?, NULL, ?, ?, ?)",
            (self._run_id, started_at, steady, addresses),
        )

    def postpone(self, intent: Intent) -> None:
        """Record that a content, whose intent holds, starts later: when `intent` now says."""
        key, _ = row_and_copy(intent.key)
        with self._database.transaction():
            self._database.change(
                "UPDATE attempts SET started_at = ?1, steady = ?2 WHERE id = (SELECT max(id) FROM attempts"
                " WHERE run = ?3 AND message ="
                " (SELECT id FROM messages WHERE campaign = ?4 AND key = ?5))",
                (intent.started_at, intent.steady, self._run_id, self._campaign_id, key),
            )

    def is_suppressed(self, address: str) -> bool:
        """Whether an address is suppressed in this campaign."""
        return is_suppressed(self._database, self._campaign_id, address)

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents; return the keys of the intents that hold."""
        granted = self._recorder.record(results, intents)
        self.has_sent = self.has_sent or bool(granted)
        return granted

    def catch_up(self) -> int:
        """Try to write the results kept while the ledger was locked; return how many are left."""
        return self._recorder.catch_up()

    def _layout(self, layout: int) -> tuple[str, ...]:
        if layout not in self._layouts:
            found = self._database.row("SELECT columns FROM layouts WHERE id = ?", (layout,))
            self._layouts[layout] = tuple(json.loads(str(found[0]))) if found else ()
        return self._layouts[layout]
