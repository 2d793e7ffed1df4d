"""Predicts when the next message may leave, and the last one: from the rate windows and the due times.

Pure: the clocks are arguments. The speed so far is not used: a full window says exactly when it has room
again, and the speed before it was full says nothing about that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campaign.model import Window


class Windows(Protocol):
    """The part of a pace that is needed here; times are monotonic ns."""

    def delay(self, now: int, addresses: int = 1) -> int:
        """Return the ns until this many addresses may start."""

    def finish(self, now: int, count: int) -> int:
        """Return the ns until `count` starts can be done."""

    def limit(self, now: int) -> Window | None:
        """Return the window that the next start waits for longest, or None if it need not wait."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The next message may leave at `next_at`, and the last at about `ends_at`; UTC ns.

    `limit` is the window that is full until `next_at`; None if there is no wait, or for another reason.
    """

    next_at: int
    ends_at: int
    limit: Window | None = None


def outlook(
    pace: Windows, addresses: int, due: int | None, now: int, utc: int, last_due: int | None = None
) -> Outlook:
    """Return the outlook for this many addresses: the first is due at `due`, and the last at `last_due`.

    Both are UTC ns. `now` (monotonic) and `utc` are the same moment.
    """
    full = pace.delay(now)
    put_off = max(0, due - utc) if due is not None else 0
    last = max(0, last_due - utc) if last_due is not None else 0
    ends = max(pace.finish(now, addresses), put_off, last)
    limit = pace.limit(now) if full >= put_off else None
    return Outlook(utc + max(full, put_off), utc + ends, limit)
