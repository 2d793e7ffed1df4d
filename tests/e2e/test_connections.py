"""Several connections, sessions that end, rates, and envelopes with copies, through a real Postfix."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from campaign.model import Status
from campaign.sending.account import TARDY
from tests.e2e.folder import Folders, kill, mails, until
from tests.servers.postfix import TELL_CONTENTS, Postfix, free_port

SECOND = 1_000_000_000


def sessions(server: Postfix) -> list[int]:
    """Return how many messages each session with TLS has carried, in the order in which they ended."""
    ended = re.findall(r" disconnect from .* starttls=1 .*", server.log())
    return [int(found[1]) if (found := re.search(r"\bmail=(\d+)", line)) else 0 for line in ended]


# Several connections


def test_four_connections_deliver_everything_once(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"connections": 4})
    everybody = folder.people(500)
    before = len(sessions(postfix))
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert mails(postfix) == dict.fromkeys(everybody, 1)
    until(lambda: sum(sessions(postfix)[before:]) == 500)
    assert len(sessions(postfix)[before:]) >= 5
    assert max(sessions(postfix)[before:]) <= 100


# The command, in a process that has room for the stacks of five threads.
FEW_THREADS = """
import resource, threading
from campaign.cli import main
threading.stack_size(1 << 29)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 5 * (1 << 29) + (1 << 28),) * 2)
raise SystemExit(main())
"""


def test_threads_that_cannot_be_started_leave_nobody_in_doubt(
    postfix: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(postfix, smtp={"connections": 20})
    everybody = folder.people(500)
    folder.program = FEW_THREADS
    stopped = folder.send()
    assert stopped.returncode == 5, stopped.stderr
    assert re.search(r"start no more threads, and only \d+ of 20 connections are open", stopped.stderr)
    assert folder.counts().keys() <= {"accepted", "pending"}
    folder.program = ""
    assert folder.send().returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)


def test_a_run_killed_with_four_messages_in_flight_leaves_four_in_doubt(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(smtpd_end_of_data_restrictions=f"{TELL_CONTENTS}, sleep 2")
    folder = campaign_for(server, smtp={"connections": 4})
    everybody = folder.people(12)
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: server.contents() >= 4)
    kill(process)
    assert folder.counts()["in_doubt"] == 4
    assert folder.send().returncode == 4
    assert folder.counts() == {"accepted": 8, "in_doubt": 4}
    assert mails(server) == dict.fromkeys(everybody, 1)


def test_a_server_that_refuses_further_connections(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(smtpd_client_connection_count_limit=2, smtpd_client_event_limit_exceptions="")
    folder = campaign_for(server, rate="100/second", smtp={"connections": 4})
    everybody = folder.people(200)
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert "too many connections" in sent.stderr
    assert "error" not in sent.stderr
    assert mails(server) == dict.fromkeys(everybody, 1)


def test_a_server_that_goes_away_and_comes_back(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(service_throttle_time="1s")
    folder = campaign_for(server, rate="60/second", smtp={"connections": 3})
    everybody = folder.people(150)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 20)
    server.reload()  # closes open connections
    _, stderr = process.communicate(timeout=120)
    in_doubt = folder.addresses(Status.IN_DOUBT)
    assert process.returncode == (4 if in_doubt else 0), stderr
    assert len(in_doubt) <= 3
    assert folder.addresses(Status.ACCEPTED) | in_doubt == set(everybody)
    got = mails(server)
    assert set(got.values()) == {1}
    assert set(everybody) - set(got) <= in_doubt


# Rates


def test_a_rate_holds_over_all_connections(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="20/second", smtp={"connections": 4}, cc=["boss@example.test"])
    folder.people(45)
    assert folder.send().returncode == 0
    starts = [
        start
        for start, addresses in folder.rows("SELECT started_at, addresses FROM attempts ORDER BY started_at")
        for _ in range(addresses)
    ]
    assert len(starts) == 90
    # No half-open second holds more than twenty. On a busy machine, a content starts up to TARDY later
    # than the ledger says.
    assert all(later - start >= SECOND - TARDY for start, later in zip(starts, starts[20:], strict=False))


def test_a_long_rate_window_spans_processes(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="10/hour", smtp={"connections": 3})
    folder.people(30)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 10)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    process = folder.start("send", "campaign.yaml", "--yes")
    assert process.stdout is not None
    while "rate:" not in (line := process.stdout.readline()):
        assert line
    assert "10/hour: until" in line
    tested = folder.run("test", "campaign.yaml", "me@example.test")
    assert tested.returncode == 7  # one sends already
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert folder.rows("SELECT count(*) FROM attempts") == [(10,)]
    tested = folder.run("test", "campaign.yaml", "me@example.test")
    assert tested.returncode == 2
    assert re.match(r"error: the rate 10/hour is used up: this could be sent in \d\d minutes", tested.stderr)
    assert mails(postfix).total() == 10


def test_envelopes_are_not_sent_long_before_their_content(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    """With eight connections and one message a second, the eighth envelope is not sent with the first."""
    server = make_postfix(smtpd_timeout="6s")
    folder = campaign_for(server, rate="1/second", smtp={"connections": 8})
    everybody = folder.people(8)
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert mails(server) == dict.fromkeys(everybody, 1)
    assert "timeout after DATA" not in server.log()


def test_a_rate_too_small_for_a_message_is_refused(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="2/second", cc=["a@example.test"], bcc=["b@example.test"])
    folder.people(2)
    for command in ("check", "send"):
        ended = folder.run(command, "campaign.yaml", *(["--yes"] if command == "send" else []))
        assert ended.returncode == 2
        assert "rate: 2/second is too narrow: with cc and bcc each message has 3 addresses" in ended.stderr


# Sessions


def test_a_session_is_renewed_in_time(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"messages_per_session": 7})
    everybody = folder.people(25)
    before = len(sessions(postfix))
    assert folder.send().returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)
    until(lambda: sum(sessions(postfix)[before:]) == 25)
    assert sessions(postfix)[before:] == [7, 7, 7, 4]


def test_a_server_that_ends_idle_sessions(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(smtpd_timeout="2s")
    folder = campaign_for(server, retry={"attempts": 2, "first_delay": "4s", "max_delay": "4s"})
    folder.list(["a@example.test,A", "defer@example.test,D", "b@example.test,B"])
    sent = folder.send()
    assert sent.returncode == 3
    assert sent.stderr == ""
    assert folder.reply("defer@example.test").startswith("gave up after 2 attempts: 450")
    assert "timeout after" in server.log()
    until(lambda: len(sessions(server)) == 2)
    assert mails(server) == {"a@example.test": 1, "b@example.test": 1}


class LimitedServer:
    """A server that announces limits (RFC 9422), and disconnects clients that exceed them."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.got: Counter[str] = Counter()
        self._mails: Counter[int] = Counter()

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-LIMITS MAILMAX=4 RCPTMAX=2", responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._mails[id(session)] += 1
        if self._mails[id(session)] > 4:
            self.passed.append("MAILMAX")
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) == 2:
            self.passed.append("RCPTMAX")
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.got.update(envelope.rcpt_tos)
        return "250 2.0.0 Ok"


