"""Wrong certificates, stripped STARTTLS, bytes injected around TLS, and TLS that breaks off."""

from __future__ import annotations

import time

import pytest

from campaign.campaignfile.models import Security
from campaign.delivery import Fate, Stage
from tests.servers.certificates import Kind
from tests.servers.scripted import (
    LOGIN,
    Client,
    Peer,
    Script,
    message,
    patient,
    to_dot,
    to_handshake,
    to_mail,
    to_starttls,
)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Kind.WRONG_NAME, "the certificate of localhost is made out to another name: .*smtp.host"),
        (Kind.EXPIRED, "the certificate of localhost has expired"),
        (Kind.SELF_SIGNED, "the certificate of localhost is self-signed: .*smtp.ca_file"),
    ],
)
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_certificate_that_is_wrong(client: Client, security: Security, kind: Kind, match: str) -> None:
    def script(peer: Peer) -> None:
        if security is Security.STARTTLS:
            to_handshake(peer)
        peer.tls(kind)
        peer.greet("AUTH PLAIN")
        peer.hear()

    server = client.fails(script, match, security=security, login=LOGIN, permanent=True)
    assert server.peer is not None
    assert not any(line.startswith("AUTH") for line in server.peer.heard)


def test_starttls_that_somebody_has_stripped(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.greet("AUTH PLAIN", "SIZE 1000000")
        peer.hear()

    server = client.fails(
        script,
        "STARTTLS: the server does not offer STARTTLS",
        security=Security.STARTTLS,
        login=LOGIN,
        permanent=True,
    )
    assert server.peer is not None
    assert [line.split()[0] for line in server.peer.heard] == ["EHLO"]


def test_replies_injected_with_the_answer_to_starttls(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_starttls(peer)
        peer.say(b"220 go ahead\r\n250-mx.example.test\r\n250 AUTH PLAIN\r\n")
        peer.stare()

    client.fails(
        script,
        "STARTTLS: bytes were injected",
        security=Security.STARTTLS,
        login=LOGIN,
        permanent=True,
    )


def test_replies_injected_into_the_handshake(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_handshake(peer)
        time.sleep(0.2)
        peer.say(b"250-mx.example.test\r\n250 AUTH PLAIN\r\n")
        peer.stare()

    client.fails(script, "the TLS handshake failed", security=Security.STARTTLS, login=LOGIN)


def test_a_server_that_starts_in_the_clear(client: Client) -> None:
    client.fails(
        lambda peer: peer.greet(),
        "the TLS handshake failed: wrong version number; .*write `security: starttls`",
        security=Security.TLS,
    )


def test_hanging_up_in_the_handshake(client: Client) -> None:
    client.fails(to_handshake, "the TLS handshake failed", security=Security.STARTTLS)


@pytest.mark.parametrize(
    ("script", "stage", "fate"),
    [(to_mail, Stage.MAIL, Fate.UNSENT), (to_dot, Stage.BODY, Fate.UNKNOWN)],
    ids=["MAIL", "dot"],
)
def test_plaintext_inside_tls(client: Client, script: Script, stage: Stage, fate: Fate) -> None:
    """Exim's last words: they cannot be told from anybody else's, and are no answer."""

    def plain(peer: Peer) -> None:
        peer.tls()
        script(peer)
        peer.plaintext(b"421 4.3.2 bye\r\n250 2.0.0 Ok\r\n")

    (answer,), closed = client.ends(plain, message(), security=Security.TLS)
    assert (answer.fate, answer.stage, closed.stage) == (fate, stage, stage)
    assert closed.why.startswith("TLS broke off")


def test_half_a_tls_record(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        to_dot(peer)
        peer.plaintext(b"\x17\x03\x03\x00\x40" + b"\x00" * 20)

    (answer,), closed = client.ends(script, message(), security=Security.TLS, patience=patient(final_dot=0.5))
    assert (answer.fate, closed.stage) == (Fate.UNKNOWN, Stage.BODY)
