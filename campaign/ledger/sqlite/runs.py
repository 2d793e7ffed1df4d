"""Which process holds the sender's lease: live runs, and what dead ones left behind.

This system is asked whether a run's process is alive, if it can tell: by pid and start time, so that a
later process with the same pid is not mistaken for it. A run on another machine, or in a container whose
processes are not visible here, counts as alive while its heartbeat is recent. Even if that is wrong,
nobody is mailed twice: an intent holds only for the run that has the lease.
"""

from __future__ import annotations

import json
from contextlib import suppress

from campaign.errors import LeaseHeld, Problem, UserError
from campaign.ledger.processes import BROKE_OFF, LiveRun, is_alive, this_process
from campaign.ledger.sqlite.database import Database, Row
from campaign.ledger.sqlite.place import has_wal
from campaign.model import SECOND
from campaign.wording import shown

# If a process is not visible here and its last heartbeat is further away than this, it is dead. That holds
# in both directions: a heartbeat in the future was written before the clock was set back.
LEASE = 60 * SECOND
# Seconds within which a live run renews its lease: two of its heartbeats.
_RENEWED = 10.0
WRITTEN = "written"
"""The setting that says when this program last wrote to the file, UTC ns, unless a later run did."""
_SCRUBBER = "scrubber"  # setting: the process that cleans the files, [host, pid, process, time]


def live_runs(database: Database, now: int) -> list[LiveRun]:
    """Return the live runs; there is at most one."""
    runs = []
    for run_id, host, pid, process, heartbeat in database.rows(
        "SELECT id, host, pid, process, heartbeat FROM runs WHERE ended_at IS NULL"
    ):
        seen = is_alive(host, pid, process)
        fresh = abs(now - heartbeat) < LEASE
        # Whatever held this process up may have held up that run's heartbeat too.
        if seen or (seen is None and (fresh or database.held_up_within(_RENEWED))):
            runs.append(LiveRun(run_id, pid, str(host), bool(seen), LEASE))
    return runs


def refuse_held(database: Database, now: int) -> None:
    """Raise LeaseHeld if a live process is sending or cleaning the files. Call within a transaction."""
    words = [str(run) for run in live_runs(database, now)]
    scrubber = database.setting(_SCRUBBER)
    if scrubber is not None:
        host, pid, process, time = json.loads(str(scrubber))
        seen = is_alive(host, pid, process)
        if seen or (seen is None and abs(now - time) < LEASE):
            words.append(f"process {pid} on {host} is removing forgotten data from this ledger; wait for it")
    if words:
        raise LeaseHeld(Problem(words[0], shown(database.path) if database.path else None))


def hold_for_scrubbing(database: Database, now: int) -> None:
    """Keep other processes from sending until `release_from_scrubbing`. Raises LeaseHeld."""
    with database.transaction():
        refuse_held(database, now)
        database.set_setting(_SCRUBBER, json.dumps([*this_process(), now]))
        database.set_setting(WRITTEN, now)  # in case this process is killed while it cleans


def release_from_scrubbing(database: Database) -> None:
    """Let other processes send again."""
    database.set_setting(_SCRUBBER, None)


def reap(database: Database, now: int) -> int:
    """End dead runs; their rows in flight become `in_doubt`. Return how many rows those were.

    Call within a transaction.
    """
    of_the_dead = f"NOT IN ({','.join(str(run.run_id) for run in live_runs(database, now))})"
    left = f"status = 'in_flight' AND run {of_the_dead}"
    # The campaigns are listed so that the index, which begins with the campaign, is used.
    rows_left = f"campaign IN (SELECT id FROM campaigns) AND {left}"
    database.change(
        "INSERT INTO events (campaign, key, address, kind, time, text)"
        f" SELECT campaign, key, email, 'in_doubt', ?, ? FROM messages WHERE {rows_left}",
        (now, BROKE_OFF),
    )
    count = database.change(
        f"UPDATE messages SET status = 'in_doubt', reply = ?, settled_at = ? WHERE {rows_left}",
        (BROKE_OFF, now),
    )
    database.change(
        "INSERT INTO events (campaign, key, address, kind, time, text)"
        " SELECT m.campaign, m.key, c.address, 'in_doubt', ?, ?"
        " FROM copies c JOIN messages m ON m.id = c.message"
        f" WHERE c.status = 'in_flight' AND c.run {of_the_dead}",
        (now, BROKE_OFF),
    )
    database.change(
        f"UPDATE copies SET status = 'in_doubt', reply = ?, settled_at = ? WHERE {left}", (BROKE_OFF, now)
    )
    database.change(f"UPDATE runs SET ended_at = heartbeat WHERE ended_at IS NULL AND id {of_the_dead}")
    return count


def owners(database: Database, row: str, copy: str, campaign_id: int) -> list[Row]:
    """Return (pid, host, process) of the run that left a row, or a copy of it, in doubt when it died."""
    return database.rows(
        "SELECT r.pid, r.host, r.process FROM messages m LEFT JOIN copies c ON c.message = m.id"
        " AND c.folded = ?3 JOIN runs r ON r.id = CASE WHEN ?3 = '' THEN m.run ELSE c.run END"
        " WHERE m.campaign = ?1 AND m.key = ?2 AND ?4 = CASE WHEN ?3 = '' THEN m.reply ELSE c.reply END",
        (campaign_id, row, copy, BROKE_OFF),
    )


def owners_of_doubt(database: Database, campaign_id: int) -> list[Row]:
    """Return (pid, host, process, messages) of each dead run that left messages of a campaign in doubt."""
    return database.rows(
        "SELECT r.pid, r.host, r.process, count(*) FROM"
        " (SELECT run FROM messages WHERE campaign = ?1 AND status = 'in_doubt' AND reply = ?2"
        "  UNION ALL SELECT c.run FROM copies c JOIN messages m ON m.id = c.message"
        "  WHERE m.campaign = ?1 AND c.status = 'in_doubt' AND c.reply = ?2) d"
        " JOIN runs r ON r.id = d.run GROUP BY r.id",
        (campaign_id, BROKE_OFF),
    )


def close(database: Database, now: int, *, wal_untouched: bool) -> None:
    """Close a ledger, keeping what a copy is recognised by; if a run has not ended, the WAL stays.

    `wal_untouched`: the WAL was as this program had left it when the ledger was opened.
    """
    left = 0
    try:
        with suppress(UserError):  # no room, or locked: as if the process had died
            left = unended_runs(database)
            _end_own_run(database, now)
            if wal_untouched:
                _note_written(database, now)
            left = unended_runs(database)
    finally:
        database.close(keep_wal=left > 0)


def _end_own_run(database: Database, now: int) -> None:
    """End this connection's run if it did not end: called by `close`."""
    run, database.run = database.run, None
    if run is None:
        return
    with database.transaction(full=False):  # also if the file was moved
        ended = database.change(
            "UPDATE runs SET ended_at = heartbeat WHERE id = ? AND ended_at IS NULL"
            " AND (host, pid, process) = (?, ?, ?)",
            (run, *this_process()),
        )
        if ended:
            reap(database, now)


def _note_written(database: Database, now: int) -> None:
    """Record that the file is as this program wrote it: called by `close`, which changes the file."""
    place = database.place
    if place is not None and place.wal is not None and place.is_kept() and has_wal(place.path):
        with database.transaction(full=False, patience=0.0):
            database.set_setting(WRITTEN, now)


def unended_runs(database: Database) -> int:
    """Return how many runs have not ended: live ones, and dead ones that nobody has ended yet."""
    found = database.row("SELECT count(*) FROM runs WHERE ended_at IS NULL")
    return found[0] if found else 0
