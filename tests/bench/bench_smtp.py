"""The session and its transport against smtplib, and the whole `send` against a loop of it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign import clock
from campaign.campaignfile.load import load
from campaign.campaignfile.models import Security, Smtp
from campaign.delivery import Envelope, Message, Settled, Verdict
from campaign.ledger import Ledger, Scope
from campaign.message.tokens import Secrets
from campaign.model import Status
from campaign.preparation import prepare
from campaign.sending.account import scope_of
from campaign.sending.connection import Connection
from campaign.sending.dispatch import Ending
from campaign.sending.sender import Sender
from campaign.smtp import BodyDue
from campaign.verdict import judge
from tests.bench.pairs import paired, report
from tests.e2e.folder import CampaignFolder
from tests.need import need
from tests.sending.heard import Heard
from tests.servers.postfix import Postfix
from tests.servers.proxy import delayed

pytestmark = pytest.mark.bench


def messages(count: int, size: int) -> list[Message]:
    """Ready messages of about `size` octets."""
    line = b"x" * 70 + b"\r\n"
    made = []
    for number in range(count):
        head = (
            f"From: news@example.com\r\nTo: user{number}@example.test\r\nSubject: {number}\r\n\r\n".encode()
        )
        content = head + line * (1 + (size - len(head)) // len(line))
        envelope = Envelope("news@example.com", (f"user{number}@example.test",))
        made.append(Message(str(number), number, envelope, f"<{number}@example.com>", (content,)))
    return made


def send_ours(smtp: Smtp, ready: list[Message], may_write: Callable[[], bool] | None = None) -> None:
    """Open a session of ours, send ready messages over it, and end it."""
    connection = Connection.open(smtp, None)
    connection.may_write = may_write
    send_through(connection, ready)
    connection.quit()


def send_through(connection: Connection, ready: list[Message]) -> None:
    """Send ready messages over one session of ours that is open."""
    session = connection.session
    waiting, accepted = iter(ready), 0
    submitted = 0
    while accepted < len(ready):
        if submitted < len(ready) and session.wants_message:
            session.submit(next(waiting))
            submitted += 1
        for event in connection.step(60):
            if isinstance(event, BodyDue):
                session.release(event.message)
            elif isinstance(event, Settled):
                assert judge(event.answers[0]) is Verdict.ACCEPTED, event
                accepted += 1


def send_smtplib(port: int, context: ssl.SSLContext | None, ready: list[Message]) -> None:
    """Do the same with smtplib."""
    with smtplib.SMTP("localhost", port) as peer:
        if context is not None:
            peer.starttls(context=context)
        send_through_smtplib(peer, ready)


def send_through_smtplib(peer: smtplib.SMTP, ready: list[Message]) -> None:
    """Send the same over one session of smtplib that is open."""
    for message in ready:
        peer.sendmail(message.envelope.sender, message.envelope.recipients, message.content)


@pytest.fixture(scope="module")
def discarding(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A Postfix that takes everything and keeps nothing, so that its disk decides nothing."""
    return make_postfix(smtpd_recipient_restrictions="check_recipient_access static:DISCARD, permit")


@pytest.fixture(scope="module")
def sink() -> Iterator[int]:
    """smtp-sink: takes mail as fast as it comes."""
    program = need("smtp-sink")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = ["-u", "nobody"] if shutil.which("id") and subprocess.check_output(["id", "-u"]) == b"0\n" else []
    with subprocess.Popen([str(program), *user, f"127.0.0.1:{port}", "100"]) as server:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield port
        server.terminate()


def test_session_and_transport_against_smtp_sink(sink: int) -> None:
    ready = messages(3000, 1000)
    smtp = Smtp(host="127.0.0.1", port=sink, security=Security.NONE)
    ours, peer = paired(lambda: send_ours(smtp, ready), lambda: send_smtplib(sink, None, ready))
    report("session and transport, loopback", ours, peer, 3, "3,000 messages of 1 KB to smtp-sink")


