"""How long to wait before a commit for other connections to share it.

A commit costs several times what is in it, on both sides. Whoever comes while one is under way waits for
its end anyway: so it is never waited longer than a commit takes, and hardly at all where nobody came lately.
"""

from __future__ import annotations

from campaign.model import SECOND

_MOST, _LEAST = 0.005, 0.0001  # seconds; a wait that is shorter costs more than it brings


class Gathering:
    """What was learnt of commits, and of waiting for others. One thread at a time may use it."""

    def __init__(self) -> None:
        self.worthwhile = True
        """False: nobody is waited for."""
        self._took = 0.0  # seconds, of a commit
        self._hope = 1.0  # the part of the longest wait that is waited

    def wait(self) -> float:
        """Return the seconds to wait, 0 for not at all."""
        wait = min(self._took, _MOST) * self._hope
        if self.worthwhile and wait >= _LEAST:
            return wait
        self._hope = min(1.0, self._hope * 1.05)  # to try it again after a while
        return 0.0

    def committed(self, took: int) -> None:
        """Take note of the ns that a commit has taken."""
        self._took += (took / SECOND - self._took) / 8

    def waited(self, *, came: bool) -> None:
        """Take note of whether somebody came. Where one wait in three was not in vain, it is not given up."""
        self._hope = min(1.0, self._hope * 2) if came else self._hope * 0.7
