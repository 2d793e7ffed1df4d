"""Who is sending: runs, the lease that one of them holds, and what a dead one left behind."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.ledger.database import Database

_SECOND = 1_000_000_000
# Another machine's run without a heartbeat for this long is dead.
LEASE = 60 * _SECOND


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has not ended, and whose process lives."""

    id: int
    pid: int
    host: str


def live_runs(database: Database, now: int) -> list[Run]:
    """Return the runs whose processes live: at most one."""
    runs = []
    here, _, _ = this_process()
    for number, host, pid, process, heartbeat in database.rows(
        "SELECT id, host, pid, process, heartbeat FROM runs WHERE ended_at IS NULL"
    ):
        running = _process(pid) if host == here else None
        # A beat from the future, where a clock has jumped, counts as one from now.
        alive = now - heartbeat < LEASE if running is None else running == process
        if alive:
            runs.append(Run(number, pid, str(host)))
    return runs


def reap(database: Database, now: int) -> int:
    """End dead runs and put what they left in flight in doubt; return how many rows that were.

    Within a transaction.
    """
    live = [run.id for run in live_runs(database, now)]
    of_the_dead = f"NOT IN ({','.join(map(str, live))})"
    left = f"status = 'in_flight' AND run {of_the_dead}"
    words = "sending broke off before the server's answer was read"
    database.change(
        "INSERT INTO events (campaign, key, address, kind, time, text)"
        f" SELECT campaign, key, email, 'in_doubt', ?, ? FROM messages WHERE {left}",
        (now, words),
    )
    count = database.change(
        f"UPDATE messages SET status = 'in_doubt', reply = ?, settled_at = ? WHERE {left}",
        (words, now),
    )
    database.change(f"UPDATE runs SET ended_at = heartbeat WHERE ended_at IS NULL AND id {of_the_dead}")
    return count


def this_process() -> tuple[str, int, str]:
    pid = os.getpid()
    return platform.node(), pid, _process(pid) or ""


def _process(pid: int) -> str | None:
    """Tell a living process from any other that has had its pid.

    "" where there is none, None where this system does not say.
    """
    with suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # proc(5): state and start time are fields 3 and 22; field 2 may hold spaces, in brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"
    if os.name == "nt":  # there os.kill would do what it says
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # it lives, and is another user's
    return "alive"
