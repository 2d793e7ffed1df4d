"""A listener that records what it is told."""

from __future__ import annotations

from campaign.delivery import Result
from campaign.ledger.protocols import Claim


class Heard:
    """Records attempts and waits, in order."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Claim, Result]] = []
        self.waits: list[tuple[float, str]] = []
        self.windows: list[str] = []  # why there are none

    def attempted(self, claim: Claim, result: Result) -> None:
        self.attempts.append((claim, result))

    def waiting(self, seconds: float, why: str) -> None:
        self.waits.append((seconds, why))

    def without_window(self, why: str) -> None:
        self.windows.append(why)
