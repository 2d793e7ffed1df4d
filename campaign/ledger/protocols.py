"""What sending asks of a ledger, whatever stands behind it: a run, its claims, its intents and results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from campaign.model import Recipient, Result


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rate is counted for: an account on a server."""

    host: str
    username: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A row to send now. `attempts` were charged before; `accepted` are folded addresses that have it."""

    recipient: Recipient
    attempts: int
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Intent:
    """A content is about to leave, to so many addresses. `started_at` is UTC ns."""

    key: str
    started_at: int
    addresses: int
    message_id: str


class Run(Protocol):
    """One run of a campaign that sends: it holds the lease from its start to `end`.

    Every method may be called from any connection's thread. Times are UTC ns. Any method that writes
    raises LedgerFull where nothing can be written any more, and LeaseLost where another run took over.
    """

    def claim(self, now: int, count: int) -> list[Claim]:
        """Return up to `count` rows that are due, in the order of the list, and hold them."""

    def release(self, keys: Sequence[str]) -> None:
        """Let go of rows that were claimed and not sent."""

    def is_due(self, key: str) -> bool:
        """Whether a claimed row is still to be sent, as far as can be told before its intent."""

    def next_due(self, now: int) -> int | None:
        """Return when the next row that nobody holds is due, or None where there is none."""

    def record(self, results: Sequence[Result], intents: Sequence[Intent]) -> set[str]:
        """Commit results and intents, and return the keys whose intents hold.

        An intent does not hold for a row that was withdrawn, suppressed or settled meanwhile.
        """

    def is_suppressed(self, address: str) -> bool:
        """Whether the suppression list holds an address, or its domain."""

    def starts(self, scope: Scope, since: int) -> list[tuple[int, int]]:
        """Return (started_at, addresses) of every attempt in `scope` since then, oldest first."""

    def note_start(self, started_at: int, addresses: int) -> None:
        """Count in the rate what belongs to no row: a test message."""

    def heartbeat(self, now: int, steady: int | None = None) -> None:
        """Say that this run lives; `steady` is a monotonic clock, in ns."""

    def end(self, now: int) -> None:
        """Give the lease back."""
