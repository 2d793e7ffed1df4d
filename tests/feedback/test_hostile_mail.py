"""Anybody writes to the address for bounces: what comes is understood or not, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.feedback.mime import MOST, parts
from campaign.feedback.reports import Bounce, Failure, NotUnderstood
from campaign.feedback.understand import understand
from tests.feedback.mails import FAILED, OURS, TOKEN, block, bounce, complaint, letter

MULTIPART = b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n'


def nested(depth: int) -> bytes:
    return b"".join(MULTIPART % (n, n) for n in range(depth)) + b"\nHello\n"


def flat(count: int) -> bytes:
    return MULTIPART % (1, 1) + b"\nHello\n--1\n" * count + b"--1--\n"


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "100 MB of lines": lambda: letter(text="x" * 78) + b"y" * 78 * 1_300_000,
    "100 MB in one line": lambda: b"From: a@b.example\n\n" + b"x" * 100_000_000,
    "10,000 parts": lambda: flat(10_000),
    "1,000,000 empty parts": lambda: MULTIPART % (1, 1) + b"--1\n" * 300_000,
    "depth 1,000": lambda: nested(1000),
    "one boundary at every depth": lambda: b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n' * 20_000,
    "a megabyte of header": lambda: b"Subject: " + b"a" * 1_000_000 + b"\n\nHello",
    "a megabyte of folded header": lambda: b"Subject: a\n" + b" b\n" * 300_000 + b"\nHello",
    "a hundred thousand fields": lambda: b"To: a@b.example\n" * 60_000 + b"\nHello",
    "blanks in a content type": lambda: b"Content-Type: multipart/mixed;" + b" " * 500_000 + b"x\n\n",
    "semicolons in a content type": lambda: b"Content-Type: multipart/mixed" + b";" * 500_000 + b"\n\n",
    "NUL": lambda: b"\0" * 1_000_000,
    "NUL in fields": lambda: b"From: \0\nTo: a\0@b\0\nSubject: \0\xff\n\n\0",
    "no such charset": lambda: letter("Content-Type: text/plain; charset=nonsense-8"),
    "not UTF-8": lambda: b"From: \xff\xfe\nSubject: \xc3\x28\n\n\xff\xff",
    "bad base64": lambda: letter("Content-Transfer-Encoding: base64", text="=" * 100_000),
    "quoted-printable": lambda: letter("Content-Transfer-Encoding: quoted-printable", text="=" * 500_000),
    "half a character in UTF-8": lambda: letter(text="=?utf-8?q?=c3?=" * 10_000),
    "@ after @": lambda: b"To: " + b"@" * 500_000 + b"\n\n",
    "brackets": lambda: b"To: " + b"<" * 500_000 + b"\nFrom: " + b"<>" * 200_000 + b"\n\n",
    "lines of blanks": lambda: letter(text=" \n" * 400_000),
    "tabs": lambda: letter(text="\n\t" * 400_000),
    "one line of blanks": lambda: letter(text=" " * 900_000),
    "qmail's paragraphs": lambda: letter(text="Hi. This is the qmail\n" + "<a@b>:\nx\n" * 90_000),
    "qmail's brackets": lambda: letter(text="Hi. This is the qmail\n" + "<" * 900_000),
    "markers of copies": lambda: letter(text="--- Below this line is a copy\n" * 30_000),
    "recipients that failed": lambda: letter("X-Failed-Recipients: " + "a@b," * 90_000, text="a@b\n" * 9999),
    "digits and dots": lambda: bounce(f"{FAILED}{'5.1.' * 100_000}"),
    "reply codes": lambda: bounce(f"Action: failed\nDiagnostic-Code: smtp; {'550 ' * 100_000}"),
    "blank lines in a report": lambda: bounce("\n\n" * 400_000),
    "characters in braces": lambda: bounce(block(Original_Recipient="utf-8; " + "\\x{D800}" * 9999)),
    "tokens": lambda: letter(to=f"{TOKEN}@a.example, " * 40_000),
    "what flufl looks for": lambda: letter(text="<a@b> " * 20_000 + "\n" + "554 " * 20_000),
    "what flufl finds": lambda: letter(sender="MAILER-DAEMON", text="<a@b> 550 unknown user\n" * 9999),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_understood_or_not(name: str) -> None:
    heard = understand(HOSTILE[name]()[: MOST + 1])
    assert isinstance(heard.report, NotUnderstood | Bounce)
    assert len(heard.sender) + len(heard.subject) <= 600
    assert (heard.sender + heard.subject).isprintable()
    assert len(heard.tokens) <= 20


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_takes_a_second_and_50_mb_at_most(name: str) -> None:
    """A second of processor time, which other work on the machine does not lengthen."""
    mail = HOSTILE[name]()[: MOST + 1]
    understand(letter())  # loads what it needs
    before = time.process_time()
    understand(mail)
    assert time.process_time() - before < 1
    tracemalloc.start()
    try:
        understand(mail)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_report_behind_much_text_is_understood_within_what_is_read() -> None:
    mail = bounce(FAILED).replace(b"I'm sorry", b"<p>sorry</p>\r\n" * 50_000 + b"I'm sorry")
    assert understand(mail + b"x" * 10_000_000).report == understand(bounce(FAILED)).report


def test_what_is_inside_of_an_attached_message_is_not_read() -> None:
    """Who forwards a bounce, or sends one on as a list does, says nothing about us."""
    mail = letter("Content-Type: multipart/mixed; boundary=m")
    attached = b"--m\r\nContent-Type: message/rfc822\r\n\r\n" + bounce(FAILED) + b"\r\n--m--"
    assert [part.type for part in parts(mail + attached)] == ["multipart/mixed", "message/rfc822"]


PIECES = st.sampled_from(
    [
        *bounce(FAILED).splitlines(keepends=True),
        *complaint("abuse", "ann@example.net").splitlines(keepends=True),
        b"Hi. This is the qmail-send program\r\n",
        b"<ann@example.net>:\r\n",
        b"--- Below this line is a copy of the message.\r\n",
        b"X-Failed-Recipients: ann@example.net, b@example.net\r\n",
        b"\r\n",
        b"\n\n",
        b" ",
        b"\xff\x00",
    ]
)


@given(st.lists(PIECES, max_size=60).map(b"".join) | st.binary(max_size=400))
def test_any_octets_are_understood_or_not(mail: bytes) -> None:
    heard = understand(mail, "", "u+{{ bounce.token }}@example.com")
    assert (heard.sender + heard.subject).isprintable()
    if isinstance(heard.report, Bounce):
        assert all(isinstance(failure, Failure) for failure in heard.report.failures)
        assert all(failure.words.isprintable() for failure in heard.report.failures)


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.integers(0, 999), st.integers(0, 999))
def test_whatever_a_server_says_its_code_is_read(words: str, subject: int, detail: int) -> None:
    said = " ".join(words.split())
    heard = understand(bounce(f"Action: failed\nStatus: 5.{subject}.{detail}\nDiagnostic-Code: x; {said}"))
    assert isinstance(heard.report, Bounce)
    assert [failure.code for failure in heard.report.failures] == [(5, subject, detail)]
    assert heard.message_ids == (OURS,)
