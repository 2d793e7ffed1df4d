"""The fork server: `python -m campaign.templating.processes.server FD [MODULE ...]`, with a single thread.

It loads the modules that tasks need, and forks a worker in a few milliseconds when its parent asks. Forking
is safe only here: there are no other threads with locks that a fork would copy. It reaps the workers and
reports how they ended. When its parent ends in any way, it kills them and ends too.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from mmap import mmap
from types import FrameType
from typing import NoReturn

from campaign.templating.processes import limits, worker
from campaign.templating.processes.control import receive, send
from campaign.templating.processes.page import SIZE, Page, here
from campaign.templating.processes.signals import ignore

_COLLECTED_AFTER = 10_000  # objects


@dataclass(slots=True)
class _Child:
    page: mmap
    status: int | None = None


class _Server:
    """The workers by their pids, until the parent ends them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Answer until the parent is gone."""
        signal.signal(signal.SIGCHLD, self._reap)
        while (request := receive(self._control)) is not None:
            words, descriptors = request
            match words:
                case {
                    "do": "fork",
                    "modules": list() as modules,
                    "folder": str() as folder,
                    "seconds": int() as seconds,
                }:
                    answer = self._fork(modules, folder, seconds, descriptors[0])
                case {"do": "look", "pid": int() as pid}:
                    answer = self._look(pid)
                case {"do": "end", "pid": int() as pid}:
                    answer = self._end(pid)
                case _:
                    return
            send(self._control, answer)

    def close(self) -> None:
        """Kill the remaining workers."""
        for pid, child in list(self._children.items()):
            if child.status is None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _fork(self, modules: Iterable[str], folder: str, seconds: int, descriptor: int) -> dict[str, object]:
        for module in modules:
            import_module(module)
        gc.freeze()  # otherwise a collection in a worker would copy the pages of all objects
        page = mmap(-1, SIZE)
        # A worker may die before it is recorded.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            self._become_worker(page, folder, seconds, descriptor)
        self._children[pid] = _Child(page)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.close(descriptor)
        return {"pid": pid}

    def _become_worker(self, page: mmap, folder: str, seconds: int, descriptor: int) -> NoReturn:
        status = 1
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            self._control.close()
            # Rows leave almost no reference cycles behind.
            gc.set_threshold(_COLLECTED_AFTER)
            gc.enable()
            here.memory = page
            with suppress(OSError):  # it may be gone
                os.chdir(folder)
            limits.SECONDS = seconds
            limits.confine()
            read, write = io.FileIO(descriptor, "r", closefd=False), io.FileIO(descriptor, "w", closefd=False)
            with suppress(ConnectionError):
                worker.serve(io.BufferedReader(read, 1 << 16), write)
            status = 0
        finally:
            os._exit(status)

    def _look(self, pid: int) -> dict[str, object]:
        begun, place = Page(self._children[pid].page).read()
        return {"begun": begun, "place": place}

    def _end(self, pid: int) -> dict[str, object]:
        """Kill a worker, unless it has ended by itself; return its status."""
        child = self._children[pid]
        if child.status is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while child.status is None:
            self._reap_one(pid, child, 0)
        answer = {**self._look(pid), "status": child.status}
        child.page.close()
        del self._children[pid]
        return answer

    def _reap(self, number: int, frame: FrameType | None) -> None:
        for pid, child in list(self._children.items()):
            if child.status is None:
                self._reap_one(pid, child, os.WNOHANG)

    def _reap_one(self, pid: int, child: _Child, options: int) -> None:
        with suppress(ChildProcessError):
            found, status = os.waitpid(pid, options)
            if found:
                child.status = os.waitstatus_to_exitcode(status)


def main() -> None:
    """Serve the parent at the other end of the given socket."""
    gc.disable()  # everything loaded here is kept
    ignore()
    descriptor, *modules = sys.argv[1:]
    server = _Server(socket.socket(fileno=int(descriptor)))
    for module in modules:
        import_module(module)
    try:
        server.run()
    finally:
        server.close()


if __name__ == "__main__":
    main()
