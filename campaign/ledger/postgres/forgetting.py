"""Forgets a person: erases their data from every campaign of a ledger.

What stays is a keyed hash: on the suppression list, so that a list that still names the person does not
get them mailed, and as the key of rows that were sent. The hash is committed first: from then on nobody
sends to the person, and no enrolment stores their data again. Deleted data leaves the tables with the
next VACUUM (`scrub`). What the server keeps in its WAL, archives and backups is up to its
administrator.
"""

from __future__ import annotations

from campaign.address import fold
from campaign.ledger.patterns import Forgotten, hashed
from campaign.ledger.postgres.database import Database
from campaign.ledger.statuses import MAILED
from campaign.ledger.traces import Found, like_pattern, search_target, search_terms

_STEP = "forgotten"  # setting: present while something is to be cleaned


def forget(database: Database, text: str, now: int) -> Forgotten:
    """Erase a person's data; see `Ledger.forget`.

    `text` is an address, or the exact cell of a bad row, which may contain anything. Raises UserError for
    anything else. If nothing is found, nothing is changed, and nobody is suppressed.
    """
    every = "SELECT id, fields FROM messages WHERE status = 'invalid'"
    whom, bad_rows = search_target(text, lambda: database.each(every))
    pattern = hashed(database.secret(), whom)
    known = database.row("SELECT 1 FROM suppressions WHERE pattern = %s", (pattern,)) is not None
    found = _find(database, whom, bad_rows)
    if found.nothing:
        return Forgotten(0, 0, found=False, earlier=known)
    with database.transaction():
        database.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
            " VALUES (%s, 0, 'released', 'forgotten', %s) ON CONFLICT DO NOTHING",
            (pattern, now),
        )
        database.set_setting(_STEP, "vacuum")
    rows, others = 0, found.others
    while not found.nothing:
        rows += database.retried_after_deadlock(lambda removed=found: _remove_all(database, whom, removed))  # type: ignore[misc]
        if bad_rows:
            break
        found = _find(database, whom, set())  # what was written in the meantime
        found.others = 0  # other people's rows stay
    return Forgotten(rows, others, found=True, earlier=known)


def _remove_all(database: Database, whom: str, found: Found) -> int:
    """Erase what was found; return how many rows that were."""
    with database.transaction():
        rows = sum(_remove(database, row_id) for row_id in sorted(found.rows))
        for statement, ids in (
            ("DELETE FROM events WHERE id = ANY(%s)", found.events),
            # Servers quote addresses in replies.
            ("UPDATE events SET text = '' WHERE id = ANY(%s)", found.texts),
            ("UPDATE messages SET reply = '' WHERE id = ANY(%s)", found.replies),
            ("UPDATE copies SET reply = '' WHERE id = ANY(%s)", found.copy_replies),
        ):
            if ids:
                database.change(statement, ([one for (one,) in ids],))
        database.change("DELETE FROM copies WHERE folded = %s", (fold(whom),))
        database.change("DELETE FROM suppressions WHERE pattern = %s", (fold(whom),))
    return rows


def _find(database: Database, whom: str, bad_rows: set[int]) -> Found:
    """Search all tables for a person."""
    folded = fold(whom)
    rows = set(bad_rows)
    rows.update(
        row_id
        for (row_id,) in database.rows(
            "SELECT id FROM messages WHERE folded = %(folded)s UNION SELECT id FROM messages"
            " WHERE campaign IN (SELECT id FROM campaigns) AND key = %(folded)s",
            {"folded": folded},
        )
    )
    found = Found(whom, rows)
    if not bad_rows:  # a cell that is not an address stands for its own rows only
        written = {"parts": [like_pattern(part) for part in search_terms(whom)]}
        for row_id, status, fields, reply in database.each(
            f"SELECT id, status, fields, reply FROM messages WHERE {_mentioned('fields', 'reply')}", written
        ):
            found.see_row(row_id, str(status), str(fields), str(reply))
        for event_id, address, text in database.each(
            f"SELECT id, address, text FROM events WHERE {_mentioned('address', 'text')}", written
        ):
            found.see_event(event_id, str(address), str(text))
        for copy_id, reply in database.each(
            f"SELECT id, reply FROM copies WHERE {_mentioned('reply')}", written
        ):
            found.see_copy(copy_id, str(reply))
    found.listed = (
        database.row(
            "SELECT 1 FROM copies WHERE folded = %(folded)s"
            " UNION ALL SELECT 1 FROM suppressions WHERE pattern = %(folded)s",
            {"folded": folded},
        )
        is not None
    )
    return found


def _mentioned(*columns: str) -> str:
    """Return the SQL condition that one of the columns may name the person."""
    # `like_pattern` escapes with ^, but LIKE ANY knows only \.
    part = "(SELECT 1 FROM unnest(%(parts)s::text[]) AS p(part) WHERE {} ILIKE p.part ESCAPE '^')"
    return " OR ".join(f"EXISTS {part.format(column)}" for column in columns)


def _remove(database: Database, row_id: int) -> bool:
    """Delete a row; if it may have been sent, keep only that fact. Return whether the row was there."""
    found = database.row("SELECT campaign, key, status FROM messages WHERE id = %s FOR UPDATE", (row_id,))
    if found is None:
        return False
    campaign_id, key, status = found
    database.change("DELETE FROM events WHERE campaign = %s AND key = %s", (campaign_id, key))
    if status in MAILED:
        # The Message-ID is a hash too. It stays for a row in doubt, so that a server's log can settle it.
        database.change(
            "UPDATE messages SET key = %s, identity = NULL, email = '', folded = '',"
            " domain = '', hash = '', name = '', fields = '[]', reply = '', bounce_token = NULL,"
            " message_id = CASE WHEN status = 'accepted' THEN NULL ELSE message_id END WHERE id = %s",
            (hashed(database.secret(), str(key)), row_id),
        )
        return True
    database.change("UPDATE attempts SET message = NULL WHERE message = %s", (row_id,))
    database.change("DELETE FROM copies WHERE message = %s", (row_id,))
    database.change("DELETE FROM messages WHERE id = %s", (row_id,))
    return True


def scrub(database: Database) -> bool:
    """Vacuum deleted rows out of the tables, also while others send; return True, as it is done then."""
    if database.setting(_STEP) is not None:
        database.change("VACUUM messages, copies, events, attempts, suppressions")
        database.set_setting(_STEP, None)
    return True
