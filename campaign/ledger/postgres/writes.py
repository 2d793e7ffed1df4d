"""What is written while messages are sent: results and intents → statements for one round trip.

Each statement takes all results or intents at once, as arrays. A row becomes `in_flight` only where its
run has no end, and its campaign is sent (`ALIVE`), has claimed it, and nobody has suppressed it. An
answer settles its own attempt also where the run was ended meanwhile: the row is `in_doubt` by then, and
still says whose it was.
"""

from __future__ import annotations

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
        """Yield what records results. The last statement gives the keys that no row has."""
        split = [(*row_and_copy(result.key), result) for result in results]
        rows = [(row, result) for row, copy, result in split if not copy]
        if rows:
            yield _SETTLE_ROWS, {**self._of, **self._settled_rows(rows)}
        copies = [
            (row, outcome, result.settled_at)
            for row, copy, result in split
            for outcome in (result.outcomes if copy else result.outcomes[1:])
        ]
        if copies:
            parameters = {**self._of, **self._settled_copies(copies)}
            yield _SETTLE_COPIES, parameters
            yield _ADD_COPIES, parameters
        # Of what got no answer, nothing is told.
        told = [
            (row, result)
            for row, _, result in split
            if result.outcomes[0].status is not Status.PENDING or result.outcomes[0].reply
        ]
        if told:
            yield _TELL, {**self._of, **self._told(told)}
        yield _UNKNOWN, {**self._of, "rows": [row for row, _, _ in split]}

    def _settled_rows(self, rows: Sequence[tuple[str, Result]]) -> dict[str, object]:
        own = [result.outcomes[0] for _, result in rows]
        return {
            "rows": [row for row, _ in rows],
            **self._outcomes(own),
            "spared": [int(result.spared) for _, result in rows],
            "settled": [result.settled_at + self.skew for _, result in rows],
        }

    def _outcomes(self, outcomes: Sequence[Outcome]) -> dict[str, object]:
        return {
            "statuses": [str(outcome.status) for outcome in outcomes],
            "replies": [outcome.reply for outcome in outcomes],
            "due": [outcome.due_at + self.skew for outcome in outcomes],
            "charged": [int(outcome.charged) for outcome in outcomes],
        }

    def _settled_copies(self, copies: Sequence[tuple[str, Outcome, int]]) -> dict[str, object]:
        outcomes = [outcome for _, outcome, _ in copies]
        return {
            "rows": [row for row, _, _ in copies],
            **self._outcomes(outcomes),
            **self._compared([outcome.address for outcome in outcomes]),
            "settled": [settled_at + self.skew for _, _, settled_at in copies],
        }

    def _compared(self, addresses: Sequence[str]) -> dict[str, object]:
        found = [forms(self._secret, address) for address in addresses]
        return {
            "addresses": list(addresses),
            "folded": [one.folded for one in found],
            "domains": [one.domain for one in found],
            "hashes": [one.hash for one in found],
        }

    def _told(self, told: Sequence[tuple[str, Result]]) -> dict[str, object]:
        """Return the events of results, and which of them suppress their address."""
        events = [
            (row, outcome, result, place == 0)
            for row, result in told
            for place, outcome in enumerate(result.outcomes)
        ]
        return {
            "rows": [row for row, *_ in events],
            "addresses": [outcome.address for _, outcome, *_ in events],
            "statuses": [str(outcome.status) for _, outcome, *_ in events],
            "times": [result.settled_at + self.skew for _, _, result, _ in events],
            "replies": [outcome.reply for _, outcome, *_ in events],
            "verdicts": [
                str(result.verdict) if own and result.verdict in JUDGED else None
                for _, _, result, own in events
            ],
            # The pattern that is held, until its neighbours have been judged.
            "held": [
                fold(outcome.address) if own and result.suppress and self._suppress else None
                for _, outcome, result, own in events
            ],
        }

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
        split = [(place, *row_and_copy(intent.key), intent) for place, intent in enumerate(intents)]
        rows = [intent for *_, copy, intent in split if not copy]
        if rows:
            beside = [(intent, address) for intent in rows for address in intent.addresses[1:]]
            yield (
                _INTEND_ROWS,
                {
                    **self._of,
                    "places": [place for place, _, copy, _ in split if not copy],
                    "rows": [intent.key for intent in rows],
                    "message_ids": [intent.message_id for intent in rows],
                    "tokens": [intent.bounce_token or None for intent in rows],
                    **self._started(rows),
                    "beside": [intent.key for intent, _ in beside],
                    **self._compared([address for _, address in beside]),
                },
            )
        copies = [one for one in split if one[2]]
        if copies:
            yield (
                _INTEND_COPIES,
                {
                    **self._of,
                    "places": [place for place, *_ in copies],
                    "rows": [row for _, row, *_ in copies],
                    "folded": [fold(copy) for _, _, copy, _ in copies],
                    **self._started([intent for *_, intent in copies]),
                },
            )

    def _started(self, intents: Sequence[Intent]) -> dict[str, object]:
        return {
            "started": [intent.started_at + self.skew for intent in intents],
            "counts": [len(intent.addresses) for intent in intents],
        }

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


