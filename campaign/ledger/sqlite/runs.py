"""Who holds the sender's lease: live runs, and what dead ones left behind.

Whether the process of a run is alive is asked of this system where it can say: by pid and start time,
so that a later process with the same pid is not mistaken for it. A run on another machine, or in a
container whose processes are not visible from here, counts as alive while its heartbeat is fresh. If
that is wrong, nobody is mailed twice: an intent holds only for the run that has the lease.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from campaign.errors import LeaseHeld, Problem, UserError
from campaign.ledger.sqlite.database import Database
from campaign.model import SECOND
from campaign.wording import counted, shown

# A process that is not visible from here is dead if its last heartbeat is further away than this, in
# either direction: a heartbeat in the future is from before the clock was set back.
LEASE = 60 * SECOND
# Seconds in which a live one renews its lease: two of its heartbeats.
_RENEWED = 10.0
BROKE_OFF = "sending broke off before anybody read the answer"
INCOMPLETE = "incomplete"  # the setting that says why messages may be missing in this ledger
WAL_LOST = "its -wal file is missing: it was moved, copied or restored without it"
_SCRUBBER = "scrubber"  # the setting with the process that cleans the files: [host, pid, process, time]


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has not ended and whose process is alive; `seen` if this system says so."""

    run_id: int
    pid: int
    host: str
    seen: bool

    def __str__(self) -> str:
        words = f"process {self.pid} on {self.host} is sending from this ledger"
        if self.seen:
            return f"{words}; wait for it, or stop it"
        return f"{words}; if it is gone, wait: it counts as dead {LEASE // SECOND} s after its last heartbeat"


def live_runs(database: Database, now: int) -> list[LiveRun]:
    """Return the live runs: at most one."""
    runs = []
    for run_id, host, pid, process, heartbeat in database.rows(
        "SELECT id, host, pid, process, heartbeat FROM runs WHERE ended_at IS NULL"
    ):
        seen = _is_alive(host, pid, process)
        fresh = abs(now - heartbeat) < LEASE
        # Who held this process up may have held up a heartbeat too.
        if seen or (seen is None and (fresh or database.held_up_within(_RENEWED))):
            runs.append(LiveRun(run_id, pid, str(host), bool(seen)))
    return runs


def refuse_held(database: Database, now: int) -> None:
    """Raise LeaseHeld if a live process sends or cleans the files. Call within a transaction."""
    words = [str(run) for run in live_runs(database, now)]
    scrubber = database.setting(_SCRUBBER)
    if scrubber is not None:
        host, pid, process, time = json.loads(str(scrubber))
        seen = _is_alive(host, pid, process)
        if seen or (seen is None and abs(now - time) < LEASE):
            words.append(f"process {pid} on {host} is removing forgotten data from this ledger; wait for it")
    if words:
        raise LeaseHeld(Problem(words[0], shown(database.path) if database.path else None))


def hold_for_scrubbing(database: Database, now: int) -> None:
    """Keep others from sending until `release_from_scrubbing`. Raises LeaseHeld."""
    with database.transaction():
        refuse_held(database, now)
        database.set_setting(_SCRUBBER, json.dumps([*this_process(), now]))


def release_from_scrubbing(database: Database) -> None:
    """Let others send again."""
    database.set_setting(_SCRUBBER, None)


def reap(database: Database, now: int) -> int:
    """End dead runs and put what they left in flight in doubt; return how many rows those were.

    Call within a transaction.
    """
    of_the_dead = f"NOT IN ({','.join(str(run.run_id) for run in live_runs(database, now))})"
    left = f"status = 'in_flight' AND run {of_the_dead}"
    # The index begins with the campaign.
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


def seen_owner(database: Database, row: str, copy: str, campaign_id: int) -> LiveRun | None:
    """Return the run that had this row, or its copy, in flight when others gave it up, if it can be seen.

    A process that was suspended may be about to write the last of a message whose lease it has lost.
    """
    for run_id, pid, host, process in database.rows(
        "SELECT r.id, r.pid, r.host, r.process FROM messages m LEFT JOIN copies c ON c.message = m.id"
        " AND c.folded = ?3 JOIN runs r ON r.id = CASE WHEN ?3 = '' THEN m.run ELSE c.run END"
        " WHERE m.campaign = ?1 AND m.key = ?2 AND ?4 = CASE WHEN ?3 = '' THEN m.reply ELSE c.reply END",
        (campaign_id, row, copy, BROKE_OFF),
    ):
        if _is_alive(host, pid, process):
            return LiveRun(run_id, pid, str(host), True)
    return None


