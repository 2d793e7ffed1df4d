"""A message, the server's answers to it, and what they come to. Frozen values; no input, no output, no clock.

    Message (with its Envelope)  →  Settled (an Answer per address)  →  Result

`render` makes a Message from a row of the list; the SMTP session says with Settled what the server
answered; `sending/retry.py` turns that into the Result that the ledger records. Times are UTC, in
integer nanoseconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from campaign.model import Status

_VERBS = (
    rb"ATRN|AUTH|BDAT|BURL|DATA|EHLO|ETRN|EXPN|HELO|HELP|LHLO|MAIL|NOOP|QUIT|RCPT|RSET|SAML|SEND|SOML"
    rb"|STARTTLS|TURN|VRFY|XCLIENT|XFORWARD"
)
# The look-ahead skips most lines by their first letter.
COMMAND_LINE = re.compile(rb"\n[ \t]*(?=[ABDEHLMNQRSTVX])(?:" + _VERBS + rb")(?![0-9A-Z-])", re.IGNORECASE)
"""Matches the end of a line where the next one begins with an SMTP verb, of any RFC: it could be a command.

Some servers ignore blanks before a command.
"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """RFC 5321's envelope: the reverse-path, and the forward-paths.

    `recipients[0]` is the row's own address; cc and bcc follow, each address once.
    `sender` is "" for the null reverse-path. `smtputf8` is true where an address needs RFC 6531.
    """

    sender: str
    recipients: tuple[str, ...]
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message. Its content is `chunks`, joined: what messages share is shared, not copied.

    It ends in CRLF, has CRLF line ends only, and is not dot-stuffed. A line ends where a chunk does.
    """

    key: str
    number: int
    envelope: Envelope
    message_id: str
    chunks: tuple[bytes, ...]
    bounce_token: str = ""

    @property
    def content(self) -> bytes:
        """The whole content."""
        return b"".join(self.chunks)

    @property
    def size(self) -> int:
        """Its octets (RFC 1870 5)."""
        return sum(map(len, self.chunks))

    @property
    def could_be_commands(self) -> bool:
        """Whether a line of it begins with an SMTP verb."""
        return any(COMMAND_LINE.search(b"\n" + chunk) is not None for chunk in self.chunks)


class EnhancedCode(NamedTuple):
    """An enhanced status code, class.subject.detail (RFC 3463)."""

    class_: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply (RFC 5321 4.2): its code, its lines' texts, its enhanced code where it has one.

    `lines` are what follows code and separator, the enhanced code still in them.
    """

    code: int
    lines: tuple[str, ...]
    enhanced: EnhancedCode | None = None

    @property
    def text(self) -> str:
        """The whole reply on one line, as a person quotes it: `550 5.1.1 no such user`."""
        return f"{self.code} {' '.join(line for line in self.lines if line)}".rstrip()

    @property
    def positive(self) -> bool:
        """Whether the first digit is 2."""
        return 200 <= self.code < 300


class Stage(StrEnum):
    """Where in a session something happened."""

    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    TLS = "TLS handshake"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    BODY = "message"
    RSET = "RSET"
    QUIT = "QUIT"


class Fate(StrEnum):
    """What is known of one address of a message after an attempt.

    ANSWERED: the server's `reply` decides. UNSENT: it certainly did not leave. UNKNOWN: the last
    content byte was written and no answer came.
    """

    ANSWERED = "answered"
    UNSENT = "unsent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome for one address. `reply` is set where `fate` is ANSWERED; `why` says the rest in words."""

    address: str
    fate: Fate
    stage: Stage
    reply: Reply | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of one attempt at one message: an answer for each address of its envelope, in order."""

    message: Message
    answers: tuple[Answer, ...]


class Verdict(StrEnum):
    """What an answer means for its address, and for the run."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # this address, or this message to it
    DEFERRED = "deferred"  # this address, for now
    THROTTLED = "throttled"  # we are too fast, or the server too full
    SESSION = "session"  # about the session: open another
    SENDER = "sender"  # our return path is refused: no recipient is to blame
    POLICY = "policy"  # our mail is refused: the row is, and its address is not to blame
    QUOTA = "quota"  # no more for today
    IN_DOUBT = "in_doubt"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger keeps per address of an attempt.

    `status` is accepted, refused, deferred, in_doubt, or pending (nothing was decided). `charged` says
    whether it counts towards `retry.attempts`; `due_at` is when it may be tried again, UTC ns.
    """

    address: str
    status: Status
    reply: str
    charged: bool
    due_at: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the ledger records after one attempt at a row, or at a copy that was owed.

    `outcomes` are of the envelope's addresses, in its order; the first is the row's own, or the copy's.
    `verdict` is on that one; `spared`: it was throttled or its session ended, and nobody was charged.
    `settled_at` is when the answer came, in UTC ns. `suppress` says that the address itself is dead
    (5.1.1, 5.1.6, 5.1.10).
    """

    key: str
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    settled_at: int
    spared: bool = False
    suppress: bool = False

    @property
    def status(self) -> Status:
        """The first address's."""
        return self.outcomes[0].status

    @property
    def reply(self) -> str:
        """What was said of the first address."""
        return self.outcomes[0].reply
