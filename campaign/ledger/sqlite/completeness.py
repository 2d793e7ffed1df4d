"""Whether a ledger knows of every message sent. A copy may not, nor a file that lost its WAL.

A run that ended has left everything in the file. A run that died has left its last records in the WAL, so
that WAL must still be there, unchanged, beside the same file. SQLite removes the WAL when the last
connection closes; therefore opening a ledger for writing first ends dead runs, and the WAL is kept while
a run has not ended.

A run notes the file's inode when it starts. A copy of the file has the same note and another inode. For
the WAL, the file system knows when it was last changed (ctime, which no program can set): if a run was
alive then, its heartbeat is about as new, and any other process of this program that opened the WAL has
recorded that. For a file without a WAL, the file system knows when it was last written: if that is long
after this program last wrote, the file was put there by something else.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from campaign.errors import Problem, UserError
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.opening import leave_setting
from campaign.ledger.sqlite.runs import WRITTEN, live_runs, reap, unended_runs
from campaign.model import SECOND
from campaign.wording import shown

WAL_LOST = "its -wal file is missing: it was moved, copied or restored without it"
COPIED = "it was copied or restored while a run had not ended"
REPLACED = "it was copied or restored while it was open, or was put beside another one's -wal file"
RESTORED = "its file was copied or restored since it was used last, or another program has had it open"
# A run writes its heartbeat every 5 s; a write may have waited for the disk or another process.
SILENCE = 10 * SECOND
_FOLDING = 60 * SECOND  # for which a closing connection may be copying the WAL into the file
_INCOMPLETE = "incomplete"  # setting: why messages may be missing
_SETTLED = "settled"  # setting: names of campaigns known to be complete since, as JSON
_FILE = "file"  # setting: the inode of the file that the last run wrote to


def note_file(database: Database) -> None:
    """Record which file the ledger is, when a run starts. Call within a transaction."""
    if database.place is not None:
        database.set_setting(_FILE, database.place.file[1])
        database.set_setting(WRITTEN, database.place.written_at)


def incomplete(database: Database, campaign: str, now: int) -> str:
    """Return why the ledger may not know of all messages of a campaign; "" if it does."""
    why = database.setting(_INCOMPLETE)
    if why is None:
        return _fault_found(database, now)
    return "" if campaign in json.loads(str(database.setting(_SETTLED) or "[]")) else str(why)


def mark_complete(database: Database, campaign: str | None = None) -> None:
    """Record that no message of a campaign is missing; None: of any campaign."""
    with database.transaction():
        note_file(database)
        if campaign is None:
            database.set_setting(_INCOMPLETE, None)
            database.set_setting(_SETTLED, None)
        elif database.setting(_INCOMPLETE):
            settled = json.loads(str(database.setting(_SETTLED) or "[]"))
            database.set_setting(_SETTLED, json.dumps(sorted({*settled, campaign})))


def end_dead_runs(database: Database, now: int) -> None:
    """End dead runs, and record whether the ledger may be incomplete. Call before the connection is closed.

    Raises UserError if the file is damaged.
    """
    why = _fault_found(database, now)
    if not why and not unended_runs(database):
        return
    if why == REPLACED and (found := database.row("PRAGMA quick_check(1)")) != ("ok",):
        place = shown(database.path) if database.path else None
        raise UserError(Problem(f"the ledger is damaged ({found}): {why}; restore it, without a -wal", place))
    if why == RESTORED:
        why = str(database.setting(_INCOMPLETE) or why)  # a backup already says when it was made
    with database.transaction():
        if why:
            _mark(database, why)
        reap(database, now)


def is_wal_untouched(database: Database) -> bool:
    """Whether, when it was opened, the WAL of unended runs was last changed by this program."""
    place = database.place
    if place is None or place.wal_changed_at is None or not unended_runs(database):
        return True
    return place.wal_changed_at - _last_write(database) <= SILENCE


def record_visit(database: Database, now: int) -> None:
    """Record a read-only connection's visit to an untouched WAL.

    If opened by root, SQLite calls fchown on the WAL, which changes its ctime.
    """
    place = database.place
    if place is None or place.wal_changed_at is None or not (hasattr(os, "geteuid") and os.geteuid() == 0):
        return
    if unended_runs(database) and is_wal_untouched(database) and now - _last_write(database) > SILENCE // 2:
        leave_setting(place.path, WRITTEN, now)


def mark_as_copy(database: Database, now: int) -> None:
    """Record that a ledger is a copy made at `now`, UTC ns, and end its runs: they go on in the original."""
    at = datetime.fromtimestamp(now // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with database.transaction():
        database.change("UPDATE runs SET host = '', process = '', heartbeat = 0 WHERE ended_at IS NULL")
        reap(database, now)
        _mark(database, f"it is a copy of {at}")


def mark_incomplete(database: Database, why: str) -> None:
    """Record why messages may be missing, for every campaign."""
    with database.transaction():
        _mark(database, why)


def _mark(database: Database, why: str) -> None:
    database.set_setting(_INCOMPLETE, why)
    database.set_setting(_SETTLED, None)


def _fault_found(database: Database, now: int) -> str:
    """Return what was wrong with the files when this connection opened them; "" for nothing."""
    place = database.place
    if place is None:
        return ""
    died = len(live_runs(database, now)) < unended_runs(database)
    if place.wal_changed_at is None:
        if died:
            return WAL_LOST
        return RESTORED if _is_put_there(database, place.written_at) else ""
    if database.setting(_FILE) not in (None, place.file[1]):
        return COPIED if died else REPLACED
    return COPIED if died and not is_wal_untouched(database) else ""


def _is_put_there(database: Database, written_at: int) -> bool:
    """Whether a file without a WAL was written long after this program last wrote to it."""
    noted = database.setting(WRITTEN)
    if noted is None:  # an earlier release wrote it
        return False
    found = database.row("SELECT coalesce(max(heartbeat), 0) FROM runs")
    last_beat: int = found[0] if found else 0
    return written_at - max(int(str(noted)), last_beat) > _FOLDING


def _last_write(database: Database) -> int:
    """Return when an unended run, or a process that used the ledger beside it, last wrote, UTC ns."""
    found = database.row(
        "SELECT max((SELECT max(heartbeat) FROM runs WHERE ended_at IS NULL),"
        " coalesce((SELECT time FROM events ORDER BY id DESC LIMIT 1), 0),"
        " coalesce((SELECT started_at FROM attempts ORDER BY id DESC LIMIT 1), 0))"
    )
    return max(int(found[0]) if found else 0, int(str(database.setting(WRITTEN) or 0)))
