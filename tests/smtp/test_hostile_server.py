"""Servers that lie, flood and reply out of turn: what is reported for each address is true."""

from __future__ import annotations

import time

import pytest

from campaign.campaignfile.models import Security
from campaign.delivery import Fate, Settled, Stage, Verdict
from campaign.errors import ConnectFailed
from campaign.sending.network import connection
from campaign.sending.network.connection import Connection
from campaign.verdict import judge
from tests.servers.certificates import Certificates
from tests.servers.scripted import (
    GENEROUS,
    LARGE,
    Client,
    Peer,
    Serve,
    in_little_memory,
    in_time,
    message,
    patient,
    smtp,
)


def test_a_greeting_that_drips_ends_at_its_deadline(client: Client) -> None:
    client.fails(
        lambda peer: peer.drip(b"220 "),
        "greeting: the server did not answer within 0.5 seconds",
        limits=patient(greeting=0.5),
    )


def test_a_server_that_expects_tls_is_reported_soon(
    serve: Serve, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SILENCE", 0.1)
    server = serve(lambda peer: peer.tls())
    told: list[tuple[float, str]] = []
    settings = smtp(server, certificates, Security.STARTTLS)
    hint = "; if it speaks TLS from the start, as port 465 does, write `security: tls`"
    with in_time(), pytest.raises(ConnectFailed) as raised:
        Connection.open(
            settings, None, patient(greeting=1.0), on_silence=lambda seconds, why: told.append((seconds, why))
        )
    assert told == [(0.9, f"localhost:{server.port} does not greet us{hint}")]
    assert str(raised.value).endswith(f"greeting: the server did not answer within 1 seconds{hint}")


def test_a_reply_that_drips_leaves_the_message_in_doubt(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.hear_content()
        peer.drip(b"250 ")

    (answer,), closed = client.ends(script, message(), limits=patient(final_dot=0.5))
    assert (answer.fate, answer.stage) == (Fate.UNKNOWN, Stage.BODY)
    assert "did not answer within 0.5 seconds" in answer.why
    assert closed.stage is Stage.BODY


def test_a_reply_that_drips_inside_tls_ends_at_its_deadline(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        peer.drip(b"220 ")

    client.fails(
        script,
        "greeting: the server did not answer within 0.5 seconds",
        security=Security.TLS,
        limits=patient(greeting=0.5),
    )


def test_a_reply_with_endless_lines_is_refused(client: Client) -> None:
    with in_little_memory():
        client.fails(
            lambda peer: peer.flood(b"220-welcome to a long story\r\n" * 1000, 2000),
            "greeting: the server sent a reply of more than 128 lines",
        )


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_reply_line_of_fifty_megabytes_is_refused(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.say(b"220 ")
        peer.flood(b"x" * 65536, 800)

    with in_little_memory():
        client.fails(
            script, "greeting: the server sent a reply line of more than 4096 bytes", security=security
        )


def test_replies_with_binary_octets_are_shown_safely(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 \xff\xfe\x00\x1b[2J\r\n")
        peer.hear()
        peer.say(b"250-\xe4\r\n250-PIPELINING\r\n250 \x80\r\n")
        for reply in (b"250 \xfc\r\n", b"250 \xe2\x80\xae\r\n", b"354 \xa0\r\n"):
            peer.hear()
            peer.say(reply)
        peer.hear_content()
        peer.say(b"250 2.0.0 \xc3\xa4 \xe4 \x1b[31m\r\n")
        peer.hear()
        peer.say(b"221 \xff\r\n")

    (answer,), closed = client.ends(script, message())
    assert judge(answer) is Verdict.ACCEPTED
    assert answer.reply is not None
    assert answer.reply.text == "250 2.0.0 ä \N{REPLACEMENT CHARACTER} ?[31m"
    assert closed.stage is Stage.QUIT


def test_two_greetings_are_out_of_sync(client: Client) -> None:
    client.fails(lambda peer: peer.say(b"220 one\r\n220 two\r\n"), "EHLO: .*an unsolicited reply: '220 two'")


def test_an_early_reply_is_out_of_sync(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        for _ in range(2):
            peer.hear()
            peer.say(b"250 Ok\r\n")
        peer.hear()
        peer.say(b"354 go on\r\n250 2.0.0 Ok: queued already\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message())
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why.startswith("the server sent ")


def test_an_unexpected_reply_between_messages_is_out_of_sync(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.hear_content()
        peer.say(b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n")
        peer.stare()

    (first, second), closed = client.ends(script, message(1), message(2))
    assert judge(first) is Verdict.ACCEPTED
    assert second.fate is Fate.UNSENT
    assert closed.stage is Stage.MAIL
    assert closed.why.startswith("the server sent ")


def test_250_to_everything_accepts_no_message(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        while True:
            peer.hear()
            peer.say(b"250 Ok\r\n")

    (answer,), closed = client.ends(script, message())
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.DATA)
    assert closed.stage is Stage.DATA
    assert closed.why.startswith("the server sent ")


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_250_before_the_dot_is_not_an_acceptance(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet()
        peer.take_envelope()
        time.sleep(0.2)  # the content has begun
        peer.say(b"250 2.0.0 Ok\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message(size=LARGE), security=security)
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why.startswith("the server sent ")


def test_a_refusal_while_the_content_leaves_is_read(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        time.sleep(0.2)
        peer.say(b"552 5.3.4 too big\r\n")
        peer.stare()

    (answer,), closed = client.ends(script, message(size=LARGE))
    assert judge(answer) is Verdict.REFUSED
    assert closed.stage is Stage.BODY
    assert not closed.why.startswith("the server sent ")


def test_settled_messages_do_not_wait_for_further_replies(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.greet("SIZE 1000")
        peer.stare()

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient())
    connection.session.submit(message(size=2000))
    with in_time():
        (settled,) = connection.step(GENEROUS)
    connection.close()
    assert isinstance(settled, Settled)
    assert judge(settled.answers[0]) is Verdict.REFUSED


def test_354_without_accepted_recipients(client: Client) -> None:
    contents: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.hear()
        peer.say(b"250 Ok\r\n")
        peer.hear()
        peer.say(b"550 5.1.1 no such user\r\n")
        assert peer.hear() == "DATA"
        peer.say(b"354 go on\r\n")
        contents.append(peer.hear_content())
        peer.say(b"554 5.5.1 no valid recipients\r\n")
        contents.append(peer.take_message())

    (refused, accepted), closed = client.ends(script, message(1), message(2))
    assert (judge(refused), refused.stage) == (Verdict.REFUSED, Stage.RCPT)
    assert judge(accepted) is Verdict.ACCEPTED
    assert contents == [b"", b"Subject: 2\r\n\r\n..hello"]
    assert closed.stage is Stage.QUIT
