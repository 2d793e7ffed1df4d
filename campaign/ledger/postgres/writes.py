"""What is written while messages are sent: results and intents → statements for one round trip.

Each statement takes all results or intents at once, as one JSON text: psycopg takes longer over arrays. A
row becomes `in_flight` only where its run has no end, and its campaign is sent (`ALIVE`), has claimed it,
and nobody has suppressed it. An answer settles its own attempt also where the run was ended meanwhile: the
row is `in_doubt` by then, and still says whose it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from campaign.address import fold
from campaign.delivery import Outcome, Result, Verdict
from campaign.ledger.patterns import forms, hashed
from campaign.ledger.postgres.database import Parameters
from campaign.ledger.postgres.schema import suppressed
from campaign.ledger.protocols import WINDOW, Intent, row_and_copy
from campaign.model import Status

Statement = tuple[str, Parameters]

# What says something of how the server takes our mail: the breaker judges by these.
JUDGED = (
    Verdict.ACCEPTED, Verdict.REFUSED, Verdict.POLICY, Verdict.SENDER, Verdict.IN_DOUBT,
)  # fmt: skip
ALIVE = (
    "EXISTS (SELECT 1 FROM runs r JOIN campaigns o ON o.id = r.campaign WHERE r.id = %(run)s"
    " AND r.ended_at IS NULL AND (o.state = 'sending' OR NOT r.shared))"
)


class Writes:
    """The statements of one run. `skew` is added to its times: the database's clock less this one's, ns."""

    def __init__(self, campaign_id: int, run_id: int, secret: bytes, *, suppress: bool) -> None:
        self._of = {"campaign": campaign_id, "run": run_id}
        self._secret = secret
        self._suppress = suppress
        self.skew = 0

    def settle(self, results: Sequence[Result]) -> Iterable[Statement]:
        """Yield what records results. The first statement gives the keys that no row has."""
        split = [(*row_and_copy(result.key), result) for result in results]
        yield _SETTLE, {**self._of, "told": json.dumps(list(self._told(split)))}
        copies = [
            (row, outcome, result.settled_at)
            for row, copy, result in split
            for outcome in (result.outcomes if copy else result.outcomes[1:])
        ]
        if copies:
            parameters = {**self._of, "copies": json.dumps(list(map(self._copy, copies)))}
            yield _SETTLE_COPIES, parameters
            yield _ADD_COPIES, parameters

    def _told(self, split: Sequence[tuple[str, str, Result]]) -> Iterable[dict[str, object]]:
        """Yield each address's outcome: what it does to its row, and the event that it is."""
        for row, copy, result in split:
            # Of what got no answer, nothing is told.
            told = result.status is not Status.PENDING or bool(result.reply)
            for place, outcome in enumerate(result.outcomes if told else result.outcomes[:1]):
                yield {
                    "key": row,
                    "own": place == 0 and not copy,
                    "told": told,
                    "address": outcome.address,
                    **self._outcome(outcome),
                    "spared": int(result.spared),
                    "settled": result.settled_at + self.skew,
                    "verdict": str(result.verdict) if place == 0 and result.verdict in JUDGED else None,
                }

    def _outcome(self, outcome: Outcome) -> dict[str, object]:
        return {
            "status": str(outcome.status),
            "reply": outcome.reply,
            "due": outcome.due_at + self.skew,
            "charged": int(outcome.charged),
        }

    def _copy(self, one: tuple[str, Outcome, int]) -> dict[str, object]:
        row, outcome, settled_at = one
        compared = self._compared(outcome.address)
        return {"key": row, **compared, **self._outcome(outcome), "settled": settled_at + self.skew}

    def _compared(self, address: str) -> dict[str, object]:
        found = forms(self._secret, address)
        return {"address": address, "folded": found.folded, "domain": found.domain, "hash": found.hash}

    def hold(self, results: Sequence[Result]) -> Iterable[Statement]:
        """Yield what suppresses, until their neighbours have been judged, addresses that are dead.

        It gives a row for each; the events are there already.
        """
        dead = [result for result in results if result.suppress and self._suppress]
        if dead:
            parameters = {
                "rows": [row_and_copy(result.key)[0] for result in dead],
                "patterns": [fold(result.outcomes[0].address) for result in dead],
                "replies": [result.reply for result in dead],
                "times": [result.settled_at + self.skew for result in dead],
            }
            yield _HOLD, {**self._of, **parameters}

    def settle_forgotten(self, results: Sequence[Result]) -> Iterable[Statement]:
        """Yield what settles the rows of people who were forgotten while they were in flight."""
        known = [result for result in results if result.status in (Status.ACCEPTED, Status.IN_DOUBT)]
        gone = [result for result in results if result not in known]
        yield (
            _SETTLE_FORGOTTEN,
            {
                **self._of,
                "rows": self._hashed(known),
                "statuses": [str(result.status) for result in known],
                "settled": [result.settled_at + self.skew for result in known],
            },
        )
        # They were not sent: nothing needs to be remembered.
        for statement in (_UNTIE_FORGOTTEN, _DROP_FORGOTTEN):
            yield statement, {**self._of, "rows": self._hashed(gone)}

    def _hashed(self, results: Sequence[Result]) -> list[str]:
        return [hashed(self._secret, row_and_copy(result.key)[0]) for result in results]

    def intend(self, intents: Sequence[Intent]) -> Iterable[Statement]:
        """Yield what puts rows and copies in flight; each statement gives the places of intents that hold."""
        rows: list[dict[str, object]] = []
        copies: list[dict[str, object]] = []
        beside: list[dict[str, object]] = []
        for place, intent in enumerate(intents):
            row, copy = row_and_copy(intent.key)
            one: dict[str, object] = {
                "place": place,
                "key": row,
                "started": intent.started_at + self.skew,
                "addresses": len(intent.addresses),
            }
            if copy:
                copies.append({**one, "folded": fold(copy)})
            else:
                rows.append({**one, "message_id": intent.message_id, "token": intent.bounce_token or None})
                beside += ({"key": row, **self._compared(address)} for address in intent.addresses[1:])
        if rows and beside:
            parameters = {"intents": json.dumps(rows), "beside": json.dumps(beside)}
            yield _INTEND_WITH_COPIES, {**self._of, **parameters}
        elif rows:
            yield _INTEND_ROWS, {**self._of, "intents": json.dumps(rows)}
        if copies:
            yield _INTEND_COPIES, {**self._of, "intents": json.dumps(copies)}

    def stand(self, intents: Sequence[Intent]) -> Iterable[Statement]:
        """Yield what gives the places of intents that stand under this run."""
        split = [row_and_copy(intent.key) for intent in intents]
        parameters = {
            **self._of,
            "places": list(range(len(intents))),
            "rows": [row for row, _ in split],
            "folded": [fold(copy) for _, copy in split],
        }
        yield _STANDING_ROWS, parameters
        yield _STANDING_COPIES, parameters

    def suppress(self, key: str) -> Statement:
        """Return what marks a waiting row or copy as suppressed if the list covers it by now."""
        row, copy = row_and_copy(key)
        parameters = {**self._of, "row": row, "copy": fold(copy)}
        return (_SUPPRESS_COPY if copy else _SUPPRESS_ROW), parameters

    def release_aged(self) -> Statement:
        """Return what releases, for every campaign, what no window that could still be judged contains."""
        return _RELEASE_AGED, {**self._of, "beyond": WINDOW - 1}


