"""Starts workers on Windows, which has no fork: each is a new process.

    Spawned(modules): a worker's socket, and a way to find out what it does and how it ended

It starts more slowly than a forked one, and the kernel limits neither its processor time nor its memory: a
row is given up after `limits.DEADLINE`, and the sandbox limits the results of multiplication.
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

# Ctrl-C reaches all processes of a console except those in another group.
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
        # On Windows a socket is passed on by the result of `share`, which the worker reads.
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
        """Return what it does. `end`: kill it unless it has ended; this must be the last call."""
        if not end:
            return Doing(*self._read())
        with suppress(subprocess.TimeoutExpired):  # its socket was closed: it may be about to end
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
