"""Opening a session: the client's name, what is reported between tries, and when it is not tried again."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from campaign.campaignfile.models import Security, Smtp
from campaign.errors import ConnectFailed
from campaign.sending.account import Logins
from campaign.sending.network.connection import Connection, ConnectionLimits, NameRefused
from campaign.sending.network.opener import Opener, Waits
from campaign.sending.network.tls import tls_context
from tests.servers.certificates import Certificates, Kind
from tests.servers.postfix import Postfix
from tests.servers.scripted import Client, Peer, Serve, patient, smtp, to_ehlo


def settings(server: Postfix, **changes: object) -> Smtp:
    values = {"host": "localhost", "port": server.port, "ca_file": str(server.ca_file), **changes}
    return Smtp.model_validate(values)


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has no full host name, like most laptops and containers."""
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


@pytest.fixture(scope="module")
def particular(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A relay that replies 421 to an address literal as client name, as smtp-relay.gmail.com does."""
    return make_postfix(
        smtpd_helo_required="yes",
        smtpd_delay_reject="no",
        smtpd_helo_restrictions="check_helo_access regexp:{{/^\\[/ 421 4.7.0 Try again later}}",
    )


@pytest.mark.usefixtures("nameless")
def test_421_to_an_address_literal_as_client_name_is_permanent(particular: Postfix) -> None:
    with pytest.raises(NameRefused, match=r"\[127.0.0.1\]\): 421 .*`smtp.client_name`") as refused:
        Connection.open(settings(particular), None)
    assert refused.value.permanent  # the next try would give the same
    connection = Connection.open(settings(particular, client_name="web1.example.com"), None)
    connection.quit()
    assert connection.session.opened


@pytest.mark.usefixtures("nameless")
def test_a_permanent_refusal_of_the_name_is_not_tried_again(particular: Postfix) -> None:
    waits: list[str] = []
    opener = Opener(
        settings(particular),
        Logins(None),
        ConnectionLimits(openings=2),
        Waits(lambda seconds, why: waits.append(why)),
        lambda: False,
    )
    with pytest.raises(ConnectFailed, match=r"smtp\.client_name"):
        opener.open(lambda: None, 0)
    assert not waits


@pytest.mark.usefixtures("nameless")
def test_421_after_a_session_was_open_does_not_change_the_name(particular: Postfix) -> None:
    waits: list[str] = []
    welcome = [settings(particular, client_name="web1.example.com")]
    opener = Opener(
        welcome[0],
        Logins(None),
        ConnectionLimits(openings=2),
        Waits(lambda s, why: waits.append(why)),
        lambda: False,
    )
    opener.open(lambda: None, 0).quit()
    opener._smtp = settings(particular)
    with pytest.raises(ConnectFailed, match=r"smtp\.client_name"):
        opener.open(lambda: None, 0)
    assert len(waits) == 1


def test_a_name_that_is_refused_permanently(client: Client) -> None:
    def script(peer: Peer) -> None:
        to_ehlo(peer)
        peer.say(b"500 what\r\n")
        peer.hear()
        peer.say(b"550 5.7.1 no such host\r\n")

    server = client.fails(script, r"550 5.7.1 no such host; .*`smtp.client_name`", permanent=True)
    assert server.peer is not None
    assert [line.split()[0] for line in server.peer.heard] == ["EHLO", "HELO"]


def test_each_wait_reports_the_tries_and_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    waits: list[str] = []
    opener = Opener(
        Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": "none"}),
        Logins(None),
        ConnectionLimits(openings=2),
        Waits(lambda seconds, why: waits.append(why)),
        lambda: False,
    )
    with pytest.raises(ConnectFailed, match="Connection refused"):
        opener.open(lambda: None, 0)
    assert len(waits) == 1
    assert re.search(r"Connection refused \(attempt 2 of 2 follows, the last by \d\d:\d\d:\d\d\)$", waits[0])


def test_server_name_is_the_name_that_the_certificate_must_have(make_postfix: Callable[..., Postfix]) -> None:
    server = make_postfix(kind=Kind.WRONG_NAME)
    with pytest.raises(ConnectFailed, match=r"`smtp\.server_name`"):
        Connection.open(settings(server), None)
    for security, port in (("starttls", server.port), ("tls", server.tls_port)):
        named = settings(server, server_name="mail.example.com", security=security, port=port)
        connection = Connection.open(named, None)
        connection.quit()
        assert connection.transport.tls is not None
    with pytest.raises(ConnectFailed, match=r"of other\.example\.com is for mail\.example\.com: "):
        Connection.open(settings(server, server_name="other.example.com"), None)


@pytest.mark.parametrize(
    ("version", "match", "permanent"),
    [
        ("TLSv1_3", r"TLS broke off: the server wants a certificate of ours: .*`smtp\.client_cert`", True),
        ("TLSv1_2", r"handshake failure; it may want a certificate of ours: `smtp\.client_cert`", False),
    ],
)
def test_a_server_that_requires_a_client_certificate_is_reported(
    client: Client, version: str, match: str, permanent: bool
) -> None:
    def script(peer: Peer) -> None:
        peer.tls(mutual=version)
        peer.hear()

    client.fails(script, match, security=Security.TLS, permanent=permanent)


def test_a_client_certificate_is_accepted_or_refused(
    make_postfix: Callable[..., Postfix], serve: Serve, certificates: Certificates
) -> None:
    server = make_postfix(smtpd_tls_security_level="encrypt", smtpd_tls_req_ccert="yes")
    with pytest.raises(ConnectFailed, match="No client certificate presented"):
        Connection.open(settings(server), None, patient())
    certificate, key = certificates.client
    ours = settings(server, client_cert=str(certificate), client_key=str(key))
    Connection.open(ours, None, patient()).quit()

    def script(peer: Peer) -> None:
        peer.tls(mutual="TLSv1_3")
        peer.hear()

    certificate, key = certificates.pair(Kind.SELF_SIGNED)
    strange = smtp(serve(script), certificates, Security.TLS)
    strange = strange.model_copy(update={"client_cert": certificate, "client_key": key})
    with pytest.raises(ConnectFailed, match="the server does not accept our certificate") as refused:
        Connection.open(strange, None, patient())
    assert refused.value.permanent


def test_a_server_with_only_tls_1_1_is_refused(client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.tls(outdated=True)

    client.fails(script, "server does not support TLS 1.2 or later", security=Security.TLS, permanent=True)


def test_a_client_key_that_does_not_match_its_certificate_is_reported(
    certificates: Certificates, tmp_path: Path
) -> None:
    certificate, _ = certificates.client
    _, other = certificates.pair(Kind.LOCALHOST)
    match = re.escape(f"the key in {other} (`smtp.client_key`) does not belong to the certificate in")
    with pytest.raises(ConnectFailed, match=match):
        tls_context(None, certificate, other)
    rsa = tmp_path / "rsa.key"
    rsa.write_bytes(
        generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ConnectFailed, match="does not belong to the certificate in"):
        tls_context(None, certificate, rsa)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    with pytest.raises(ConnectFailed, match="has a passphrase"):
        tls_context(None, certificate, locked)
