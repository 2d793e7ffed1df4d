"""When a content may start, where several machines share a rate: a slot, booked in the ledger.

The machines' clocks need not agree. A slot is on the clock of the ledger's server, and may be used from
its start `s` for as long as its guard, [s, s + guard), and never later. Slots are numbered in order, one
for each place. In a window of N places in T, slot k begins no earlier than the end of slot k−N and T more:

    s_k ≥ s_(k−N) + guard_(k−N) + T  >  a_(k−N) + T        where a is the start that used the slot

So of any N + 1 starts the last comes more than T after the first, whatever each one's delay within its
slot. A slot that is not used is lost, and another is booked.

What a machine knows of the server's clock is what it showed (`clock`) at some moment between `before` and
`after` on the machine's own steady clock. It uses a slot where it has certainly begun, and certainly not
ended. That holds while the server's clock is not set by hand: slots are booked at most HORIZON ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campaign.model import SECOND

HORIZON = 5 * SECOND
"""How far ahead a slot may be booked: as long nothing starts after a crash of the ledger's server."""

MARGIN = SECOND // 5000
"""What may pass between the look at a clock and the start that it permits."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Places in every window, from `at` for `guard` ns on the server's clock; see the module."""

    at: int
    guard: int
    clock: int
    before: int
    after: int

    @property
    def opens(self) -> int:
        """From when on it may be used, on this machine's steady clock."""
        return self.at - self.clock + self.after

    @property
    def closes(self) -> int:
        """Before when it must be used, on this machine's steady clock."""
        return self.at + self.guard - self.clock + self.before - MARGIN


class Slots(Protocol):
    """The rate windows that the machines share. Its methods may be called from any thread."""

    def book(self, addresses: int, guard: int) -> Slot | int:
        """Book a slot for so many addresses at once, or return the ns after which to ask again."""

    def wait(self, addresses: int) -> int:
        """Return the ns until so many addresses could start, if nobody else books before."""

    def close(self) -> None:
        """Book nothing more."""
