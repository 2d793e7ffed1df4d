"""Who is sending: runs, the lease that one of them holds, and what a dead one left behind.

Whether a run lives is asked of this system where it can say: by pid and start time, so that a later
process with the same pid is not taken for it. A run of another machine, or of a container whose
processes are not visible from here, lives while its heartbeat is fresh. Should such a one be taken
for dead in error, nobody is mailed twice: an intent holds only for the run that has the lease.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.ledger.sqlite.database import Database

_SECOND = 1_000_000_000
# A run that cannot be seen from here is dead when its last heartbeat is this far away, in either
# direction: a beat from the future is one of a clock that has been set back since.
LEASE = 60 * _SECOND
BROKE_OFF = "sending broke off before anybody read the answer"


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has not ended, and whose process lives. `seen`: this system says so."""

    id: int
    pid: int
    host: str
    seen: bool

    def __str__(self) -> str:
        words = f"process {self.pid} on {self.host} is sending from this ledger"
        if self.seen:
            return f"{words}; wait for it, or stop it"
        return (
            f"{words}; if it is gone, wait: it counts as dead {LEASE // _SECOND} s after its last heartbeat"
        )


def live_runs(database: Database, now: int) -> list[LiveRun]:
    """Return the runs whose processes live: at most one."""
    runs = []
    for number, host, pid, process, heartbeat in database.rows(
        "SELECT id, host, pid, process, heartbeat FROM runs WHERE ended_at IS NULL"
    ):
        seen = _lives(host, pid, process)
        if seen or (seen is None and abs(now - heartbeat) < LEASE):
            runs.append(LiveRun(number, pid, str(host), bool(seen)))
    return runs


def reap(database: Database, now: int) -> int:
    """End dead runs and put what they left in flight in doubt; return how many rows that were.

    Within a transaction.
    """
    live = [run.id for run in live_runs(database, now)]
    of_the_dead = f"NOT IN ({','.join(map(str, live))})"
    left = f"status = 'in_flight' AND run {of_the_dead}"
    database.change(
        "INSERT INTO events (campaign, key, address, kind, time, text)"
        f" SELECT campaign, key, email, 'in_doubt', ?, ? FROM messages WHERE {left}",
        (now, BROKE_OFF),
    )
    count = database.change(
        f"UPDATE messages SET status = 'in_doubt', reply = ?, settled_at = ? WHERE {left}",
        (BROKE_OFF, now),
    )
    database.change(f"UPDATE runs SET ended_at = heartbeat WHERE ended_at IS NULL AND id {of_the_dead}")
    return count


def this_process() -> tuple[str, int, str]:
    """Return host, pid, and what tells this process from any other that has had its pid."""
    pid = os.getpid()
    return platform.node(), pid, f"{_place()} {_started(pid) or ''}"


def _lives(host: str, pid: int, process: str) -> bool | None:
    """Whether a process lives, or None where this system cannot tell."""
    if host != platform.node() or process.rpartition(" ")[0] != _place():
        return None
    started = _started(pid)
    return None if started is None else bool(started) and process == f"{_place()} {started}"


def _place() -> str:
    """Name the set of processes that is visible from here: this boot, and its namespace of pids."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str | None:
    """Return when a process was started, "" where there is none, None where this system does not say."""
    with suppress(OSError, IndexError):
        # proc(5): state and start time are fields 3 and 22; field 2 may hold spaces, in brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if os.name == "nt":  # there os.kill would do what it says
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # it lives, and is another user's
    return None
