"""How long to wait before a commit, so that other threads can share it.

A commit costs several times what is in it, for the client and the server. A thread that comes during a
commit has to wait for its end anyway. So the wait is never longer than a commit takes, and hardly any if no
thread came during recent waits.
"""

from __future__ import annotations

from campaign.model import SECOND

_MOST, _LEAST = 0.005, 0.0001  # seconds; a shorter wait costs more than it gains


class Gathering:
    """Learns from past commits and waits how long to wait. Only one thread at a time may use it."""

    def __init__(self) -> None:
        self.worthwhile = True
        """False: never wait."""
        self._took = 0.0  # how long a commit takes, seconds
        self._hope = 1.0  # the fraction of the longest wait to use

    def wait(self) -> float:
        """Return the seconds to wait; 0 for no wait."""
        wait = min(self._took, _MOST) * self._hope
        if self.worthwhile and wait >= _LEAST:
            return wait
        self._hope = min(1.0, self._hope * 1.05)  # so that it is tried again after a while
        return 0.0

    def committed(self, took: int) -> None:
        """Record how long a commit took, in ns."""
        self._took += (took / SECOND - self._took) / 8

    def waited(self, *, came: bool) -> None:
        """Record whether another thread came. If one wait in three succeeds, waiting continues."""
        self._hope = min(1.0, self._hope * 2) if came else self._hope * 0.7
