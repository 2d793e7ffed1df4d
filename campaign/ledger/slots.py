"""When a content may start if several machines share a rate: each start books a slot in the ledger.

The machines' clocks need not agree. A slot is a time on the clock of the ledger's server. It may be used
from its start `s` until its guard time has passed, [s, s + guard), and never later. Slots are numbered
in order; an address takes one each. For a window of N addresses in time T, slot k begins no earlier than
T after the end of slot k−N:

    s_k ≥ s_(k−N) + guard_(k−N) + T  >  a_(k−N) + T        where a is the start that used the slot

So of any N + 1 starts the last comes more than T after the first, however late each one is within its
slot. A slot that is not used in time is lost, and another is booked.

A machine knows the server's clock only roughly: it showed `clock` at some moment between `before` and
`after` on the machine's own steady clock. The machine uses a slot only while the slot has certainly begun
and certainly not ended. This fails only if the server's clock is set by hand; slots are booked at most
HORIZON ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campaign.model import SECOND

HORIZON = 5 * SECOND
"""How far ahead a slot may be booked. After the ledger's server crashes, nothing starts for that long."""

MARGIN = SECOND // 5000
"""Time allowed between reading the clock and the start that it permits."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A reservation in every rate window: from `at` for `guard` ns, on the server's clock.

    `clock` is what the server's clock showed between `before` and `after` on this machine's steady clock;
    `at` and `clock` are UTC ns.
    """

    at: int
    guard: int
    clock: int
    before: int
    after: int

    @property
    def opens(self) -> int:
        """When the slot has certainly begun, on this machine's steady clock."""
        return self.at - self.clock + self.after

    @property
    def closes(self) -> int:
        """Until when the slot has certainly not ended, on this machine's steady clock, less MARGIN."""
        return self.at + self.guard - self.clock + self.before - MARGIN


class Slots(Protocol):
    """The rate windows that the machines share. Any thread may call its methods."""

    def book(self, addresses: int, guard: int) -> Slot | int:
        """Book a slot for this many addresses, or return after how many ns to ask again."""

    def wait(self, addresses: int) -> int:
        """Return the ns until this many addresses could start, if nobody else books before."""

    def close(self) -> None:
        """Release what is needed for booking."""
