"""A claimed row as a connection works on it: its message, to those that it is owed to, and its booking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from campaign.address import fold
from campaign.clock import Moment
from campaign.delivery import Answer, Message, Outcome, Result, Verdict
from campaign.errors import Overrun
from campaign.ledger.protocols import Claim, Intent, Run
from campaign.model import Recipient, Status
from campaign.sending.gate import Booking


class Renders(Protocol):
    """Makes messages; may be shared by threads."""

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError with what is wrong, naming the row."""


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed row, its message, and its booking; `made_at` is when the message was made, monotonic ns."""

    claim: Claim
    message: Message
    booking: Booking
    made_at: int


@dataclass(frozen=True, slots=True)
class Done:
    """An attempt that has ended: the answer for the row's own address, what it means, what was recorded.

    `started_at` is when its content started, monotonic ns, if it has.
    """

    claim: Claim
    own: Answer
    verdict: Verdict
    result: Result
    started_at: int | None


def owed(message: Message, claim: Claim, run: Run) -> Message:
    """Return a row's message to those that it is owed to: the row itself and its copies, or one copy.

    Copies that have it already, were refused, or want nothing, are left out.
    """
    if claim.copy:
        envelope = replace(message.envelope, recipients=(claim.copy,))
        return replace(message, key=claim.key, envelope=envelope)
    own, *others = message.envelope.recipients
    if not others:
        return message
    keep = tuple(
        address for address in others if fold(address) not in claim.settled and not run.is_suppressed(address)
    )
    return replace(message, envelope=replace(message.envelope, recipients=(own, *keep)))


def made(renderer: Renders, recipient: Recipient) -> Message:
    """Return a row's message; one that took too much is made once more.

    Raises UserError with what is wrong with the row, and Overrun where it took too much again.
    """
    try:
        return renderer.render(recipient, date=datetime.now(UTC))
    except Overrun:
        return renderer.render(recipient, date=datetime.now(UTC))


def intent_of(message: Message, now: Moment, delay: int) -> Intent:
    """Return the intent to send a message in `delay` ns."""
    return Intent(
        message.key,
        now.utc + delay,
        message.envelope.recipients,
        message.message_id,
        message.bounce_token,
        now.steady + delay,
    )


def unmade(claim: Claim, words: str, utc: int) -> Result:
    """Return the result of a row whose message can no longer be made."""
    outcome = Outcome(claim.copy or claim.recipient.email, Status.INVALID, words, charged=False, due_at=utc)
    return Result(claim.key, Verdict.UNSENT, (outcome,), utc)