def test_the_look_at_the_lease_before_each_write(sink: int, tmp_path: Path) -> None:
    """What promise 2 costs a process that is never suspended: its peer is ours without the look."""
    ledger = Ledger.open(tmp_path / "ledger.db", "news")
    sending = ledger.start(Scope("localhost", ""), time.time_ns())
    smtp, ready = Smtp(host="localhost", port=sink, security=Security.NONE), messages(2000, 4096)

    def ours_looking() -> None:
        sending.heartbeat(time.time_ns())
        send_ours(smtp, ready, lambda: sending.holds(clock.steady()))

    ours, peer = paired(ours_looking, lambda: send_ours(smtp, ready))
    ledger.close()
    report("with the look at the lease", ours, peer, 0.95, "2,000 messages of 4 KB to smtp-sink")


def test_session_and_transport_through_a_round_trip(discarding: Postfix) -> None:
    """Both sessions are open before the clock starts: it is the messages that are counted."""
    ready = messages(400, 4000)
    context = ssl.create_default_context(cafile=discarding.ca_file)
    with delayed(discarding.port, 0.01) as port, smtplib.SMTP("localhost", port) as peer:
        peer.starttls(context=context)
        smtp = Smtp(host="localhost", port=port, security=Security.STARTTLS, ca_file=str(discarding.ca_file))
        connection = Connection.open(smtp, None)
        ours, theirs = paired(
            lambda: send_through(connection, ready), lambda: send_through_smtplib(peer, ready), rounds=2
        )
        connection.quit()
    report("session and transport, 20 ms", ours, theirs, 3.8, "400 messages of 4 KB over one TLS session")


def test_eight_connections_through_a_round_trip(discarding: Postfix) -> None:
    ready = messages(1600, 4000)
    context = ssl.create_default_context(cafile=discarding.ca_file)
    with delayed(discarding.port, 0.01) as port:
        smtp = Smtp(host="localhost", port=port, security=Security.STARTTLS, ca_file=str(discarding.ca_file))

        def ours() -> None:
            threads = [threading.Thread(target=send_ours, args=(smtp, ready[n::8])) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        fast, _ = paired(ours, lambda: None, rounds=2)
        _, slow = paired(lambda: None, lambda: send_smtplib(port, context, ready[:200]), rounds=2)
    report("eight connections, 20 ms", fast, slow * 8, 26, "1,600 messages against 200 by smtplib, times 8")


def test_the_whole_send_through_a_round_trip(discarding: Postfix, tmp_path: Path) -> None:
    count = 400
    ready = messages(count, 4000)
    context = ssl.create_default_context(cafile=discarding.ca_file)
    folder = CampaignFolder(tmp_path, discarding)
    folder.people(count)
    (tmp_path / "body.txt.j2").write_text(
        "Dear {{ name }},\n\n" + "This line has seventy octets in it. " * 2 * 50
    )
    runs = itertools.count()

    with delayed(discarding.port, 0.01) as port:

        def ours() -> None:
            folder.write(name=f"run-{next(runs)}", smtp={"port": port, "messages_per_session": 1000})
            campaign = load(tmp_path / "campaign.yaml")
            ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
            preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder())
            preparation.enrolment.apply(time.time_ns())
            sending = ledger.start(scope_of(campaign), time.time_ns())
            began = time.perf_counter()
            stop = Sender(campaign, preparation.renderer, sending, lambda: None, Heard()).run()
            taken.append(time.perf_counter() - began)
            assert stop.ending is Ending.DONE, stop
            sending.end(time.time_ns())
            assert ledger.history.summary(time.time_ns()).counts[Status.ACCEPTED] == count
            ledger.close()

        taken: list[float] = []
        _, peer = paired(ours, lambda: send_smtplib(port, context, ready), rounds=2)
    report(
        "the whole sending, 20 ms", min(taken), peer, 3.5, "400 messages of 4 KB, rendered, with their ledger"
    )
