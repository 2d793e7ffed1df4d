"""One mail transaction (RFC 5321 3.3): from the server's replies to an outcome for each address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from campaign.delivery import Answer, Fate, Message, Reply, Settled, Stage
from campaign.errors import ProtocolError
from campaign.smtp.window import UNEXPECTED_REPLIES


class Turn(Enum):
    """What a reply means for the rest of the transaction."""

    GO_ON = auto()
    DROP = auto()  # the transaction failed: write none of its remaining steps
    BODY_DUE = auto()  # the server waits for the content
    LONE_DOT = auto()  # 354 although no recipient was accepted: send an empty content
    ABANDON = auto()  # 354 for recipients that must not get the message: only closing the socket helps


class Transaction:
    """The addresses of one message, each with the first reply that decides it.

    After a refusal, servers refuse the commands that depend on it too (503, 554 5.5.1). Those replies
    are consequences, so the first one counts.

    `in_window`: it goes to one address, is written at once (RSET to BDAT LAST), and is never announced.
    """

    def __init__(self, message: Message, *, in_window: bool = False) -> None:
        self.message = message
        self.addresses: Sequence[str] = message.envelope.recipients
        self.in_window = self.released = in_window
        self.unanswered = 0  # steps that are queued or written
        self.failed = False  # something was refused, so RSET is due
        self.derivative = False  # pipelined behind a failed one, so a 503 is a consequence of that
        self._due = False  # announced, not released
        self._void = False  # the content is empty: no recipient was accepted
        self._accepted: list[str] = []  # addresses whose RCPT was accepted
        self._answers: dict[str, Answer] = {}

    @property
    def own(self) -> str:
        """The row's own address: if the server refuses it, nobody gets the message."""
        return self.addresses[0]

    @property
    def finished(self) -> bool:
        """Whether all replies have arrived."""
        return self.unanswered == 0 and not self._due

    @property
    def open_on_server(self) -> bool:
        """Whether the server waits for more of it: RSET or a dot must come before anything else."""
        return not (self.released or self._void)

    def release(self) -> None:
        """Record that the content is being written. Raises ProtocolError if it was not announced."""
        if not self._due:
            raise ProtocolError("a message that was not announced was released")
        self._due, self.released = False, True

    def answer(
        self, addresses: Sequence[str], fate: Fate, stage: Stage, reply: Reply | None, why: str = ""
    ) -> None:
        """Record an answer for those of `addresses` that have none yet."""
        for address in addresses:
            self._answers.setdefault(address, Answer(address, fate, stage, reply, why))

    def doubt(self, why: str) -> None:
        """Record that the last byte of the content was written and no reply will come."""
        if not self._void:
            # In a window the reply to RCPT may be missing too.
            doubtful = self.addresses if self.in_window else self._accepted
            self.answer(doubtful, Fate.UNKNOWN, Stage.BODY, None, why)

    def settled(self, stage: Stage, why: str) -> Settled:
        """Return the outcome. Addresses without an answer count as not sent to, because of `why`."""
        self.answer(self.addresses, Fate.UNSENT, stage, None, why)
        return Settled(self.message, tuple(self._answers[address] for address in self.addresses))

    def on_mail(self, reply: Reply) -> Turn:
        """Take the reply to MAIL. Like the methods below, raises ProtocolError for an invalid reply."""
        if reply.code == 503 and self.derivative:
            why = f"the server had not ended the previous message: {reply.text}"
            self.answer(self.addresses, Fate.UNSENT, Stage.MAIL, None, why)
            self.failed = True
            return Turn.DROP
        if self.in_window and reply.code in (500, 502, 503):  # behind RSET, MAIL is in its place
            raise ProtocolError(f"a refusal of MAIL behind RSET: {reply.text!r}")
        if reply.code >= 400:
            return self._refused(self.addresses, Stage.MAIL, reply)
        if not reply.positive:
            raise ProtocolError(f"no answer to MAIL: {reply.text!r}")
        return Turn.GO_ON

    def on_rcpt(self, reply: Reply, address: str) -> Turn:
        """Take the reply to RCPT for one address."""
        if reply.code >= 400:
            turn = self._refused([address], Stage.RCPT, reply)
            return turn if address == self.own else Turn.GO_ON
        if not reply.positive:
            raise ProtocolError(f"no answer to RCPT: {reply.text!r}")
        if self.in_window and self._answers:  # behind a refusal of MAIL: the content may be delivered
            self._answers.clear()
            raise ProtocolError(f"a recipient's acceptance behind a refusal of MAIL: {reply.text!r}")
        self._accepted.append(address)
        return Turn.GO_ON

    def on_data(self, reply: Reply) -> Turn:
        """Take the reply to DATA."""
        if reply.code >= 400:
            return self._refused(self.addresses, Stage.DATA, reply)
        if reply.code != 354:
            raise ProtocolError(f"no answer to DATA: {reply.text!r}")
        if self.own in self._accepted and self.own not in self._answers:
            self._due = True
            return Turn.BODY_DUE
        if self._accepted:
            return Turn.ABANDON
        self._void = True
        return Turn.LONE_DOT

    def on_body(self, reply: Reply) -> Turn:
        """Take the reply to the final dot, or to BDAT LAST."""
        if reply.code < 400 and not reply.positive:
            raise ProtocolError(f"no answer to the message: {reply.text!r}")
        if self._void:
            return Turn.GO_ON
        if self.in_window and not self._accepted:
            if reply.positive:
                raise ProtocolError(f"an acceptance of a content for nobody: {reply.text!r}")
            return Turn.GO_ON
        if self.in_window and reply.code in UNEXPECTED_REPLIES:
            why = f"the server does not understand BDAT: {reply.text}"
            self.answer(self._accepted, Fate.UNSENT, Stage.BODY, None, why)
            raise ProtocolError(f"no answer to BDAT: {reply.text!r}")
        self.answer(self._accepted, Fate.ANSWERED, Stage.BODY, reply)
        if reply.code >= 400:
            self.failed = True
        return Turn.GO_ON

    def _refused(self, addresses: Sequence[str], stage: Stage, reply: Reply) -> Turn:
        self.answer(addresses, Fate.ANSWERED, stage, reply)
        self.failed = True
        return Turn.DROP


@dataclass(slots=True, eq=False)
class Step:
    """One write that gets one reply. `first` and `last`: it must begin or end its group."""

    stage: Stage
    octets: bytes
    transaction: Transaction | None = None
    address: str = ""
    first: bool = False
    last: bool = False
    end: int = 0  # offset after its last byte, in everything written
