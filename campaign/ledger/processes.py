"""Which process sends, and whether it is alive, where this system can say.

By pid and start time, so that a later process with the same pid is not mistaken for it. Of a process on
another machine, or in a container whose processes are not visible from here, nothing can be said.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import UserError
from campaign.model import SECOND
from campaign.wording import counted

BROKE_OFF = "sending broke off before anybody read the answer"
"""The reply of what a dead run left in flight."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has not ended and whose process is alive; `seen` if this system says so.

    `lease` is how long, in ns, one that cannot be seen lives after its last heartbeat.
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
    """Return host, pid, and what distinguishes this process from any other with the same pid."""
    pid = os.getpid()
    return platform.node(), pid, f"{_pid_space()} {_started(pid) or ''}"


def this_boot() -> str:
    """Return what tells this boot of the system from any other, "" where it does not say."""
    return _pid_space().partition(" ")[0]


def is_alive(host: str, pid: int, process: str) -> bool | None:
    """Whether a process is alive, or None if this system cannot tell."""
    if host != platform.node() or process.rpartition(" ")[0] != _pid_space():
        return None
    started = _started(pid)
    return None if started is None else bool(started) and process == f"{_pid_space()} {started}"


def refuse_while_seen(message: str, owners: Iterable[tuple[int, str, str]]) -> None:
    """Raise UserError where a process that had a message on its way, and lost its lease, can still be seen.

    It may have been suspended, and write the last of the message yet. `owners` are (pid, host, process).
    """
    for pid, host, process in owners:
        if is_alive(host, pid, process):
            what = f"process {pid} on {host} was sending this message, and still exists"
            raise UserError(f"{message}: {what}: it may still send it; end that process first")


def refuse_while_others_are_seen(owners: Iterable[tuple[int, str, str, int]]) -> None:
    """Raise UserError where another process that had messages on their way can still be seen.

    `owners` are (pid, host, process, messages in doubt).
    """
    for pid, host, process, messages in owners:
        if (host, pid, process) != this_process() and is_alive(host, pid, process):
            what = f"process {pid} on {host} had {counted(messages, 'message')} in doubt on its way"
            raise UserError(f"{what}, and still exists: it may still send; end that process, and try again")


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
