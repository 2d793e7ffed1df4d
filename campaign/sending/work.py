"""What a connection works on: a claimed row, with its message and its booking at the gate."""

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
from campaign.sending.pace.gate import Booking


class Renders(Protocol):
    """Makes messages; may be shared by threads."""

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError with what is wrong, naming the row."""


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed row, its message, and its booking; `made_at`: when it was rendered, monotonic ns."""

    claim: Claim
    message: Message
    booking: Booking
    made_at: int


@dataclass(frozen=True, slots=True)
class Done:
    """A finished attempt: the answer for the row's own address, its verdict, and the recorded result.

    `started_at`: when its content started, monotonic ns; None if it did not.
    """

    claim: Claim
    own: Answer
    verdict: Verdict
    result: Result
    started_at: int | None


def without_settled(message: Message, claim: Claim, run: Run) -> Message:
    """Return a row's message with the envelope that is still due: the row and its copies, or one copy.

    Copies that have been accepted or refused, or are suppressed, are left out.
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


def render_row(renderer: Renders, recipient: Recipient) -> Message:
    """Return a row's message. After an Overrun, rendering is tried once more.

    Raises UserError with what is wrong with the row, and Overrun after the second one.
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


def invalid_result(claim: Claim, words: str, utc: int) -> Result:
    """Return the result for a row with a message that can no longer be made."""
    outcome = Outcome(claim.copy or claim.recipient.email, Status.INVALID, words, charged=False, due_at=utc)
    return Result(claim.key, Verdict.UNSENT, (outcome,), utc)
