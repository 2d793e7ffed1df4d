"""Starts the fork server of this process when it is first needed, and forks workers through it.

    begin(modules)             start it now: it loads these modules while this process loads others
    forked(modules) → Forked   a worker's socket, and a way to find out what it does and how it ended

The server is started as a new program, not by fork or multiprocessing, so that it works from threads, in
daemonic children of a task queue, and inside other programs. It does not inherit this process's environment,
which may contain passwords.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import campaign
from campaign.errors import Problem
from campaign.templating.processes import limits
from campaign.templating.processes.control import receive, send
from campaign.templating.processes.page import decoded
from campaign.templating.processes.signals import blocked

# Variables that Python, the loader of shared libraries and Windows need to start.
_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "SYSTEMROOT")
_WAIT = 10  # seconds for the server to end once its socket is closed


class ServerGone(ConnectionError):
    """The fork server was killed; the next worker comes from a new one."""


@dataclass(frozen=True, slots=True)
class Doing:
    """What a worker was doing at one moment: rows begun, and the template's place.

    `status` is None while it lives; else its exit status, or a negated signal number.
    """

    begun: int
    place: Problem
    status: int | None = None


class ForkServer:
    """A running fork server. May be shared by threads."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self.of = os.getpid()
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        server = "campaign.templating.processes.server"
        command = [sys.executable, "-P", "-m", server, str(theirs.fileno()), *modules]
        with closing(theirs), blocked():
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, modules: Sequence[str]) -> Forked:
        """Start a worker. Raises ServerGone."""
        ours, theirs = socket.socketpair()
        with closing(theirs):
            try:
                words: dict[str, object] = {
                    "do": "fork",
                    "modules": list(modules),
                    "folder": folder(),
                    "seconds": limits.SECONDS,
                }
                answer = self._ask(words, theirs)
            except BaseException:
                ours.close()
                raise
        return Forked(self, ours, int(str(answer["pid"])))

    def look(self, pid: int, *, end: bool = False) -> Doing:
        """Return what a worker does. `end`: kill it unless it has ended. Raises ServerGone."""
        answer = self._ask({"do": "end" if end else "look", "pid": pid})
        status = answer.get("status")
        begun = int(str(answer["begun"]))
        return Doing(begun, decoded(str(answer["place"])), status if isinstance(status, int) else None)

    def close(self) -> None:
        """End the server and all its workers."""
        self._control.close()
        if self.of == os.getpid():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_WAIT)

    def _ask(self, words: dict[str, object], pass_on: socket.socket | None = None) -> dict[str, object]:
        with self._lock:
            try:
                send(self._control, words, pass_on)
                answer = receive(self._control)
            except OSError as error:
                raise ServerGone(str(error)) from None
            except BaseException:  # interrupted: the next request would get the answer to this one
                self._control.close()
                raise
        if answer is None:
            raise ServerGone("the process that starts workers has ended")
        return answer[0]


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker that was just started."""

    server: ForkServer
    socket: socket.socket
    pid: int

    def look(self, *, end: bool = False) -> Doing:
        """Return what it does. `end`: kill it unless it has ended. Raises ServerGone."""
        return self.server.look(self.pid, end=end)

    def let_go(self) -> None:
        """Let it end by itself, if the server cannot be asked any more."""
        self.socket.close()


_starting = threading.Lock()
_server: ForkServer | None = None


def begin(modules: Sequence[str]) -> None:
    """Start the server with these modules, unless it runs already; do nothing where fork is missing."""
    if sys.platform != "win32":
        _running(modules)


def forked(modules: Sequence[str]) -> Forked:
    """Start a worker with these modules. Raises ServerGone if two servers in a row fail."""
    try:
        return _running().fork(modules)
    except ServerGone:
        stop()
        return _running().fork(modules)


def stop() -> None:
    """End the server of this process, if there is one."""
    global _server
    with _starting:
        server, _server = _server, None
    if server is not None:
        server.close()


def _running(modules: Sequence[str] = ()) -> ForkServer:
    global _server
    with _starting:
        if _server is None or _server.of != os.getpid():  # after a fork, the server is the parent's
            _server = ForkServer(modules)
            atexit.unregister(stop)
            atexit.register(stop)
        return _server


def folder() -> str:
    """Return the working directory, which file names in messages are relative to; "/" if it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return "/"


def environment() -> dict[str, str]:
    """Return the environment for a new process, in which this process's modules can be imported."""
    home = str(Path(campaign.__file__).resolve().parent.parent)
    path = [home, *(entry for entry in sys.path if entry and Path(entry).is_absolute() and entry != home)]
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONUTF8": "1"}
