"""Rate windows: compute when the next message may start. Pure; time is an argument.

Each window keeps an exact log of its last N starts, one place for each envelope address. With places
numbered in order, the k-th may start at `now` if `now − start[k−N] ≥ T`. The interval is half-open, so no
interval of length T ever holds more than N starts, and nothing waits longer than necessary. Windows of a
second are also spaced by ceil(T/N), so that mail flows instead of bursting. Longer windows are not spread,
because people want the day's mail in the morning.

`now` is a steady clock (`clock.steady`) in integer nanoseconds: rounding could put N+1 into a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from campaign.model import SECOND, Window


class _Log:
    """The last N starts of one window, oldest first."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.starts: deque[int] = deque(maxlen=window.count)
        self.spacing = -(-window.period // window.count) if window.period <= SECOND else 0

    def earliest(self, addresses: int) -> int | None:
        """Return when this many addresses may start together, or None if they may at any time."""
        if not self.starts:
            return None
        # They start together; the last of them decides, by the start N places before it.
        place = len(self.starts) + addresses - 1 - self.window.count
        full = self.starts[place] + self.window.period if place >= 0 else None
        spaced = self.starts[-1] + self.spacing if self.spacing else None
        times = [time for time in (full, spaced) if time is not None]
        return max(times) if times else None


class LocalPace:
    """Several windows that all apply, kept in this process (`gate.Pace`). Not thread-safe.

    A message with n addresses takes n places in every window at once.
    """

    def __init__(self, windows: Sequence[Window]) -> None:
        self._logs = [_Log(window) for window in windows]

    def fits(self, addresses: int) -> bool:
        """Whether a message with this many addresses can ever start."""
        return all(addresses <= log.window.count for log in self._logs)

    def delay(self, now: int, addresses: int = 1) -> int:
        """Return the nanoseconds until this many addresses may start; 0 if they may now.

        Raises ValueError if they do not fit into a window.
        """
        if not self.fits(addresses):
            raise ValueError(f"{addresses} addresses do not fit into the rate {self}")
        times = [time for log in self._logs if (time := log.earliest(addresses)) is not None]
        return max(0, max(times, default=now) - now)

    def limit(self, now: int) -> Window | None:
        """Return the window that the next start waits for longest, or None if it need not wait."""
        times = [(time, log.window) for log in self._logs if (time := log.earliest(1)) is not None]
        latest, window = max(times, key=lambda found: found[0], default=(now, None))
        return window if latest > now else None

    def take(self, now: int, addresses: int = 1) -> None:
        """Record that this many addresses start at `now`, which is never before an earlier start."""
        for log in self._logs:
            log.starts.extend([now] * addresses)

    def load(self, ages: Iterable[tuple[int, int]], now: int) -> None:
        """Rebuild the windows from (age in ns, addresses), oldest first; an age below zero counts as now."""
        for age, addresses in ages:
            start = now - max(0, age)
            for log in self._logs:
                last = log.starts[-1] if log.starts else start
                log.starts.extend([max(start, last)] * min(addresses, log.window.count))

    def finish(self, now: int, count: int) -> int:
        """Return the nanoseconds from `now` until `count` single starts can be done.

        Each window gives a lower bound; the largest is returned. That is exact for one window, and can be
        too short if several interleave.
        """
        return max((self._finish(log, now, count) for log in self._logs), default=0) if count > 0 else 0

    def _finish(self, log: _Log, now: int, count: int) -> int:
        size, period = log.window.count, log.window.period
        missing = size - len(log.starts)
        if log.spacing:
            # A start waits for the one before it, and for the one a whole window before.
            last = now + (count - 1) * log.spacing
            if log.starts:
                last = max(last, log.starts[-1] + count * log.spacing)
            for place, start in enumerate(islice(log.starts, max(0, count - missing)), missing):
                last = max(last, start + period + (count - 1 - place) * log.spacing)
            return last - now
        rounds, place = divmod(count - 1, size)
        if rounds:
            # A delay of a start in the first round delays its successors in the later rounds.
            return rounds * period + self.finish(now, place + 1)
        return max(0, log.starts[place - missing] + period - now) if place >= missing else 0

    def __str__(self) -> str:
        return ", ".join(str(log.window) for log in self._logs) or "no limit"
