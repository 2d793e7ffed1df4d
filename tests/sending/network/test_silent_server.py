"""Servers that do not answer, answer slowly or do not read: the client ends at its own deadlines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from campaign.campaignfile.models import Security
from campaign.delivery import Fate, Stage, Verdict
from campaign.sending.network import transport
from campaign.sending.network.connection import Connection
from campaign.verdict import judge
from tests.servers.scripted import (
    LARGE,
    LOGIN,
    Client,
    Peer,
    Script,
    Serve,
    in_time,
    message,
    patient,
    smtp,
    to_auth,
    to_data,
    to_dot,
    to_ehlo,
    to_handshake,
    to_inner_ehlo,
    to_mail,
    to_rcpt,
    to_starttls,
)


@pytest.mark.parametrize(
    ("script", "stage", "security", "impatience"),
    [
        (lambda peer: None, "greeting", Security.NONE, "greeting"),
        (to_ehlo, "EHLO", Security.NONE, "command"),
        (to_starttls, "STARTTLS", Security.STARTTLS, "command"),
        (to_inner_ehlo, "EHLO", Security.STARTTLS, "command"),
        (to_auth, "AUTH", Security.TLS, "command"),
    ],
    ids=["greeting", "EHLO", "STARTTLS", "EHLO inside TLS", "AUTH"],
)
def test_silence_before_the_session_is_open_ends_at_its_deadline(
    client: Client, script: Script, stage: str, security: Security, impatience: str
) -> None:
    def silent(peer: Peer) -> None:
        script(peer)
        peer.stare()

    client.fails(
        silent,
        f"{stage}: the server did not answer within 1 seconds",
        security=security,
        login=LOGIN if script is to_auth else None,
        limits=patient(**{impatience: 1.0}),
    )


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_silence_during_the_handshake_ends_at_its_deadline(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.STARTTLS:
            to_handshake(peer)
        peer.stare()

    client.fails(
        script,
        "the TLS handshake was not finished within 0.5 seconds",
        security=security,
        limits=replace(patient(), handshake=0.5),
    )


@pytest.mark.parametrize(
    ("script", "stage", "fate", "impatience"),
    [
        (to_mail, Stage.MAIL, Fate.UNSENT, "command"),
        (to_rcpt, Stage.RCPT, Fate.UNSENT, "command"),
        (to_data, Stage.DATA, Fate.UNSENT, "data"),
        (to_dot, Stage.BODY, Fate.UNKNOWN, "final_dot"),
    ],
    ids=["MAIL", "RCPT", "DATA", "dot"],
)
def test_silence_in_a_transaction_ends_at_its_deadline(
    client: Client, script: Script, stage: Stage, fate: Fate, impatience: str
) -> None:
    def silent(peer: Peer) -> None:
        script(peer)
        peer.stare()

    (answer,), closed = client.ends(silent, message(), limits=patient(**{impatience: 1.0}))
    assert (answer.fate, answer.stage, closed.stage) == (fate, stage, stage)
    assert answer.why == "the server did not answer within 1 seconds"


def test_silence_at_rset_and_quit_ends_at_its_deadline(client: Client) -> None:
    def refusing(peer: Peer) -> None:
        to_rcpt(peer)
        peer.say(b"550 5.1.1 no such user\r\n")
        assert peer.hear() == "RSET"
        peer.stare()

    (first, second), closed = client.ends(refusing, message(1), message(2), limits=patient(rset=0.5))
    assert judge(first) is Verdict.REFUSED
    assert (second.fate, closed.stage) == (Fate.UNSENT, Stage.RSET)

    def staring(peer: Peer) -> None:
        peer.greet()
        peer.take_message()
        assert peer.hear() == "QUIT"
        peer.stare()

    (answer,), closed = client.ends(staring, message(), limits=patient(quit=0.5))
    assert judge(answer) is Verdict.ACCEPTED
    assert closed.stage is Stage.QUIT


def test_quit_does_not_wait_for_ever(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.hear()
        peer.drip(b"221 ")

    server = serve(script)
    connection = Connection.open(smtp(server, serve.certificates, Security.NONE), None, patient(quit=0.5))
    with in_time():
        connection.quit()
    assert connection.session.closed is not None
    assert connection.session.closed.stage is Stage.QUIT


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
def test_a_server_that_does_not_read_ends_at_its_deadline(client: Client, security: Security) -> None:
    def script(peer: Peer) -> None:
        if security is Security.TLS:
            peer.tls()
        peer.greet()
        peer.take_envelope()
        peer.stare()

    (answer,), closed = client.ends(script, message(size=LARGE), security=security, limits=patient(block=0.5))
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why == "the server stopped taking what we send"


def test_a_server_that_reads_byte_by_byte_ends_at_its_deadline(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_SLOWEST", 1 << 30)  # else it would be minutes

    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.read_slowly()

    (answer,), closed = client.ends(script, message(size=LARGE), limits=patient(block=1.0))
    assert answer.fate is Fate.UNSENT
    assert closed.why == "the server stopped taking what we send"


def test_a_partial_reply_before_the_message_has_left(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet()
        peer.take_envelope()
        peer.say(b"250-2.0.0 so far\r\n250 2.0")
        peer.hear_content()
        peer.say(b".0 Ok\r\n")

    (answer,), _ = client.ends(script, message(size=LARGE))
    assert judge(answer) is Verdict.ACCEPTED
