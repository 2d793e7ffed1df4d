"""Two clocks: the time of day, which can be set, and a steady one, which cannot.

The steady clock starts at boot. It also runs while the machine is suspended, if the system has such a
clock (CLOCK_BOOTTIME, clock_gettime(2)), because rate windows and leases pass in that time too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

TellWait: TypeAlias = Callable[[float, str], None]
"""Tells a person for how many seconds nothing will happen at most, and why."""

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> int:
    """Return the steady clock, in ns."""
    return time.monotonic_ns() if _BOOTTIME is None else time.clock_gettime_ns(_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks, in ns; `utc` counts from 1970. The steady clock was read first."""

    steady: int
    utc: int


def moment() -> Moment:
    """Return this moment."""
    return Moment(steady(), time.time_ns())
