"""Claims: the rows and copies that a run holds until they are sent.

A claim is stored in the ledger, so that other runs leave the row alone. It ends with `unclaim`, with the
result, or with the run. It is committed without waiting for the disk: if a crash of the server loses it,
another run may claim the row too, but only one of the two intents holds.

A run may get a row that it already holds: after such a crash, or if an enrolment has changed the row.
What it holds is then `outdated`: it is released, and claimed again later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from campaign import clock
from campaign.address import fold
from campaign.ledger.planning import recipient
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.schema import suppressed
from campaign.ledger.processes import lease_lost
from campaign.ledger.protocols import Claim, copy_key, row_and_copy
from campaign.model import SECOND, Recipient

_RECIPIENT = "m.layout, m.number, m.line, m.key, m.email, m.name, m.fields, m.identity"
_WAITS = "status IN ('pending', 'deferred')"


class Claims:
    """The claims of one run. Times are of the database's clock, UTC ns."""

    def __init__(self, database: Database, campaign_id: int, run_id: int, longest_delay: int) -> None:
        self._database = database
        self._run_id = run_id
        self._of = {"campaign": campaign_id, "run": run_id}
        self._longest_delay = longest_delay
        self._claimed: set[str] = set()
        self._outdated: set[str] = set()  # those of them whose row has changed
        self._connected = database.connected  # the connection on which all claims were known
        self._due: set[str] = set()  # the claims that were due at the last check
        self._looked_at = 0  # time of that check, on `clock.steady`; 0 if there was a claim since
        self._layouts: dict[int, tuple[str, ...]] = {}

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        """Return up to `count` copies and rows that are due, and hold them. Raises LeaseLost."""
        claims = self._claim_copies(now, count)
        # First the due rows, by the index; then rows that seem due very late because a clock was set back.
        wanted = [("due_at <= %(moment)s", now), ("due_at > %(moment)s", now + self._longest_delay)]
        if retries_first:
            wanted.insert(0, ("status = 'deferred' AND due_at <= %(moment)s", now))
        for due, moment in wanted:
            if len(claims) == count:
                break
            statement = _CLAIM_ROWS.format(due=due, count=count - len(claims))
            rows = sorted(self._held(statement, {**self._of, "moment": moment}), key=lambda row: row[:2])
            settled = self._settled([row[2] for row in rows if row[5]])
            claims += self._new(
                Claim(self._recipient(rest), attempts, spared, frozenset(settled.get(row_id, ())))
                for _, _, row_id, attempts, spared, _, *rest in rows
            )
        self._looked_at = 0
        return claims

    def _new(self, claims: Iterable[Claim]) -> list[Claim]:
        """Record claims; return those of rows and copies that this run does not hold yet."""
        new = []
        for claim in claims:
            if claim.key in self._claimed:
                self._outdated.add(claim.key)
            else:
                self._claimed.add(claim.key)
                new.append(claim)
        return new

    def _held(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        """Execute a statement that claims, and return its rows."""

        def act() -> list[list[Any]]:
            if self._connected != self._database.connected:
                self._connected = self._database.connected
                self._forget_lost_claims()
            return self._database.pipelined([(_ALIVE, self._of), (statement, parameters)], durable=False)

        alive, rows = self._database.retried_while_away(act)
        if not alive:
            raise lease_lost()
        return rows

    def _forget_lost_claims(self) -> None:
        """Release what was claimed by a statement whose answer was lost with the connection."""
        rows = [key for key in self._claimed.copy() if not row_and_copy(key)[1]]
        self._database.change(
            "UPDATE messages SET claim = NULL WHERE claim = %s AND key != ALL(%s)", (self._run_id, rows)
        )

    def _claim_copies(self, now: int, count: int) -> list[Claim]:
        """Return the copies that are due, of accepted rows."""
        rows = self._held(_CLAIM_COPIES.format(count=count), {**self._of, "moment": now})
        return self._new(
            Claim(self._recipient(rest), attempts, copy=str(address))
            for _, address, attempts, *rest in sorted(rows, key=lambda row: row[0])
        )

    def _recipient(self, columns: Sequence[Any]) -> Recipient:
        layout, *rest = columns
        return recipient(self._layout(layout), tuple(rest))

    def _settled(self, row_ids: list[int]) -> dict[int, set[str]]:
        """Return, by row, the folded addresses of its copies to which nothing is to be sent any more."""
        settled: dict[int, set[str]] = {}
        if row_ids:
            statement = f"SELECT message, folded FROM copies WHERE message = ANY(%s) AND NOT {_WAITS}"
            for message, folded in self._database.retried_while_away(
                lambda: self._database.rows(statement, (row_ids,))
            ):
                settled.setdefault(message, set()).add(str(folded))
        return settled

    def is_due(self, key: str) -> bool:
        """Whether a row or copy that this run has claimed is still waiting, and not suppressed.

        All claims are checked together; the answer is used for one second.
        """
        now = clock.steady()
        if now - self._looked_at > SECOND:
            self._looked_at = now
            found = self._database.retried_while_away(lambda: self._database.rows(_DUE, self._of))
            self._due = {copy_key(row, copy) if copy else row for row, copy in found}
        return key in self._due

    def unclaim(self, keys: Sequence[str]) -> None:
        """Release rows that were claimed and not sent."""
        self.settled(keys)
        split = [row_and_copy(key) for key in keys]
        rows = [row for row, copy in split if not copy]
        copies = [(row, fold(copy)) for row, copy in split if copy]
        statements: list[tuple[str, dict[str, Any]]] = []
        if rows:
            statements.append((_RELEASE_ROWS, {**self._of, "rows": rows}))
        if copies:
            parameters = {"rows": [row for row, _ in copies], "folded": [copy for _, copy in copies]}
            statements.append((_RELEASE_COPIES, {**self._of, **parameters}))
        if statements:
            self._database.retried_while_away(lambda: self._database.pipelined(statements, durable=False))

    def holds(self, key: str) -> bool:
        """Whether what this run holds for a row or copy is still up to date."""
        return key not in self._outdated

    def settled(self, keys: Collection[str]) -> None:
        """Forget claims, just before the ledger does: afterwards they can be claimed again."""
        self._claimed.difference_update(keys)
        self._outdated.difference_update(keys)

    def next_due(self) -> int | None:
        """Return when the next unclaimed row or copy is due, UTC ns; None if there is none."""
        found = self._database.retried_while_away(lambda: self._database.row(_NEXT_DUE, self._of))
        return found[0] if found else None

    def _layout(self, layout: int) -> tuple[str, ...]:
        if layout not in self._layouts:
            found = self._database.retried_while_away(
                lambda: self._database.row("SELECT columns FROM layouts WHERE id = %s", (layout,))
            )
            self._layouts[layout] = tuple(json.loads(str(found[0]))) if found else ()
        return self._layouts[layout]


# With this lock, another process that ends the run waits for the claim, and releases it.
_ALIVE = "SELECT 1 FROM runs WHERE id = %(run)s AND ended_at IS NULL FOR SHARE"
_UNENDED = "EXISTS (SELECT 1 FROM runs WHERE id = %(run)s AND ended_at IS NULL)"
# The planner must see that these are few rows, or it scans the table: so the count is part of the statement,
# and rows are selected by an array of ids.
_CLAIM_ROWS = f"""
WITH due AS (
    SELECT id FROM messages WHERE campaign = %(campaign)s AND {_WAITS} AND claim IS NULL AND {{due}}
        AND {_UNENDED} ORDER BY due_at, number LIMIT {{count}} FOR UPDATE SKIP LOCKED
)
UPDATE messages m SET claim = %(run)s WHERE m.id = ANY (ARRAY(SELECT id FROM due))
RETURNING m.due_at, m.number, m.id, m.attempts, m.spared, m.message_id IS NOT NULL, {_RECIPIENT}
"""
# Looked up for each copy: few copies wait, and there may be a million rows.
_ROW_OF_COPY = "LATERAL (SELECT campaign, status FROM messages WHERE id = c.message OFFSET 0) m"
_CLAIM_COPIES = f"""
WITH due AS (
    SELECT c.id FROM copies c, {_ROW_OF_COPY} WHERE c.{_WAITS} AND c.claim IS NULL
        AND c.due_at <= %(moment)s AND m.campaign = %(campaign)s AND m.status = 'accepted' AND {_UNENDED}
        ORDER BY c.due_at LIMIT {{count}} FOR UPDATE OF c SKIP LOCKED
)
UPDATE copies c SET claim = %(run)s FROM messages m
WHERE c.id = ANY (ARRAY(SELECT id FROM due)) AND m.id = c.message
RETURNING c.due_at, c.address, c.attempts, {_RECIPIENT}
"""
_DUE = f"""
SELECT m.key, '' FROM messages m
WHERE m.claim = %(run)s AND m.{_WAITS} AND NOT {suppressed("m", "%(campaign)s")}
UNION ALL
SELECT m.key, c.address FROM copies c JOIN messages m ON m.id = c.message
WHERE c.claim = %(run)s AND c.{_WAITS} AND m.status = 'accepted' AND NOT {suppressed("c", "%(campaign)s")}
"""
_RELEASE_ROWS = """
UPDATE messages SET claim = NULL WHERE campaign = %(campaign)s AND claim = %(run)s AND key = ANY(%(rows)s)
"""
_RELEASE_COPIES = """
UPDATE copies c SET claim = NULL
FROM unnest(%(rows)s::text[], %(folded)s::text[]) AS r(key, folded)
JOIN messages m ON m.campaign = %(campaign)s AND m.key = r.key
WHERE c.message = m.id AND c.folded = r.folded AND c.claim = %(run)s
"""
_NEXT_DUE = f"""
SELECT least(
    (SELECT min(due_at) FROM messages WHERE campaign = %(campaign)s AND {_WAITS} AND claim IS NULL),
    (SELECT min(c.due_at) FROM copies c, {_ROW_OF_COPY} WHERE c.{_WAITS}
        AND c.claim IS NULL AND m.campaign = %(campaign)s AND m.status = 'accepted'))
"""
