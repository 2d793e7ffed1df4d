"""Whether a ledger knows of all that was sent: a copy, or one that lost its WAL, does not.

A run that ended has left everything in the file. One that died has left its last messages in the WAL, so
what is found of it must be what it left: this file, with this WAL. SQLite's last connection removes the
WAL as it closes; therefore whoever opens a ledger for writing ends dead runs first, and keeps the WAL
beside a run that has not ended.

What a run notes of the file when it starts, a copy of the file says too, and is another file. Of the WAL
the file system says when it was changed last (ctime, which no program can set): a run that lived then has
just written its heartbeat, and whoever else came to it has left a sign. Of a file without a WAL it says
when it was written last: if that was long after this program did, another one has put it there.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from campaign.errors import Problem, UserError
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.opening import leave_setting
from campaign.ledger.sqlite.runs import WRITTEN, live_runs, reap, unended
from campaign.model import SECOND
from campaign.wording import shown

WAL_LOST = "its -wal file is missing: it was moved, copied or restored without it"
COPIED = "it was copied or restored while a run had not ended"
REPLACED = "it was copied or restored while it was open, or was put beside another one's -wal file"
RESTORED = "its file was copied or restored since it was used last, or another program has had it open"
# A run writes its heartbeat every 5 s; its last write may have waited for the disk, or for another process.
SILENCE = 10 * SECOND
_FOLDING = 60 * SECOND  # for which the last connection may be folding the WAL into the file
_INCOMPLETE = "incomplete"  # the setting that says why messages may be missing
_SETTLED = "settled"  # the setting with the names of campaigns that miss none since, as JSON
_FILE = "file"  # the setting with the inode that the last run has written to


def note_file(database: Database) -> None:
    """Note in the ledger which file it is, for a run that starts. Call within a transaction."""
    if database.place is not None:
        database.set_setting(_FILE, database.place.file[1])
        database.set_setting(WRITTEN, database.place.written_at)


def incomplete(database: Database, campaign: str, now: int) -> str:
    """Return why messages of a campaign may be missing in the ledger, "" if none is."""
    why = database.setting(_INCOMPLETE)
    if why is None:
        return _seen(database, now)
    return "" if campaign in json.loads(str(database.setting(_SETTLED) or "[]")) else str(why)


def complete(database: Database, campaign: str | None = None) -> None:
    """Note that no message of a campaign is missing; None: of any."""
    with database.transaction():
        note_file(database)
        if campaign is None:
            database.set_setting(_INCOMPLETE, None)
            database.set_setting(_SETTLED, None)
        elif database.setting(_INCOMPLETE):
            settled = json.loads(str(database.setting(_SETTLED) or "[]"))
            database.set_setting(_SETTLED, json.dumps(sorted({*settled, campaign})))


def end_dead_runs(database: Database, now: int) -> None:
    """End runs that died, before this connection is closed, and note whether anything of them is missing."""
    why = _seen(database, now)
    if not why and not unended(database):
        return
    if why == REPLACED and (found := database.row("PRAGMA quick_check(1)")) != ("ok",):
        place = shown(database.path) if database.path else None
        raise UserError(Problem(f"the ledger is damaged ({found}): {why}; restore it, without a -wal", place))
    if why == RESTORED:
        why = str(database.setting(_INCOMPLETE) or why)  # a backup says when it was made
    with database.transaction():
        if why:
            _mark(database, why)
        reap(database, now)


def is_as_left(database: Database) -> bool:
    """Whether only this program had come to the WAL of runs that have not ended, when it was opened."""
    place = database.place
    if place is None or place.wal_changed_at is None or not unended(database):
        return True
    return place.wal_changed_at - _last_sign(database) <= SILENCE


def leave_sign(database: Database, now: int) -> None:
    """Note that a read-only connection has come to a WAL that was as left: as root, SQLite calls fchown."""
    place = database.place
    if place is None or place.wal_changed_at is None or not (hasattr(os, "geteuid") and os.geteuid() == 0):
        return
    if unended(database) and is_as_left(database) and now - _last_sign(database) > SILENCE // 2:
        leave_setting(place.path, WRITTEN, now)


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
    """Return what is wrong with what this connection found when it opened the file, "" for nothing."""
    place = database.place
    if place is None:
        return ""
    died = len(live_runs(database, now)) < unended(database)
    if place.wal_changed_at is None:
        if died:
            return WAL_LOST
        return RESTORED if _is_put_there(database, place.written_at) else ""
    if database.setting(_FILE) not in (None, place.file[1]):
        return COPIED if died else REPLACED
    return COPIED if died and not is_as_left(database) else ""


def _is_put_there(database: Database, written_at: int) -> bool:
    """Whether a file without a WAL was written long after this program wrote to it."""
    noted = database.setting(WRITTEN)
    if noted is None:  # by an earlier version of this program
        return False
    found = database.row("SELECT coalesce(max(heartbeat), 0) FROM runs")
    last_beat: int = found[0] if found else 0
    return written_at - max(int(str(noted)), last_beat) > _FOLDING


def _last_sign(database: Database) -> int:
    """Return when a run that has not ended, or who closed the ledger beside it, wrote last, UTC ns."""
    found = database.row(
        "SELECT max((SELECT max(heartbeat) FROM runs WHERE ended_at IS NULL),"
        " coalesce((SELECT time FROM events ORDER BY id DESC LIMIT 1), 0),"
        " coalesce((SELECT started_at FROM attempts ORDER BY id DESC LIMIT 1), 0))"
    )
    return max(int(found[0]) if found else 0, int(str(database.setting(WRITTEN) or 0)))
