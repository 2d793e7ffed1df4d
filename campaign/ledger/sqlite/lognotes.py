"""Finds the results that an attempt log (`send --log`) lacks after a crash.

A run records in the ledger which file it appends to (`note`), and the file's size at that time. A run that
finds another run's note compares the two: attempts that the other run recorded (`recorded_attempts`) and
that are not in the file were lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.ledger.attempted import Attempted, LogNote, attempts_in, log_setting
from campaign.ledger.processes import BROKE_OFF
from campaign.ledger.sqlite.database import Database


def note(database: Database, campaign_id: int, path: str, size: int) -> None:
    """Record that the run that holds the lease appends to a log whose size is now `size` octets."""
    found = database.row(
        "SELECT (SELECT max(id) FROM runs WHERE campaign = ?), (SELECT coalesce(max(id), 0) FROM events)",
        (campaign_id,),
    )
    run, event = found or (0, 0)
    database.set_setting(log_setting(campaign_id), LogNote(path, size, run, event).stored())


def find(database: Database, campaign_id: int) -> LogNote | None:
    """Return the note of the campaign's last run that wrote one; None if it was removed."""
    found = database.setting(log_setting(campaign_id))
    return None if found is None else LogNote.read(str(found))


def remove(database: Database, campaign_id: int) -> None:
    """Remove the note of the run that holds the lease, unless messages are still in flight."""
    database.change(
        "DELETE FROM settings WHERE name = ?2 AND NOT EXISTS (SELECT 1 FROM messages WHERE campaign = ?1"
        " AND status = 'in_flight') AND NOT EXISTS (SELECT 1 FROM copies WHERE status = 'in_flight')",
        (campaign_id, log_setting(campaign_id)),
    )


def recorded_attempts(database: Database, campaign_id: int, one: LogNote) -> Iterator[Attempted]:
    """Iterate over the attempts that the run of a note recorded, then those that it left in doubt."""
    following = database.row(
        "SELECT min(id) FROM events WHERE campaign = ? AND id > ? AND run > ?",
        (campaign_id, one.event, one.run),
    )
    until = following[0] if following and following[0] is not None else (1 << 63) - 1
    # Events of rows left in doubt have no run; those of rows come first, then those of copies.
    yield from attempts_in(
        database.each(
            "SELECT e.key, e.address, e.kind, e.text, e.time, m.folded FROM events e"
            " JOIN messages m ON m.campaign = e.campaign AND m.key = e.key"
            " WHERE e.campaign = ?1 AND e.id > ?2 AND (e.run = ?3"
            " OR e.run IS NULL AND e.kind = 'in_doubt' AND e.text = ?4 AND e.id < ?5)"
            " AND e.source IS NULL"
            " ORDER BY e.run IS NULL, CASE WHEN e.run IS NULL THEN m.number ELSE 0 END, e.id",
            (campaign_id, one.event, one.run, BROKE_OFF, until),
        )
    )
