"""The content of a returned mail, as frozen values that `understand` makes from its octets.

Nothing here is trusted yet: the ledger decides which row a mail is about, by a token that only we can make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from campaign import verdict
from campaign.delivery import EnhancedCode


class Class(StrEnum):
    """What a failure means for its address."""

    HARD = "hard"  # the address does not exist
    SOFT = "soft"  # delivery fails for now, or for an unknown reason
    ABOUT_US = "about us"  # our mail is refused; the address is not at fault


def classify(code: EnhancedCode | None) -> Class:
    """Return what an enhanced status code (RFC 3463), or None, means: as in SMTP, otherwise soft."""
    if code in verdict.DEAD:
        return Class.HARD
    if code is not None and code.class_ == 5 and (code.subject == 7 or code in verdict.SENDER):
        return Class.ABOUT_US
    return Class.SOFT


@dataclass(frozen=True, slots=True)
class Failure:
    """What a bounce says about one recipient.

    `action` is RFC 3464's, in lower case: only `failed` is a failure. `code` is the enhanced status code
    that decides; `words` is the server's answer. `original` and `final` are addresses as they are spelled
    in the report, or "".
    """

    action: str
    code: EnhancedCode | None
    words: str
    original: str = ""
    final: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is a failure: a delay, a relay or an expansion is not (RFC 3464 2.3.3)."""
        return self.action == "failed"

    @property
    def passed_on(self) -> bool:
        """Whether delivery failed at an address with another local part than the one that we mailed.

        That may be a member of a group, which continues without it (RFC 3464 2.3.1 and 2.3.2).
        """
        return bool(self.original and self.final) and _mailbox(self.original) != _mailbox(self.final)


def _mailbox(address: str) -> str:
    """Return the local part, in lower case and without the part after a plus."""
    local_part, _, rest = address.rpartition("@")
    return (local_part or rest).casefold().partition("+")[0]


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail was not delivered, or is late. `guessed`: only its wording says so, in no known form."""

    failures: tuple[Failure, ...]
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """A report of a feedback loop (RFC 5965, 6430, 6591): its type in lower case, and the addresses in it."""

    type: str
    addresses: tuple[str, ...]

    @property
    def suppresses(self) -> bool:
        """Whether a person wants no more mail; other types are about content, or about forged mail."""
        return self.type in ("abuse", "opt-out")


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A mail to the unsubscribe address, and its author."""

    address: str


@dataclass(frozen=True, slots=True)
class AutoReply:
    """A vacation notice, a receipt, or another automatic reply (RFC 3834)."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Anything else."""


Report = Bounce | Complaint | Unsubscribe | AutoReply | NotUnderstood


@dataclass(frozen=True, slots=True)
class Heard:
    """A returned mail: what it says, and what can identify the row that it is about.

    `tokens` may name a row, those of the most reliable place first; `message_ids` are those of returned
    messages. `identity` distinguishes this report from any other, however often it is read. `sender` and
    `subject` are for display.
    """

    report: Report
    tokens: tuple[str, ...]
    message_ids: tuple[str, ...]
    identity: str
    sender: str
    subject: str
