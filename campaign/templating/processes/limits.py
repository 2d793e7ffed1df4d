"""Limits for processes that render templates, enforced by the kernel (setrlimit(2)).

Python cannot limit code that runs in C: one comparison of nested lists, one regex or one codec can block the
interpreter for ever, and fill the memory before it returns.
"""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SECONDS = 5
"""Processor time for one row, or for compiling. The kernel counts whole seconds: a row may get one more."""

MEMORY = 512
"""MiB that a row may take in addition to what the process has."""

MUCH_MEMORY = f"the template needs more than {MEMORY} MB"

DEADLINE = 60.0
"""Seconds of wall time after which a row is given up, if no limit of the kernel has ended it."""

_NEVER = 1e9  # seconds
_before = 0.0  # the processor time when the timer was set
_FILES = 32  # open at once: the connection, a template, an image
_STATM = Path("/proc/self/statm")
_DATA = 5  # proc(5): the field of statm that counts data and stack, in pages

is_memory_limited = resource is not None and _STATM.exists()


def confine() -> None:
    """Forbid this process what no template needs: writing files, core dumps, many descriptors."""
    if resource is None:
        return
    for which, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
    ):
        resource.setrlimit(which, (most, most))


def grant_time() -> None:
    """Let this process use SECONDS more of processor time; after that SIGXCPU ends it."""
    if resource is not None:
        until = math.ceil(_counted() + SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def _counted() -> float:
    """Return the seconds of processor time that RLIMIT_CPU counts, from the start of the process.

    It counts the ticks at which the process was running. `process_time` adds up exact times; after some
    minutes the two may differ by seconds, and a harmless row would be ended. A profiling timer counts the
    same ticks, so one that never expires is used as a clock.
    """
    global _before
    left, _ = signal.getitimer(signal.ITIMER_PROF)
    if not left:
        _before = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, _NEVER)
        left = _NEVER
    return _before + _NEVER - left


def grant_memory() -> None:
    """Let this process take MEMORY more than it has now, and no more."""
    if is_memory_limited:
        pages = int(_STATM.read_bytes().split()[_DATA])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))
