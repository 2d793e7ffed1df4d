"""A campaign that several machines send together: its state, its bundle, its runs.

The ledger decides what is sent; whoever starts workers only starts them. A campaign is `sending` from the
moment a person agrees until nothing is left, something pauses it, or a person stops it. An intent holds
only in that state, so after `stop` each connection sends at most one more message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from campaign.ledger.processes import LiveRun


class State(StrEnum):
    """Whether workers send a campaign."""

    IDLE = "idle"
    SENDING = "sending"
    PAUSED = "paused"  # by a breaker, a quota, or messages that cannot be made
    STOPPED = "stopped"  # by a person


@dataclass(frozen=True, slots=True)
class Standing:
    """A campaign's state and the reason for it. `generation` changes each time a person agrees to send.

    `bundle` is the SHA-256 of the document that says what a worker needs, stored as a blob; empty for none.
    """

    state: State
    why: str
    generation: int
    bundle: bytes


@dataclass(frozen=True, slots=True)
class WorkerRun:
    """A worker's run that has not ended. `age` and `silent` are ns since its start and its last heartbeat.

    It has made `attempts`, `lately` of them within the last minute.
    """

    host: str
    pid: int
    age: int
    silent: int
    attempts: int
    lately: int


class Machines(Protocol):
    """What a ledger that several machines share must be able to do for one campaign."""

    def standing(self) -> Standing:
        """Return the campaign's state."""

    def begin(self, document: bytes, blobs: Mapping[bytes, bytes]) -> int:
        """Store a bundle and its blobs, by their SHA-256, and let workers send; return the generation."""

    def end(self, state: State, why: str, generation: int | None = None) -> bool:
        """Leave the state `sending` of this generation (None: of any); return whether this call did so."""

    def finish(self) -> bool:
        """Become idle if nothing is waiting or in flight; return whether the campaign is idle now."""

    def blob(self, sha256: bytes) -> bytes | None:
        """Return a blob's content."""

    def waiting(self) -> int:
        """Return how many rows and copies are waiting or in flight.

        The time it takes does not depend on how many were sent, so it may be called often.
        """

    def live(self) -> int:
        """Return how many workers are live."""

    def runs(self) -> list[WorkerRun]:
        """Return the live workers' runs, the oldest first. It counts all of their attempts."""

    def unshared_run(self) -> LiveRun | None:
        """Return the live run that keeps workers out: a `send` that is preparing, or one without workers."""

    def sending(self) -> Iterable[str]:
        """Return the names of all campaigns of this ledger that are sending and have something due.

        It first settles what dead workers had claimed or in flight: no other process may come to do that.
        """
