"""The session and its parser, step by step: what they accept, refuse and count."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.delivery import Answer, Envelope, Fate, Message, Reply, Settled, Stage, Verdict
from campaign.errors import ProtocolError
from campaign.smtp.auth import Login
from campaign.smtp.events import BodyDue, Closed, Event, Timeouts
from campaign.smtp.extensions import Extensions
from campaign.smtp.replies import ReplyParser
from campaign.smtp.session import Session
from campaign.smtp.window import MOST_OCTETS
from campaign.verdict import judge

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
def test_the_reply_parser_does_not_depend_on_how_octets_arrive(octets: bytes, cuts: list[int]) -> None:
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


def test_an_endless_reply_is_refused() -> None:
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


def test_a_closed_session_refuses_everything() -> None:
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


def test_no_password_is_sent_without_tls() -> None:
    session = _opened("AUTH PLAIN", login=Login("news", "secret"))
    assert session.closed is not None
    assert session.closed.stage is Stage.AUTH
    assert session.closed.permanent
    assert session.data_to_send() == b""


@pytest.mark.parametrize("reply", [b"250 2.0.0 Ok\r\n", b"354 go on\r\n"])
def test_an_acceptance_before_the_whole_content_has_left_is_not_believed(reply: bytes) -> None:
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
def test_a_content_refused_while_it_leaves_is_cut_off(reply: bytes, verdict: Verdict) -> None:
    message = _message(1)
    session = _announced(message)
    session.release(message)
    session.data_to_send()
    answer, closed = _one_answer(session.receive(reply, unsent=10))
    assert judge(answer) is verdict
    assert closed.stage is Stage.BODY
    assert not closed.why.startswith("the server sent ")


def test_a_reply_before_the_content_is_out_of_sync_and_the_message_unsent() -> None:
    message = _message(1)
    session = _announced(message)
    answer, closed = _one_answer(session.receive(b"250 2.0.0 Ok\r\n"))
    assert answer.fate is Fate.UNSENT
    assert closed.why.startswith("the server sent ")
    with pytest.raises(ProtocolError, match="not announced"):
        session.release(message)
    assert session.data_to_send() == b""


def test_a_reply_that_comes_with_the_354_is_not_the_answer_to_the_content() -> None:
    message = _message(1)
    session = _opened("PIPELINING")
    session.submit(message)
    session.data_to_send()
    due, *rest = session.receive(b"250 Ok\r\n250 Ok\r\n354 go on\r\n250 2.0.0 Ok\r\n")
    assert due == BodyDue(message)
    answer, closed = _one_answer(rest)
    assert answer.fate is Fate.UNSENT
    assert closed.why.startswith("the server sent ")


def test_release_and_submit_refuse_messages_out_of_turn() -> None:
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


def test_quit_waits_for_open_transactions() -> None:
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
def test_messages_that_do_not_fit_in_a_window(line: str, whole: bool) -> None:
    envelope = Envelope("news@example.com", ("u1@example.test",))
    content = f"Subject: long,\r\n so folded\r\n\r\nhello\r\n{line}\r\n".encode()
    session = _opened("PIPELINING", "CHUNKING", window=8)
    assert session.fits_window(Message("1", 1, envelope, "<1@example.com>", (content,))) is whole


def test_a_content_counts_as_written_with_its_last_octet() -> None:
    message = _message(1)
    session = _announced(message)
    assert not session.content_written()
    session.release(message)
    session.data_to_send()
    assert not session.content_written(unsent=1)
    assert session.content_written(unsent=0)


def test_a_session_counts_messages_and_replies() -> None:
    session = _opened()
    assert session.greeting == Reply(220, ("model",))
    assert (session.submitted, session.replies) == (0, 2)
    session.submit(_message(1))
    session.receive(b"")
    assert (session.submitted, session.replies) == (1, 2)


def test_an_address_with_a_control_character_cannot_inject_commands() -> None:
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
def test_extensions_are_parsed(word: str, expected: dict[str, object]) -> None:
    extensions = Extensions.parse(Reply(250, ("mx.example.test", word)))
    assert {name: getattr(extensions, name) for name in expected} == expected
    assert extensions.keywords == (word,)


def test_a_session_knows_the_time_limit_of_each_reply() -> None:
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


def test_no_secret_is_in_a_repr() -> None:
    assert "hunter2" not in repr(Login("news", "hunter2"))
