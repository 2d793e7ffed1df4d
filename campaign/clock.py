"""Two clocks: the time of day, which somebody may set, and a steady one, which nobody does.

The steady one goes on while the machine is suspended, where the system has such a clock
(CLOCK_BOOTTIME, clock_gettime(2)): a rate window and a lease pass meanwhile. Its zero is the boot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> int:
    """Return the steady clock, in ns."""
    return time.monotonic_ns() if _BOOTTIME is None else time.clock_gettime_ns(_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks, in ns; `utc` counts from 1970. The steady one was read first."""

    steady: int
    utc: int


def moment() -> Moment:
    """Return this moment."""
    return Moment(steady(), time.time_ns())
