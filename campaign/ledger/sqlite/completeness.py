"""Whether a ledger knows of all that was sent: a copy, or one that lost its WAL, does not.

A run that ended has left everything in the file. One that died has left its last messages in the WAL, so
what is found of it must be what it left: this file, with this WAL. SQLite's last connection removes the
WAL as it closes; therefore whoever opens a ledger for writing ends dead runs first.

What a run notes of the file when it starts, a copy of the file says too, and is another file. Of the WAL
the file system says when it was changed last (ctime, which no program can set): while a run was alive, a
heartbeat had just been written.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.runs import LEASE, live_runs, reap, unended
from campaign.model import SECOND

WAL_LOST = "its -wal file is missing: it was moved, copied or restored without it"
COPIED = "it was copied or restored while a run had not ended"
_INCOMPLETE = "incomplete"  # the setting that says why messages may be missing
_SETTLED = "settled"  # the setting with the names of campaigns that miss none since, as JSON
_FILE = "file"  # the setting with the inode that the last run has written to


def note_file(database: Database) -> None:
    """Note in the ledger which file it is, for a run that starts. Call within a transaction."""
    if database.place is not None:
        database.set_setting(_FILE, database.place.file[1])


def incomplete(database: Database, campaign: str, now: int) -> str:
    """Return why messages of a campaign may be missing in the ledger, "" if none is."""
    why = _seen(database, now)
    if why:
        return why
    settled = json.loads(str(database.setting(_SETTLED) or "[]"))
    return "" if campaign in settled else str(database.setting(_INCOMPLETE) or "")


def complete(database: Database, campaign: str | None = None) -> None:
    """Note that no message of a campaign is missing; None: of any."""
    with database.transaction():
        if campaign is None:
            database.set_setting(_INCOMPLETE, None)
            database.set_setting(_SETTLED, None)
        elif database.setting(_INCOMPLETE):
            settled = json.loads(str(database.setting(_SETTLED) or "[]"))
            database.set_setting(_SETTLED, json.dumps(sorted({*settled, campaign})))


def end_dead_runs(database: Database, now: int) -> None:
    """End runs that died, before this connection is closed, and note whether anything of them is missing."""
    if not unended(database):
        return
    with database.transaction():
        why = _seen(database, now)
        if why:
            _mark(database, why)
        reap(database, now)


def mark_as_copy(database: Database, now: int) -> None:
    """Note that a ledger is a copy made at `now`, UTC ns, and end its runs: they go on elsewhere."""
    at = datetime.fromtimestamp(now // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with database.transaction():
        database.change("UPDATE runs SET host = '', process = '', heartbeat = 0 WHERE ended_at IS NULL")
        reap(database, now)
        _mark(database, f"it is a copy of {at}")


def mark_incomplete(database: Database, why: str) -> None:
    """Note why messages may be missing, of any campaign."""
    with database.transaction():
        _mark(database, why)


def _mark(database: Database, why: str) -> None:
    database.set_setting(_INCOMPLETE, why)
    database.set_setting(_SETTLED, None)


def _seen(database: Database, now: int) -> str:
    """Return what this connection found when it opened the file, "" where no run has died in it."""
    place = database.place
    if place is None or len(live_runs(database, now)) == unended(database):
        return ""
    if place.wal_changed_at is None:
        return WAL_LOST
    found = database.row("SELECT max(heartbeat) FROM runs WHERE ended_at IS NULL")
    last = found[0] if found and found[0] is not None else 0
    noted = database.setting(_FILE)
    another = noted is not None and noted != place.file[1]
    return COPIED if another or place.wal_changed_at - last > LEASE else ""
