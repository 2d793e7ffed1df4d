"""Forgetting a person: their data leaves every campaign of a ledger, and its files.

What stays is a keyed hash: on the suppression list, so that the person is not mailed again although
a list names them still, and in the place of the key of what was sent. SQLite overwrites what is
deleted (secure_delete), but not the copies that it leaves where it moves rows; so the file is
rewritten and the WAL emptied, by the process that is sending, or by the one that forgets.
"""

from __future__ import annotations

from campaign.ledger.sqlite.database import Database
from campaign.model import Status

_SETTING = "forgotten"  # somebody was, and the files still hold them
_SENT = (Status.ACCEPTED, Status.IN_DOUBT, Status.IN_FLIGHT)


def forget(database: Database, address: str, now: int) -> int:
    """Remove a person's data; return how many rows that were. The files need `scrub` yet."""
    with database.transaction():
        rows = database.rows(
            "SELECT id, campaign, key, status FROM messages WHERE fold(email) = fold(?1) OR key = fold(?1)"
            # A bad row is kept as it stood in the list.
            " OR status = 'invalid' AND instr(lower(fields), lower(?1))",
            (address,),
        )
        for number, campaign, key, status in rows:
            database.change("DELETE FROM events WHERE campaign = ? AND key = ?", (campaign, key))
            if status in _SENT:
                # By its Message-ID, a hash too, a log can still settle what is in doubt.
                database.change(
                    "UPDATE messages SET key = hashed(key), email = '', name = '', fields = '[]', reply = '',"
                    " message_id = CASE WHEN status = 'accepted' THEN NULL ELSE message_id END WHERE id = ?",
                    (number,),
                )
            else:
                database.change("UPDATE attempts SET message = NULL WHERE message = ?", (number,))
                database.change("DELETE FROM messages WHERE id = ?", (number,))
        database.change("DELETE FROM events WHERE fold(address) = fold(?)", (address,))
        for table, column in (("messages", "reply"), ("events", "text")):  # servers quote addresses
            database.change(
                f"UPDATE {table} SET {column} = '' WHERE instr(lower({column}), lower(?))", (address,)
            )
        database.change("DELETE FROM suppressions WHERE pattern = fold(?)", (address,))
        database.change(
            "INSERT INTO suppressions VALUES (hashed(?), 'forgotten', ?) ON CONFLICT DO NOTHING",
            (address, now),
        )
        database.set_setting(_SETTING, "rewrite")
    return len(rows)


def scrub(database: Database) -> bool:
    """Rewrite the files where somebody was forgotten; False where that has to wait.

    Only for the connection that checkpoints.
    """
    step = database.setting(_SETTING)
    if step == "rewrite" and database.rewrite():
        step = "empty"
        database.set_setting(_SETTING, step)
    if step == "empty" and database.empty_wal():
        step = None
        database.set_setting(_SETTING, step)
    return step is None


def is_done(database: Database) -> bool:
    """Whether `scrub` has nothing to do."""
    return database.setting(_SETTING) is None


def is_forgotten(key: str) -> bool:
    """Whether a key is the hash of one that was forgotten."""
    return len(key) == 65 and key.startswith("#")
