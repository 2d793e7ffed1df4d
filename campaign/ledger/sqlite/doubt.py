"""Settles rows in doubt, as a person decides or a mail server's log shows; also while a process sends."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from campaign.address import fold
from campaign.ledger.processes import refuse_while_seen
from campaign.ledger.protocols import Decision, row_and_copy
from campaign.ledger.sqlite.batches import batches
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.functions import SUPPRESSED, suppressed
from campaign.ledger.sqlite.runs import owners, reap
from campaign.ledger.statuses import listed
from campaign.model import Status


def settle_doubt(database: Database, campaign_id: int, keys: Iterable[str], decision: Decision) -> int:
    """Settle the rows and copies with these keys to which the decision applies; return how many.

    A row's copies in doubt are settled with it: the server gives one answer for all of them. A row that
    would be pending becomes suppressed if its person is suppressed or was forgotten. Raises UserError, and
    changes nothing, if a row would become pending while the process that was sending it still exists.
    """
    keys = list(keys)
    with database.transaction():
        reap(database, decision.decided_at)
        if decision.status is Status.PENDING:
            for key in keys:
                _refuse_while_seen(database, campaign_id, key)
    settled = 0
    for batch in batches(database, keys):
        with database.transaction():
            for key in batch:
                if decision.status is Status.PENDING:
                    _refuse_while_seen(database, campaign_id, key)
                settled += _settle(database, campaign_id, key, decision)
    return settled


def _settle(database: Database, campaign_id: int, key: str, decision: Decision) -> bool:
    """Settle a row or a copy; return whether the decision applied to it."""
    row, copy = row_and_copy(key)
    parameters = (
        decision.status,
        decision.words,
        decision.decided_at,
        campaign_id,
        row,
        fold(copy),
    )
    changed = 0
    if not copy:
        changed = database.change(
            "UPDATE messages SET reply = ?2, due_at = ?3, settled_at = coalesce(settled_at, ?3),"
            f" status = CASE WHEN ?1 = 'pending' AND (email = '' OR {SUPPRESSED})"
            " THEN 'suppressed' ELSE ?1 END"
            f" WHERE campaign = ?4 AND key = ?5 AND status IN {listed(decision.of)}",
            parameters[:5],
        )
    copies = _settle_copies(database, parameters, decision.of)
    if not changed and not (copy and copies):
        return False
    database.change(
        "INSERT INTO events (campaign, key, address, kind, time, text)"
        " SELECT campaign, key, CASE WHEN ?6 = '' THEN email ELSE ?6 END, ?1, ?3, ?2"
        " FROM messages WHERE campaign = ?4 AND key = ?5",
        parameters,
    )
    return True


def _refuse_while_seen(database: Database, campaign_id: int, key: str) -> None:
    row, copy = row_and_copy(key)
    refuse_while_seen(copy or row, owners(database, row, fold(copy), campaign_id))


def _settle_copies(database: Database, parameters: tuple[object, ...], of: Collection[Status]) -> int:
    """Settle a copy that has one of these statuses, or all copies in doubt of a row."""
    return database.change(
        "UPDATE copies SET reply = ?2, due_at = ?3, settled_at = coalesce(settled_at, ?3), status ="
        f" CASE WHEN ?1 = 'pending' AND {suppressed('copies', '?4')} THEN 'suppressed' ELSE ?1 END"
        " WHERE message = (SELECT id FROM messages WHERE campaign = ?4 AND key = ?5)"
        f" AND (?6 = '' AND status = 'in_doubt' OR folded = ?6 AND status IN {listed(of)})",
        parameters,
    )
