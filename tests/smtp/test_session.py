"""The session against a model server that refuses, delays, splits and drops at random.

The model knows what really was delivered, so the session's words can be held against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.delivery import Answer, Envelope, Fate, Message, Reply, Settled, Stage, Verdict
from campaign.errors import ProtocolError
from campaign.smtp import BodyDue, Closed, Event, Extensions, Login, Session, Timeouts
from campaign.smtp.replies import ReplyParser
from campaign.smtp.window import MOST_OCTETS
from campaign.verdict import judge


@dataclass
class ModelServer:
    """An SMTP server's rules, with faults drawn from a list of choices."""

    faults: list[str]
    pipelining: bool
    chunking: bool = False
    delivered: list[tuple[str, str]] = field(default_factory=list)  # (key, address)
    buffer: bytes = b""
    sender: bool = False
    recipients: list[str] = field(default_factory=list)
    content: bytes | None = None
    gone: bool = False
    chunk: int | None = None  # octets of BDAT that follow

    def fault(self) -> str:
        return self.faults.pop() if self.faults else ""

    def take(self, octets: bytes) -> bytes:
        """Take what the client wrote and return the replies to it."""
        self.buffer += octets
        replies = b""
        while not self.gone:
            if self.chunk is not None:
                if len(self.buffer) < self.chunk:
                    break
                content, self.buffer = self.buffer[: self.chunk], self.buffer[self.chunk :]
                self.chunk = None
                replies += self.bdat(content)
            elif b"\r\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                replies += self.content_line(line) if self.content is not None else self.command(line)
            else:
                break
        return replies

    def bdat(self, content: bytes) -> bytes:
        """RFC 3030 2: the octets were read, whatever becomes of them."""
        if not self.recipients:
            return b"554 5.5.1 no valid recipients\r\n"
        self.content = content
        if self.faults and self.faults[-1] == "503":
            self.faults.pop()
            self.content, self.sender, self.recipients = None, False, []
            return b"503 5.5.1 what\r\n"
        return self.content_line(b".")

    def content_line(self, line: bytes) -> bytes:
        assert self.content is not None
        if line != b".":
            self.content += line.removeprefix(b".") + b"\r\n"
            return b""
        fault = self.fault()
        key = self.content.partition(b"\r\n")[0].removeprefix(b"Subject: ").decode()
        recipients, self.content, self.sender, self.recipients = self.recipients, None, False, []
        if fault == "drop-before":
            self.gone = True
            return b""
        if fault in ("4xx", "5xx", "421"):
            self.gone = fault == "421"
            return {"4xx": b"452 4.3.1 full\r\n", "5xx": b"554 5.7.1 no\r\n", "421": b"421 bye\r\n"}[fault]
        self.delivered += [(key, address) for address in recipients]
        if fault == "drop-after":
            self.gone = True
            return b""
        if fault == "nonsense":
            self.gone = True
            return b"354 go on\r\n"
        return b"250 2.0.0 Ok\r\n"

    def command(self, line: bytes) -> bytes:
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            offered = [b"PIPELINING"] * self.pipelining + [b"CHUNKING"] * self.chunking
            return b"".join([b"250-model\r\n", *(b"250-%b\r\n" % word for word in offered), b"250 HELP\r\n"])
        if verb == b"QUIT":
            self.gone = True
            return b"221 bye\r\n"
        if verb == b"RSET":
            self.sender, self.recipients = False, []
            return b"250 Ok\r\n"
        if verb == b"BDAT":
            self.chunk = int(line.split()[1])
            return b""
        if line == b"RCPT TO:<>":
            return b"501 5.1.3 Bad recipient address syntax\r\n"
        fault = self.fault()
        if fault.startswith("drop"):
            self.gone = True
            return b""
        if fault == "421":
            self.gone = True
            return b"421 4.3.2 bye\r\n"
        if fault == "nonsense":
            self.gone = True
            return b"222 what\r\n299-x\r\nhello\r\n"
        refused = {"4xx": b"450 4.2.1 later\r\n", "5xx": b"550 5.1.1 no\r\n"}.get(fault)
        if verb == b"MAIL":
            assert not self.recipients
            if refused is None:
                assert not self.sender, "MAIL inside a transaction"
                self.sender = True
            return refused or b"250 Ok\r\n"
        if verb == b"RCPT":
            if not self.sender:
                return b"503 5.5.1 MAIL first\r\n"
            if refused is None:
                self.recipients.append(line.partition(b"<")[2].rstrip(b">").decode())
            return refused or b"250 Ok\r\n"
        assert verb == b"DATA", line
        if fault == "lenient":  # 354 whoever was accepted
            self.content = b""
            return b"354 go on\r\n"
        if not self.recipients:
            return b"554 5.5.1 no valid recipients\r\n"
        if refused is None:
            self.content = b""
        return refused or b"354 go on\r\n"


