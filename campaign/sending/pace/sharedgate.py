"""A gate that several machines share: each message books a slot in the ledger.

    `ahead` (asks how soon there is room) → `may_intend` (books) → (the intent is committed) → `start`

A slot is booked when the server waits for the content. It is valid for a short time, its guard, which must
be long enough for the commit of the intent: so the guard follows how long commits and bookings took
lately. An expired slot is lost, and another is booked for the same message.
"""

from __future__ import annotations

from collections import deque
from math import ceil

from campaign.ledger.slots import HORIZON, Slot, Slots
from campaign.model import SECOND
from campaign.sending.pace.gate import AHEAD, Booking, Gate, Pace

_LEAST_GUARD, _MOST_GUARD = SECOND // 100, SECOND
_SAMPLES = 200  # bookings and commits; the guard is three times their 99th percentile
_LOOK = SECOND // 2  # ns until the ledger is asked again for the next free slot
_MOMENT = SECOND // 1000


class SharedGate(Gate):
    """A Gate with slots in the ledger. `pace` is this process's own view, used only for its outlook."""

    def __init__(self, pace: Pace, slots: Slots) -> None:
        super().__init__(pace)
        self._slots = slots
        self._booked: dict[str, Slot] = {}
        self._not_before: dict[str, int] = {}  # key → when to ask for a slot again
        self._took: deque[int] = deque(maxlen=_SAMPLES)  # ns
        self._free_at = 0  # when the next slot is expected to be free
        self._asked_at = -_LOOK
        self.lost = 0
        """How many slots were booked but not used in time."""

    @property
    def guard(self) -> int:
        """For how many ns a slot that is booked now is valid."""
        with self._lock:
            return self._guard()

    def _guard(self) -> int:
        took = sorted(self._took)
        slow = took[ceil(len(took) * 0.99) - 1] if took else 0
        return min(max(3 * slow, _LEAST_GUARD), _MOST_GUARD)

    def committed(self, took: int) -> None:
        """Record how many ns the commit of an intent took."""
        super().committed(took)
        with self._lock:
            self._took.append(took)

    def _ask_ahead(self, now: int, booking: Booking) -> int:
        with self._lock:
            if (held := self._held_until - now) > AHEAD:
                return held - AHEAD // 2
            look = now - self._asked_at >= _LOOK
            addresses = self._ahead + booking.addresses
        if look:
            wait = self._slots.wait(addresses)
            with self._lock:
                self._free_at, self._asked_at = now + wait, now
        with self._lock:
            if (delay := self._free_at - now) > AHEAD:
                return delay - AHEAD // 2
            booking.ahead_now = booking.addresses
            self._ahead += booking.addresses
            return 0

    def _ask_to_intend(self, now: int, booking: Booking) -> tuple[bool, int]:
        slot = self._slot(now, booking)
        if isinstance(slot, int):
            return False, slot
        delay = max(0, slot.opens - now)
        with self._lock:
            if delay > self._lead:
                return False, max(delay - self._lead, _MOMENT)
            self._intended += booking.addresses - booking.intended_now
            booking.intended_now = booking.addresses
            return True, delay

    def _ask_to_start(self, now: int, booking: Booking) -> int:
        slot = self._slot(now, booking)
        if isinstance(slot, int):
            return slot
        if slot.opens > now:
            return slot.opens - now
        with self._lock:
            del self._booked[booking.key]
            now = max(now, self._last_start)
            self._pace.take(now, booking.addresses)
            self._last_start = now
            self._uncount(booking)
            booking.started_now, booking.started_at = booking.addresses, now
            self._started += booking.addresses
            return 0

    def _slot(self, now: int, booking: Booking) -> Slot | int:
        """Return a message's valid slot, booking one if necessary, or the ns to wait."""
        with self._lock:
            slot = self._booked.get(booking.key)
            if slot is not None and now < slot.closes:
                return slot
            if slot is not None:
                del self._booked[booking.key]
                self.lost += 1
            if (wait := self._not_before.pop(booking.key, now) - now) > 0:
                self._not_before[booking.key] = now + wait
                return wait
            guard = self._guard()
        booked = self._slots.book(booking.addresses, guard)
        with self._lock:
            if isinstance(booked, int):
                wait = max(booked - HORIZON // 2, min(booked, SECOND // 2))
                self._not_before[booking.key] = now + wait
                return wait
            self._took.append(booked.after - booked.before)
            self._free_at, self._asked_at = booked.opens, booked.after
            self._booked[booking.key] = booked
            return booked

    def _uncount(self, booking: Booking) -> None:
        super()._uncount(booking)
        self._booked.pop(booking.key, None)
        self._not_before.pop(booking.key, None)