@pytest.fixture
def limited_server() -> Iterator[tuple[LimitedServer, int]]:
    handler = LimitedServer()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


def test_announced_limits_are_respected(
    postfix: Postfix, campaign_for: Folders, limited_server: tuple[LimitedServer, int]
) -> None:
    server, port = limited_server
    copies = {"cc": ["boss@example.test"], "bcc": ["archive@example.test"]}
    smtp = {"host": "127.0.0.1", "port": port, "security": "none", "ca_file": None}
    folder = campaign_for(postfix, smtp=smtp, **copies)
    everybody = folder.people(10)
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert server.passed == []
    # The third gets a message of its own.
    assert server.got == {
        **dict.fromkeys(everybody, 1), "boss@example.test": 10, "archive@example.test": 10
    }  # fmt: skip
    left_out = folder.rows("SELECT DISTINCT address, kind, text FROM events WHERE kind != 'accepted'")
    [(address, kind, words)] = left_out
    assert (address, kind) == ("archive@example.test", "deferred")
    assert "the server takes at most 2 recipients per message" in words


# Copies


def test_copies_of_a_refused_recipient_go_to_nobody(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, cc=["boss@example.test"], bcc=["archive@example.test"])
    folder.list(["bad@example.test,Bad", "defer@example.test,D"])
    assert folder.send().returncode == 3
    assert mails(postfix) == {}
    assert folder.addresses(Status.REFUSED) == {"bad@example.test", "defer@example.test"}
    assert folder.suppressed() == {"bad@example.test"}
    assert folder.rows("SELECT count(*) FROM attempts") == [(0,)]  # nothing was sent, and the rate is unused


def test_a_refused_copy_does_not_stop_the_others(postfix: Postfix, campaign_for: Folders) -> None:
    copies = ["bad@example.test", "Boss <boss@example.test>", "anna@example.test"]
    folder = campaign_for(postfix, cc=copies, bcc=["archive@example.test"])
    folder.list(["anna@example.test,Anna", "ben@example.test,Ben"])
    sent = folder.send()
    assert sent.returncode == 3, sent.stderr
    assert "9 by cc and bcc" not in sent.stdout  # Anna's own address is not a copy of her message
    assert "mails:       9, with 7 by cc and bcc" in sent.stdout
    assert folder.counts() == {"accepted": 2}
    assert folder.suppressed() == set()  # a copy's address is not the row's
    refused = folder.rows("SELECT key, address, kind FROM events WHERE kind != 'accepted' ORDER BY key")
    assert refused == [
        ("anna@example.test", "bad@example.test", "refused"),
        ("ben@example.test", "bad@example.test", "refused"),
    ]
    assert mails(postfix) == {
        "anna@example.test": 2,
        "ben@example.test": 1,
        "boss@example.test": 2,
        "archive@example.test": 2,
    }
    assert all(b"archive@" not in mail.content for mail in postfix.mailbox())
