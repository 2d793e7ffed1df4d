"""Settling what is in doubt, and forgetting a person: what people change in a ledger by hand.

Both work while another process sends, and hold from its next message on.
"""

from __future__ import annotations

from collections.abc import Iterable

from campaign.ledger.database import Database
from campaign.ledger.runs import live_runs, reap
from campaign.model import Status


def settle_doubt(
    database: Database, campaign: int, status: Status, keys: Iterable[str], words: str, now: int
) -> int:
    """Say of rows in doubt that they were accepted, or are pending again; return how many were.

    `words` say who decided that, and become the row's reply and an event.
    """
    settled = 0
    with database.transaction():
        reap(database, now)
        for key in keys:
            changed = database.change(
                "UPDATE messages SET status = ?, reply = ?, due_at = ?, settled_at = coalesce(settled_at, ?)"
                " WHERE campaign = ? AND key = ? AND status = 'in_doubt'",
                (status, words, now, now, campaign, key),
            )
            if changed:
                settled += 1
                database.change(
                    "INSERT INTO events (campaign, key, address, kind, time, text)"
                    " SELECT campaign, key, email, ?, ?, ? FROM messages WHERE campaign = ? AND key = ?",
                    (status, now, words, campaign, key),
                )
    return settled


def forget(database: Database, address: str, now: int) -> int:
    """Remove a person's data from every campaign of the ledger; return how many rows that were.

    A keyed hash stays where "already sent" or a suppression needs it. The pages are overwritten
    (secure_delete); the WAL is truncated here, or by the process that is sending, at its next beat.
    """
    with database.transaction():
        rows = database.rows(
            "SELECT id, campaign, key, status FROM messages WHERE fold(email) = fold(?1) OR key = fold(?1)",
            (address,),
        )
        for number, campaign, key, status in rows:
            database.change("DELETE FROM events WHERE campaign = ? AND key = ?", (campaign, key))
            # What never left needs no memory: the row may come back with the list.
            if status in (Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT):
                database.change(
                    "UPDATE messages SET key = hashed(key), email = '', name = '', fields = '[]', reply = '',"
                    " message_id = NULL WHERE id = ?",
                    (number,),
                )
            else:
                database.change("UPDATE attempts SET message = NULL WHERE message = ?", (number,))
                database.change("DELETE FROM messages WHERE id = ?", (number,))
        database.change("DELETE FROM events WHERE fold(address) = fold(?)", (address,))
        database.change(
            "UPDATE suppressions SET pattern = hashed(?1), reason = 'forgotten' WHERE pattern = fold(?1)",
            (address,),
        )
        if live_runs(database, now):
            database.set_setting("truncate", 1)
    if not live_runs(database, now):
        database.truncate_wal()
    return len(rows)


def is_forgotten(key: str) -> bool:
    """Whether a key is the hash of one that was forgotten."""
    return len(key) == 65 and key.startswith("#")
