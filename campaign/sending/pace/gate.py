"""Decides when contents may leave: connections of a run share one gate, and each message has a booking.

    book → `ahead` → `may_intend` → (the intent is committed) → `start`      or given back, at any point

An envelope may go out `ahead` of its content if the content may follow soon. An intent is committed a
little before its content may leave, so that the pace does not wait for the disk. Only `start` takes a
place in the pace, once one is free. A booking is a context manager: at its end it gives back what it has
counted and not used.

`now` is monotonic nanoseconds everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol

from campaign.model import SECOND, Window
from campaign.sending.pace.outlook import Outlook, outlook

AHEAD = 2 * SECOND
"""An envelope goes out early only if its content may follow within this time: the server waits."""
# An intent is committed this long before its content may leave: a little more than commits took lately.
# A longer lead would leave more messages in doubt after a crash. The initial and the maximum lead.
_FIRST_LEAD, _MOST_LEAD = SECOND // 100, SECOND // 10


class Pace(Protocol):
    """The rate windows of a run. Times are monotonic ns; each address takes a place in every window."""

    def fits(self, addresses: int) -> bool:
        """Whether a message with this many addresses can ever start."""

    def delay(self, now: int, addresses: int = 1) -> int:
        """Return the ns until this many addresses may start; 0 if they may now."""

    def take(self, now: int, addresses: int = 1) -> None:
        """Record that this many addresses start at `now`, which is never before an earlier start."""

    def finish(self, now: int, count: int) -> int:
        """Return the ns from `now` until `count` single starts can be done."""

    def limit(self, now: int) -> Window | None:
        """Return the window that the next start waits for longest, or None if it need not wait."""

    def load(self, ages: Iterable[tuple[int, int]], now: int) -> None:
        """Rebuild the windows from (age in ns, addresses), oldest first."""


class Gate:
    """Shares one pace among connections. Every method may be called from any thread."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lock = threading.Lock()
        self._held_until = 0
        # How many addresses are at each stage:
        self._ahead = 0  # the envelope may be out, the content has not started
        self._intended = 0  # the intent may be committed, the content has not started
        self._started = 0  # the content has started, the answer is due
        self._line: list[str] = []  # keys of messages that wait to intend, first come first served
        self._lead = _FIRST_LEAD
        self._last_start = 0

    def book(self, key: str, addresses: int) -> Booking:
        """Return a booking for a message with this many addresses; nothing is counted yet."""
        return Booking(self, key, addresses)

    def hold(self, until: int) -> None:
        """Let no envelope out before `until`: the server asked us to slow down."""
        with self._lock:
            self._held_until = max(self._held_until, until)

    def held(self, now: int) -> int:
        """Return for how many ns no envelope may go out; 0 if one may now."""
        with self._lock:
            return max(0, self._held_until - now)

    def outlook(
        self, addresses: int, due: int | None, now: int, utc: int, last_due: int | None = None
    ) -> Outlook:
        """Return when the next of `addresses` addresses may leave, and when all will have; see `outlook`.

        They include those with an answer due, which have their places already.
        """
        with self._lock:
            return outlook(self._pace, max(0, addresses - self._started), due, now, utc, last_due)

    def committed(self, took: int) -> None:
        """Record how many ns the commit of an intent took."""
        with self._lock:
            self._lead = min(max(took * 3 // 2 + SECOND // 1000, self._lead * 15 // 16), _MOST_LEAD)

    def _ask_ahead(self, now: int, booking: Booking) -> int:
        with self._lock:
            delay = max(self._pace.finish(now, self._ahead + booking.addresses), self._held_until - now)
            if delay > AHEAD:
                return delay - AHEAD // 2
            booking.ahead_now = booking.addresses
            self._ahead += booking.addresses
            return 0

    def _ask_to_intend(self, now: int, booking: Booking) -> tuple[bool, int]:
        with self._lock:
            delay = self._soonest(now, booking.addresses)
            if booking.key not in self._line:
                self._line.append(booking.key)
            if self._line[0] != booking.key or delay > self._lead:
                return False, max(delay - self._lead, SECOND // 1000)
            self._line.remove(booking.key)
            booking.intended_now = booking.addresses
            self._intended += booking.addresses
            return True, delay

    def _ask_to_start(self, now: int, booking: Booking) -> int:
        with self._lock:
            # Another connection may have read its clock later and got the lock earlier.
            now = max(now, self._last_start)
            if delay := self._pace.delay(now, booking.addresses):
                return delay
            self._pace.take(now, booking.addresses)
            self._last_start = now
            self._uncount(booking)
            booking.started_now, booking.started_at = booking.addresses, now
            self._started += booking.addresses
            return 0

    def _settled(self, booking: Booking) -> None:
        with self._lock:
            self._started -= booking.started_now
            booking.started_now = 0
            self._uncount(booking)

    def _give_back(self, booking: Booking) -> None:
        with self._lock:
            self._uncount(booking)

    def _uncount(self, booking: Booking) -> None:
        self._ahead -= booking.ahead_now
        self._intended -= booking.intended_now
        booking.ahead_now = booking.intended_now = 0
        if booking.key in self._line:
            self._line.remove(booking.key)

    def _soonest(self, now: int, addresses: int) -> int:
        """Return the ns until this many addresses may start, after those that are intended."""
        before = self._intended
        if not self._pace.fits(before + addresses):
            return self._lead + SECOND // 100  # an intended one starts first
        delay = self._pace.delay(now, before + addresses)
        return max(delay, self._pace.finish(now, before + 1)) if before else delay


class Booking:
    """One message's way through the gate. It belongs to one thread at a time.

    `ahead_now`, `intended_now` and `started_now` are how many addresses the gate counts at each stage.
    `started_at`: when the content started; None if it has not. Only the gate sets them.
    """

    def __init__(self, gate: Gate, key: str, addresses: int) -> None:
        self.key = key
        self.addresses = addresses
        self.ahead_now = 0
        self.intended_now = 0
        self.started_now = 0
        self.started_at: int | None = None
        self._gate = gate

    def __enter__(self) -> Booking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def ahead(self, now: int) -> int:
        """Return 0 if the envelope may go out, and count it as ahead; else the ns to wait.

        It may go out if its content may follow soon, after those booked before it.
        """
        return 0 if self.ahead_now else self._gate._ask_ahead(now, self)

    def may_intend(self, now: int) -> tuple[bool, int]:
        """Return whether to commit the intent now, and the ns until the content may leave.

        If not, these are the ns until to ask again. First come, first served: a server that has said 354
        waits.
        """
        return self._gate._ask_to_intend(now, self)

    def start(self, now: int) -> int:
        """Return 0 if the content may leave now, and count it as started; else the ns to wait."""
        return self._gate._ask_to_start(now, self)

    def give_back(self) -> None:
        """Stop counting it, unless it has started."""
        self._gate._give_back(self)

    def settled(self) -> None:
        """Stop counting it: it has its answer, or will get none."""
        self._gate._settled(self)
