"""When the next message may leave, and when all will have: from the rate's windows and from due times.

Pure: the clocks are arguments. No speed that was seen goes into it: a window that is full says exactly
when it has room again, and what went fast before it was full says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campaign.model import Window


class Windows(Protocol):
    """What is asked of a pace; times are monotonic ns."""

    def delay(self, now: int, addresses: int = 1) -> int:
        """Return the ns to wait before so many addresses may start."""

    def finish(self, now: int, count: int) -> int:
        """Return the ns until the last of `count` starts may have been made."""

    def limit(self, now: int) -> Window | None:
        """Return the window that the next start waits for the longest, or None where it may be now."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The next message may leave at `next_at`, and the last will at about `ends_at`; UTC ns.

    `limit` is the window that is full until `next_at`; None where nothing is waited for, or something else.
    """

    next_at: int
    ends_at: int
    limit: Window | None = None


def outlook(
    pace: Windows, addresses: int, due: int | None, now: int, utc: int, last_due: int | None = None
) -> Outlook:
    """Return the outlook for so many addresses: none is due before `due`, and one not before `last_due`.

    Both are UTC ns. `now` (monotonic) and `utc` are one moment.
    """
    full = pace.delay(now)
    put_off = max(0, due - utc) if due is not None else 0
    last = max(0, last_due - utc) if last_due is not None else 0
    ends = max(pace.finish(now, addresses), put_off, last)
    limit = pace.limit(now) if full >= put_off else None
    return Outlook(utc + max(full, put_off), utc + ends, limit)
