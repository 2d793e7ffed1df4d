"""Waits for a ledger's server that cannot be reached, for a limited time, and reports that once.

After each failure, `ServerWait.wait_or_raise` pauses before the next try, or raises when it has taken too
long; after each success, `ServerWait.answered` is called.
"""

from __future__ import annotations

import time

from campaign.clock import TellWait
from campaign.errors import LedgerAway

LONGEST = 120.0
"""How long to wait for a server, in seconds."""

_PAUSE = 0.5  # seconds between two tries


class ServerWait:
    """Waits between tries while a server cannot be reached, for up to LONGEST seconds.

    `report` is called when a wait begins, with LONGEST and the reason. It may be replaced later.
    """

    def __init__(self, report: TellWait = lambda seconds, why: None) -> None:
        self.report = report
        self._since: float | None = None  # by time.monotonic

    def wait_or_raise(self, away: LedgerAway) -> None:
        """Pause before the next try. Raises `away` if the wait has lasted too long.

        After that it raises at once, so that a caller who cleans up does not wait for the full time again.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self.report(LONGEST, str(away))
        if now > self._since + LONGEST:
            raise away
        time.sleep(_PAUSE)

    def answered(self) -> None:
        """Record that the server answers: the next wait has its full time again."""
        self._since = None
