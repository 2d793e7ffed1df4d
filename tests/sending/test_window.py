"""A server that does not understand a window, or breaks it off: what is sent again, what is in doubt."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.delivery import Verdict
from campaign.errors import UserError
from campaign.ledger import Ledger
from campaign.ledger.sqlite import opening
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient, Status
from campaign.sending import lane
from campaign.sending.account import Logins, scope_of
from campaign.sending.dispatch import Ending
from campaign.sending.network.connection import Connection
from campaign.sending.sender import Sender
from campaign.smtp.events import Event
from campaign.smtp.window import MOST_OCTETS
from tests.folder import write_campaign
from tests.sending.heard import Heard

COLUMNS = ("email",)
WINDOW = 6
Answer = Callable[[int, str], str | None]
"""Takes the number of a content (of all sessions, from 1) and its recipient; None hangs up."""


class Moody:
    """A server on loopback with CHUNKING that does with each content what it is told."""

    def __init__(self, answer: Answer, *, probe: bool = True, most: int | None = None) -> None:
        self.contents = 0
        self.delivered: list[str] = []
        self.sessions: list[list[str]] = []  # the command lines of each
        self._answer = answer
        self._probe = probe
        self._limits = "" if most is None else f"250-LIMITS MAILMAX={most}\r\n"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # The client may have hung up without reading replies: the next session is served all the same.
            with suppress(ConnectionError), connection, connection.makefile("rwb") as lines:
                self.sessions.append([])
                for said in self._session(lines.readline, lines.read):
                    lines.write(f"{said}\r\n".encode())
                    lines.flush()

    def _session(self, line: Callable[[], bytes], octets: Callable[[int], bytes]):  # type: ignore[no-untyped-def]
        yield "220 moody.example"
        recipient = ""
        while command := line().decode().strip():
            self.sessions[-1].append(command)
            verb = command.split()[0]
            if verb == "EHLO":
                yield f"250-moody.example\r\n250-PIPELINING\r\n{self._limits}250 CHUNKING"
            elif command == "RCPT TO:<>":
                if not self._probe:
                    return
                yield "501 5.1.3 nobody"
            elif verb == "RCPT":
                recipient = command.split("<")[1].strip(">")
                if recipient.startswith("dead"):
                    recipient = ""
                    yield "550 5.1.1 no such user"
                else:
                    yield "250 Ok"
            elif verb == "DATA":
                yield "354 go on"
                while line() not in (b".\r\n", b""):
                    pass
                self.delivered.append(recipient)
                recipient = ""
                yield "250 2.0.0 Ok"
            elif verb == "BDAT":
                octets(int(command.split()[1]))
                if not recipient:
                    yield "554 5.5.1 no valid recipients"
                    continue
                self.contents += 1
                said = self._answer(self.contents, recipient)
                if said is None:
                    return
                if said.startswith("250"):
                    self.delivered.append(recipient)
                recipient = ""
                yield said
                if said.startswith("421"):
                    return
            elif verb == "QUIT":
                yield "221 bye"
                return
            else:
                yield "250 Ok"


def send(
    folder: Path,
    server: Moody,
    people: list[str],
    *,
    ends: Ending = Ending.DONE,
    changes: Mapping[str, Any] | None = None,
    **smtp: int,
) -> tuple[Heard, dict[str, Status]]:
    """Send to these people with a window of six; return what was reported, and each one's status."""
    settings = {"host": "127.0.0.1", "port": server.port, "security": "none", "window": WINDOW, **smtp}
    path = write_campaign(folder, stop_when={"refused": "100%"}, smtp=settings, **(changes or {}))
    campaign = load(path)
    renderer = Renderer(campaign, COLUMNS, Secrets.placeholder())
    ledger = Ledger.open(folder / "ledger.db", campaign.name)
    ledger.register()
    try:
        enrolment = ledger.enrolment()
        rows = (Recipient(n, n + 1, one, one, "", {"email": one}) for n, one in enumerate(people, 1))
        enrolment.stage(COLUMNS, rows)
        enrolment.apply(time.time_ns())
        run, heard = ledger.start(scope_of(campaign), time.time_ns()), Heard()
        stop = Sender(campaign, renderer, run, Logins(None), heard).send()
        assert stop.ending is ends, stop
        assert len(server.delivered) == len(set(server.delivered)), "delivered twice"
        return heard, {entry.email: entry.status for entry in ledger.history.entries(time.time_ns())}
    finally:
        ledger.close()
        server.close()


