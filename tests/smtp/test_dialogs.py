"""Runs tests/dialogs/*.smtp; the format is explained in dialogs/README.md."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from campaign.delivery import Answer, Envelope, Message, Settled
from campaign.smtp.auth import Login, Mechanism
from campaign.smtp.commands import body
from campaign.smtp.events import BodyDue, Closed, Event, Opened, StartTLS
from campaign.smtp.session import Session
from campaign.smtp.window import bdat
from campaign.verdict import judge

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs").glob("*.smtp"))
_IDLE = None  # among the messages: here the session is idle


@dataclass
class Dialog:
    """A file's settings and script."""

    security: str = "none"
    login: Login | None = None
    window: int = 1
    messages: list[Message | None] = field(default_factory=list)
    script: list[tuple[str, str]] = field(default_factory=list)


def read(path: Path, *, pipelining: bool, byte_by_byte: bool) -> Dialog:
    """Read a dialog; keep only the lines for this variant of the run."""
    settings, _, script = path.read_text("utf-8").partition("\n\n")
    dialog = Dialog()
    for line in settings.splitlines():
        if line.startswith("#"):
            continue
        name, value = _split(line)
        if name == "security":
            dialog.security = value
        elif name == "login":
            mechanism, username, secret = value.split()
            dialog.login = Login(
                username, secret, None if mechanism == "any" else Mechanism(mechanism.lower())
            )
        elif name == "window":
            dialog.window = int(value)
        elif name == "idle":
            dialog.messages.append(_IDLE)
        elif name.startswith("message"):
            dialog.messages.append(_message(name, value.split()))
        else:
            raise ValueError(f"{path}: unknown setting {name!r}")
    holds = {"P": pipelining, "L": not pipelining, "W": not byte_by_byte, "B": byte_by_byte}
    for line in script.splitlines():
        if not line or line.startswith("#"):
            continue
        who, text = _split(line)
        kept = True
        while who in holds:
            kept = kept and holds[who]
            who, text = _split(text)
        assert who in ("S", "C", "E", "V"), f"{path}: {line!r}"
        if text.endswith("{PIPELINING}"):
            kept = kept and pipelining
            text = text.replace("{PIPELINING}", "PIPELINING")
        if kept:
            dialog.script.append((who, text))
    return dialog


def _split(line: str) -> tuple[str, str]:
    """Return the text before and after the colon, with `{a*9}` expanded."""
    name, _, value = line.partition(":")
    value = re.sub(r"\{(.)\*(\d+)\}", lambda match: match[1] * int(match[2]), value)
    return name, value.removeprefix(" ")


def _message(kind: str, words: list[str]) -> Message:
    size = int(words.pop(0)) if kind == "message-size" else 0
    key, sender, *recipients = words
    command = "data\r\n" if kind == "message-command" else ""
    content = f"Subject: {key}\r\n\r\n.hello\r\n{command}".encode()
    content += b"x" * (size - len(content) - 2) + b"\r\n" if size else b""
    envelope = Envelope(sender.strip("<>"), tuple(recipients), smtputf8=kind == "message-utf8")
    return Message(key, int(key), envelope, f"<{key}@example.com>", (content,))


