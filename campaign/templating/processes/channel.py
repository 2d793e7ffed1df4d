"""The parent's end of a worker: sends it work, receives frames, and finds out how it ended."""

from __future__ import annotations

import marshal
import pickle
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from campaign.errors import Problem
from campaign.templating.processes.frames import Frame, Reader
from campaign.templating.processes.limits import DEADLINE, MUCH_MEMORY, SECONDS
from campaign.templating.processes.starting import Doing, ServerGone
from campaign.templating.processes.work import Row, Task
from campaign.templating.processes.worker import LENGTH, OUT_OF_MEMORY

if sys.platform == "win32":
    from campaign.templating.processes.spawned import Spawned as started
else:
    from campaign.templating.processes.starting import forked as started

_KILLED = -9  # by SIGKILL, which not every system has a name for
_AT_ONCE = 1 << 18  # octets of one read

MUCH_WORK = f"the template makes too much work: more than {SECONDS} s of processor time"
LONG = f"the template takes more than {DEADLINE:g} s"


class Ended(Exception):
    """The worker ended during its work: how many rows it had begun, the template's place, and why.

    `killed`: something else killed it, and another worker may be able to do the same row.
    """

    def __init__(self, doing: Doing, why: str, *, killed: bool) -> None:
        self.begun = doing.begun
        self.place = doing.place
        self.why = why
        self.killed = killed
        super().__init__(why)


class Channel:
    """A worker that was started with a task. Raises ServerGone if none can be started."""

    def __init__(self, task: Task) -> None:
        self._worker = started([type(task).__module__, *task.modules])
        self._socket = self._worker.socket
        self._socket.setblocking(False)
        self._reader = Reader()
        self._over = False  # its server has reported its end, and forgotten it
        self._send(pickle.dumps(task))

    def submit(self, rows: Sequence[Row]) -> None:
        """Ask for these rows; the worker answers each with a frame."""
        self._send(marshal.dumps(list(rows)))

    def receive(self, received: int) -> Frame:
        """Return the next frame; `received`: how many rows' frames came before. Raises Ended, Garbled."""
        while (frame := self._reader.next()) is None:
            if not select.select([self._socket], [], [], DEADLINE)[0]:
                doing = self._look()
                if doing.begun <= received + 1:
                    raise Ended(self._end(), LONG, killed=False)
                received = doing.begun - 1
            elif not self._read():
                raise self._ended()
        return frame

    def close(self) -> None:
        """End the worker; if it is at work, it is killed."""
        if not self._over:
            self._end()

    def let_go(self) -> None:
        """Let the worker end by itself, if its server cannot be asked any more."""
        if not self._over:
            self._worker.let_go()

    def _send(self, octets: bytes) -> None:
        waiting = memoryview(LENGTH.pack(len(octets)) + octets)
        while waiting:
            readable, writable, _ = select.select([self._socket], [self._socket], [])
            if readable and not self._read():
                return  # `receive` reports how it ended
            if writable:
                with suppress(BlockingIOError, ConnectionError):
                    waiting = waiting[self._socket.send(waiting) :]

    def _read(self) -> bool:
        """Read what has arrived; return whether more can come."""
        try:
            octets = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._reader.feed(octets)
        return bool(octets)

    def _look(self) -> Doing:
        try:
            return self._worker.look()
        except ServerGone:
            return Doing(0, Problem(""))

    def _end(self) -> Doing:
        self._over = True
        self._socket.close()
        try:
            return self._worker.look(end=True)
        except ServerGone:
            return Doing(0, Problem(""), _KILLED)

    def _ended(self) -> Ended:
        doing = self._end()
        status = doing.status or 0
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if how == "SIGXCPU":
            return Ended(doing, MUCH_WORK, killed=False)
        if status == OUT_OF_MEMORY or how == "SIGABRT":  # a library that cannot go on aborts
            return Ended(doing, MUCH_MEMORY, killed=False)
        why = f"the process that rendered the template has ended twice ({how})"
        if how in ("SIGSEGV", "SIGBUS"):
            return Ended(doing, f"{why}: it is nested too deeply, or needs too much memory", killed=True)
        if how == "SIGKILL":
            why += ": perhaps the machine's memory is full"
        return Ended(doing, why, killed=True)
