"""What a mail that came back says: frozen values, as `understand` makes them of octets.

Nothing here is believed yet: whose row a mail is about is decided by the ledger, by a token that only
we can make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from campaign import verdict
from campaign.delivery import EnhancedCode


class Class(StrEnum):
    """What a failure means for its address."""

    HARD = "hard"  # it does not exist
    SOFT = "soft"  # it fails now, or for a reason that is not known
    ABOUT_US = "about us"  # our mail is refused, and the address is not to blame


def classify(code: EnhancedCode | None) -> Class:
    """Return what an enhanced status code (RFC 3463) means, None for none: as at SMTP, else soft."""
    if code in verdict.DEAD:
        return Class.HARD
    if code is not None and code.class_ == 5 and (code.subject == 7 or code in verdict.SENDER):
        return Class.ABOUT_US
    return Class.SOFT


@dataclass(frozen=True, slots=True)
class Failure:
    """What a bounce says of one recipient.

    `action` is RFC 3464's, in lower case: only `failed` is a failure. `code` is the enhanced status code
    that decides; `words` are what the server said. `original` and `final` are addresses as the report
    spells them, "" for none.
    """

    action: str
    code: EnhancedCode | None
    words: str
    original: str = ""
    final: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is one: a delay, a relay or an expansion is none (RFC 3464 2.3.3)."""
        return self.action == "failed"

    @property
    def passed_on(self) -> bool:
        """Whether it failed behind the address that was written to, at one with another local part.

        That may be a member of a group, which goes on without it (RFC 3464 2.3.1 and 2.3.2).
        """
        return bool(self.original and self.final) and _mailbox(self.original) != _mailbox(self.final)


def _mailbox(address: str) -> str:
    """Return the local part, without case and without what stands behind a plus."""
    local_part, _, rest = address.rpartition("@")
    return (local_part or rest).casefold().partition("+")[0]


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail that was not delivered, or is late. `guessed`: no standard says so, only its wording."""

    failures: tuple[Failure, ...]
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """A report of a feedback loop (RFC 5965, 6430, 6591): its type in lower case, and whom it names."""

    type: str
    addresses: tuple[str, ...]

    @property
    def suppresses(self) -> bool:
        """Whether a person wants no more: the other types are about content, or about mail in our name."""
        return self.type in ("abuse", "opt-out")


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A mail to the address that takes unsubscriptions, and who wrote it."""

    address: str


@dataclass(frozen=True, slots=True)
class AutoReply:
    """A vacation notice, a receipt, or another answer that no person wrote (RFC 3834)."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Anything else."""


Report = Bounce | Complaint | Unsubscribe | AutoReply | NotUnderstood


@dataclass(frozen=True, slots=True)
class Heard:
    """A mail that came back: what it says, and what could prove whom it is about.

    `tokens` may name a row, those of the likeliest place first; `message_ids` stand in the message that
    was returned with it. `identity` tells this report from any other, however often it is read. `sender`
    and `subject` are for a person.
    """

    report: Report
    tokens: tuple[str, ...]
    message_ids: tuple[str, ...]
    identity: str
    sender: str
    subject: str