class Run:
    """One run of a dialog: the test is the server."""

    def __init__(self, dialog: Dialog, *, byte_by_byte: bool) -> None:
        self.session = Session(
            "client.example",
            starttls=dialog.security == "starttls",
            tls=dialog.security == "tls",
            login=dialog.login,
            cleartext_login=dialog.security == "none",
            window=dialog.window,
        )
        self.byte_by_byte = byte_by_byte
        self.messages = {message.key: message for message in dialog.messages if message is not _IDLE}
        self.waiting = deque(dialog.messages)
        self.said = b""  # sent by the server, not yet read
        self.heard = b""  # from the client
        self.events: deque[Event] = deque()
        self.answers: tuple[Answer, ...] = ()  # of the message settled last
        self.quitting = False

    def play(self, script: list[tuple[str, str]]) -> None:
        for who, text in script:
            if who == "S":
                self.server(text)
            elif who == "C":
                self.client(text)
            elif who == "E":
                self.expect(text)
            else:
                assert ", ".join(judge(answer) for answer in self.answers) == text
        self.hear()
        assert not self.events, [describe(event) for event in self.events]
        assert not self.heard

    def server(self, text: str) -> None:
        if text.startswith("<eof"):
            self.hear()
            unsent = int(text.strip("<eof>") or 0)
            self.take(self.session.lost("the server closed the connection", unsent))
        elif text == "<tls>":
            self.hear()
            self.session.tls_established()
            self.pump()
        elif text == "<rested>":
            self.hear()
            assert self.waiting.popleft() is _IDLE
            self.session.rest()
            self.pump()
        else:
            repeated = re.fullmatch(r"<(\d+) lines> (.*)", text)
            times, text = (int(repeated[1]), repeated[2]) if repeated else (1, text)
            octets = text.removesuffix("<cut>").encode() + (b"" if text.endswith("<cut>") else b"\r\n")
            octets = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), octets)
            self.said += octets * times
            if self.byte_by_byte:
                self.hear()

    def client(self, text: str) -> None:
        if text == "<nothing>":
            self.hear()
            assert not self.heard
            return
        content = re.fullmatch(r"<(content|bdat) (\d+)>", text)
        if content is None:
            expected = text.encode() + b"\r\n"
        else:
            message = self.messages[content[2]]
            whole = content[1] == "bdat"
            expected = bdat(message.chunks, message.size) if whole else body(message.chunks)
        if not self.heard:
            self.hear()
        assert self.heard[: len(expected)] == expected
        self.heard = self.heard[len(expected) :]

    def expect(self, text: str) -> None:
        self.hear()
        assert self.events, f"no event, expected {text!r}; heard {self.heard!r}"
        event = self.events.popleft()
        described = describe(event)
        assert described.startswith(text), f"expected {text!r}, got {described!r}"
        rest = described.removeprefix(text)
        assert not rest.startswith(" permanent"), f"unexpected: {rest!r}"
        if isinstance(event, Settled):
            self.answers = event.answers

    def hear(self) -> None:
        said, self.said = self.said, b""
        chunks = [said[i : i + 1] for i in range(len(said))] if self.byte_by_byte else [said]
        for chunk in chunks:
            self.take(self.session.receive(chunk))
        self.pump()

    def take(self, events: list[Event]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, BodyDue) and self.session.closed is None:
                self.session.release(event.message)
        self.pump()

    def pump(self) -> None:
        next_one = self.waiting[0] if self.waiting else _IDLE
        while next_one is not _IDLE and self.session.room and self.session.fits_window(next_one):
            self.session.send(next_one)
            self.waiting.popleft()
            next_one = self.waiting[0] if self.waiting else _IDLE
        self.heard += self.session.data_to_send()
        if self.session.wants_message and next_one is not _IDLE:
            self.waiting.popleft()
            self.session.submit(next_one)
            self.take(self.session.events())
        elif self.session.opened and self.session.idle and not self.waiting and not self.quitting:
            self.quitting = True
            self.session.quit()
            self.pump()


def describe(event: Event) -> str:
    match event:
        case Settled():
            return f"settled {event.message.key} " + ", ".join(map(_describe_answer, event.answers))
        case BodyDue():
            return f"due {event.message.key}"
        case Closed():
            flags = " permanent" * event.permanent
            return f"closed {event.stage}{flags}: {event.why}"
        case Opened():
            return "opened"
        case StartTLS():
            return "starttls"


def _describe_answer(answer: Answer) -> str:
    code = f" {answer.reply.code}" if answer.reply else ""
    return f"{answer.address} {answer.fate} {answer.stage}{code}"


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "byte-by-byte"])
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "lock-step"])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, pipelining: bool, byte_by_byte: bool) -> None:
    dialog = read(path, pipelining=pipelining, byte_by_byte=byte_by_byte)
    if dialog.window > 1 and not pipelining:  # there is none without it
        assert any("{PIPELINING}" in line for line in path.read_text("utf-8").splitlines())
        return
    Run(dialog, byte_by_byte=byte_by_byte).play(dialog.script)
