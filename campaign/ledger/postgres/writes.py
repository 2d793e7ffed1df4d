"""What is written while messages are sent: turns results and intents into one call of `procedure.RECORD`.

Statements that are rarely needed are here too: for rows of forgotten people, and rows suppressed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from campaign.address import fold
from campaign.delivery import Outcome, Result
from campaign.ledger.patterns import forms, hashed
from campaign.ledger.postgres.database import Parameters
from campaign.ledger.postgres.schema import suppressed
from campaign.ledger.protocols import Intent, row_and_copy
from campaign.ledger.verdicts import JUDGED, WINDOW
from campaign.model import Status

Statement = tuple[str, Parameters]


class Writes:
    """The statements of one run.

    `skew` is added to its times: how far the database's clock is ahead of this machine's, in ns.
    """

    def __init__(self, campaign_id: int, run_id: int, secret: bytes, *, suppress: bool) -> None:
        self._of = {"campaign": campaign_id, "run": run_id}
        self._secret = secret
        self._suppress = suppress
        self.skew = 0

    def record(
        self, number: int, results: Sequence[Result], intents: Sequence[Intent], *, release: bool
    ) -> Statement:
        """Return the statement that records results and intents, as transaction `number` of the run.

        It returns: whether the run has not ended; keys of results whose row does not exist, or None; by how
        many the number of held suppressions changed; the places of intents that hold, or None.

        `release`: it also releases suppressions, for every campaign, whose result is in no window that can
        still be judged.
        """
        split = [(*row_and_copy(result.key), result) for result in results]
        rows, beside, further = self._intended(intents)
        told = (self._row_outcomes(split), self._copies(split), self._dead(results), rows, beside, further)
        return _RECORD, (*self._of.values(), number, *map(_json, told), WINDOW - 1 if release else None)

    def _row_outcomes(self, split: Sequence[tuple[str, str, Result]]) -> list[dict[str, object]]:
        """Return each address's outcome: the change to its row, and its event."""
        # If no address got a reply, there is no event.
        return [
            {
                "key": row,
                "own": place == 0 and not copy,
                "told": told,
                "address": outcome.address,
                **self._outcome(outcome),
                "spared": int(result.spared),
                "settled": result.settled_at + self.skew,
                "verdict": str(result.verdict) if place == 0 and result.verdict in JUDGED else None,
            }
            for row, copy, result in split
            for told in [result.status is not Status.PENDING or bool(result.reply)]
            for place, outcome in enumerate(result.outcomes if told else result.outcomes[:1])
        ]

    def _outcome(self, outcome: Outcome) -> dict[str, object]:
        return {
            "status": str(outcome.status),
            "reply": outcome.reply,
            "due": outcome.due_at + self.skew,
            "charged": int(outcome.charged),
        }

    def _copies(self, split: Sequence[tuple[str, str, Result]]) -> list[dict[str, object]]:
        """Return the changes to copies."""
        return [
            {
                "key": row,
                **self._compared(outcome.address),
                **self._outcome(outcome),
                "settled": result.settled_at + self.skew,
            }
            for row, copy, result in split
            for outcome in (result.outcomes if copy else result.outcomes[1:])
        ]

    def _compared(self, address: str) -> dict[str, object]:
        found = forms(self._secret, address)
        return {"address": address, "folded": found.folded, "domain": found.domain, "hash": found.hash}

    def _dead(self, results: Sequence[Result]) -> list[dict[str, object]]:
        """Return the addresses to suppress until the results around them have been judged."""
        return [
            {
                "key": row_and_copy(result.key)[0],
                "pattern": fold(result.outcomes[0].address),
                "reply": result.reply,
                "time": result.settled_at + self.skew,
            }
            for result in results
            if result.suppress and self._suppress
        ]

    def _intended(self, intents: Sequence[Intent]) -> tuple[list[dict[str, object]], ...]:
        """Return the intents of rows, the copies in their envelopes, and the intents of copies."""
        rows: list[dict[str, object]] = []
        beside: list[dict[str, object]] = []
        further: list[dict[str, object]] = []
        for place, intent in enumerate(intents):
            row, copy = row_and_copy(intent.key)
            one = {"place": place, "key": row, "started": intent.started_at + self.skew}
            counted = {**one, "addresses": len(intent.addresses)}
            if copy:
                further.append({**counted, "folded": fold(copy)})
            else:
                rows.append(
                    {**counted, "message_id": intent.message_id, "token": intent.bounce_token or None}
                )
                beside += ({**one, **self._compared(address)} for address in intent.addresses[1:])
        return rows, beside, further

    def settle_forgotten(self, results: Sequence[Result]) -> Iterable[Statement]:
        """Yield statements that settle the rows of people who were forgotten while these were in flight."""
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
        # They were not sent, so nothing needs to be kept.
        for statement in (_UNTIE_FORGOTTEN, _DROP_FORGOTTEN):
            yield statement, {**self._of, "rows": self._hashed(gone)}

    def _hashed(self, results: Sequence[Result]) -> list[str]:
        return [hashed(self._secret, row_and_copy(result.key)[0]) for result in results]

    def holding_intents(self, intents: Sequence[Intent]) -> Iterable[Statement]:
        """Yield statements that return the places of intents which hold for this run."""
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
        """Return a statement that sets a waiting row or copy to `suppressed` if the list covers it now."""
        row, copy = row_and_copy(key)
        parameters = {**self._of, "row": row, "copy": fold(copy)}
        return (_SUPPRESS_COPY if copy else _SUPPRESS_ROW), parameters


def _json(told: Sequence[dict[str, object]]) -> str | None:
    return json.dumps(told) if told else None


_RECORD = (
    "SELECT alive, missing, holds - releases, granted FROM record_messages("
    "%s, %s, %s, %s::json, %s::json, %s::json, %s::json, %s::json, %s::json, %s::bigint)"
)

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