def refuse_while_seen(database: Database, campaign_id: int) -> None:
    """Raise UserError where the process that had some of a campaign's doubt in flight can still be seen."""
    for pid, host, process, rows in database.rows(
        "SELECT r.pid, r.host, r.process, count(*) FROM"
        " (SELECT run FROM messages WHERE campaign = ?1 AND status = 'in_doubt' AND reply = ?2"
        "  UNION ALL SELECT c.run FROM copies c JOIN messages m ON m.id = c.message"
        "  WHERE m.campaign = ?1 AND c.status = 'in_doubt' AND c.reply = ?2) d"
        " JOIN runs r ON r.id = d.run GROUP BY r.id",
        (campaign_id, BROKE_OFF),
    ):
        if (host, pid, process) != this_process() and _is_alive(host, pid, process):
            what = f"process {pid} on {host} had {counted(rows, 'message')} in doubt on its way"
            raise UserError(f"{what}, and is still there: it may send yet; end that process, and try again")


def end_dead_runs(database: Database, now: int) -> None:
    """End runs that died, before this connection is closed: the last to close removes the WAL.

    A dead run without a WAL is a file that was moved, copied or restored without it: what was sent last
    is missing, and that is noted.
    """
    if not _unended(database):
        return
    with database.transaction():
        if lost_its_wal(database, now):
            database.set_setting(INCOMPLETE, WAL_LOST)
        reap(database, now)


def end_own_run(database: Database, now: int) -> None:
    """End the run that was started on this connection, if it broke off before its end: for `close`."""
    run, database.run = database.run, None
    if run is None:
        return
    with database.transaction():
        ended = database.change(
            "UPDATE runs SET ended_at = heartbeat WHERE id = ? AND ended_at IS NULL"
            " AND (host, pid, process) = (?, ?, ?)",
            (run, *this_process()),
        )
        if ended:
            reap(database, now)


def mark_as_copy(database: Database, now: int) -> None:
    """Note that a ledger is a copy made at `now`, UTC ns, and end its runs: they go on elsewhere."""
    at = datetime.fromtimestamp(now // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with database.transaction():
        database.change("UPDATE runs SET host = '', process = '', heartbeat = 0 WHERE ended_at IS NULL")
        reap(database, now)
        database.set_setting(INCOMPLETE, f"it is a copy of {at}")


def lost_its_wal(database: Database, now: int) -> bool:
    """Whether a run has died and its WAL is not there."""
    return database.lacks_wal and len(live_runs(database, now)) < _unended(database)


def _unended(database: Database) -> int:
    found = database.row("SELECT count(*) FROM runs WHERE ended_at IS NULL")
    return found[0] if found else 0


def this_process() -> tuple[str, int, str]:
    """Return host, pid, and what distinguishes this process from any other with the same pid."""
    pid = os.getpid()
    return platform.node(), pid, f"{_pid_space()} {_started(pid) or ''}"


def this_boot() -> str:
    """Return what tells this boot of the system from any other, "" where it does not say."""
    return _pid_space().partition(" ")[0]


def _is_alive(host: str, pid: int, process: str) -> bool | None:
    """Whether a process is alive, or None if this system cannot tell."""
    if host != platform.node() or process.rpartition(" ")[0] != _pid_space():
        return None
    started = _started(pid)
    return None if started is None else bool(started) and process == f"{_pid_space()} {started}"


def _pid_space() -> str:
    """Name the processes that are visible from here: this boot, and the pid namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str | None:
    """Return when a process was started, "" if there is none, None if this system does not say."""
    with suppress(OSError, IndexError):
        # proc(5): state and start time are fields 3 and 22; field 2 may hold blanks, in parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if os.name == "nt":  # there os.kill would terminate it
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # alive, and another user's
    return None
