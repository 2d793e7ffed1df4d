"""What a sending run asks of the ledger and tells it: the lease, claims, and what it records.

    start → (claim → record(intent) → record(result))… → end

One run has the lease. A row that it has claimed stays as it is in the ledger until its intent; what
is claimed and not sent is let go, and nothing needs to be written for that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from campaign.address import fold
from campaign.errors import LeaseHeld, LedgerFull, Problem
from campaign.ledger.protocols import Claim, Intent, Scope
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.enrolment import recipient
from campaign.ledger.sqlite.forgetting import scrub
from campaign.ledger.sqlite.functions import SUPPRESSED
from campaign.ledger.sqlite.recording import Recorder, lease_lost
from campaign.ledger.sqlite.runs import live_runs, reap, this_process
from campaign.model import Result
from campaign.wording import shown

_JUMP = 10_000_000_000  # ns by which two clocks may differ after a heartbeat, and more is a jump


class SqliteRun:
    """One run: it holds the lease of the ledger from `start` to `end`."""

    def __init__(
        self, database: Database, campaign: int, run: int, longest_delay: int, *, suppress: bool = True
    ) -> None:
        self._database = database
        self._campaign = campaign
        self._run = run
        self._longest_delay = longest_delay
        self._claimed: set[str] = set()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._recorder = Recorder(database, campaign, run, suppress=suppress)
        self._beat: tuple[int, int] | None = None  # UTC and monotonic ns of the last one

    @classmethod
    def start(
        cls,
        database: Database,
        campaign: int,
        scope: Scope,
        now: int,
        longest_delay: int,
        *,
        suppress: bool = True,
    ) -> SqliteRun:
        """Take the lease. What a dead run left in flight becomes in doubt.

        `longest_delay` is how far ahead, in ns, a row can be due: what is due later than that is so
        because the clock was set back, and is due now. `suppress`: addresses that are dead for good go
        onto the suppression list. Raises LeaseHeld, LedgerFull.
        """
        database.keep_reserve()
        with database.transaction():
            for run in live_runs(database, now):
                raise LeaseHeld(Problem(str(run), shown(database.path) if database.path else None))
            reap(database, now)
            # Starts in the future are those of a clock that was set back since: they were at latest now.
            database.change("UPDATE attempts SET started_at = ?1 WHERE started_at > ?1", (now,))
            database.change(
                "INSERT INTO runs (campaign, host, pid, process, server, username, started_at, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (campaign, *this_process(), scope.host, scope.username, now, now),
            )
            found = database.row("SELECT max(id) FROM runs")
        database.may_checkpoint(True)
        return cls(database, campaign, found[0] if found else 0, longest_delay, suppress=suppress)

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Say that this run lives. Raises LeaseLost where another process has taken over.

        `steady` is a monotonic clock, in ns: where `now` has jumped against it since the last
        heartbeat, the starts of this run jump along, so that a restart finds them as old as they are.
        """
        beat, self._beat = self._beat, None if steady is None else (now, steady)
        jump = 0 if steady is None or beat is None else (now - beat[0]) - (steady - beat[1])
        if abs(jump) > _JUMP:
            self._database.change(
                "UPDATE attempts SET started_at = min(started_at + ?, ?) WHERE run = ?",
                (jump, now, self._run),
            )
        changed = self._database.change(
            "UPDATE runs SET heartbeat = ? WHERE id = ? AND ended_at IS NULL", (now, self._run)
        )
        if changed == 0:
            raise lease_lost()
        scrub(self._database)  # somebody was forgotten meanwhile; only the sender's connection checkpoints

    def end(self, now: int) -> None:
        """Give the lease back. On a full disk it ends with the process."""
        try:
            self._database.change(
                "UPDATE runs SET ended_at = ?, heartbeat = ? WHERE id = ? AND ended_at IS NULL",
                (now, now, self._run),
            )
            scrub(self._database)
        except LedgerFull:
            pass  # the dead hold no lease
        self._database.may_checkpoint(False)
        self._database.use_reserve()

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
            f"SELECT {SUPPRESSED} FROM messages"
            " WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred')",
            (self._campaign, key),
        )
        if found is not None and found[0]:
            self._recorder.suppress(key)
        return found is not None and not found[0]

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
        """Commit results and intents, and return the keys whose intents hold; see Recorder.record.

        Raises LedgerFull, LeaseLost.
        """
        granted = self._recorder.record(results, intents)
        self._claimed.difference_update(result.key for result in results)
        return granted

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
