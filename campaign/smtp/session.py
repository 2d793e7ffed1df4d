"""The SMTP client session: a state machine from greeting to QUIT that has no socket.

Bytes from the server go in with `receive`, events come out; bytes for the server come out of
`data_to_send`. The rules, before the code:

*Steps.* Everything we send is a step: a command line, or a message's content with its dot. Each has
exactly one reply, and replies come in the order of the steps (RFC 5321 4.2). So there are two
queues: steps to be written, and steps written and unanswered. A reply belongs to the oldest
unanswered step; a reply with no such step was not asked for, and is the end of the session.

*Groups.* RFC 2920 3.1 lets MAIL, RCPT and RSET and message content stand anywhere in a group of
steps that is written at once, and makes EHLO, DATA and QUIT the last of theirs. A step that is the
last of its group is a barrier: nothing is written behind it until everything is answered. Lock-step
is the same code with a barrier after every step. So the flight that carries a bulk of mail is

    content of n, its dot, MAIL n+1, RCPT n+1, DATA n+1        →
                                                               ←   250, 250, 250, 354

and a message costs one round trip.

*Transactions.* MAIL, RCPT for each address, DATA, the content. An envelope with several addresses
has a barrier before DATA, because a lone dot after 354 would deliver an empty message to those that
were accepted: if the row's own address, the first, was refused, nobody gets it. A transaction that
a refusal ended is followed by one RSET before the next MAIL, and by lock-step until some messages
have been accepted: servers slow down and hang up on errors in a row.

*Announcement.* The server's 354 becomes `BodyDue`. Not a byte of the content is given out before
`release`, so that the caller can write down the intent first. At most one content is unanswered.

*Certainty.* The caller says with `receive` and `lost` how many of the bytes that it took from
`data_to_send` have not left yet. If the session ends, an unanswered content whose last byte has
left is UNKNOWN; all else is UNSENT. A 2xx to a content that has not left whole is a lie, and ends
the session.

*Final.* After `Closed` the session takes nothing and gives nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from campaign.errors import ProtocolError
from campaign.model import EnhancedCode, Fate, Message, Reply, Stage
from campaign.smtp import commands
from campaign.smtp.auth import Login
from campaign.smtp.events import BodyDue, Closed, Event, Opened, Timeouts
from campaign.smtp.extensions import Extensions
from campaign.smtp.opening import Opening, Say
from campaign.smtp.replies import ReplyParser
from campaign.smtp.transaction import Transaction, Turn

# After a refusal, so many messages must be accepted in lock-step before the session pipelines again.
CAUTIOUS_MESSAGES = 3


@dataclass(slots=True, eq=False)
class _Step:
    stage: Stage
    octets: bytes
    last: bool = False  # of its group
    transaction: Transaction | None = None
    address: str = ""
    end: int = 0  # where its last byte stands in all that was written


class Session:
    """One SMTP session; see the module's docstring for the rules.

    `client` is our name for EHLO. `starttls` asks for TLS after the first EHLO, and for nothing
    without it. `tls` says that the connection is encrypted already. `cleartext_login` allows AUTH
    without TLS, which is for `security: none` on loopback alone.

    `submitted` counts the messages taken, `replies` the server's replies.
    """

    def __init__(
        self,
        client: str,
        *,
        starttls: bool = False,
        tls: bool = False,
        login: Login | None = None,
        cleartext_login: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.opened = False
        self.closed: Closed | None = None
        self.submitted = 0
        self.replies = 0
        self._opening = Opening(
            client, starttls=starttls, tls=tls, login=login, cleartext_login=cleartext_login
        )
        self._timeouts = timeouts or Timeouts()
        self._parser = ReplyParser()
        self._events: list[Event] = []
        self._to_write: deque[_Step] = deque()
        self._unanswered: deque[_Step] = deque([_Step(Stage.GREETING, b"", last=True)])
        self._written = 0  # bytes given out
        self._transactions: deque[Transaction] = deque()  # two at most: one unanswered, one behind it
        self._caution = 0  # messages that must be accepted before the session pipelines again
        self._rset_due = False

    @property
    def extensions(self) -> Extensions:
        """What the server offers, by its latest answer to EHLO."""
        return self._opening.extensions

    @property
    def greeting(self) -> Reply | None:
        """The server's first words."""
        return self._opening.greeting

    @property
    def stage(self) -> Stage:
        """The stage that is waited for: that of the oldest unanswered step."""
        if self._unanswered:
            return self._unanswered[0].stage
        return Stage.BODY if self._transactions else Stage.MAIL

    @property
    def waiting(self) -> bool:
        """Whether a reply is due."""
        return bool(self._unanswered)

    @property
    def timeout(self) -> float:
        """Seconds that the reply now due may take from the moment it became due."""
        return self._timeouts.of(self.stage)

    @property
    def block_timeout(self) -> float:
        """Seconds in which the connection must take some of what is written."""
        return self._timeouts.block

    @property
    def wants_message(self) -> bool:
        """Whether `submit` may be called: open, and every message before it is on its way."""
        return (
            self.opened
            and self.closed is None
            and len(self._transactions) < 2
            and all(transaction.released for transaction in self._transactions)
        )

    @property
    def idle(self) -> bool:
        """Whether no message is open."""
        return not self._transactions

    def submit(self, message: Message) -> None:
        """Begin a transaction for `message`, for every address of its envelope.

        Its end is a Settled event; ask `events` for it, since it can come at once. Raises
        ProtocolError where no message is wanted.
        """
        if not self.wants_message:
            raise ProtocolError("a message was submitted to a session that takes none now")
        transaction = Transaction(message)
        self._transactions.append(transaction)
        self.submitted += 1
        impossible = self._impossible(message)
        if impossible is not None:
            transaction.answer(transaction.addresses, Fate.ANSWERED, Stage.RCPT, impossible)
            return
        if self._rset_due:
            self._to_write.append(_Step(Stage.RSET, b"RSET\r\n"))
            self._rset_due = False
        envelope = message.envelope
        octets = commands.mail(
            envelope.sender, len(message.content), self.extensions, smtputf8=envelope.smtputf8
        )
        self._queue(transaction, _Step(Stage.MAIL, octets))
        for address in self._within_limit(transaction):
            self._queue(transaction, _Step(Stage.RCPT, commands.rcpt(address), address=address))
        self._queue(transaction, _Step(Stage.DATA, b"DATA\r\n", last=True))

    def release(self, message: Message) -> None:
        """Let the content of the announced `message` go. From here on it can be in doubt.

        Raises ProtocolError where it was not announced, or the session has closed since.
        """
        transaction = self._transactions[0] if self._transactions else None
        if transaction is None or transaction.message is not message:
            raise ProtocolError("a message was released that was not announced")
        transaction.release()
        self._content_first(transaction, commands.body(message.content))

    def rest(self) -> None:
        """Say that the session was idle: the next message goes in lock-step, as nobody may be there."""
        self._caution = max(self._caution, 1)

    def quit(self) -> None:
        """End the session once what is open is answered."""
        if self.closed is None:
            self._to_write.append(_Step(Stage.QUIT, b"QUIT\r\n", last=True))

    def tls_established(self) -> None:
        """Go on inside TLS, after `StartTLS`."""
        self._say(self._opening.tls_established())

    def data_to_send(self) -> bytes:
        """Return what is to be written now, b"" for nothing; it counts as taken."""
        flight: list[bytes] = []
        while self._to_write and self._may_write(self._to_write[0]):
            step = self._to_write.popleft()
            self._written += len(step.octets)
            step.end = self._written
            self._unanswered.append(step)
            flight.append(step.octets)
        return b"".join(flight)

    def receive(self, octets: bytes, unsent: int = 0) -> list[Event]:
        """Take bytes from the server; `unsent` of the bytes taken from us have not left yet."""
        if self.closed is None:
            self._parser.feed(octets)
            try:
                while self.closed is None and (reply := self._parser.next_reply()) is not None:
                    self.replies += 1
                    self._take(reply, unsent)
            except ProtocolError as error:
                self._close(Closed(self.stage, f"the server sent {error}", botched=True), unsent)
        return self.events()

    def lost(self, why: str, unsent: int = 0) -> list[Event]:
        """Take note that the connection is gone, or given up; `unsent` as in `receive`."""
        self._close(Closed(self.stage, why), unsent)
        return self.events()

    def events(self) -> list[Event]:
        """Return the events that are due."""
        self._settle_finished()
        events, self._events = self._events, []
        return events

    def _say(self, command: Say) -> None:
        self._to_write.append(_Step(command.stage, command.octets, last=True))

    def _queue(self, transaction: Transaction, step: _Step) -> None:
        step.transaction = transaction
        transaction.unanswered += 1
        self._to_write.append(step)

    def _content_first(self, transaction: Transaction, octets: bytes) -> None:
        # DATA is the last of its group, so nothing is unanswered now, and nothing may come before
        # the content: the server takes whatever we send for a part of it.
        transaction.unanswered += 1
        self._to_write.appendleft(_Step(Stage.BODY, octets, transaction=transaction))

    def _may_write(self, step: _Step) -> bool:
        if step.stage is Stage.QUIT and any(transaction.open_on_server for transaction in self._transactions):
            return False
        if not self._unanswered:
            return True
        if self._caution or not self.extensions.pipelining or self._unanswered[-1].last:
            return False
        several = step.transaction is not None and len(step.transaction.addresses) > 1
        return not (step.stage is Stage.DATA and several)

    def _take(self, reply: Reply, unsent: int) -> None:
        step = self._unanswered[0] if self._unanswered else None
        early = step is not None and step.end > self._written - unsent
        if reply.code < 400 and (step is None or early):
            raise ProtocolError(f"a reply that was not asked for: {reply.text!r}")
        if step is not None:
            self._unanswered.popleft()
            self._apply(step, reply)
            self._settle_finished()
        elif reply.code != 421:
            raise ProtocolError(f"a reply that was not asked for: {reply.text!r}")
        # RFC 5321 3.8: after a 421, whatever it answers, the server closes, and has not processed
        # what was behind. A content that is refused while it leaves can only be cut off.
        if reply.code == 421 or (early and reply.code >= 400):
            stage = step.stage if step else self.stage
            self._close(Closed(stage, f"the server closed the session: {reply.text}", reply), unsent)

    def _apply(self, step: _Step, reply: Reply) -> None:
        if step.transaction is not None:
            self._in_transaction(step, step.transaction, reply)
        elif step.stage is Stage.QUIT:
            self._close(Closed(Stage.QUIT, "the session was ended", reply), 0)
        elif step.stage is Stage.RSET:
            if not reply.positive and reply.code != 421:
                raise ProtocolError(f"a refusal of RSET: {reply.text!r}")
        else:
            self._open_further(step.stage, reply)

    def _open_further(self, stage: Stage, reply: Reply) -> None:
        following = self._opening.take(stage, reply, more_bytes=self._parser.holds_more)
        match following:
            case Say():
                self._say(following)
            case Closed():
                self._close(following, 0)
            case _:
                self.opened = isinstance(following, Opened)
                self._events.append(following)

    def _in_transaction(self, step: _Step, transaction: Transaction, reply: Reply) -> None:
        transaction.unanswered -= 1
        match transaction.take(step.stage, step.address, reply):
            case Turn.DROP:
                kept = [step for step in self._to_write if step.transaction is not transaction]
                transaction.unanswered -= len(self._to_write) - len(kept)
                self._to_write = deque(kept)
            case Turn.BODY_DUE:
                self._events.append(BodyDue(transaction.message))
            case Turn.LONE_DOT:
                self._content_first(transaction, commands.body(b""))
            case Turn.ABANDON:
                why = "the server asked for a message after it had refused its recipient"
                self._close(Closed(Stage.DATA, why, reply), 0)
            case Turn.GO_ON:
                if step.stage is Stage.BODY and reply.positive:
                    self._caution = max(self._caution - 1, 0)

    def _settle_finished(self) -> None:
        while self._transactions and self._transactions[0].finished:
            transaction = self._transactions.popleft()
            if transaction.failed:
                self._caution = CAUTIOUS_MESSAGES
                self._rset_due = transaction.open_on_server
            self._events.append(transaction.settled(Stage.RCPT, "the row's own address was refused"))

    def _close(self, closed: Closed, unsent: int) -> None:
        """Settle everything that is open, and end."""
        if self.closed is not None:
            return
        self._settle_finished()
        for step in self._unanswered:
            has_left = step.end <= self._written - unsent
            if step.stage is Stage.BODY and step.transaction is not None and has_left:
                step.transaction.doubt(closed.why)
        for transaction in self._transactions:
            self._events.append(transaction.settled(closed.stage, closed.why))
        self._transactions.clear()
        self._to_write.clear()
        self._unanswered.clear()
        self.closed = closed
        self._events.append(closed)

    def _impossible(self, message: Message) -> Reply | None:
        """Return the refusal that the server's extensions announce, as a reply of our own."""
        if message.envelope.smtputf8 and not self.extensions.smtputf8:
            # RFC 6531 3.5 has 5.6.7 for a non-ASCII address that cannot be taken.
            return _our_reply(553, EnhancedCode(5, 6, 7), "the address needs SMTPUTF8, which is not offered")
        size, limit = len(message.content), self.extensions.size
        if limit is not None and size > limit:
            # RFC 1870 6.1
            text = f"the message has {size} bytes, and the server takes {limit}"
            return _our_reply(552, EnhancedCode(5, 3, 4), text)
        return None

    def _within_limit(self, transaction: Transaction) -> list[str]:
        """Return the addresses to ask for; those beyond RCPTMAX (RFC 9422 4.2) are answered by us."""
        limit = self.extensions.rcpt_max or len(transaction.addresses)
        beyond = transaction.addresses[limit:]
        reply = _our_reply(452, EnhancedCode(4, 5, 3), f"the server takes {limit} recipients for a message")
        transaction.answer(beyond, Fate.ANSWERED, Stage.RCPT, reply)
        return list(transaction.addresses[:limit])


def _our_reply(code: int, enhanced: EnhancedCode, text: str) -> Reply:
    return Reply(code, (f"{enhanced} {text} (our words: it was not sent)",), enhanced)
