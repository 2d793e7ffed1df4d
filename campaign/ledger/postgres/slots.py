"""Slots in PostgreSQL. Each booking is one call of an SQL function, over a connection of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from campaign import clock
from campaign.campaignfile.location import PostgresLocation
from campaign.errors import LedgerAway
from campaign.ledger.postgres.connection import Hurry, Row
from campaign.ledger.postgres.database import Database
from campaign.ledger.scope import Scope
from campaign.ledger.slots import Slot
from campaign.model import SECOND, Window

_AWAY = SECOND // 2  # ns after which a server that cannot be reached is asked again
_BOOK = "SELECT at, booked, present FROM pace_book(%s, %s, %s::bigint[], %s::bigint[], %s, %s, %s, %s)"


class PostgresSlots:
    """The rate windows of one account; see `slots.Slots`."""

    def __init__(
        self,
        location: PostgresLocation,
        scope: Scope,
        windows: Sequence[Window],
        hurry: Hurry | None = None,
    ) -> None:
        self._database = Database(location, hurry)
        self._account = (scope.host, scope.username)
        self._counts = [window.count for window in windows]
        self._periods = [window.period for window in windows]
        # As in LocalPace: within a second, mail is spread instead of sent in a burst.
        spacings = [-(-window.period // window.count) for window in windows if window.period <= SECOND]
        self._spacing = max(spacings, default=0)
        # Losing a slot of a slow window costs more than a longer guard, which is a hundredth of a slot.
        slow = min((window.period // window.count for window in windows), default=0)
        self._least_guard = min(slow // 100, SECOND)

    def book(self, addresses: int, guard: int) -> Slot | int:
        """Book a slot for this many addresses, or return after how many ns to ask again.

        If the server cannot be reached, it is asked again soon: the caller attends to its session meanwhile.
        """
        guard = max(guard, self._least_guard)
        with self._database.lock:  # otherwise waiting for the lock would count as uncertainty about the clock
            before = clock.steady()
            found = self._asked(addresses, guard, taking=True)
            after = clock.steady()
        if found is None:
            return _AWAY
        at, booked, present = found
        return Slot(at, guard, present, before, after) if booked else max(at - present, SECOND // 1000)

    def wait(self, addresses: int) -> int:
        """Return the ns until this many addresses could start, if nobody else books before."""
        most = min(self._counts)
        found = self._asked(min(addresses, most), 0, taking=False)
        if found is None:
            return _AWAY
        until = int(found[0]) - int(found[2])
        return max(0, until) + max(0, addresses - most) * self._spacing

    def _asked(self, addresses: int, guard: int, *, taking: bool) -> Row | None:
        with suppress(LedgerAway):
            if self._database.is_closed:
                self._database.reconnect()
            asked = (self._counts, self._periods, self._spacing, addresses, guard, taking)
            return self._database.row(_BOOK, (*self._account, *asked))
        return None

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
