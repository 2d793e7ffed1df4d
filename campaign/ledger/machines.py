"""What several machines know of a campaign that they send together: its state, its bundle, its runs.

The ledger is the truth: whoever starts workers only starts them. A campaign is `sending` from the moment
at which a person has agreed until nothing is left, something stops it, or somebody does. An intent holds
only while it is, so that no worker sends after `stop` by more than one message for each connection.
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
    """A campaign's state, and why; `generation` changes with each agreement to send.

    `bundle` is the SHA-256 of what a worker needs, which is kept as a blob; empty where there is none.
    """

    state: State
    why: str
    generation: int
    bundle: bytes


@dataclass(frozen=True, slots=True)
class WorkerRun:
    """A worker's run that has no end yet. Times in ns: since it began, and since its last heartbeat.

    It has made `attempts`, `lately` of them in the last minute.
    """

    host: str
    pid: int
    age: int
    silent: int
    attempts: int
    lately: int


class Machines(Protocol):
    """What is asked of a ledger that several machines share, for one campaign."""

    def standing(self) -> Standing:
        """Return where the campaign stands."""

    def begin(self, document: bytes, blobs: Mapping[bytes, bytes]) -> int:
        """Keep a bundle and its blobs, by their SHA-256, and let workers send; return the generation."""

    def end(self, state: State, why: str, generation: int | None = None) -> bool:
        """Leave `sending`, of that generation if it is given; return whether it was this that did so."""

    def finish(self) -> bool:
        """Become idle where nothing is waiting or on its way; return whether it is so now."""

    def blob(self, sha256: bytes) -> bytes | None:
        """Return a blob's content."""

    def waiting(self) -> int:
        """Return how many rows and copies wait or are on their way.

        It takes no longer where many were sent, so that it may be asked again and again.
        """

    def live(self) -> int:
        """Return how many workers are live."""

    def runs(self) -> list[WorkerRun]:
        """Return the runs of live workers, the oldest first. It counts all that they have made."""

    def alone(self) -> LiveRun | None:
        """Return the live run that keeps workers out: a `send` that prepares, or one without workers."""

    def sending(self) -> Iterable[str]:
        """Return the names of all campaigns of this ledger that are sending and have something due.

        What workers that died had claimed or in flight is settled first; nobody else may come who does that.
        """
