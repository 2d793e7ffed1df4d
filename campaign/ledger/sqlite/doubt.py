"""Settling rows in doubt, by a person's decision or a server's log; also while another process sends."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.functions import SUPPRESSED
from campaign.ledger.sqlite.runs import reap
from campaign.model import Status


def settle_doubt(
    database: Database, campaign_id: int, status: Status, keys: Iterable[str], words: str, now: int
) -> int:
    """Settle rows in doubt as accepted or pending; return how many of `keys` were in doubt.

    `words` name who decided; they become the row's reply and an event. A row that would be pending
    becomes suppressed if its person is suppressed or was forgotten.
    """
    settled = 0
    with database.transaction():
        reap(database, now)
        for key in keys:
            changed = database.change(
                "UPDATE messages SET reply = ?2, due_at = ?3, settled_at = coalesce(settled_at, ?3), status ="
                f" CASE WHEN ?1 = 'pending' AND (email = '' OR {SUPPRESSED}) THEN 'suppressed' ELSE ?1 END"
                " WHERE campaign = ?4 AND key = ?5 AND status = 'in_doubt'",
                (status, words, now, campaign_id, key),
            )
            if changed:
                settled += 1
                database.change(
                    "INSERT INTO events (campaign, key, address, kind, time, text)"
                    " SELECT campaign, key, email, ?, ?, ? FROM messages WHERE campaign = ? AND key = ?",
                    (status, now, words, campaign_id, key),
                )
    return settled
