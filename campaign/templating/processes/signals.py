"""Makes workers ignore the signals that reach the whole process group: the parent decides when they end."""

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
    """Block the signals while a process is started, until it ignores them."""
    if sys.platform == "win32":  # the new process is in a group of its own
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