PEOPLE = [f"user{number}@example.test" for number in range(1, 21)]


def accepts(number: int, recipient: str) -> str:
    return "250 2.0.0 Ok"


def doubtful(statuses: dict[str, Status]) -> set[str]:
    return {email for email, status in statuses.items() if status is Status.IN_DOUBT}


def test_one_session_and_one_probe(tmp_path: Path) -> None:
    server = Moody(accepts)
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert heard.windows == []
    assert set(statuses.values()) == {Status.ACCEPTED}
    [commands] = server.sessions
    assert [command.split()[0] for command in commands].count("BDAT") == 21
    assert commands.count("RCPT TO:<>") == 1


def test_a_server_that_hangs_up_on_the_probe_is_not_asked_again(tmp_path: Path) -> None:
    server = Moody(accepts, probe=False)
    heard, statuses = send(tmp_path, server, PEOPLE, messages_per_session=7)
    assert len(heard.windows) == 1
    assert "the server closed the connection" in heard.windows[0]
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert sorted(server.delivered) == sorted(PEOPLE)
    assert sum("RCPT TO:<>" in session for session in server.sessions) == 1


def test_503_to_a_content_ends_the_use_of_windows_in_this_run(tmp_path: Path) -> None:
    server = Moody(lambda number, recipient: "503 5.5.1 what" if number == 8 else "250 Ok")
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert len(heard.windows) == 1
    assert re.search("no answer to BDAT: '503 5.5.1 what'", heard.windows[0])
    assert statuses["user8@example.test"] is Status.ACCEPTED  # it was not accepted, and was sent again
    assert len(doubtful(statuses)) < WINDOW
    assert set(PEOPLE) - doubtful(statuses) <= set(server.delivered)
    assert sum("RCPT TO:<>" in session for session in server.sessions) == 1


def test_messages_after_421_are_sent_again(tmp_path: Path) -> None:
    server = Moody(lambda number, recipient: "421 4.3.2 down" if number == 8 else "250 Ok")
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert heard.windows == []
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert sorted(server.delivered) == sorted(PEOPLE)
    assert len(server.sessions) == 2


def test_a_broken_connection_leaves_at_most_a_window_in_doubt(tmp_path: Path) -> None:
    server = Moody(lambda number, recipient: None if number == 8 else "250 Ok")
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert heard.windows == []
    assert "user8@example.test" in doubtful(statuses)
    assert len(doubtful(statuses)) <= WINDOW
    accepted = {email for email, status in statuses.items() if status is Status.ACCEPTED}
    assert accepted == set(server.delivered)
    assert accepted | doubtful(statuses) == set(PEOPLE)


def test_a_session_is_renewed_before_refusals_make_the_server_hang_up(tmp_path: Path) -> None:
    server = Moody(accepts)
    dead = [f"dead{number}@example.test" for number in range(1, 21)]
    people = [one for pair in zip(PEOPLE, dead, strict=True) for one in pair]
    heard, statuses = send(tmp_path, server, people)
    assert heard.windows == []
    assert {statuses[one] for one in dead} == {Status.REFUSED}
    assert {statuses[one] for one in PEOPLE} == {Status.ACCEPTED}
    assert len(server.sessions) in (2, 3)


LINE = "x" * 70 + "\n"


