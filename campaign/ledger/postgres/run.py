"""A sending run: it claims rows, and records intents and results.

    start → (claim → record(intent) → record(result))… → end

The lease is renewed on a connection of its own, so it does not wait for other statements. Times that
several machines compare are of the database's clock: this machine's times are used as they are if the
two clocks differ by less than a second, and corrected otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar

from campaign import clock
from campaign.address import fold
from campaign.delivery import Result, Verdict
from campaign.errors import LedgerAway, UserError
from campaign.ledger.postgres.claims import Claims
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.pooling import refuse_shared
from campaign.ledger.postgres.recording import Recorder
from campaign.ledger.postgres.runs import LEASE, reap, refuse_held
from campaign.ledger.postgres.schema import NOW, suppressed
from campaign.ledger.postgres.slots import PostgresSlots
from campaign.ledger.postgres.starts import start_ages
from campaign.ledger.postgres.suppression import is_suppressed
from campaign.ledger.postgres.writes import Writes
from campaign.ledger.processes import lease_lost, this_process
from campaign.ledger.protocols import Claim, Intent, row_and_copy
from campaign.ledger.scope import Scope
from campaign.ledger.verdicts import TRIPPED, WINDOW, since_trip
from campaign.model import SECOND, Window

_STARTING = 0x53544152  # advisory lock while a run begins
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")
_WAITS = "status IN ('pending', 'deferred')"


def _retried_while_away(
    method: Callable[Concatenate[PostgresRun, Arguments], Returned],
) -> Callable[Concatenate[PostgresRun, Arguments], Returned]:
    """Let a method of a run wait while the server cannot be reached."""

    def patient(run: PostgresRun, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Returned:
        return run.database.retried_while_away(lambda: method(run, *arguments, **named))

    return patient


class PostgresRun:
    """One run; see `protocols.Run`."""

    def __init__(
        self,
        database: Database,
        beating: Database,
        campaign_id: int,
        run_id: int,
        scope: Scope,
        longest_delay: int,
        *,
        suppress: bool,
    ) -> None:
        self.database = database
        self._beating = beating
        self._campaign_id = campaign_id
        self._run_id = run_id
        self._scope = scope
        self._of = {"campaign": campaign_id, "run": run_id}
        self._longest_delay = longest_delay
        self._claims = Claims(database, campaign_id, run_id, longest_delay)
        self._writes = Writes(campaign_id, run_id, database.secret(), suppress=suppress)
        self._recorder = Recorder(database, campaign_id, run_id, self._writes)
        self._renewed_at = 0  # when the lease was last renewed, on `clock.steady`
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
        shared: bool,
    ) -> PostgresRun:
        """Take the lease; see `Ledger.start`. Rows that dead runs left in flight become `in_doubt`."""
        beating = database.second_connection()
        try:
            refuse_shared(database, beating)
            with database.transaction():
                database.row("SELECT pg_advisory_xact_lock(%s)", (_STARTING,))
                refuse_held(database, campaign_id, shared=shared)
                reap(database)
                # Pending rows are due now, even if a clock that was ahead wrote a later time.
                if not shared:
                    database.change(
                        "UPDATE messages SET due_at = %s"
                        " WHERE campaign = %s AND status = 'pending' AND due_at > %s",
                        (now, campaign_id, now),
                    )
                found = database.row(
                    "INSERT INTO runs (campaign, host, pid, process, server, username, shared, started_at,"
                    f" heartbeat) VALUES (%s, %s, %s, %s, %s, %s, %s, {NOW}, {NOW}) RETURNING id",
                    (campaign_id, *this_process(), scope.host, scope.username, shared),
                )
            run_id = found[0] if found else 0
            run = cls(database, beating, campaign_id, run_id, scope, longest_delay, suppress=suppress)
            run._renew()
            return run
        except BaseException:
            beating.close()
            raise

    def catch_up(self) -> int:
        """Return 0: nothing is kept, because `record` waits for the server."""
        return 0

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Renew the lease, and end dead runs. Raises LeaseLost if this run was ended.

        If the server cannot be reached, sending goes on: `holds` tells until when nobody can have ended the
        run. Does nothing if the lease was renewed within the last second.
        """
        if steady is not None and 0 <= steady - self._renewed_at < SECOND:
            return
        try:
            if self._beating.is_closed:
                self._beating.reconnect()
            self._renew(steady)
            with self._beating.transaction():
                reap(self._beating)
        except LedgerAway:
            self._beating.close()

    def _renew(self, steady: int | None = None) -> None:
        before = clock.moment()
        found = self._beating.row(
            f"UPDATE runs SET heartbeat = {NOW} WHERE id = %s AND ended_at IS NULL RETURNING heartbeat",
            (self._run_id,),
        )
        if found is None:
            raise lease_lost()
        self._renewed_at = before.steady if steady is None else steady
        after = clock.moment()
        skew = found[0] - (before.utc + after.utc) // 2
        # The time that the answer took limits how well the difference is known.
        surely = abs(skew) - (after.steady - before.steady) // 2
        self._writes.skew = skew if surely > SECOND else 0

    def holds(self, steady: int) -> bool:
        """Whether less than half the lease has passed from renewal to `steady`: nobody can have taken it."""
        return steady - self._renewed_at < LEASE // 2

    def hurry(self) -> None:
        """From now on, wait only a moment for a server that does not answer."""
        self.database.hurry.begin()

    def end(self, now: int) -> None:
        """Give the lease back and release all claims. If the server cannot be reached, others end the run."""
        with suppress(UserError):
            if self.database.is_closed:
                self.database.reconnect()
            self.database.pipelined(
                [
                    ("UPDATE messages SET claim = NULL WHERE claim = %(run)s", self._of),
                    ("UPDATE copies SET claim = NULL WHERE claim = %(run)s", self._of),
                    (
                        f"UPDATE runs SET ended_at = {NOW}, heartbeat = {NOW}"
                        " WHERE id = %(run)s AND ended_at IS NULL",
                        self._of,
                    ),
                ]
            )
        self._beating.close()

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        """Return up to `count` copies and rows that are due, and hold them. Raises LeaseLost."""
        return self._claims.claim(now + self._writes.skew, count, retries_first=retries_first)

    def unclaim(self, keys: Sequence[str]) -> None:
        """Release rows that were claimed and not sent."""
        self._claims.unclaim(keys)

    def is_due(self, key: str) -> bool:
        """Whether a claimed row or copy is still to be sent. Only an intent that holds makes that certain."""
        return self._claims.holds(key) and (self._claims.is_due(key) or self._waits(key))

    @_retried_while_away
    def _waits(self, key: str) -> bool:
        """Whether a row or copy waits and is not suppressed. If it is suppressed by now, record that."""
        row, copy = row_and_copy(key)
        found = self.database.row(
            _COPY_IS_DUE if copy else _ROW_IS_DUE, {**self._of, "row": row, "copy": fold(copy)}
        )
        if found is not None and found[0]:
            self._recorder.suppress(key)
        return found is not None and not found[0]

    def next_due(self, now: int) -> int | None:
        """Return when the next unclaimed row or copy is due, UTC ns; None if there is none."""
        due = self._claims.next_due()
        return None if due is None else min(due - self._writes.skew, now + self._longest_delay)

    @_retried_while_away
    def recent_verdicts(self, count: int) -> list[Verdict]:
        """Return the verdicts on the campaign's last results since the breaker tripped, oldest first."""
        rows = self.database.rows(
            "SELECT verdict FROM events WHERE campaign = %s AND verdict IS NOT NULL"
            " ORDER BY id DESC LIMIT %s",
            (self._campaign_id, count),
        )
        return since_trip(str(verdict) for (verdict,) in rows)

    @_retried_while_away
    def trip(self, now: int, *, take_back: bool) -> None:
        """Start a new window of results. `take_back`: remove the suppressions that the old window holds."""
        parameters = {**self._of, "window": WINDOW, "kind": TRIPPED, "now": now + self._writes.skew}
        with self.database.transaction():
            if take_back:
                self.database.change(_TAKE_BACK, parameters)
            self.database.change(_TRIP, parameters)

    @_retried_while_away
    def release_held(self) -> None:
        """Make the suppressions held for this campaign hold for every campaign."""
        self.database.change(
            "UPDATE suppressions SET state = 'released' WHERE campaign = %s AND state = 'held'",
            (self._campaign_id,),
        )

    @_retried_while_away
    def addresses_suppressed(self) -> int:
        """Return how many addresses this run has suppressed."""
        found = self.database.row("SELECT count(*) FROM suppressions WHERE run = %s", (self._run_id,))
        return found[0] if found else 0

    @_retried_while_away
    def start_ages(self, scope: Scope, now: clock.Moment, period: int, places: int) -> list[tuple[int, int]]:
        """Return (age in ns, addresses) of the latest starts in `scope`; see `starts.start_ages`."""
        return start_ages(self.database, scope, now, period, places)

    def slots(self, windows: Sequence[Window]) -> PostgresSlots:
        """Return where slots in these rate windows are booked, which all machines share."""
        self._recorder.gathering.worthwhile = False  # a slot is short, so commits must not be delayed
        return PostgresSlots(self.database.location, self._scope, windows, self.database.hurry)

    @_retried_while_away
    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        """Count a test message, which belongs to no row, in the rate."""
        self.has_sent = True
        self.database.change(
            "INSERT INTO attempts (run, started_at, addresses) VALUES (%s, %s, %s)",
            (self._run_id, started_at + self._writes.skew, addresses),
        )

    @_retried_while_away
    def postpone(self, intent: Intent) -> None:
        """Record that a content, whose intent holds, starts later: when `intent` now says."""
        key, _ = row_and_copy(intent.key)
        self.database.change(
            _PUT_OFF, {**self._of, "row": key, "started": intent.started_at + self._writes.skew}
        )

    @_retried_while_away
    def is_suppressed(self, address: str) -> bool:
        """Whether an address is suppressed in this campaign."""
        return is_suppressed(self.database, self._campaign_id, address)

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents; return the keys of the intents that hold."""
        self._claims.settled([result.key for result in results])
        granted = self._recorder.record(results, [one for one in intents if self._claims.holds(one.key)])
        self.has_sent = self.has_sent or bool(granted)
        return granted


_ROW_IS_DUE = f"""
SELECT {suppressed("m", "%(campaign)s")} FROM messages m
WHERE m.campaign = %(campaign)s AND m.key = %(row)s AND m.{_WAITS}
"""
_COPY_IS_DUE = f"""
SELECT {suppressed("c", "%(campaign)s")} FROM copies c JOIN messages m ON m.id = c.message
WHERE m.campaign = %(campaign)s AND m.key = %(row)s AND m.status = 'accepted' AND c.folded = %(copy)s
    AND c.{_WAITS}
"""
_TAKE_BACK = """
DELETE FROM suppressions WHERE campaign = %(campaign)s AND state = 'held' AND event >= (SELECT
    coalesce(min(id), 0) FROM (SELECT id FROM events WHERE campaign = %(campaign)s
    AND verdict IS NOT NULL ORDER BY id DESC LIMIT %(window)s) w)
"""
_TRIP = """
INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)
VALUES (%(campaign)s, '', '', %(kind)s, %(now)s, '', %(run)s, %(kind)s)
"""
_PUT_OFF = """
UPDATE attempts SET started_at = %(started)s WHERE id = (SELECT max(id) FROM attempts
    WHERE run = %(run)s AND message = (SELECT id FROM messages WHERE campaign = %(campaign)s
    AND key = %(row)s))
"""