# A person's decision in the meantime stands, unless the server has accepted the message. PostgreSQL takes
# JSON for a hundred rows, and would read the whole table for so many: hence ANY, here and below.
_SETTLE = """
WITH r AS MATERIALIZED (
    SELECT r.*, (SELECT id FROM messages WHERE campaign = %(campaign)s AND key = r.key) AS message
    FROM json_to_recordset(%(told)s) AS r(key text, own boolean, told boolean, address text, status text,
        reply text, due bigint, charged bigint, spared bigint, settled bigint, verdict text)
), settled AS (
    UPDATE messages m SET status = r.status, reply = r.reply, due_at = r.due,
        attempts = m.attempts + r.charged, spared = m.spared + r.spared, settled_at = r.settled,
        claim = nullif(m.claim, %(run)s)
    FROM r WHERE r.own AND m.id = r.message AND m.id = ANY (ARRAY(SELECT message FROM r))
        AND (m.status IN ('pending', 'deferred')
            OR m.run = %(run)s AND (m.status IN ('in_flight', 'in_doubt') OR r.status = 'accepted'))
), noted AS (
    INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)
    SELECT %(campaign)s, key, address, status, settled, reply, %(run)s, verdict FROM r
    WHERE told AND message IS NOT NULL
)
SELECT DISTINCT key FROM r WHERE message IS NULL
"""

