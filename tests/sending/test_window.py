"""A window that the server does not understand, or hear out: what is sent again, and what is in doubt."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.ledger import Ledger
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient, Status
from campaign.sending.account import scope_of
from campaign.sending.dispatch import Ending
from campaign.sending.sender import Sender
from tests.folder import write_campaign
from tests.sending.heard import Heard

COLUMNS = ("email",)
WINDOW = 6
Answer = Callable[[int, str], str | None]
"""Takes the number of a content (of all sessions, from 1) and its recipient; None hangs up."""


class Moody:
    """A server on loopback with CHUNKING that does as it is told with each content."""

    def __init__(self, answer: Answer, *, probe: bool = True) -> None:
        self.delivered: list[str] = []
        self.sessions: list[list[str]] = []  # the command lines of each
        self._answer = answer
        self._probe = probe
        self._contents = 0
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
            with connection, connection.makefile("rwb") as lines:
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
                yield "250-moody.example\r\n250-PIPELINING\r\n250 CHUNKING"
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
                while line() != b".\r\n":
                    pass
                self.delivered.append(recipient)
                recipient = ""
                yield "250 2.0.0 Ok"
            elif verb == "BDAT":
                octets(int(command.split()[1]))
                if not recipient:
                    yield "554 5.5.1 no valid recipients"
                    continue
                self._contents += 1
                said = self._answer(self._contents, recipient)
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


def send(folder: Path, server: Moody, people: list[str], **smtp: int) -> tuple[Heard, dict[str, Status]]:
    """Send to these people in a window of six; return what was told, and who stands where."""
    settings = {"host": "127.0.0.1", "port": server.port, "security": "none", "window": WINDOW, **smtp}
    campaign = load(write_campaign(folder, stop_when={"refused": "100%"}, smtp=settings))
    renderer = Renderer(campaign, COLUMNS, Secrets.placeholder())
    ledger = Ledger.temporary(campaign.name)
    try:
        enrolment = ledger.enrolment()
        rows = (Recipient(n, n + 1, one, one, "", {"email": one}) for n, one in enumerate(people, 1))
        enrolment.stage(COLUMNS, rows)
        enrolment.apply(time.time_ns())
        run, heard = ledger.start(scope_of(campaign), time.time_ns()), Heard()
        stop = Sender(campaign, renderer, run, lambda: None, heard).send()
        assert stop.ending is Ending.DONE, stop
        assert Counter(server.delivered).most_common(1)[0][1] == 1, "delivered twice"
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


def test_503_to_a_content_ends_windows_for_this_run(tmp_path: Path) -> None:
    server = Moody(lambda number, recipient: "503 5.5.1 what" if number == 8 else "250 Ok")
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert len(heard.windows) == 1
    assert re.search("no answer to BDAT: '503 5.5.1 what'", heard.windows[0])
    assert statuses["user8@example.test"] is Status.ACCEPTED  # it was not taken, and went again
    assert len(doubtful(statuses)) < WINDOW
    assert set(PEOPLE) - doubtful(statuses) <= set(server.delivered)
    assert sum("RCPT TO:<>" in session for session in server.sessions) == 1


def test_what_is_behind_421_goes_again(tmp_path: Path) -> None:
    server = Moody(lambda number, recipient: "421 4.3.2 down" if number == 8 else "250 Ok")
    heard, statuses = send(tmp_path, server, PEOPLE)
    assert heard.windows == []
    assert set(statuses.values()) == {Status.ACCEPTED}
    assert sorted(server.delivered) == sorted(PEOPLE)
    assert len(server.sessions) == 2


def test_a_broken_connection_leaves_a_window_in_doubt_at_most(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("window", [0, 33, "many"])
def test_a_window_has_its_bounds(tmp_path: Path, window: object) -> None:
    smtp = {"host": "127.0.0.1", "security": "none", "window": window}
    with pytest.raises(UserError, match="window"):
        load(write_campaign(tmp_path, smtp=smtp))
