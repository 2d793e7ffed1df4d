"""Runs tests/dialogs/*.smtp; the format is explained in dialogs/README.md."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from campaign.model import Envelope, Message, Settled
from campaign.smtp import BodyDue, Closed, Event, Login, Mechanism, Opened, Session, StartTLS
from campaign.smtp.commands import body

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.smtp"))


@dataclass
class Dialog:
    """A file's settings and script."""

    security: str = "none"
    login: Login | None = None
    messages: list[Message] = field(default_factory=list)
    script: list[tuple[str, str]] = field(default_factory=list)


def read(path: Path, *, pipelining: bool) -> Dialog:
    """Read a dialog, keeping the lines that hold with or without PIPELINING."""
    settings, _, script = path.read_text("utf-8").partition("\n\n")
    dialog = Dialog()
    for line in settings.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.partition(": ")
        if name == "security":
            dialog.security = value
        elif name == "login":
            mechanism, username, secret = value.split()
            dialog.login = Login(username, secret, None if mechanism == "any" else Mechanism(mechanism))
        elif name.startswith("message"):
            words = value.split()
            size = int(words.pop(0)) if name == "message-size" else 0
            key, sender, *recipients = words
            content = f"Subject: {key}\r\n\r\n.hello\r\n".encode()
            content += b"x" * (size - len(content) - 2) + b"\r\n" if size else b""
            envelope = Envelope(sender, tuple(recipients), smtputf8=name == "message-utf8")
            dialog.messages.append(Message(key, int(key), envelope, f"<{key}@example.com>", content))
        else:
            raise ValueError(f"{path}: unknown setting {name!r}")
    for line in script.splitlines():
        if not line or line.startswith("#"):
            continue
        who, _, text = line.partition(": ")
        if who in "PL":
            if (who == "P") is not pipelining:
                continue
            who, _, text = text.partition(": ")
        assert who in ("S", "C", "E"), f"{path}: {line!r}"
        if text.endswith("{PIPELINING}"):
            if not pipelining:
                continue
            text = text.replace("{PIPELINING}", "PIPELINING")
        dialog.script.append((who, text))
    return dialog


class Run:
    """One run of a dialog: the test is the server."""

    def __init__(self, dialog: Dialog, *, byte_by_byte: bool) -> None:
        self.session = Session(
            "client.example",
            starttls=dialog.security == "starttls",
            tls=dialog.security == "tls",
            login=dialog.login,
        )
        self.byte_by_byte = byte_by_byte
        self.messages = {message.key: message for message in dialog.messages}
        self.waiting = deque(dialog.messages)
        self.said = b""  # by the server, and not heard yet
        self.heard = b""  # from the client
        self.events: deque[Event] = deque()
        self.quitting = False

    def play(self, script: list[tuple[str, str]]) -> None:
        for who, text in script:
            if who == "S":
                self.server(text)
            elif who == "C":
                self.client(text)
            else:
                self.hear()
                assert self.events, f"no event, expected {text!r}; heard {self.heard!r}"
                assert describe(self.events.popleft()).startswith(text)
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
        else:
            self.said += re.sub(
                rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode() + b"\r\n"
            )
            if self.byte_by_byte:
                self.hear()

    def client(self, text: str) -> None:
        content = re.fullmatch(r"<content (\d+)>", text)
        expected = body(self.messages[content[1]].content) if content else text.encode() + b"\r\n"
        if not self.heard:
            self.hear()
        assert self.heard[: len(expected)] == expected
        self.heard = self.heard[len(expected) :]

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
        self.heard += self.session.data_to_send()
        if self.session.wants_message and self.waiting:
            self.session.submit(self.waiting.popleft())
            self.take(self.session.events())
        elif self.session.opened and self.session.idle and not self.waiting and not self.quitting:
            self.quitting = True
            self.session.quit()
            self.pump()


def describe(event: Event) -> str:
    match event:
        case Settled():
            answers = (
                f"{answer.address} {answer.fate} {answer.stage}" + (f" {answer.reply.code}" if answer.reply else "")
                for answer in event.answers
            )
            return f"settled {event.message.key} " + ", ".join(answers)
        case BodyDue():
            return f"due {event.message.key}"
        case Closed():
            flags = " permanent" * event.permanent + " botched" * event.botched
            return f"closed {event.stage}{flags}: {event.why}"
        case Opened():
            return "opened"
        case StartTLS():
            return "starttls"


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "byte-by-byte"])
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "lock-step"])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, pipelining: bool, byte_by_byte: bool) -> None:
    dialog = read(path, pipelining=pipelining)
    Run(dialog, byte_by_byte=byte_by_byte).play(dialog.script)
