"""Servers that hang up: a content that had left is in doubt, any other message is unsent."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from campaign.campaignfile.models import Security, Smtp
from campaign.delivery import Fate, Stage
from campaign.errors import ConnectFailed
from campaign.sending.network.connection import Connection, ProbeFailed
from campaign.smtp.events import Closed
from tests.servers.scripted import GENEROUS, LARGE, Client, Peer, Serve, in_time, message, patient, smtp


def test_a_connection_that_is_closed_at_once_fails(client: Client) -> None:
    client.fails(lambda peer: None, "greeting: (the server closed the connection|the connection broke)")


def test_a_refused_connection_fails() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        settings = Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": Security.NONE})
        with pytest.raises(ConnectFailed, match=f"cannot connect to 127.0.0.1:{port}") as raised:
            Connection.open(settings, None)
    assert not raised.value.permanent


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_message_cut_off_while_it_leaves_is_unsent(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet("PIPELINING")
        peer.take_envelope()

    answers, closed = client.ends(script, message(1, size=LARGE), message(2), security=security)
    assert [answer.fate for answer in answers] == [Fate.UNSENT, Fate.UNSENT]
    assert closed.stage is Stage.BODY


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_message_that_has_left_without_a_reply_is_in_doubt(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet("PIPELINING")
        peer.take_envelope(addresses=2)
        peer.hear_content()

    own_and_copy = message(1, copies=("copy@example.test",))
    answers, closed = client.ends(script, own_and_copy, message(2), security=security)
    assert [(answer.address, answer.fate) for answer in answers] == [
        ("u1@example.test", Fate.UNKNOWN),
        ("copy@example.test", Fate.UNKNOWN),
        ("u2@example.test", Fate.UNSENT),
    ]
    assert closed.stage is Stage.BODY


def test_a_reply_before_the_server_hangs_up_is_read(serve: Serve) -> None:
    said = threading.Event()

    def script(peer: Peer) -> None:
        peer.greet()
        said.wait(GENEROUS)
        peer.say(b"421 4.4.2 timeout exceeded\r\n")

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient())
    said.set()
    for _ in range(3):  # until the kernel reports that the peer is gone
        time.sleep(0.1)
        connection.transport.send(b"NOOP\r\n", GENEROUS)
    (closed,) = connection.step(GENEROUS)
    connection.close()
    assert isinstance(closed, Closed)
    assert closed.why == "the server closed the session: 421 4.4.2 timeout exceeded"


@pytest.mark.parametrize("window", [1, 4])
def test_a_session_that_ends_as_it_opens_says_nothing_about_windows(serve: Serve, window: int) -> None:
    """Otherwise it would be opened again without a window, at once and for ever."""

    def script(peer: Peer) -> None:
        peer.say(b"220 mx.example.test\r\n")
        peer.hear()
        peer.say(b"250 mx.example.test\r\n421 4.7.0 too many sessions\r\n")
        peer.stare()

    settings = smtp(serve(script), serve.certificates, Security.NONE)
    match = "the server closed the session: 421 4.7.0 too many sessions"
    with in_time(), pytest.raises(ConnectFailed, match=match) as failed:
        Connection.open(settings, None, patient(), window=window)
    assert not isinstance(failed.value, ProbeFailed)
    assert not failed.value.permanent
