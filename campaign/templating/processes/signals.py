"""Signals that reach the whole group: it is the parent that decides when a worker ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NUMBERS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def ignore() -> None:
    """Ignore them from now on, in a process that was started while they were `blocked`."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


@contextmanager
def blocked() -> Iterator[None]:
    """Start a process that ignores them: none may end it before it has come to that."""
    if sys.platform == "win32":  # the new process stands in a group of its own
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