FAULTS = st.lists(
    st.sampled_from(
        ["", "", "", "", "4xx", "5xx", "421", "503", "drop-before", "drop-after", "nonsense", "lenient"]
    ),
    max_size=24,
)


@settings(max_examples=600)
@given(
    faults=FAULTS,
    pipelining=st.booleans(),
    chunking=st.booleans(),
    window=st.integers(1, 4),
    sizes=st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=8),
    chunks=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    unsent=st.integers(0, 60),
)
def test_what_the_session_says_is_what_happened(
    faults: list[str],
    pipelining: bool,
    chunking: bool,
    window: int,
    sizes: list[int],
    chunks: list[int],
    unsent: int,
) -> None:
    server = ModelServer(list(reversed(faults)), pipelining, chunking)
    messages = [
        Message(
            str(number),
            number,
            Envelope("news@example.com", tuple(f"u{number}-{i}@example.test" for i in range(size))),
            f"<{number}@example.com>",
            (f"Subject: {number}\r\n\r\n.dot\r\n..\r\n".encode(),),
        )
        for number, size in enumerate(sizes)
    ]
    session = Session("client.example", window=window)
    waiting = list(messages)
    settled: dict[str, Settled] = {}
    announced: set[str] = set()
    released: set[str] = set()
    replies = b"220 model\r\n"
    for chunk in islice(cycle(chunks), 3000):
        heard, replies = replies[:chunk], replies[chunk:]
        if server.gone and not heard:
            # The connection is gone; what of our last writing had left is for the test to say, but
            # what the model has taken has left.
            events = session.lost("gone", min(unsent, len(server.buffer)))
        else:
            events = session.receive(heard)
        for event in events:
            if isinstance(event, Settled):
                assert event.message.key not in settled
                settled[event.message.key] = event
            elif isinstance(event, BodyDue):
                assert event.message.key not in announced, "two contents for one key"
                announced.add(event.message.key)
                if session.closed is None:
                    session.release(event.message)
                    released.add(event.message.key)
        while waiting and session.room and session.takes_whole(waiting[0]):
            released.add(waiting[0].key)
            session.send(waiting.pop(0))
        assert len(released - set(settled)) <= (window if pipelining and chunking else 1)
        if session.wants_message and waiting:
            session.submit(waiting.pop(0))
        elif session.opened and session.idle and not waiting:
            session.quit()
        octets = session.data_to_send()
        for message in messages:
            if message.key not in released:
                assert f"Subject: {message.key}\r".encode() not in octets, "content before its announcement"
        replies += server.take(octets)
        if session.closed is not None:
            break
    assert session.closed is not None
    assert session.idle
    delivered = server.delivered
    assert len(delivered) == len(set(delivered)), "delivered twice"
    for message in messages:
        if message.key not in settled:
            assert message in waiting
            continue
        for answer in settled[message.key].answers:
            arrived = (message.key, answer.address) in delivered
            match answer.fate:
                case Fate.ANSWERED:
                    assert answer.reply is not None
                    accepted = answer.stage is Stage.BODY and answer.reply.positive
                    assert accepted == arrived
                    assert accepted or answer.reply.code >= 400
                case Fate.UNSENT:
                    assert not arrived
                case Fate.UNKNOWN:
                    assert message.key in released
    keys = {message.key for message in messages}
    assert {key for key, _ in delivered} <= keys, "an empty message was delivered"


_REPLY_LINES = st.lists(
    st.builds(
        lambda code, separator, text, end: code + separator + text + end,
        st.sampled_from([b"220", b"250", b"354", b"550", b"199", b"xyz", b""]),
        st.sampled_from([b" ", b"-", b"", b"="]),
        st.one_of(st.binary(max_size=20), st.sampled_from([b"5.1.1 no", b"x" * 4100])),
        st.sampled_from([b"\r\n", b"\n", b""]),
    ),
    max_size=12,
).map(b"".join)