# A person's decision in the meantime stands, unless the server has accepted the message.
_SETTLE_ROWS = """
UPDATE messages m SET status = r.status, reply = r.reply, due_at = r.due, attempts = m.attempts + r.charged,
    spared = m.spared + r.spared, settled_at = r.settled, claim = nullif(m.claim, %(run)s)
FROM unnest(%(rows)s::text[], %(statuses)s::text[], %(replies)s::text[], %(due)s::bigint[],
    %(charged)s::bigint[], %(spared)s::bigint[], %(settled)s::bigint[])
    AS r(key, status, reply, due, charged, spared, settled)
WHERE m.campaign = %(campaign)s AND m.key = r.key AND (m.status IN ('pending', 'deferred')
    OR m.run = %(run)s AND (m.status IN ('in_flight', 'in_doubt') OR r.status = 'accepted'))
"""

_OUTCOMES = """
unnest(%(rows)s::text[], %(addresses)s::text[], %(folded)s::text[], %(domains)s::text[], %(hashes)s::text[],
    %(statuses)s::text[], %(replies)s::text[], %(due)s::bigint[], %(charged)s::bigint[],
    %(settled)s::bigint[]) AS r(key, address, folded, domain, hash, status, reply, due, charged, settled)
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

# Gives 1 for each suppression that is held.
_TELL = """
WITH said AS (
    SELECT e.*, nextval(pg_get_serial_sequence('events', 'id')) AS id
    FROM unnest(%(rows)s::text[], %(addresses)s::text[], %(statuses)s::text[], %(times)s::bigint[],
        %(replies)s::text[], %(verdicts)s::text[], %(held)s::text[]) WITH ORDINALITY
        AS e(key, address, status, time, reply, verdict, held, place)
    WHERE EXISTS (SELECT 1 FROM messages m WHERE m.campaign = %(campaign)s AND m.key = e.key)
    ORDER BY e.place
), told AS (
    INSERT INTO events (id, campaign, key, address, kind, time, text, run, verdict) OVERRIDING SYSTEM VALUE
    SELECT id, %(campaign)s, key, address, status, time, reply, %(run)s, verdict FROM said
)
INSERT INTO suppressions (pattern, campaign, state, reason, added_at, run, event)
SELECT e.held, %(campaign)s, 'held', 'refused: ' || e.reply, e.time, %(run)s, e.id FROM said e
WHERE e.held IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM suppressions s WHERE s.pattern = e.held AND s.state = 'released')
ON CONFLICT (pattern, campaign) DO NOTHING RETURNING 1
"""

_UNKNOWN = """
SELECT r.key FROM unnest(%(rows)s::text[]) AS r(key)
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.campaign = %(campaign)s AND m.key = r.key)
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

_INTEND_ROWS = f"""
WITH held AS (
    UPDATE messages m SET status = 'in_flight', run = %(run)s, claim = NULL, message_id = i.message_id,
        bounce_token = i.token
    FROM unnest(%(places)s::bigint[], %(rows)s::text[], %(message_ids)s::text[], %(tokens)s::text[],
        %(started)s::bigint[], %(counts)s::bigint[])
        AS i(place, key, message_id, token, started, addresses)
    WHERE m.campaign = %(campaign)s AND m.key = i.key AND m.status IN ('pending', 'deferred')
        AND m.claim = %(run)s AND NOT {suppressed("m", "%(campaign)s")} AND {ALIVE}
    RETURNING m.id, m.key, i.place, i.started, i.addresses
), noted AS (
    INSERT INTO attempts (run, message, started_at, addresses)
    SELECT %(run)s, id, started, addresses FROM held
), beside AS (
    INSERT INTO copies (message, address, folded, domain, hash, status, due_at, attempts, run, reply)
    SELECT h.id, c.address, c.folded, c.domain, c.hash, 'in_flight', h.started, 0, %(run)s, ''
    FROM unnest(%(beside)s::text[], %(addresses)s::text[], %(folded)s::text[], %(domains)s::text[],
        %(hashes)s::text[]) AS c(key, address, folded, domain, hash) JOIN held h ON h.key = c.key
    ON CONFLICT (message, folded) DO UPDATE SET status = 'in_flight', run = excluded.run, claim = NULL
)
SELECT place FROM held
"""
_INTEND_COPIES = f"""
WITH held AS (
    UPDATE copies c SET status = 'in_flight', run = %(run)s, claim = NULL
    FROM unnest(%(places)s::bigint[], %(rows)s::text[], %(folded)s::text[], %(started)s::bigint[],
        %(counts)s::bigint[]) AS i(place, row, folded, started, addresses)
    JOIN messages m ON m.campaign = %(campaign)s AND m.key = i.row AND m.status = 'accepted'
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
