"""Identifies the process that sends, and tells whether it is alive, if this system can tell.

A process is known by its pid and start time, so a later process with the same pid is not mistaken for it.
Nothing can be known about a process on another machine, or in a container whose processes are not visible.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import LeaseLost, UserError
from campaign.model import SECOND
from campaign.wording import counted

BROKE_OFF = "sending broke off before anybody read the answer"
"""The reply of rows that a dead run left in flight."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has not ended, and whose process is alive; `seen`: this system can see the process.

    One that cannot be seen counts as alive for `lease` ns after its last heartbeat.
    """

    run_id: int
    pid: int
    host: str
    seen: bool
    lease: int

    def __str__(self) -> str:
        words = f"process {self.pid} on {self.host} is sending from this ledger"
        if self.seen:
            return f"{words}; wait until it ends, or stop it"
        lease = self.lease // SECOND
        return f"{words}; if it is gone, wait: it counts as dead {lease} s after its last heartbeat"


def this_process() -> tuple[str, int, str]:
    """Return host, pid, and a text that no other process with this pid has."""
    pid = os.getpid()
    return platform.node(), pid, f"{_pid_space()} {_started(pid) or ''}"


def this_boot() -> str:
    """Return a text that is different for each boot of this system; "" if it has none."""
    return _pid_space().partition(" ")[0]


def is_alive(host: str, pid: int, process: str) -> bool | None:
    """Whether a process is alive, or None if this system cannot tell."""
    if host != platform.node() or process.rpartition(" ")[0] != _pid_space():
        return None
    started = _started(pid)
    return None if started is None else bool(started) and process == f"{_pid_space()} {started}"


def refuse_while_seen(message: str, owners: Iterable[tuple[int, str, str]]) -> None:
    """Raise UserError if a process that was sending this message, and lost its lease, still exists.

    It may have been suspended, and could still send the rest of the message. `owners` are (pid, host,
    process).
    """
    for pid, host, process in owners:
        if is_alive(host, pid, process):
            what = f"process {pid} on {host} was sending this message, and still exists"
            raise UserError(f"{message}: {what}: it may still send it; end that process first")


def refuse_while_others_are_seen(owners: Iterable[tuple[int, str, str, int]]) -> None:
    """Raise UserError if another process that left messages in doubt still exists.

    `owners` are (pid, host, process, messages in doubt).
    """
    for pid, host, process, messages in owners:
        if (host, pid, process) != this_process() and is_alive(host, pid, process):
            what = f"process {pid} on {host} had {counted(messages, 'message')} in doubt on its way"
            raise UserError(f"{what}, and still exists: it may still send; end that process, and try again")


def lease_lost() -> LeaseLost:
    """Return the error of a run that another process has ended, and whose lease it may have taken."""
    return LeaseLost("another process has taken over this ledger; this one sends nothing more")


def _pid_space() -> str:
    """Return a name for the set of processes that this one can see: boot id and pid namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str | None:
    """Return when a process was started, "" if there is none, None if this system cannot tell."""
    with suppress(OSError, IndexError):
        # proc(5): state and start time are fields 3 and 22; field 2 may hold blanks, in parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if os.name == "nt":  # os.kill would terminate it
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # it is alive and belongs to another user
    return None
