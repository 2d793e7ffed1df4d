"""Wrong certificates, stripped STARTTLS, octets injected around TLS, and TLS that breaks off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from campaign.campaignfile.models import Security
from campaign.delivery import Fate, Stage, Verdict
from campaign.verdict import judge
from tests.servers.certificates import Kind
from tests.servers.records import APPLICATION_DATA, HANDSHAKE
from tests.servers.scripted import (
    LOGIN,
    Client,
    Peer,
    Script,
    message,
    patient,
    to_data,
    to_dot,
    to_handshake,
    to_mail,
    to_starttls,
)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Kind.WRONG_NAME, "the certificate of localhost is for another name: .*smtp.host"),
        (Kind.EXPIRED, "the certificate of localhost has expired"),
        (Kind.SELF_SIGNED, "the certificate of localhost is self-signed: .*smtp.ca_file"),
    ],
)
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_wrong_certificate_is_refused(client: Client, security: Security, kind: Kind, match: str) -> None:
    def script(peer: Peer) -> None:
        if security is Security.STARTTLS:
            to_handshake(peer)
        peer.tls(kind)
        peer.greet("AUTH PLAIN")
        peer.hear()

    server = client.fails(script, match, security=security, login=LOGIN, permanent=True)
    assert server.peer is not None
    assert not any(line.startswith("AUTH") for line in server.peer.heard)


def test_a_stripped_starttls_is_refused(client: Client) -> None:
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


def test_replies_injected_after_the_starttls_reply_are_refused(client: Client) -> None:
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


def test_replies_injected_into_the_handshake_are_refused(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_handshake(peer)
        time.sleep(0.2)
        peer.say(b"250-mx.example.test\r\n250 AUTH PLAIN\r\n")
        peer.stare()

    client.fails(script, "the TLS handshake failed", security=Security.STARTTLS, login=LOGIN)


def test_a_server_that_does_not_speak_tls_is_reported(client: Client) -> None:
    client.fails(
        lambda peer: peer.greet(),
        "the TLS handshake failed: wrong version number; .*write `security: starttls`",
        security=Security.TLS,
    )


def test_a_server_that_hangs_up_during_the_handshake_is_reported(client: Client) -> None:
    client.fails(to_handshake, "the TLS handshake failed", security=Security.STARTTLS)


@pytest.mark.parametrize(
    ("script", "stage", "fate"),
    [(to_mail, Stage.MAIL, Fate.UNSENT), (to_dot, Stage.BODY, Fate.UNKNOWN)],
    ids=["MAIL", "dot"],
)
def test_plaintext_during_a_tls_session_is_not_a_reply(
    client: Client, script: Script, stage: Stage, fate: Fate
) -> None:
    """As Exim's last reply: anybody could have sent it, so it is not a reply."""

    def plain(peer: Peer) -> None:
        peer.tls()
        script(peer)
        peer.plaintext(b"421 4.3.2 bye\r\n250 2.0.0 Ok\r\n")

    (answer,), closed = client.ends(plain, message(), security=Security.TLS)
    assert (answer.fate, answer.stage, closed.stage) == (fate, stage, stage)
    assert closed.why == "TLS broke off: wrong version number"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_greeting_in_the_segment_that_ends_the_handshake_is_read(client: Client, version: str) -> None:
    """In TLS 1.2 the server ends the handshake, and may send its greeting at once."""

    def script(peer: Peer) -> None:
        with peer.in_one_segment():
            peer.tls(version=version)
            peer.say(b"220 mx.example.test\r\n")
        peer.introduce()
        peer.take_message()

    (answer,), _ = client.ends(script, message(), security=Security.TLS)
    assert judge(answer) is Verdict.ACCEPTED


ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # RFC 8446 6: fatal, handshake_failure


@pytest.mark.parametrize("end", [b"421 4.3.2 bye\r\n", ALERT, b""], ids=["words", "alert", "close_notify"])
class TestTLSThatEndsBehindAReply:
    """The reply was received, but nothing more can be sent to the server."""

    def test_before_the_session_is_open(self, client: Client, end: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.tls()
            self._last_word(peer, b"220 mx.example.test\r\n", end)

        client.fails(script, "EHLO: (TLS broke off|the server closed)", security=Security.TLS)

    def test_before_a_content(self, client: Client, end: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.tls()
            to_data(peer)
            self._last_word(peer, b"354 go on\r\n", end)

        (answer,), _ = client.ends(script, message(), security=Security.TLS)
        assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)

    def test_behind_the_answer_to_a_content(self, client: Client, end: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.tls()
            to_dot(peer)
            self._last_word(peer, b"250 2.0.0 Ok\r\n", end)

        (first, second), _ = client.ends(script, message(1), message(2), security=Security.TLS)
        assert judge(first) is Verdict.ACCEPTED
        assert second.fate is Fate.UNSENT

    def _last_word(self, peer: Peer, reply: bytes, end: bytes) -> None:
        with peer.in_one_segment():
            peer.say(reply)
            if end:
                peer.say_bare(end)
            else:
                peer.close_notify()
        peer.stare()


@pytest.mark.parametrize(
    "half", [b"\x18\0\0\1", b"\x04\0\1\0" + bytes(10)], ids=["key update", "session ticket"]
)
def test_half_a_handshake_message_after_a_reply(client: Client, tmp_path: Path, half: bytes) -> None:
    """Until it is complete, OpenSSL does not write. Records may divide a handshake message (RFC 8446 5.1)."""

    def script(peer: Peer) -> None:
        records = peer.records(tmp_path)
        replies = [b"220 mx.example.test\r\n", *[b"250 Ok\r\n"] * 3, b"354 go on\r\n"]
        for number, reply in enumerate(replies):
            if number:
                peer.hear()
            last = number == len(replies) - 1
            behind = (HANDSHAKE, half) if last else (APPLICATION_DATA, b"")
            peer.say_bare(records.one(APPLICATION_DATA, reply) + records.one(*behind))
        peer.stare()

    (answer,), closed = client.ends(script, message(), security=Security.TLS)
    assert (answer.fate, answer.stage) == (Fate.UNSENT, Stage.BODY)
    assert closed.why == "TLS broke off: the server has left a message of its handshake unfinished"


def test_half_a_tls_record_is_not_a_reply(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls()
        to_dot(peer)
        peer.plaintext(b"\x17\x03\x03\x00\x40" + b"\x00" * 20)

    (answer,), closed = client.ends(script, message(), security=Security.TLS, limits=patient(final_dot=0.5))
    assert (answer.fate, closed.stage) == (Fate.UNKNOWN, Stage.BODY)
