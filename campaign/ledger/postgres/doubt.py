"""Settles rows in doubt, as a person decides or a mail server's log shows; also while processes send."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.address import fold
from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.runs import owners, reap
from campaign.ledger.postgres.schema import suppressed
from campaign.ledger.processes import refuse_while_seen
from campaign.ledger.protocols import Decision, row_and_copy
from campaign.model import Status


def settle_doubt(database: Database, campaign_id: int, keys: Iterable[str], decision: Decision) -> int:
    """Settle the rows and copies with these keys to which the decision applies; return how many.

    A row's copies in doubt are settled with it: the server gives one answer for all of them. A row that
    would be pending becomes suppressed if its person is suppressed or was forgotten. Raises UserError, and
    changes nothing, if a row would become pending while the process that was sending it still exists.
    """
    chosen = list(keys)

    def settle() -> int:
        with database.transaction():
            reap(database)
            return sum(_settle(database, campaign_id, key, decision) for key in chosen)

    return database.retried_after_deadlock(settle)


def _settle(database: Database, campaign_id: int, key: str, decision: Decision) -> bool:
    row, copy = row_and_copy(key)
    if decision.status is Status.PENDING:
        refuse_while_seen(copy or row, owners(database, row, fold(copy), campaign_id))
    parameters = {
        "status": str(decision.status),
        "words": decision.words,
        "now": decision.decided_at,
        "campaign": campaign_id,
        "row": row,
        "copy": fold(copy),
        "of": list(map(str, decision.of)),
    }
    changed = 0
    if not copy:
        changed = database.change(_SETTLE_ROW, parameters)
    copies = database.change(_SETTLE_COPIES, parameters)
    if not changed and not (copy and copies):
        return False
    database.change(_TELL, parameters)
    return True


_SETTLE_ROW = f"""
UPDATE messages SET reply = %(words)s, due_at = %(now)s, settled_at = coalesce(settled_at, %(now)s),
    claim = NULL, status = CASE WHEN %(status)s = 'pending'
    AND (email = '' OR {suppressed("messages", "messages.campaign")}) THEN 'suppressed' ELSE %(status)s END
WHERE campaign = %(campaign)s AND key = %(row)s AND status = ANY(%(of)s)
"""
_SETTLE_COPIES = f"""
UPDATE copies SET reply = %(words)s, due_at = %(now)s, settled_at = coalesce(settled_at, %(now)s),
    claim = NULL, status = CASE WHEN %(status)s = 'pending'
    AND {suppressed("copies", "%(campaign)s")} THEN 'suppressed' ELSE %(status)s END
WHERE message = (SELECT id FROM messages WHERE campaign = %(campaign)s AND key = %(row)s)
    AND (%(copy)s = '' AND status = 'in_doubt' OR folded = %(copy)s AND status = ANY(%(of)s))
"""
_TELL = """
INSERT INTO events (campaign, key, address, kind, time, text)
SELECT campaign, key, CASE WHEN %(copy)s = '' THEN email ELSE %(copy)s END, %(status)s, %(now)s, %(words)s
FROM messages WHERE campaign = %(campaign)s AND key = %(row)s
"""