_OUTCOMES = """
json_to_recordset(%(copies)s) AS r(key text, address text, folded text, domain text, hash text, status text,
    reply text, due bigint, charged bigint, settled bigint)
JOIN messages m ON m.campaign = %(campaign)s AND m.key = r.key
"""
_SETTLE_COPIES = f"""
UPDATE copies c SET status = r.status, reply = r.reply, due_at = r.due, attempts = c.attempts + r.charged,
    settled_at = r.settled, claim = nullif(c.claim, %(run)s)
FROM {_OUTCOMES} WHERE c.message = m.id AND c.folded = r.folded
    AND (c.status IN ('pending', 'deferred', 'in_flight')
        OR c.run = %(run)s AND (c.status = 'in_doubt' OR r.status = 'accepted'))
"""
# Of one that nothing was said of, only its flight is over.
_ADD_COPIES = f"""
INSERT INTO copies (message, run, status, reply, due_at, attempts, folded, settled_at, address, domain, hash)
SELECT m.id, %(run)s, r.status, r.reply, r.due, r.charged, r.folded, r.settled, r.address, r.domain, r.hash
FROM {_OUTCOMES} WHERE r.status != 'pending' ON CONFLICT (message, folded) DO NOTHING
"""

_HOLD = """
INSERT INTO suppressions (pattern, campaign, state, reason, added_at, run, event)
SELECT r.pattern, %(campaign)s, 'held', 'refused: ' || r.reply, r.time, %(run)s,
    (SELECT max(id) FROM events WHERE campaign = %(campaign)s AND key = r.key AND verdict IS NOT NULL)
FROM unnest(%(rows)s::text[], %(patterns)s::text[], %(replies)s::text[], %(times)s::bigint[])
    AS r(key, pattern, reply, time)
WHERE EXISTS (SELECT 1 FROM messages m WHERE m.campaign = %(campaign)s AND m.key = r.key) AND NOT EXISTS
    (SELECT 1 FROM suppressions s WHERE s.pattern = r.pattern AND s.state = 'released')
ON CONFLICT (pattern, campaign) DO NOTHING RETURNING 1
"""

_FORGOTTEN = (
    "m.campaign = %(campaign)s AND m.key = ANY(%(rows)s) AND m.run = %(run)s AND m.status = 'in_flight'"
)
_SETTLE_FORGOTTEN = """
UPDATE messages m SET status = r.status, settled_at = r.settled
FROM unnest(%(rows)s::text[], %(statuses)s::text[], %(settled)s::bigint[]) AS r(key, status, settled)
WHERE m.campaign = %(campaign)s AND m.key = r.key AND m.run = %(run)s AND m.status = 'in_flight'
"""
_UNTIE_FORGOTTEN = (
    f"UPDATE attempts SET message = NULL WHERE message IN (SELECT m.id FROM messages m WHERE {_FORGOTTEN})"
)
_DROP_FORGOTTEN = f"DELETE FROM messages m WHERE {_FORGOTTEN}"

