"""The SQL for intents and results. Each method runs inside its caller's transaction.

An intent sets a row to `in_flight`, with the id of the run; the result sets its new status.
"""

from __future__ import annotations

from collections.abc import Mapping

from campaign.address import fold
from campaign.delivery import Outcome, Result, Verdict
from campaign.ledger.patterns import forms, hashed
from campaign.ledger.protocols import Intent, copy_key, row_and_copy
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.functions import SUPPRESSED, suppressed
from campaign.ledger.sqlite.watch import Watch
from campaign.ledger.verdicts import JUDGED, RELEASE_EVERY, WINDOW
from campaign.model import Status

_ALIVE = "EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND ended_at IS NULL)"
_INTEND = (
    "UPDATE messages SET status = 'in_flight', run = ?1, message_id = ?2, bounce_token = ?3"
    " WHERE id = ?6 AND campaign = ?4 AND key = ?5 AND status IN ('pending', 'deferred')"
    f" AND {_ALIVE} AND NOT {SUPPRESSED}"
)
_SETTLE = (
    "UPDATE messages SET status = ?1, reply = ?2, due_at = ?3, attempts = attempts + ?4,"
    " spared = spared + ?9, settled_at = ?5 WHERE id = ?10 AND campaign = ?6 AND key = ?7"
    " AND (status IN ('pending', 'deferred')"
    " OR run = ?8 AND (status IN ('in_flight', 'in_doubt') OR ?1 = 'accepted'))"
)


