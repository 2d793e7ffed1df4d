"""Attempts, in the form in which `send --log` writes them, and a run's note of the log it appends to."""

from __future__ import annotations

import json
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
    """The outcome for one address: its status, and the server's reply."""

    address: str
    status: Status
    reply: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt to send a row, or an outstanding copy of it, with the outcome for each address.

    The first of `answers` is for the row's own address, or for the copy's. `settled_at` is UTC ns.
    """

    key: str
    answers: tuple[Answered, ...]
    settled_at: int

    @classmethod
    def of(cls, claim: Claim, result: Result) -> Attempted:
        """Return the attempt for `claim` that ended with `result`."""
        answers = tuple(Answered(one.address, one.status, one.reply) for one in result.outcomes)
        return cls(claim.recipient.key, answers, result.settled_at)


@dataclass(frozen=True, slots=True)
class LogNote:
    """A run's note of the log that it appends to: its path, and its size in octets when the run began.

    `event` is the id of the ledger's last event at that time.
    """

    path: str
    size: int
    run: int
    event: int

    @classmethod
    def read(cls, stored: str) -> LogNote:
        """Return the note that is stored as this text."""
        return cls(*json.loads(stored))

    def stored(self) -> str:
        """Return the text as which the note is stored, in the setting `log_setting`."""
        return json.dumps([self.path, self.size, self.run, self.event])


def log_setting(campaign_id: int) -> str:
    """Return the name of the setting that holds a campaign's log note."""
    return f"log of attempts {campaign_id}"


def attempts_in(events: Iterable[Sequence[Any]]) -> Iterator[Attempted]:
    """Group events into attempts.

    An event is (key, address, kind, text, time, the row's folded address); events of one attempt are
    adjacent, and have the same key and time.
    """
    for (key, time), group in groupby(events, key=lambda event: (str(event[0]), int(event[4]))):
        said = list(group)
        answers = [
            Answered(str(address), Status(str(kind)), str(text)) for _, address, kind, text, *_ in said
        ]
        if fold(answers[0].address) == said[0][5]:
            yield Attempted(key, tuple(answers), time)
        else:  # copies that were sent on their own, each an attempt
            yield from (Attempted(key, (answer,), time) for answer in answers)