@pytest.mark.parametrize(
    ("text", "copies", "smtp"),
    [
        (LINE * (MOST_OCTETS // 100), False, {}),
        (LINE * (MOST_OCTETS // 70), False, {}),
        ("Hi\n", True, {}),
        ("Hi\n", False, {"messages_per_session": 5}),
        ("Hi\n", False, {"messages_per_session": 1}),
    ],
    ids=["long", "longer than a window", "by DATA", "5 for a session", "1 for a session"],
)
def test_a_message_is_sent_at_once_if_none_is_unanswered(
    text: str, copies: bool, smtp: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle: list[float] = []
    step = Connection.step

    def watched(connection: Connection, wait: float) -> list[Event]:
        unused = connection.session.opened and connection.session.idle
        events = step(connection, wait)
        if unused and connection.session.idle and connection.session.closed is None and wait > 0.03:
            idle.append(wait)
        return events

    monkeypatch.setattr(Connection, "step", watched)
    (tmp_path / "body.txt").write_text(text)
    copy = "{% if 'user7@' in email or 'user12@' in email %}copy-{{ email }}{% endif %}"
    server = Moody(accepts)
    _, statuses = send(tmp_path, server, PEOPLE[:14], changes={"cc": copy} if copies else {}, **smtp)
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert idle == []


def test_a_session_starts_no_more_transactions_than_the_server_permits(tmp_path: Path) -> None:
    server = Moody(accepts, most=8)
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert heard.windows == []
    assert set(statuses.values()) == {Status.ACCEPTED}
    begun = [sum(command.startswith("MAIL") for command in session) for session in server.sessions]
    assert begun == [8, 8, 7]  # each with a probe


@pytest.mark.parametrize("most", [1, 2])
def test_no_probe_is_sent_if_a_session_permits_too_few_transactions(most: int, tmp_path: Path) -> None:
    server = Moody(accepts, most=most)
    heard, statuses = send(tmp_path, server, PEOPLE[:4])
    assert heard.windows == [f"the server takes too few messages per session (LIMITS MAILMAX={most})"]
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert len(server.sessions) == 4 // most


def test_a_server_that_is_full_for_a_moment_causes_one_wait(tmp_path: Path) -> None:
    full: list[float] = []

    def answer(number: int, recipient: str) -> str:
        full[:] = full or [time.monotonic()]
        return "452 4.3.1 full" if time.monotonic() < full[0] + 0.5 else "250 Ok"

    server = Moody(answer)
    heard, statuses = send(tmp_path, server, PEOPLE, changes={"retry": {"first_delay": "1s"}})
    assert set(statuses.values()) == {Status.ACCEPTED}
    throttled = [result for _, result in heard.attempts if result.verdict is Verdict.THROTTLED]
    assert 0 < len(throttled) <= WINDOW  # only what was in flight
    assert heard.waits == []  # of five seconds or more


def test_a_stop_of_the_run_stops_the_rest_of_the_window(tmp_path: Path) -> None:
    def answer(number: int, recipient: str) -> str:
        time.sleep(0.02)  # one answer after the other
        return "550 5.7.1 spam"

    server = Moody(answer)
    _, statuses = send(tmp_path, server, PEOPLE, ends=Ending.PAUSED)
    assert server.contents <= 2 + WINDOW  # what was in flight when the third one was read
    assert set(statuses.values()) == {Status.REFUSED, Status.PENDING}


def test_after_a_pause_a_message_is_sent_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_SILENT", 0.05)
    server = Moody(accepts)
    _, statuses = send(tmp_path, server, PEOPLE[:5], changes={"rate": "5/second"})
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert server.contents <= 1
    assert sum(command == "DATA" for command in server.sessions[0]) >= 4


def test_replies_are_awaited_if_the_ledger_is_locked_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.5)
    locks: list[sqlite3.Connection] = []

    def answer(number: int, recipient: str) -> str:
        if number == 8:
            locks.append(sqlite3.connect(tmp_path / "ledger.db", check_same_thread=False))
            locks[0].execute("BEGIN IMMEDIATE")
            threading.Timer(2, locks[0].rollback).start()
        time.sleep(0.05)
        return "250 Ok"

    server = Moody(answer)
    _, statuses = send(tmp_path, server, PEOPLE, ends=Ending.PAUSED)
    locks[0].close()
    assert doubtful(statuses) == set()
    accepted = {email for email, status in statuses.items() if status is Status.ACCEPTED}
    assert accepted == set(server.delivered)


@pytest.mark.parametrize("window", [0, 33, "many"])
def test_the_size_of_a_window_is_limited(tmp_path: Path, window: object) -> None:
    smtp = {"host": "127.0.0.1", "security": "none", "window": window}
    with pytest.raises(UserError, match="window"):
        load(write_campaign(tmp_path, smtp=smtp))