class Writes:
    """The statements of one run of one campaign. `ids` are those of the rows that it has claimed."""

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        run_id: int,
        ids: Mapping[str, int],
        watch: Watch,
        *,
        suppress: bool,
    ) -> None:
        self._database = database
        self._execute_within = database.execute_within
        self._ids = ids
        self._watch = watch
        self._campaign_id = campaign_id
        self._run_id = run_id
        self._suppress = suppress
        self._secret = database.secret()
        found = database.row(
            "SELECT count(*) FROM suppressions WHERE campaign = ? AND state = 'held'", (campaign_id,)
        )
        self._held = found[0] if found else 0
        self._since_release = 0
        # Events before this one are in no window of results that ends after now, so they are not searched.
        found = database.row(
            "SELECT coalesce(min(id), (SELECT max(id) + 1 FROM events), 0) FROM (SELECT id FROM events"
            " WHERE campaign = ? AND verdict IS NOT NULL ORDER BY id DESC LIMIT ?)",
            (campaign_id, WINDOW),
        )
        self._window_began = found[0] if found else 0

    def intend(self, intent: Intent) -> bool:
        """Set an intent's row, or copy, in flight; return whether the intent holds."""
        key, copy = row_and_copy(intent.key)
        message = self._intend_copy(key, copy) if copy else self._intend_row(key, intent)
        if message is None:
            return False
        self._execute_within(
            "INSERT INTO attempts (run, message, started_at, steady, addresses) VALUES (?, ?, ?, ?, ?)",
            (self._run_id, message, intent.started_at, intent.steady, len(intent.addresses)),
        )
        return True

    def _intend_row(self, key: str, intent: Intent) -> int | None:
        """Set a row and the copies in its envelope in flight; return its id, None if it must not be sent."""
        row_id = self._message_of(key)
        held = self._execute_within(
            _INTEND,
            (self._run_id, intent.message_id, intent.bounce_token or None, self._campaign_id, key, row_id),
        )
        if row_id is None or not held.rowcount:
            self.suppress(key)
            return None
        for address in intent.addresses[1:]:
            one = forms(self._secret, address)
            self._database.change(
                "INSERT INTO copies"
                " (message, address, folded, domain, hash, status, due_at, attempts, run, reply)"
                " VALUES (?1, ?2, ?3, ?4, ?5, 'in_flight', ?6, 0, ?7, '') ON CONFLICT (message, folded)"
                " DO UPDATE SET status = 'in_flight', run = ?7",
                (row_id, address, one.folded, one.domain, one.hash, intent.started_at, self._run_id),
            )
        return row_id

    def _intend_copy(self, key: str, copy: str) -> int | None:
        held = self._database.row(
            "UPDATE copies SET status = 'in_flight', run = ?1"
            " WHERE message ="
            " (SELECT id FROM messages WHERE campaign = ?2 AND key = ?3 AND status = 'accepted')"
            f" AND folded = ?4 AND status IN ('pending', 'deferred') AND {_ALIVE}"
            f" AND NOT {suppressed('copies', '?2')} RETURNING message",
            (self._run_id, self._campaign_id, key, fold(copy)),
        )
        if held is None:
            self.suppress(copy_key(key, copy))
            return None
        row_id: int = held[0]
        return row_id

    def suppress(self, key: str) -> None:
        """Set a waiting row or copy to `suppressed` if it is covered by the suppression list now."""
        row, copy = row_and_copy(key)
        if copy:
            self._database.change(
                "UPDATE copies SET status = 'suppressed', reply = '' WHERE message ="
                " (SELECT id FROM messages WHERE campaign = ?1 AND key = ?2) AND folded = ?3"
                f" AND status IN ('pending', 'deferred') AND {suppressed('copies', '?1')}",
                (self._campaign_id, row, fold(copy)),
            )
        else:
            self._database.change(
                "UPDATE messages SET status = 'suppressed', reply = ''"
                f" WHERE campaign = ? AND key = ? AND status IN ('pending', 'deferred') AND {SUPPRESSED}",
                (self._campaign_id, row),
            )

    def settle(self, result: Result) -> None:
        """Record the result for a row, or a copy, and for the copies in its envelope."""
        key, copy = row_and_copy(result.key)
        own, *copies = result.outcomes
        if copy:
            message = self._find(key)
            known = message is not None
            if message is not None:
                self._settle_copy(message, own, result.settled_at)
        else:
            known = self._settle_row(key, result)
            message = self._find(key) if known and copies else None
        if not known:
            self._settle_forgotten(key, result)
            return
        for outcome in copies:
            if message is not None:
                self._settle_copy(message, outcome, result.settled_at)
        if own.status is Status.PENDING and not own.reply:
            return  # no address got a reply
        event = self._append_event(key, own, result, result.verdict if result.verdict in JUDGED else None)
        for outcome in copies:
            self._append_event(key, outcome, result, None)
        if result.suppress and self._suppress:
            self._hold(own, result, event)
        if result.verdict in JUDGED:
            self._release_aged()

    def _settle_row(self, key: str, result: Result) -> bool:
        """Record the result for a row; return whether the ledger has the row."""
        own = result.outcomes[0]
        # A decision that a person made meanwhile stands, unless the server has accepted the message.
        row_id = self._message_of(key)
        changed = self._execute_within(
            _SETTLE,
            (
                own.status,
                own.reply,
                own.due_at,
                own.charged,
                result.settled_at,
                self._campaign_id,
                key,
                self._run_id,
                result.spared,
                row_id,
            ),
        )
        return bool(changed.rowcount) or self._find(key) is not None

    def _settle_copy(self, message: int, outcome: Outcome, settled_at: int) -> None:
        """Record the result for a copy. If nothing was said about it, it is just no longer in flight."""
        one = forms(self._secret, outcome.address)
        where = (
            "status IN ('pending', 'deferred', 'in_flight')"
            " OR run = ?2 AND (status = 'in_doubt' OR ?3 = 'accepted')"
        )
        settled = (message, self._run_id, outcome.status, outcome.reply, outcome.due_at, outcome.charged)
        changed = self._database.change(
            "UPDATE copies SET status = ?3, reply = ?4, due_at = ?5, attempts = attempts + ?6,"
            f" settled_at = ?8 WHERE message = ?1 AND folded = ?7 AND ({where})",
            (*settled, one.folded, settled_at),
        )
        if not changed and outcome.status is not Status.PENDING:
            self._database.change(
                "INSERT INTO copies (message, run, status, reply, due_at, attempts, folded, settled_at,"
                " address, domain, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (*settled, one.folded, settled_at, outcome.address, one.domain, one.hash),
            )

    def _append_event(self, key: str, outcome: Outcome, result: Result, verdict: Verdict | None) -> int:
        """Append an event, and return its id."""
        told = self._execute_within(
            "INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._campaign_id,
                key,
                outcome.address,
                outcome.status,
                result.settled_at,
                outcome.reply,
                self._run_id,
                verdict,
            ),
        )
        return told.lastrowid or 0

    def _hold(self, outcome: Outcome, result: Result, event: int) -> None:
        """Suppress a dead address for this campaign only, until the results around it have been judged."""
        self._watch.clear()
        folded = fold(outcome.address)
        self._held += self._database.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at, run, event)"
            " SELECT ?1, ?2, 'held', ?3, ?4, ?5, ?6 WHERE NOT EXISTS"
            " (SELECT 1 FROM suppressions WHERE pattern = ?1 AND state = 'released') ON CONFLICT DO NOTHING",
            (
                folded,
                self._campaign_id,
                f"refused: {outcome.reply}",
                result.settled_at,
                self._run_id,
                event,
            ),
        )

    def _release_aged(self) -> None:
        """Release suppressions, for every campaign, whose result is in no window that can still be judged."""
        self._since_release += 1
        if self._held and self._since_release >= RELEASE_EVERY:
            self._since_release = 0
            self._held -= self._database.change(
                "UPDATE suppressions SET state = 'released' WHERE campaign = ?1 AND state = 'held'"
                " AND event < (SELECT id FROM events WHERE campaign = ?1 AND verdict IS NOT NULL"
                "  AND id >= ?3 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (self._campaign_id, WINDOW - 1, self._window_began),
            )

    def _message_of(self, key: str) -> int | None:
        """Return the id that a row had when claimed. Statements that change it must compare the key too."""
        return self._ids.get(key) or self._find(key)

    def _find(self, key: str) -> int | None:
        found = self._database.row(
            "SELECT id FROM messages WHERE campaign = ? AND key = ?", (self._campaign_id, key)
        )
        return found[0] if found else None

    def _settle_forgotten(self, key: str, result: Result) -> None:
        """Settle the row of a person who was forgotten while it was in flight."""
        row = (self._campaign_id, hashed(self._secret, key), self._run_id)
        which = "campaign = ? AND key = ? AND run = ? AND status = 'in_flight'"
        if result.status in (Status.ACCEPTED, Status.IN_DOUBT):
            self._database.change(
                f"UPDATE messages SET status = ?, settled_at = ? WHERE {which}",
                (result.status, result.settled_at, *row),
            )
        else:  # it was not sent, so nothing needs to be kept
            self._database.change(
                "UPDATE attempts SET message = NULL"
                f" WHERE message IN (SELECT id FROM messages WHERE {which})",
                row,
            )
            self._database.change(f"DELETE FROM messages WHERE {which}", row)
