"""A worker where no process can fork, which is Windows: each a process of its own, started by exec.

    Spawned(modules): a worker's socket, and how to learn what it does and how it ended

It takes longer to begin than one that is forked, and the kernel limits neither its processor time nor
its memory: a row is given up after `limits.DEADLINE`, and the sandbox bounds what multiplication makes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from mmap import mmap
from pathlib import Path
from typing import IO, cast

from campaign.errors import Problem
from campaign.templating.processes import limits
from campaign.templating.processes.page import SIZE, Page, decoded
from campaign.templating.processes.signals import blocked
from campaign.templating.processes.starting import Doing, environment, folder

# Ctrl-C reaches all processes of a console but those of another group.
_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


class Spawned:
    """A worker that was just started."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.socket, theirs = socket.socketpair()
        handle, name = tempfile.mkstemp(prefix="campaign-")
        self._file = Path(name)
        try:
            os.truncate(handle, SIZE)
            self._page = mmap(handle, SIZE)
        finally:
            os.close(handle)
        # Windows hands a socket over by what `share` makes of it: the worker reads that.
        passed = [] if sys.platform == "win32" else [theirs.fileno()]
        words = [str(limits.SECONDS), name, *(map(str, passed) if passed else ["-"]), *modules]
        with closing(theirs), blocked():
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "campaign.templating.processes.alone", *words],
                env=environment(),
                cwd=folder(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=passed,
                creationflags=_GROUP,
            )
            with cast(IO[bytes], self._process.stdin) as pipe:
                if sys.platform == "win32":
                    pipe.write(theirs.share(self._process.pid))

    def look(self, *, end: bool = False) -> Doing:
        """Return what it does; `end` ends it, unless it has ended by itself, and is the last look."""
        if not end:
            return Doing(*self._read())
        with suppress(subprocess.TimeoutExpired):  # its end was closed: it may be about to end
            self._process.wait(0)
        self._process.kill()
        doing = Doing(*self._read(), self._process.wait())
        self._page.close()
        with suppress(OSError):
            self._file.unlink()
        return doing

    def let_go(self) -> None:
        """End it."""
        self.socket.close()
        self.look(end=True)

    def _read(self) -> tuple[int, Problem]:
        begun, place = Page(self._page).read()
        return begun, decoded(place)