_FEW = "m.key = ANY (ARRAY(SELECT key FROM i))"
_HELD_ROWS = f"""
WITH i AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(intents)s)
        AS i(place bigint, key text, message_id text, token text, started bigint, addresses bigint)
), held AS (
    UPDATE messages m SET status = 'in_flight', run = %(run)s, claim = NULL, message_id = i.message_id,
        bounce_token = i.token
    FROM i WHERE m.campaign = %(campaign)s AND m.key = i.key AND {_FEW}
        AND m.status IN ('pending', 'deferred') AND m.claim = %(run)s
        AND NOT {suppressed("m", "%(campaign)s")} AND {ALIVE}
    RETURNING m.id, m.key, i.place, i.started, i.addresses
), noted AS (
    INSERT INTO attempts (run, message, started_at, addresses)
    SELECT %(run)s, id, started, addresses FROM held
)"""
_INTEND_ROWS = f"{_HELD_ROWS} SELECT place FROM held"
_INTEND_WITH_COPIES = f"""{_HELD_ROWS}, beside AS (
    INSERT INTO copies (message, address, folded, domain, hash, status, due_at, attempts, run, reply)
    SELECT h.id, c.address, c.folded, c.domain, c.hash, 'in_flight', h.started, 0, %(run)s, ''
    FROM json_to_recordset(%(beside)s)
        AS c(key text, address text, folded text, domain text, hash text) JOIN held h ON h.key = c.key
    ON CONFLICT (message, folded) DO UPDATE SET status = 'in_flight', run = excluded.run, claim = NULL
)
SELECT place FROM held
"""
_INTEND_COPIES = f"""
WITH held AS (
    UPDATE copies c SET status = 'in_flight', run = %(run)s, claim = NULL
    FROM json_to_recordset(%(intents)s)
        AS i(place bigint, key text, folded text, started bigint, addresses bigint)
    JOIN messages m ON m.campaign = %(campaign)s AND m.key = i.key AND m.status = 'accepted'
    WHERE c.message = m.id AND c.folded = i.folded AND c.status IN ('pending', 'deferred')
        AND c.claim = %(run)s AND NOT {suppressed("c", "%(campaign)s")} AND {ALIVE}
    RETURNING c.message, i.place, i.started, i.addresses
), noted AS (
    INSERT INTO attempts (run, message, started_at, addresses)
    SELECT %(run)s, message, started, addresses FROM held
)
SELECT place FROM held
"""

_ASKED = """
SELECT i.place
FROM unnest(%(places)s::bigint[], %(rows)s::text[], %(folded)s::text[]) AS i(place, row, folded)
JOIN messages m ON m.campaign = %(campaign)s AND m.key = i.row
"""
_STANDING_ROWS = f"{_ASKED} WHERE i.folded = '' AND m.run = %(run)s AND m.status = 'in_flight'"
_STANDING_COPIES = (
    f"{_ASKED} JOIN copies c ON c.message = m.id AND c.folded = i.folded"
    " WHERE c.run = %(run)s AND c.status = 'in_flight'"
)

_SUPPRESS_ROW = f"""
UPDATE messages m SET status = 'suppressed', reply = '', claim = NULL
WHERE m.campaign = %(campaign)s AND m.key = %(row)s AND m.status IN ('pending', 'deferred')
    AND {suppressed("m", "%(campaign)s")}
"""
_SUPPRESS_COPY = f"""
UPDATE copies c SET status = 'suppressed', reply = '', claim = NULL FROM messages m
WHERE m.campaign = %(campaign)s AND m.key = %(row)s AND c.message = m.id AND c.folded = %(copy)s
    AND c.status IN ('pending', 'deferred') AND {suppressed("c", "%(campaign)s")}
"""

_RELEASE_AGED = """
UPDATE suppressions SET state = 'released' WHERE campaign = %(campaign)s AND state = 'held'
    AND event < (SELECT id FROM events WHERE campaign = %(campaign)s AND verdict IS NOT NULL
                 ORDER BY id DESC LIMIT 1 OFFSET %(beyond)s) RETURNING 1
"""