@given(
    octets=st.one_of(st.binary(max_size=300), _REPLY_LINES),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
def test_reply_parser_does_not_depend_on_how_bytes_arrive(octets: bytes, cuts: list[int]) -> None:
    def parse(chunks: list[bytes]) -> tuple[list[Reply], str]:
        parser, replies = ReplyParser(), list[Reply]()
        try:
            for chunk in chunks:
                for reply in parser.feed(chunk):
                    replies.append(reply)
        except ProtocolError as error:
            return replies, str(error)
        return replies, ""

    edges = sorted({0, len(octets), *(min(cut, len(octets)) for cut in cuts)})
    assert parse([octets[a:b] for a, b in pairwise(edges)] or [b""]) == parse([octets])


def test_an_endless_reply_is_bounded() -> None:
    lines = b"250-" + b"x" * 70 + b"\r\n"
    with pytest.raises(ProtocolError, match="more than 128 lines"):
        _feed_for_ever(lines)
    with pytest.raises(ProtocolError, match="or 65536 bytes"):
        _feed_for_ever(b"250-" + b"x" * 4000 + b"\r\n")
    with pytest.raises(ProtocolError, match="line of more than"):
        _feed_for_ever(b"250 " + b"x" * 1000)


def _feed_for_ever(octets: bytes) -> None:
    parser = ReplyParser()
    for _ in range(1000):
        assert not list(parser.feed(octets))


def _message(number: int, *addresses: str) -> Message:
    envelope = Envelope("news@example.com", addresses or (f"u{number}@example.test",))
    content = f"Subject: {number}\r\n\r\nhello\r\n".encode()
    return Message(str(number), number, envelope, f"<{number}@example.com>", (content,))


def _opened(*extensions: str, **parameters: Any) -> Session:
    session = Session("client.example", **parameters)
    session.receive(b"220 model\r\n")
    assert session.data_to_send() == b"EHLO client.example\r\n"
    lines = ["250-model", *(f"250-{word}" for word in extensions), "250 HELP", ""]
    session.receive("\r\n".join(lines).encode())
    return session


def _announced(message: Message) -> Session:
    """Return a session whose server waits for the content of `message`."""
    session = _opened("PIPELINING")
    session.submit(message)
    session.data_to_send()
    events = session.receive(b"250 Ok\r\n250 Ok\r\n354 go on\r\n")
    assert events == [BodyDue(message)]
    return session


def _one_answer(events: list[Event]) -> tuple[Answer, Closed]:
    settled, closed = events
    assert isinstance(settled, Settled)
    assert isinstance(closed, Closed)
    return settled.answers[0], closed


def test_a_session_that_is_closed_is_final() -> None:
    session = Session("client.example", starttls=True)
    closed = session.lost("gone")
    assert isinstance(closed[0], Closed)
    assert session.receive(b"220 hello\r\n") == []
    session.tls_established()
    session.quit()
    assert session.data_to_send() == b""
    assert session.lost("again") == []
    assert not session.wants_message
    with pytest.raises(ProtocolError, match="takes none now"):
        session.submit(_message(1))


def test_no_password_goes_over_a_connection_in_the_clear() -> None:
    session = _opened("AUTH PLAIN", login=Login("news", "secret"))
    assert session.closed is not None
    assert session.closed.stage is Stage.AUTH
    assert session.closed.permanent
    assert session.data_to_send() == b""


@pytest.mark.parametrize("reply", [b"250 2.0.0 Ok\r\n", b"354 go on\r\n"])
def test_a_reply_to_a_content_that_has_not_left_whole_is_a_lie(reply: bytes) -> None:
    message = _message(1)
    session = _announced(message)
    session.release(message)
    session.data_to_send()
    answer, closed = _one_answer(session.receive(reply, unsent=1))
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why.startswith("the server sent ")


@pytest.mark.parametrize(
    ("reply", "verdict"), [(b"552 5.3.4 too big\r\n", Verdict.REFUSED), (b"421 bye\r\n", Verdict.SESSION)]
)
def test_a_content_that_is_refused_while_it_leaves_is_cut_off(reply: bytes, verdict: Verdict) -> None:
    message = _message(1)
    session = _announced(message)
    session.release(message)
    session.data_to_send()
    answer, closed = _one_answer(session.receive(reply, unsent=10))
    assert judge(answer) is verdict
    assert closed.stage is Stage.BODY
    assert not closed.why.startswith("the server sent ")


def test_a_reply_before_the_content_is_out_of_sync_and_nothing_has_left() -> None:
    message = _message(1)
    session = _announced(message)
    answer, closed = _one_answer(session.receive(b"250 2.0.0 Ok\r\n"))
    assert answer.fate is Fate.UNSENT
    assert closed.why.startswith("the server sent ")
    with pytest.raises(ProtocolError, match="not announced"):
        session.release(message)
    assert session.data_to_send() == b""


def test_a_reply_that_comes_with_the_354_answers_nothing() -> None:
    message = _message(1)
    session = _opened("PIPELINING")
    session.submit(message)
    session.data_to_send()
    due, *rest = session.receive(b"250 Ok\r\n250 Ok\r\n354 go on\r\n250 2.0.0 Ok\r\n")
    assert due == BodyDue(message)
    answer, closed = _one_answer(rest)
    assert answer.fate is Fate.UNSENT
    assert closed.why.startswith("the server sent ")


def test_only_what_was_announced_is_released_and_only_what_is_wanted_submitted() -> None:
    message = _message(1)
    session = _announced(message)
    with pytest.raises(ProtocolError, match="not announced"):
        session.release(_message(2))
    with pytest.raises(ProtocolError, match="takes none now"):
        session.submit(_message(2))
    session.release(message)
    with pytest.raises(ProtocolError, match="not announced"):
        session.release(message)
    session.submit(_message(2))
    with pytest.raises(ProtocolError, match="takes none now"):
        session.submit(_message(3))


def test_quit_waits_for_what_is_open() -> None:
    message = _message(1)
    session = _announced(message)
    session.quit()
    assert session.data_to_send() == b""
    session.release(message)
    assert session.data_to_send() == message.content + b".\r\nQUIT\r\n"
    settled, closed = session.receive(b"250 2.0.0 Ok\r\n221 Bye\r\n")
    assert isinstance(settled, Settled)
    assert isinstance(closed, Closed)
    assert closed.stage is Stage.QUIT


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("MAIL FROM:<x>", False),
        ("  RCPT TO:<x>", False),
        ("\tdata", False),
        ("Quit", False),
        ("Quitting", True),
        ("x" * MOST_OCTETS, False),
    ],
)
def test_what_goes_in_no_window(line: str, whole: bool) -> None:
    envelope = Envelope("news@example.com", ("u1@example.test",))
    content = f"Subject: long,\r\n so folded\r\n\r\nhello\r\n{line}\r\n".encode()
    session = _opened("PIPELINING", "CHUNKING", window=8)
    assert session.takes_whole(Message("1", 1, envelope, "<1@example.com>", (content,))) is whole


