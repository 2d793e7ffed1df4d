"""Signals during a send: one, two, before it begins, while the server is silent; and a lost lease."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders, mails, until
from tests.servers.postfix import Postfix
from tests.servers.scripted import GENEROUS, Peer, Script, Serve, to_data, to_mail


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_the_run_after_the_current_message(
    postfix: Postfix, campaign_for: Folders, number: signal.Signals
) -> None:
    folder = campaign_for(postfix, rate="100/second", smtp={"connections": 2})
    everybody = folder.people(150)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 20)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    said = [line for line in stderr.splitlines() if line and "warning" not in line]
    assert said == ["stopping: waiting for the pending replies (again: stops immediately)"]
    assert "to resume: campaign send campaign.yaml" in stdout
    counts = folder.counts()
    assert set(counts) == {"accepted", "pending"}
    assert folder.send().returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)


def test_one_signal_waits_for_the_reply(slow_server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(slow_server)
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert folder.counts() == {"accepted": 1, "pending": 2}


def test_a_run_that_loses_its_lease_stops(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="10/second")
    everybody = folder.people(60)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    with closing(sqlite3.connect(folder.folder / "ledger.db")) as other, other:
        other.execute("UPDATE runs SET ended_at = heartbeat")  # like another machine that takes it for dead
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "error: another process has taken over this ledger; this one sends nothing more" in stderr
    assert "Traceback" not in stderr
    folder.write()
    assert folder.send("--resend-doubt").returncode == 0
    assert set(mails(postfix)) == set(everybody)


def test_two_signals_do_not_wait(silent_server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(silent_server)
    folder.people(3)
    before = silent_server.contents()
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: silent_server.contents() > before)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() + process.stderr.readline() != ""  # it has received the first
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == ""
    assert "1 in doubt" in stdout
    assert folder.counts() == {"in_doubt": 1, "pending": 2}


def test_a_test_message_without_a_reply_is_reported_as_possibly_sent(
    silent_server: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(silent_server)
    folder.people(1)
    before = silent_server.contents()
    process = folder.start("test", "campaign.yaml", "me@example.test")
    until(lambda: silent_server.contents() > before)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() != ""  # it has received the first
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "me@example.test: may have arrived: " in stdout


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never sends anything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def test_a_signal_ends_the_wait_for_a_silent_server(
    postfix: Postfix, campaign_for: Folders, mute_port: int
) -> None:
    folder = campaign_for(postfix, smtp={"port": mute_port})
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    assert process.stdout is not None
    while "rate:" not in process.stdout.readline():  # the plan ends with it
        pass
    folder.wait_for(Status.PENDING)
    process.send_signal(signal.SIGTERM)  # no reply is due: there is nothing to wait for
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert folder.counts() == {"pending": 3}


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port where connect() blocks, because its backlog is full."""
    with closing(socket.socket()) as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_a_signal_ends_the_wait_for_a_connection(
    postfix: Postfix, campaign_for: Folders, full_port: int
) -> None:
    _interrupted_while_opening(campaign_for(postfix, smtp={"port": full_port, "host": "127.0.0.1"}))


def test_a_signal_ends_an_unanswered_handshake(
    postfix: Postfix, campaign_for: Folders, mute_port: int
) -> None:
    _interrupted_while_opening(campaign_for(postfix, smtp={"port": mute_port, "security": "tls"}))


def _interrupted_while_opening(folder: CampaignFolder) -> None:
    """One signal ends it long before the timeouts: 30 seconds to connect, 60 for a handshake."""
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: folder.counts() == {"pending": 3})  # next it opens a session
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 130
    assert folder.counts() == {"pending": 3}


@pytest.mark.parametrize("script", [to_mail, to_data], ids=["MAIL", "DATA"])
def test_a_signal_ends_the_wait_for_a_reply_to_an_envelope(
    postfix: Postfix, campaign_for: Folders, serve: Serve, script: Script
) -> None:
    """One signal ends it long before the timeouts of 300 and 120 s: no content has left."""
    heard = threading.Event()

    def mute(peer: Peer) -> None:
        script(peer)
        heard.set()
        peer.stare()

    smtp = {"port": serve(mute).port, "security": "none", "ca_file": None}
    folder = campaign_for(postfix, smtp=smtp)
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    assert heard.wait(GENEROUS)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert folder.counts() == {"pending": 3}


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_during_a_content_leaves_no_doubt(
    postfix: Postfix, campaign_for: Folders, serve: Serve, times: int
) -> None:
    """A content that has not left completely cannot be in doubt.

    So one signal does not wait the 180 seconds of a server that reads nothing.
    """
    heard = threading.Event()

    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        heard.set()
        peer.stare()

    smtp = {"port": serve(script).port, "security": "none", "ca_file": None}
    folder = campaign_for(postfix, smtp=smtp, attachments=["large.bin"])
    (folder.folder / "large.bin").write_bytes(bytes(8 << 20))
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    assert heard.wait(GENEROUS)
    folder.wait_for(Status.IN_FLIGHT)
    time.sleep(0.5)  # it writes
    process.send_signal(signal.SIGINT)
    if times == 2:
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():  # it has received the first
            pass
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert folder.counts() == {"pending": 3}


def test_a_signal_before_anything_is_sent_ends_the_run(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"username": "news", "password_command": ["sleep", "20"]})
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: folder.rows("SELECT 1 FROM runs WHERE ended_at IS NULL"))
    process.terminate()
    process.wait(60)
    assert process.returncode != 0
    folder.write()
    assert folder.send().returncode == 0  # a dead process holds no lease
