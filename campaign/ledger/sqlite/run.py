"""A sending run: it holds the lease, claims rows, and records intents and results.

    start → (claim → record(intent) → record(result))… → end

Claims are kept in memory: only one run holds the lease, so nobody else claims. The ledger changes with
the intent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from campaign.address import fold
from campaign.errors import LedgerFull
from campaign.ledger.protocols import Claim, Intent, Scope
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.enrolment import recipient
from campaign.ledger.sqlite.forgetting import scrub
from campaign.ledger.sqlite.functions import SUPPRESSED
from campaign.ledger.sqlite.recording import Recorder, lease_lost
from campaign.ledger.sqlite.runs import reap, refuse_held, this_process
from campaign.model import SECOND, Result

_JUMP = 10 * SECOND  # a larger difference between two clocks after a heartbeat is a jump


class SqliteRun:
    """One run; see `protocols.Run`."""

    def __init__(
        self, database: Database, campaign_id: int, run_id: int, longest_delay: int, *, suppress: bool
    ) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._run_id = run_id
        self._longest_delay = longest_delay
        self._claimed: set[str] = set()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._recorder = Recorder(database, campaign_id, run_id, suppress=suppress)
        self._beat: tuple[int, int] | None = None  # UTC and monotonic ns of the last heartbeat

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
        """Take the lease; see `Ledger.start`. Rows that a dead run left in flight become in doubt."""
        database.keep_reserve()
        with database.transaction():
            refuse_held(database, now)
            reap(database, now)
            # A start in the future was recorded before the clock was set back: it was now at the latest.
            database.change("UPDATE attempts SET started_at = ?1 WHERE started_at > ?1", (now,))
            database.change(
                "INSERT INTO runs (campaign, host, pid, process, server, username, started_at, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (campaign_id, *this_process(), scope.host, scope.username, now, now),
            )
            found = database.row("SELECT max(id) FROM runs")
        database.may_checkpoint(True)
        return cls(database, campaign_id, found[0] if found else 0, longest_delay, suppress=suppress)

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Renew the lease. Raises LeaseLost if another process has taken over.

        `steady` is a monotonic clock, in ns. If `now` has jumped against it since the last heartbeat,
        the recorded starts of this run are shifted by the same amount: their age stays right.
        """
        beat, self._beat = self._beat, None if steady is None else (now, steady)
        jump = 0 if steady is None or beat is None else (now - beat[0]) - (steady - beat[1])
        if abs(jump) > _JUMP:
            self._database.change(
                "UPDATE attempts SET started_at = min(started_at + ?, ?) WHERE run = ?",
                (jump, now, self._run_id),
            )
        changed = self._database.change(
            "UPDATE runs SET heartbeat = ? WHERE id = ? AND ended_at IS NULL", (now, self._run_id)
        )
        if changed == 0:
            raise lease_lost()
        scrub(self._database)  # somebody may have been forgotten; only the lease's holder may clean up

    def end(self, now: int) -> None:
        """Give the lease back. On a full disk it lasts until the process ends."""
        try:
            self._database.change(
                "UPDATE runs SET ended_at = ?, heartbeat = ? WHERE id = ? AND ended_at IS NULL",
                (now, now, self._run_id),
            )
            scrub(self._database)
        except LedgerFull:
            pass  # a dead process holds no lease
        self._database.may_checkpoint(False)
        self._database.use_reserve()

    def claim(self, now: int, count: int) -> list[Claim]:
        """Return up to `count` rows that are due, in list order, and hold them."""
        claims: list[Claim] = []
        # Due rows by the index; then rows that are due so late only because the clock was set back.
        for due, moment in (("due_at <= ?", now), ("due_at > ?", now + self._longest_delay)):
            # Claimed rows are skipped; they are never more than a few batches.
            rows = self._database.rows(
                "SELECT layout, attempts, number, line, key, email, name, fields FROM messages"
                f" WHERE campaign = ? AND status IN ('pending', 'deferred') AND {due}"
                " ORDER BY due_at, number LIMIT ?",
                (self._campaign_id, moment, count - len(claims) + len(self._claimed)),
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
        """Whether a claimed row is still to be sent. Only an intent that holds makes that certain."""
        found = self._database.row(
            f"SELECT {SUPPRESSED} FROM messages"
            " WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred')",
            (self._campaign_id, key),
        )
        if found is not None and found[0]:
            self._recorder.suppress(key)
        return found is not None and not found[0]

    def next_due(self, now: int) -> int | None:
        """Return when the next unclaimed row is due, UTC ns, or None if there is none."""
        rows = self._database.rows(
            "SELECT key, due_at FROM messages WHERE campaign = ? AND status IN ('pending', 'deferred')"
            " ORDER BY due_at LIMIT ?",
            (self._campaign_id, 1 + len(self._claimed)),
        )
        due = next((due_at for key, due_at in rows if key not in self._claimed), None)
        return None if due is None else min(due, now + self._longest_delay)

    def starts(self, scope: Scope, since: int) -> list[tuple[int, int]]:
        """Return (started_at, addresses) of every attempt in `scope` since then, oldest first."""
        return starts(self._database, scope, since)

    def note_start(self, started_at: int, addresses: int) -> None:
        """Count a test message, which belongs to no row, towards the rate."""
        self._database.change(
            "INSERT INTO attempts (run, message, started_at, addresses) VALUES (?, NULL, ?, ?)",
            (self._run_id, started_at, addresses),
        )

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list covers an address."""
        return is_suppressed(self._database, address)

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, and return the keys whose intents hold."""
        granted = self._recorder.record(results, intents)
        self._claimed.difference_update(result.key for result in results)
        return granted

    def _accepted(self, key: str) -> frozenset[str]:
        rows = self._database.rows(
            "SELECT address FROM events WHERE campaign = ? AND key = ? AND kind = 'accepted'",
            (self._campaign_id, key),
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
    """Whether the suppression list covers an address."""
    found = database.row(
        "SELECT 1 FROM suppressions WHERE pattern IN (fold(?1), domain_of(?1), hashed(?1))", (address,)
    )
    return found is not None