def test_a_session_counts_and_remembers() -> None:
    session = _opened()
    assert session.greeting == Reply(220, ("model",))
    assert (session.submitted, session.replies) == (0, 2)
    session.submit(_message(1))
    session.receive(b"")
    assert (session.submitted, session.replies) == (1, 2)


def test_an_address_with_a_control_character_is_no_command() -> None:
    session = _opened()
    with pytest.raises(ProtocolError, match="control character"):
        session.submit(_message(1, "u1@example.test>\r\nRCPT TO:<other@example.test"))
    assert session.idle
    assert session.data_to_send() == b""


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("SIZE 1000", {"declares_size": True, "size": 1000}),
        ("SIZE", {"declares_size": True, "size": None}),
        ("SIZE 0", {"declares_size": True, "size": None}),
        ("SIZE many", {"declares_size": True, "size": None}),
        ("SIZE " + "9" * 21, {"declares_size": True, "size": None}),
        ("size ٣", {"declares_size": True, "size": None}),
        ("LIMITS RCPTMAX=100 MAILMAX=25", {"mail_max": 25, "rcpt_max": 100}),
        ("limits mailmax=0 rcptmax", {"mail_max": None, "rcpt_max": None}),
        ("AUTH PLAIN login", {"auth": frozenset({"PLAIN", "LOGIN"})}),
        ("AUTH=PLAIN", {"auth": frozenset({"PLAIN"})}),
        ("pipelining", {"pipelining": True}),
        ("XPIPELINING", {"pipelining": False}),
    ],
)
def test_extensions(word: str, expected: dict[str, object]) -> None:
    extensions = Extensions.parse(Reply(250, ("mx.example.test", word)))
    assert {name: getattr(extensions, name) for name in expected} == expected
    assert extensions.keywords == (word,)


def test_a_session_tells_how_long_each_reply_may_take() -> None:
    session = _announced(_message(1))
    timeouts = Timeouts()
    assert session.timeout == timeouts.final_dot
    assert Session("client.example").timeout == timeouts.greeting
    assert [timeouts.of(stage) for stage in (Stage.MAIL, Stage.DATA, Stage.RSET, Stage.QUIT)] == [
        300,
        120,
        20,
        5,
    ]


def test_no_secret_stands_in_a_repr() -> None:
    assert "hunter2" not in repr(Login("news", "hunter2"))
