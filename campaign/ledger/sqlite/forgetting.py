"""Forgetting a person: their data leaves every campaign of a ledger, and its files.

What stays is a keyed hash: on the suppression list, so that the person is not mailed again by a list
that still names them, and as the key of rows that were sent. SQLite overwrites what it deletes
(secure_delete), but not the copies it leaves behind when it moves rows between pages. So the file is
rewritten and the WAL emptied: by the process that is sending, or else by the one that forgets.
"""

from __future__ import annotations

from campaign.errors import LeaseHeld
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import hold_for_scrubbing, release_from_scrubbing
from campaign.model import Status

_STEP = "forgotten"  # the setting with the next step of `scrub`, absent if there is nothing to do
_REWRITE, _EMPTY_WAL = "rewrite", "empty"
_SENT = (Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT)


def forget(database: Database, address: str, now: int) -> int:
    """Remove a person's data; return how many rows there were. `scrubbed` then cleans the files."""
    with database.transaction():
        rows = database.rows(
            "SELECT id, campaign, key, status FROM messages WHERE folded = fold(?1) OR key = fold(?1)"
            # A bad row is stored as it stands in the list: the address may be in any of its cells.
            " OR status = 'invalid' AND instr(lower(fields), lower(?1))",
            (address,),
        )
        for row_id, campaign_id, key, status in rows:
            database.change("DELETE FROM events WHERE campaign = ? AND key = ?", (campaign_id, key))
            if status in _SENT:
                # The Message-ID is a hash too; a server's log can still settle a row in doubt by it.
                database.change(
                    "UPDATE messages SET key = hashed(key), identity = NULL, email = '', folded = '',"
                    " domain = '', hash = '', name = '', fields = '[]', reply = '', bounce_token = NULL,"
                    " message_id = CASE WHEN status = 'accepted' THEN NULL ELSE message_id END WHERE id = ?",
                    (row_id,),
                )
            else:
                database.change("UPDATE attempts SET message = NULL WHERE message = ?", (row_id,))
                database.change("DELETE FROM messages WHERE id = ?", (row_id,))
        database.change("DELETE FROM events WHERE fold(address) = fold(?)", (address,))
        database.change(
            "DELETE FROM copies WHERE folded = fold(?) OR message NOT IN (SELECT id FROM messages)",
            (address,),
        )
        for table, column in (("messages", "reply"), ("events", "text")):  # servers quote addresses
            database.change(
                f"UPDATE {table} SET {column} = '' WHERE instr(lower({column}), lower(?))", (address,)
            )
        database.change("DELETE FROM suppressions WHERE pattern = fold(?)", (address,))
        database.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
            " VALUES (hashed(?), 0, 'released', 'forgotten', ?) ON CONFLICT DO NOTHING",
            (address, now),
        )
        database.set_setting(_STEP, _REWRITE)
    return len(rows)


def scrubbed(database: Database, now: int) -> bool:
    """Clean the files unless another process holds the lease; return whether they are clean.

    Meanwhile nobody can take the lease: rewriting the file checkpoints the WAL, which only one
    connection at a time may do.
    """
    if database.setting(_STEP) is None:
        return True
    try:
        hold_for_scrubbing(database, now)
    except LeaseHeld:
        return database.setting(_STEP) is None
    try:
        return scrub(database)
    finally:
        release_from_scrubbing(database)


def scrub(database: Database) -> bool:
    """Clean the files if somebody was forgotten; False if that has to wait.

    Only for the process that holds the lease.
    """
    step = database.setting(_STEP)
    if step == _REWRITE and database.rewrite():
        step = _EMPTY_WAL
        database.set_setting(_STEP, step)
    if step == _EMPTY_WAL and database.empty_wal():
        step = None
        database.set_setting(_STEP, step)
    return step is None
