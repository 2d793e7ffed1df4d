"""The SMTP client session: a state machine from greeting to QUIT, without a socket.

`receive` takes bytes from the server and returns events; `data_to_send` returns the bytes to write.
The rules:

*Steps.* Everything we send is a step: a command line, or a message's content with its final dot.
Each step gets exactly one reply, and replies come in the order of the steps (RFC 5321 4.2). So there
are two queues: steps to write, and steps that were written but not answered. A reply answers the
oldest unanswered step. An unsolicited reply ends the session.

*Groups.* RFC 2920 3.1 allows MAIL, RCPT, RSET and message content anywhere in a group of steps that is
written at once; EHLO, DATA and QUIT must end a group. A step that ends its group is a barrier: nothing
is written after it until everything is answered. Lock-step is the same code with a barrier after every
step. So in bulk mail, one flight is

    content of n, its dot, MAIL n+1, RCPT n+1, DATA n+1        →
                                                               ←   250, 250, 250, 354

and a message costs one round trip.

*Transactions.* MAIL, RCPT for each address, DATA, the content. An envelope with several addresses
has a barrier before DATA: if the first address, the row's own, was refused, nobody gets the message, and
after 354 a lone dot would deliver an empty message to the accepted ones. After a refused transaction the
session sends one RSET before the next MAIL, and uses lock-step until some messages are accepted.

*Announcement.* The server's 354 becomes `BodyDue`. No byte of the content is written before
`release`, so that the caller can record its intent first. At most one content is unanswered.

*Window.* With BDAT, several contents can be unanswered (see `window`). The caller records their intents
before `send`, and nothing is announced. The two ways do not mix: each waits until the other is idle. If a
reply shows that the server does not implement this, the session ends; `why_no_window` quotes the reply.

*Certainty.* The caller tells `receive` and `lost` how many of the bytes from `data_to_send` are not
written yet. When the session ends, an unanswered content whose last byte was written is UNKNOWN, and
everything else is UNSENT. A 2xx before the whole content was written cannot be the reply to it, and ends
the session.

*End.* After `Closed` the session accepts no bytes and returns none.
"""

from __future__ import annotations

from collections import deque

from campaign.delivery import Fate, Message, Reply, Stage
from campaign.errors import ProtocolError
from campaign.smtp import commands
from campaign.smtp.auth import Login
from campaign.smtp.events import BodyDue, Closed, Event, Opened, Timeouts
from campaign.smtp.extensions import Extensions
from campaign.smtp.opening import INJECTED, Opening
from campaign.smtp.probe import Command
from campaign.smtp.replies import ReplyParser
from campaign.smtp.transaction import Step, Transaction, Turn
from campaign.smtp.window import MOST_OCTETS, bdat

# After a refusal, this many messages must be accepted in lock-step before the session pipelines again.
CAUTIOUS_MESSAGES = 3


