"""Forgets a person: erases their data from every campaign of a ledger, and from its files.

What stays is a keyed hash: on the suppression list, so that a list that still names the person does not
get them mailed, and as the key of rows that were sent. SQLite overwrites what it deletes (secure_delete),
but not the copies that it leaves behind when it moves rows between pages (`remains`). So afterwards the
WAL is emptied and those copies are overwritten, but not while messages are sent: it is done by the
process that forgets, or by the one that sends when its run has ended.

Finding a person reads the whole ledger, so it is done outside of transactions. What is found is erased in
batches, and then rows written in the meantime are searched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from campaign.address import fold
from campaign.errors import LeaseHeld
from campaign.ledger.patterns import Forgotten
from campaign.ledger.sqlite.batches import batches
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import hold_for_scrubbing, live_runs, release_from_scrubbing
from campaign.ledger.statuses import MAILED
from campaign.ledger.traces import Found, like_pattern, search_target, search_terms

_UNCLEAN = "forgotten"  # setting: present while the files are to be cleaned
_IN_ANY_CAMPAIGN = "campaign IN (SELECT id FROM campaigns)"  # the indexes begin with the campaign
# This scans all events, once per batch: an index would add to the cost of each message that is sent.
_REMOVE_EVENTS = (
    "DELETE FROM events WHERE (campaign, key) IN"
    " (SELECT campaign, key FROM messages WHERE id IN (SELECT value FROM json_each(?)))"
)


def forget(database: Database, text: str, now: int) -> Forgotten:
    """Erase a person's data; `scrub` then cleans the files.

    `text` is an address, or the exact cell of a bad row, which may contain anything. Raises UserError for
    anything else. If nothing is found, nothing is changed, and nobody is suppressed.
    """
    every = f"SELECT id, fields FROM messages WHERE {_IN_ANY_CAMPAIGN} AND status = 'invalid'"
    whom, bad_rows = search_target(text, lambda: database.each(every))
    known = database.row("SELECT 1 FROM suppressions WHERE pattern = hashed(?)", (whom,)) is not None
    read = _Read.of(database)
    found = _find(database, whom, bad_rows, _NOTHING_READ)
    if found.nothing:
        return Forgotten(0, 0, found=False, earlier=known)
    # From here on nobody sends to the person, and no enrolment stores their data again.
    with database.transaction():
        database.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
            " VALUES (hashed(?), 0, 'released', 'forgotten', ?) ON CONFLICT DO NOTHING",
            (whom, now),
        )
        database.set_setting(_UNCLEAN, 1)
    rows, others = _remove_all(database, whom, found), found.others
    while not bad_rows:
        before, read = read, _Read.of(database)
        # An enrolment in the meantime may have changed any row.
        found = _find(database, whom, set(), _NOTHING_READ if read.runs > before.runs else before)
        found.others = 0  # other people's rows stay
        if found.nothing:
            break
        rows += _remove_all(database, whom, found)
    return Forgotten(rows, others, found=True, earlier=known)


def _remove_all(database: Database, whom: str, found: Found) -> int:
    """Erase what was found; return how many rows that were."""
    rows = 0
    for some in batches(database, sorted(found.rows)):
        with database.transaction():
            database.change(_REMOVE_EVENTS, (json.dumps(some),))
            rows += sum(_remove(database, row_id) for row_id in some)
    for statement, ids in (
        ("DELETE FROM events WHERE id = ?", found.events),
        # Servers quote addresses in replies.
        ("UPDATE events SET text = '' WHERE id = ?", found.texts),
        ("UPDATE messages SET reply = '' WHERE id = ?", found.replies),
        ("UPDATE copies SET reply = '' WHERE id = ?", found.copy_replies),
    ):
        for batch in batches(database, ids):
            with database.transaction():
                database.change_many(statement, batch)
    with database.transaction():
        database.change("DELETE FROM copies WHERE folded = fold(?)", (whom,))
        database.change("DELETE FROM suppressions WHERE pattern = fold(?)", (whom,))
    return rows


@dataclass(frozen=True, slots=True)
class _Read:
    """The highest ids of the tables when they were searched; higher ones were written later."""

    messages: int = 0
    events: int = 0
    copies: int = 0
    runs: int = 0

    @classmethod
    def of(cls, database: Database) -> _Read:
        return cls(
            *(
                (database.row(f"SELECT coalesce(max(id), 0) FROM {table}") or (0,))[0]
                for table in ("messages", "events", "copies", "runs")
            )
        )


_NOTHING_READ = _Read()


def _find(database: Database, whom: str, bad_rows: set[int], read: _Read) -> Found:
    """Search the tables for a person, each table once; rows that were `read` before are skipped."""
    folded = fold(whom)
    rows = set(bad_rows)
    rows.update(
        row_id
        for (row_id,) in database.rows(
            "SELECT id FROM messages WHERE folded = ?1"
            f" UNION SELECT id FROM messages WHERE {_IN_ANY_CAMPAIGN} AND key = ?1",
            (folded,),
        )
    )
    found = Found(whom, rows)
    if not bad_rows:  # a cell that is not an address stands for its own rows only
        # Compared as JSON, as cells are stored. LIKE reads 100 MB in half the time that lower() takes.
        written = [like_pattern(part) for part in search_terms(whom)]
        mentioned = " OR ".join(f"{{0}} LIKE ?{n} ESCAPE '^'" for n in range(1, len(written) + 1))
        for row_id, status, fields, reply in database.each(
            "SELECT id, status, fields, reply FROM messages"
            f" WHERE id > {read.messages} AND ({mentioned.format('fields')} OR {mentioned.format('reply')})",
            written,
        ):
            found.see_row(row_id, str(status), str(fields), str(reply))
        for event_id, address, text in database.each(
            "SELECT id, address, text FROM events"
            f" WHERE id > {read.events} AND ({mentioned.format('address')} OR {mentioned.format('text')})",
            written,
        ):
            found.see_event(event_id, str(address), str(text))
        for copy_id, reply in database.each(
            f"SELECT id, reply FROM copies WHERE id > {read.copies} AND ({mentioned.format('reply')})",
            written,
        ):
            found.see_copy(copy_id, str(reply))
        if read is not _NOTHING_READ:
            _add_answers(database, found)
    found.listed = (
        database.row(
            "SELECT 1 FROM copies WHERE folded = ?1 UNION ALL SELECT 1 FROM suppressions WHERE pattern = ?1",
            (folded,),
        )
        is not None
    )
    return found


def _add_answers(database: Database, found: Found) -> None:
    """Add rows and copies, read before, that have since got a reply which an event quotes."""
    for (event_id,) in found.texts:
        of_the_event = (
            "FROM messages m JOIN events e ON e.campaign = m.campaign AND e.key = m.key WHERE e.id = ?"
        )
        found.replies += database.rows(f"SELECT m.id {of_the_event}", (event_id,))
        found.copy_replies += database.rows(
            f"SELECT id FROM copies WHERE message IN (SELECT m.id {of_the_event})", (event_id,)
        )


def _remove(database: Database, row_id: int) -> bool:
    """Delete a row; if it may have been sent, keep only that fact. Return whether the row was there."""
    found = database.row("SELECT status FROM messages WHERE id = ?", (row_id,))
    if found is None:
        return False
    if found[0] in MAILED:
        # The Message-ID is a hash too. It stays for a row in doubt, so that a server's log can settle it.
        database.change(
            "UPDATE messages SET key = hashed(key), identity = NULL, email = '', folded = '',"
            " domain = '', hash = '', name = '', fields = '[]', reply = '', bounce_token = NULL,"
            " message_id = CASE WHEN status = 'accepted' THEN NULL ELSE message_id END WHERE id = ?",
            (row_id,),
        )
        return True
    database.change("UPDATE attempts SET message = NULL WHERE message = ?", (row_id,))
    database.change("DELETE FROM copies WHERE message = ?", (row_id,))
    database.change("DELETE FROM messages WHERE id = ?", (row_id,))
    return True


def scrub(database: Database, now: int) -> bool:
    """Clean the files; return whether they are clean. Raises LeaseHeld while a run is live.

    During that nobody can take the lease: cleaning checkpoints the WAL, which only one connection at a time
    may do, and no message has to wait.
    """
    if database.setting(_UNCLEAN) is None:
        return True
    try:
        hold_for_scrubbing(database, now)
    except LeaseHeld:
        if live_runs(database, now):
            raise
        return database.setting(_UNCLEAN) is None
    try:
        return _scrub(database)
    finally:
        release_from_scrubbing(database)


def _scrub(database: Database) -> bool:
    """Clean the files; return False if that has to wait."""
    if not database.empty_wal():
        return False
    with database.transaction():
        clean = database.overwrite_remains()
        if clean:
            database.set_setting(_UNCLEAN, None)
    database.drop_cache()
    if not clean and database.rewrite() and database.empty_wal():
        database.set_setting(_UNCLEAN, None)
        clean = True
    return clean
