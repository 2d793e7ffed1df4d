"""How long a ledger's server that is away is waited for, and that this is said once, when it begins.

wait = ServerWait(tell)
wait.again(away)      each time that it is away: a pause, or what is away is raised at last
wait.over()           each time that it answers
"""

from __future__ import annotations

import time

from campaign.clock import TellWait
from campaign.errors import LedgerAway

LONGEST = 120.0
"""Seconds that a server is waited for."""

_PAUSE = 0.5  # seconds between two tries


class ServerWait:
    """See the module. `tell` may be set later."""

    def __init__(self, tell: TellWait = lambda seconds, why: None) -> None:
        self.tell = tell
        self._since: float | None = None  # by time.monotonic

    def again(self, away: LedgerAway) -> None:
        """Wait a moment, for what was tried to be tried again. Raises `away` where it took too long.

        Who is turned away to tidy up does not wait as long once more.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self.tell(LONGEST, str(away))
        if now > self._since + LONGEST:
            raise away
        time.sleep(_PAUSE)

    def over(self) -> None:
        """Take note that it answers."""
        self._since = None
