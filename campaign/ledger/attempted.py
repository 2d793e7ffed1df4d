"""Attempts as a log of them has a line for each, and what a run notes of the log that it appends to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from campaign.address import fold
from campaign.model import Status

if TYPE_CHECKING:
    from campaign.delivery import Result
    from campaign.ledger.protocols import Claim


@dataclass(frozen=True, slots=True)
class Answered:
    """What was said of one address."""

    address: str
    status: Status
    reply: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt at a row, or at a copy that was owed of it, and what became of its addresses.

    The first of `answers` is the row's own, or the copy's; `settled_at` is UTC ns.
    """

    key: str
    answers: tuple[Answered, ...]
    settled_at: int

    @classmethod
    def of(cls, claim: Claim, result: Result) -> Attempted:
        """Return the attempt that has ended with `result`."""
        answers = tuple(Answered(one.address, one.status, one.reply) for one in result.outcomes)
        return cls(claim.recipient.key, answers, result.settled_at)


@dataclass(frozen=True, slots=True)
class LogNote:
    """A run's note of the log to which it appends: its path, and its size in octets when the run began.

    `event` is the last event of the ledger before that.
    """

    path: str
    size: int
    run: int
    event: int


def grouped(events: Iterable[Sequence[Any]]) -> Iterator[Attempted]:
    """Yield the attempts that events tell of: (key, address, kind, text, time, the row's folded address)."""
    for (key, time), group in groupby(events, key=lambda event: (str(event[0]), int(event[4]))):
        said = list(group)
        answers = [
            Answered(str(address), Status(str(kind)), str(text)) for _, address, kind, text, *_ in said
        ]
        if fold(answers[0].address) == said[0][5]:
            yield Attempted(key, tuple(answers), time)
        else:  # copies that were owed, each an attempt of its own
            yield from (Attempted(key, (answer,), time) for answer in answers)
