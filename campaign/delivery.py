"""A message, the server's answers to it, and the result. Frozen values; no input, no output, no clock.

    Message (with its Envelope)  →  Settled (an Answer per address)  →  Result

`render` makes a Message from a row of the list; the SMTP session reports the server's answers as Settled;
`sending/retry.py` turns them into the Result that the ledger records. Times are UTC, in integer
nanoseconds since 1970.
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
# The look-ahead rules out most lines by their first letter.
COMMAND_LINE = re.compile(rb"\n[ \t]*(?=[ABDEHLMNQRSTVX])(?:" + _VERBS + rb")(?![0-9A-Z-])", re.IGNORECASE)
"""Matches the end of a line if the next one could be a command: it begins with an SMTP verb of any RFC.

Some servers ignore blanks before a command.
"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope (RFC 5321 2.3.1): the reverse-path and the forward-paths.

    `recipients[0]` is the row's own address; cc and bcc follow, each address once.
    `sender` is "" for the null reverse-path. `smtputf8` is true if an address needs RFC 6531.
    """

    sender: str
    recipients: tuple[str, ...]
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message. Its content is the joined `chunks`; messages share equal chunks.

    The content ends in CRLF, has only CRLF line ends, and is not dot-stuffed. Each chunk ends a line.
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
        """The size of the content in octets (RFC 1870 5)."""
        return sum(map(len, self.chunks))

    @property
    def could_be_commands(self) -> bool:
        """Whether a line of the content begins with an SMTP verb."""
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
    """An SMTP reply (RFC 5321 4.2): its code, the text of its lines, and its enhanced status code if any.

    `lines` are what follows code and separator, including the enhanced code.
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
    """What is known about one address of a message after an attempt.

    ANSWERED: the server's `reply` decides. UNSENT: the message certainly did not leave. UNKNOWN: the
    last content byte was written, and no answer came.
    """

    ANSWERED = "answered"
    UNSENT = "unsent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome for one address. `reply` is set if `fate` is ANSWERED; otherwise `why` explains it."""

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
    SESSION = "session"  # the session is unusable: open another
    SENDER = "sender"  # the server refuses our return path; no recipient is at fault
    POLICY = "policy"  # the server refuses our mail: the row is refused, its address is not at fault
    QUOTA = "quota"  # no more for today
    IN_DOUBT = "in_doubt"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger records per address of an attempt.

    `status` is accepted, refused, deferred, in_doubt, or pending (nothing was decided). `charged`: the
    attempt counts towards `retry.attempts`. `due_at`: when to try again, in UTC ns.
    """

    address: str
    status: Status
    reply: str
    charged: bool
    due_at: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the ledger records after one attempt at a row, or at a copy that was still to be sent.

    `outcomes` has one entry for each address of the envelope, in its order; the first is the row's own
    address, or the copy's. `verdict` is about the first. `spared`: it was throttled or its session ended,
    so no attempt was charged. `settled_at`: when the answer came, in UTC ns. `suppress`: the address
    itself is dead (5.1.1, 5.1.6, 5.1.10).
    """

    key: str
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    settled_at: int
    spared: bool = False
    suppress: bool = False

    @property
    def status(self) -> Status:
        """The status of the first address."""
        return self.outcomes[0].status

    @property
    def reply(self) -> str:
        """The reply about the first address."""
        return self.outcomes[0].reply
