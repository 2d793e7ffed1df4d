"""Runs `campaign test`: sends the real message of a row to people who want to see it first.

A `Trial` takes the place of the ledger's run (`ledger.Run`): its rows are in memory, one for each address.
The ledger counts each message in the rate, holds the lease, and records nothing else. The server's answers
are kept in `results`, and nothing is tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from campaign.clock import Moment
from campaign.delivery import Message, Result, Verdict
from campaign.ledger import Scope
from campaign.ledger.protocols import Claim, Intent, Run
from campaign.ledger.slots import Slots
from campaign.message.render import Renderer
from campaign.model import Recipient, Window


class Trial:
    """A run of test messages to these addresses; `run` holds the lease and knows the rate's history."""

    def __init__(self, row: Recipient, addresses: Sequence[str], run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._waiting = [
            replace(row, number=number, key=f"test {number}", email=address, name="")
            for number, address in enumerate(addresses, 1)
        ]
        self._claimed: dict[str, Recipient] = {}
        self.results: dict[str, Result] = {}
        """The result of each message, by its key, in the order in which they arrived."""

    def claim(self, now: int, count: int, *, retries_first: bool = False) -> list[Claim]:
        """See `Run`."""
        with self._lock:
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            self._claimed.update((row.key, row) for row in taken)
            return [Claim(row, 0) for row in taken]

    def unclaim(self, keys: Sequence[str]) -> None:
        """See `Run`."""
        with self._lock:
            self._waiting = [row for key in keys if (row := self._claimed.pop(key, None))] + self._waiting

    def is_due(self, key: str) -> bool:
        """See `Run`."""
        return key in self._claimed

    def next_due(self, now: int) -> int | None:
        """See `Run`."""
        return now if self._waiting else None

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """See `Run`. Every result is final."""
        with self._lock:
            for result in results:
                self._claimed.pop(result.key, None)
                self.results[result.key] = result
            for intent in intents:
                self._run.note_start(intent.started_at, len(intent.addresses), intent.steady)
            return {intent.key for intent in intents}

    def catch_up(self) -> int:
        """See `Run`."""
        return self._run.catch_up()

    @property
    def has_sent(self) -> bool:
        """See `Run`."""
        return self._run.has_sent

    def recent_verdicts(self, count: int) -> list[Verdict]:
        """See `Run`. The result of a test is not a result of the campaign."""
        return []

    def trip(self, now: int, *, take_back: bool) -> None:
        """See `Run`."""

    def release_held(self) -> None:
        """See `Run`."""

    def addresses_suppressed(self) -> int:
        """See `Run`."""
        return 0

    def is_suppressed(self, address: str) -> bool:
        """See `Run`."""
        return self._run.is_suppressed(address)

    def start_ages(self, scope: Scope, now: Moment, period: int, places: int) -> list[tuple[int, int]]:
        """See `Run`."""
        return self._run.start_ages(scope, now, period, places)

    def slots(self, windows: Sequence[Window]) -> Slots | None:
        """See `Run`."""
        return self._run.slots(windows)

    def note_start(self, started_at: int, addresses: int, steady: int | None = None) -> None:
        """See `Run`."""
        self._run.note_start(started_at, addresses, steady)

    def postpone(self, intent: Intent) -> None:
        """See `Run`. The start is counted again: no row has the first one to correct."""
        self._run.note_start(intent.started_at, len(intent.addresses), intent.steady)

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """See `Run`."""
        self._run.heartbeat(now, steady)

    def holds(self, steady: int) -> bool:
        """See `Run`."""
        return self._run.holds(steady)

    def hurry(self) -> None:
        """See `Run`."""
        self._run.hurry()

    def end(self, now: int) -> None:
        """See `Run`."""
        self._run.end(now)


class TrialRenderer:
    """Renders a row's message for the recipient that a claim of a `Trial` names."""

    def __init__(self, renderer: Renderer, row: Recipient) -> None:
        self._renderer = renderer
        self._row = row

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the row's message as a test for `recipient`. Raises UserError."""
        message = self._renderer.render(self._row, date=date, test_to=recipient.email)
        return replace(message, key=recipient.key)