class Session:
    """One SMTP session; see the module's docstring for the rules.

    `client` is our name for EHLO. `starttls` requires TLS after the first EHLO. `tls`: the connection
    is already encrypted. `cleartext_login` allows AUTH without TLS, only for `security: none` on
    loopback. `window`: how many contents may be unanswered, if the server supports it.

    `submitted` counts the messages given to `submit` and `send`, `replies` the server's replies, and
    `refused` the messages sent in a window that the server refused.
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
        window: int = 1,
    ) -> None:
        self.opened = False
        self.closed: Closed | None = None
        self.submitted = 0
        self.replies = 0
        self.refused = 0
        self._opening = Opening(
            client, starttls=starttls, tls=tls, login=login, cleartext_login=cleartext_login, window=window
        )
        self._timeouts = timeouts or Timeouts()
        self._parser = ReplyParser()
        self._events: list[Event] = []
        self._to_write: deque[Step] = deque()
        self._unanswered: deque[Step] = deque([Step(Stage.GREETING, b"", last=True)])
        self._written = 0  # bytes handed over by `data_to_send`
        self._transactions: deque[Transaction] = deque()  # without a window at most two, one unanswered
        self._caution = 0  # messages that must be accepted before the session pipelines again
        self._rset_due = False

    @property
    def extensions(self) -> Extensions:
        """What the server offered in its latest reply to EHLO."""
        return self._opening.extensions

    @property
    def greeting(self) -> Reply | None:
        """The server's greeting, or None before it came."""
        return self._opening.greeting

    @property
    def why_no_window(self) -> str:
        """Why a window was asked for and not opened, or ""; no other session should ask again."""
        return self._opening.why_no_window

    @property
    def stage(self) -> Stage:
        """The stage of the oldest unanswered step, or if there is none, of the next step to write."""
        if steps := self._unanswered or self._to_write:
            return steps[0].stage
        if self._transactions:
            return Stage.BODY
        return Stage.MAIL if self.opened else Stage.TLS

    @property
    def waiting(self) -> bool:
        """Whether a reply is due."""
        return bool(self._unanswered)

    @property
    def timeout(self) -> float:
        """How many seconds the next reply may take, counted from when it became due."""
        return self._timeouts.of(self.stage)

    @property
    def block_timeout(self) -> float:
        """How many seconds a write may go without progress."""
        return self._timeouts.block

    def content_written(self, unsent: int = 0) -> bool:
        """Whether a content was written whole and is unanswered; `unsent` as in `receive`."""
        left = self._written - unsent
        return any(step.stage is Stage.BODY and step.end <= left for step in self._unanswered)

    @property
    def wants_message(self) -> bool:
        """Whether `submit` may be called: the session is open, and the message before is on its way."""
        if not self.opened or self.closed is not None or len(self._transactions) > 1:
            return False
        return all(one.released and not one.in_window for one in self._transactions)

    @property
    def windowed(self) -> bool:
        """Whether messages can be sent in a window, now or after the pending replies."""
        return self._opening.window > 1 and self.opened and self.closed is None and not self._caution

    @property
    def room(self) -> int:
        """How many messages `send` accepts now."""
        if not self.windowed or (self._transactions and not self._transactions[0].in_window):
            return 0
        return self._opening.window - len(self._transactions)

    @property
    def transactions(self) -> int:
        """How many mail transactions were begun, including a probe (RFC 9422 4.1)."""
        return self.submitted + self._opening.probed

    def fits_window(self, message: Message) -> bool:
        """Whether `send` accepts this message: short, to one address, and without command-like lines."""
        fits = len(message.envelope.recipients) == 1 and message.size <= MOST_OCTETS
        return fits and self.extensions.rule_out(message) is None and not message.could_be_commands

    @property
    def idle(self) -> bool:
        """Whether no message awaits its outcome."""
        return not self._transactions

    def submit(self, message: Message) -> None:
        """Begin a transaction for `message`, to every address of its envelope.

        It ends with a Settled event. Call `events` afterwards: the event can be due at once. Raises
        ProtocolError unless `wants_message`.
        """
        if not self.wants_message:
            raise ProtocolError("a message was submitted to a session that takes none now")
        transaction = Transaction(message)
        steps = self._envelope(transaction)
        if steps and self._rset_due:
            self._to_write.append(Step(Stage.RSET, b"RSET\r\n"))
            self._rset_due = False
        self._to_write.extend(steps)
        transaction.unanswered = len(steps)
        self._transactions.append(transaction)
        self.submitted += 1

    def release(self, message: Message) -> None:
        """Write the content of the announced `message`. From here on it can be in doubt.

        Raises ProtocolError if it was not announced, or the session has closed since.
        """
        transaction = self._transactions[0] if self._transactions else None
        if transaction is None or transaction.message is not message:
            raise ProtocolError("a message that was not announced was released")
        transaction.release()
        self._content_first(transaction, commands.body(message.chunks))

    def send(self, message: Message) -> None:
        """Send a whole message in the window, without waiting for replies. From here on it can be in doubt.

        It ends with a Settled event. Raises ProtocolError if there is no room, or it does not fit a window.
        """
        if self.room < 1 or not self.fits_window(message):
            raise ProtocolError("a message was sent in a window that does not accept it")
        transaction = Transaction(message, in_window=True)
        envelope = self._envelope(transaction)[:-1]
        content = Step(Stage.BODY, bdat(message.chunks, message.size), transaction)
        self._to_write.extend((Step(Stage.RSET, b"RSET\r\n"), *envelope, content))
        self._rset_due = False
        transaction.unanswered = len(envelope) + 1
        self._transactions.append(transaction)
        self.submitted += 1

    def rest(self) -> None:
        """Send the next message in lock-step: the session was idle, and the server may have ended it."""
        self._caution = max(self._caution, 1)

    def quit(self) -> None:
        """Send QUIT after the pending replies."""
        if self.closed is None:
            self._to_write.append(Step(Stage.QUIT, b"QUIT\r\n", last=True))

    def tls_established(self) -> None:
        """Continue inside TLS; call it once the handshake that `StartTLS` asked for is done."""
        if self.closed is None:
            self._write_group(*self._opening.tls_established())

    def data_to_send(self) -> bytes:
        """Return the bytes to write now, b"" for none; they count as handed over to the caller."""
        flight: list[bytes] = []
        to_write, unanswered = self._to_write, self._unanswered
        lock_step = self._caution > 0 or not self.extensions.pipelining
        while to_write:
            step = to_write[0]
            if unanswered and (lock_step or step.first or unanswered[-1].last):
                break
            if step.stage is Stage.QUIT and self._transactions and self._transactions[-1].open_on_server:
                break
            to_write.popleft()
            self._written += len(step.octets)
            step.end = self._written
            unanswered.append(step)
            flight.append(step.octets)
        return b"".join(flight)

    def receive(self, octets: bytes, unsent: int = 0) -> list[Event]:
        """Take bytes from the server. `unsent`: how many of the bytes handed over are not written yet."""
        if octets and self._opening.awaits_tls:
            self._close(INJECTED, self._written)
        elif self.closed is None:
            left = self._written - unsent
            try:
                for reply in self._parser.feed(octets):
                    self.replies += 1
                    self._take(reply, left)
                    if self.closed is not None:
                        break
            except ProtocolError as error:
                why, at_login = f"the server sent {error}", self.stage is Stage.AUTH
                if self._opening.window > 1:
                    self._opening.why_no_window = why
                self._close(Closed(self.stage, why, permanent=at_login), left)  # it may lock accounts
        return self.events()

    def lost(self, why: str, unsent: int = 0) -> list[Event]:
        """End the session: the connection broke, or the caller gave it up. `unsent` as in `receive`."""
        self._close(Closed(self.stage, why), self._written - unsent)
        return self.events()

    def events(self) -> list[Event]:
        """Return the events that are due."""
        self._settle_finished()
        events, self._events = self._events, []
        return events

    def _envelope(self, transaction: Transaction) -> list[Step]:
        """Return MAIL, RCPT and DATA, or nothing if the server's extensions rule the message out."""
        message, extensions = transaction.message, self.extensions
        addresses = message.envelope.recipients
        impossible = extensions.rule_out(message)
        if impossible is not None:
            transaction.answer(addresses, Fate.ANSWERED, Stage.RCPT, impossible)
            return []
        if excess := addresses[extensions.rcpt_max :] if extensions.rcpt_max else ():
            transaction.answer(excess, Fate.ANSWERED, Stage.RCPT, extensions.too_many)
            addresses = addresses[: extensions.rcpt_max]
        size, smtputf8 = message.size, message.envelope.smtputf8
        mail = commands.mail(message.envelope.sender, size, extensions, smtputf8=smtputf8)
        return [
            Step(Stage.MAIL, mail, transaction),
            *(Step(Stage.RCPT, commands.rcpt(one), transaction, address=one) for one in addresses),
            Step(Stage.DATA, b"DATA\r\n", transaction, first=len(addresses) > 1, last=True),
        ]

    def _write_group(self, *group: Command) -> None:
        """Write commands as one group."""
        self._to_write.extend(Step(one.stage, one.octets) for one in group)
        if group:
            self._to_write[-1].last = True

    def _content_first(self, transaction: Transaction, octets: bytes) -> None:
        # DATA ends its group, so nothing is unanswered now. The content must come next: after 354 the
        # server reads whatever we send as content.
        transaction.unanswered += 1
        self._to_write.appendleft(Step(Stage.BODY, octets, transaction))

    def _take(self, reply: Reply, left: int) -> None:
        """Process one reply. `left`: how many octets this process has written to the connection so far."""
        if not self._unanswered:
            if reply.code != 421:
                raise ProtocolError(f"an unsolicited reply: {reply.text!r}")
            self._close(Closed(self.stage, f"the server closed the session: {reply.text}", reply), left)
            return
        step = self._unanswered[0]
        early = step.end > left
        if early and reply.code < 400:
            raise ProtocolError(f"an unsolicited reply: {reply.text!r}")
        if step.transaction is not None:
            self._in_transaction(step, step.transaction, reply)
        else:
            self._outside(step, reply)
        if self.closed is not None:
            return
        self._unanswered.popleft()  # only now: after an invalid reply the step counts as unanswered
        if reply.code == 421:
            # RFC 5321 3.8: after 421 the server closes, and has not processed the steps after this one.
            self._close(Closed(step.stage, f"the server closed the session: {reply.text}", reply), 0)
        elif early:
            # The server refused a content that is still being written: only closing ends that.
            self._close(Closed(step.stage, f"the server answered too early: {reply.text}", reply), left)

    def _outside(self, step: Step, reply: Reply) -> None:
        if step.stage is Stage.QUIT:
            self._close(Closed(Stage.QUIT, "the session was ended", reply), self._written)
        elif step.stage is Stage.RSET and self.opened:
            if not reply.positive and reply.code != 421:
                raise ProtocolError(f"a refusal of RSET: {reply.text!r}")
        else:
            self._continue_opening(step.stage, reply)

    def _continue_opening(self, stage: Stage, reply: Reply) -> None:
        following = self._opening.take(stage, reply, more_bytes=self._parser.holds_more)
        match following:
            case [*group]:
                self._write_group(*group)
            case Closed():
                self._close(following, self._written)
            case _:
                self.opened = isinstance(following, Opened)
                self._events.append(following)

    def _in_transaction(self, step: Step, transaction: Transaction, reply: Reply) -> None:
        if step.stage is Stage.MAIL:
            turn = transaction.on_mail(reply)
        elif step.stage is Stage.RCPT:
            turn = transaction.on_rcpt(reply, step.address)
        elif step.stage is Stage.DATA:
            turn = transaction.on_data(reply)
        else:
            turn = transaction.on_body(reply)
            if self._caution and reply.positive:
                self._caution -= 1
        transaction.unanswered -= 1
        if turn is not Turn.GO_ON:
            self._turn(turn, transaction, reply)
        if transaction.finished:
            self._settle_finished()

    def _turn(self, turn: Turn, transaction: Transaction, reply: Reply) -> None:
        if turn is Turn.BODY_DUE:
            self._events.append(BodyDue(transaction.message))
        elif turn is Turn.DROP:
            kept = [step for step in self._to_write if step.transaction is not transaction]
            transaction.unanswered -= len(self._to_write) - len(kept)
            self._to_write = deque(kept)
        elif turn is Turn.LONE_DOT:
            self._content_first(transaction, commands.body(()))
        else:
            why = "the server asked for a message after refusing its recipient"
            self._close(Closed(Stage.DATA, why, reply), self._written)

    def _settle_finished(self) -> None:
        while self._transactions and self._transactions[0].finished:
            transaction = self._transactions.popleft()
            if transaction.failed and transaction.in_window:
                self.refused += 1
                self._rset_due = True  # if the next message does not begin with it
            elif transaction.failed:
                self._caution = CAUTIOUS_MESSAGES
                # Also after a complete content: if its policy refuses at the dot, Postfix keeps the
                # transaction open.
                if transaction.open_on_server or transaction.released:
                    self._reset()
            self._events.append(transaction.settled(Stage.RCPT, "the row's own address was refused"))

    def _reset(self) -> None:
        """Send RSET before the next MAIL, unless that MAIL is already written."""
        behind = self._transactions[0] if self._transactions else None
        if behind is None:
            self._rset_due = True
        elif self._to_write and self._to_write[0].stage is Stage.MAIL:
            self._to_write.appendleft(Step(Stage.RSET, b"RSET\r\n"))
        else:
            behind.derivative = True

    def _close(self, closed: Closed, left: int) -> None:
        """Settle every open message, and end the session. `left` is as in `_take`."""
        if self.closed is not None:
            return
        self._settle_finished()
        for step in self._unanswered:
            if step.stage is Stage.BODY and step.transaction is not None and step.end <= left:
                step.transaction.doubt(closed.why)
        for transaction in self._transactions:
            self._events.append(transaction.settled(closed.stage, closed.why))
        self._transactions.clear()
        self._to_write.clear()
        self._unanswered.clear()
        self.closed = closed
        self._events.append(closed)
