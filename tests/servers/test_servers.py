"""The tests' own servers do what the tests that use them believe, shown with smtplib."""

from __future__ import annotations

import errno
import itertools
import smtplib
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.certificates import Certificates, Kind
from tests.servers.postfix import Delivered, Postfix
from tests.servers.proxy import Proxy, delayed

CONTENT = b"From: news@example.com\r\nSubject: Hello\r\n\r\n.leading dot\r\n\r\nlast line\r\n"


@pytest.fixture(scope="module")
def auth_postfix(make_postfix: Callable[..., Postfix]) -> Postfix:
    return make_postfix(auth=True, message_size_limit=8000)


def context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file)


def connect(server: Postfix, port: int | None = None) -> smtplib.SMTP:
    """A session over STARTTLS, verified."""
    session = smtplib.SMTP("localhost", server.port if port is None else port)
    session.starttls(context=context(server.certificates))
    session.ehlo()
    return session


def test_mail_over_starttls_and_implicit_tls_arrives_as_it_was_sent(postfix: Postfix) -> None:
    with connect(postfix) as session:
        session.sendmail("one@example.com", ["a@example.test", "Ä@example.org"], CONTENT, ["SMTPUTF8"])
    with smtplib.SMTP_SSL("localhost", postfix.tls_port, context=context(postfix.certificates)) as session:
        session.sendmail("", ["b@example.net"], CONTENT)
    assert sorted(postfix.wait_delivered(3), key=lambda mail: mail.recipient) == [
        Delivered("one@example.com", "a@example.test", CONTENT),
        Delivered("", "b@example.net", CONTENT),
        Delivered("one@example.com", "Ä@example.org", CONTENT),
    ]
    postfix.empty()
    assert list(postfix.mailbox()) == []


def test_faults_by_address(postfix: Postfix) -> None:
    with connect(postfix) as session:
        session.mail("one@example.com")
        assert session.rcpt("bad@example.test") == (
            550,
            b"5.1.1 <bad@example.test>: Recipient address rejected: no",
        )
        assert session.rcpt("defer@example.test")[0] == 450
        session.rset()
        with pytest.raises(smtplib.SMTPDataError) as refused:
            session.sendmail("e452@x.test", ["a@example.test"], CONTENT)
        assert refused.value.smtp_code == 452
        session.mail("one@example.com")
        assert session.rcpt("bye@example.test")[0] == 421
    assert postfix.wait_delivered() == []


def test_faults_and_parameters_can_change(make_postfix: Callable[..., Postfix]) -> None:
    server = make_postfix(recipient_faults={"a@example.com": "550 5.7.1 before"})
    with connect(server) as session:
        session.mail("one@example.com")
        assert session.rcpt("a@example.com")[0] == 550
        assert session.rcpt("b@example.com")[0] == 250
    server.reload(
        recipient_faults={"b@example.com": "451 4.3.0 after"}, smtpd_discard_ehlo_keywords="pipelining"
    )
    with connect(server) as session:
        assert not session.has_extn("pipelining")
        session.mail("one@example.com")
        assert session.rcpt("a@example.com")[0] == 250
        assert session.rcpt("b@example.com")[0] == 451


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login(auth_postfix: Postfix, mechanism: str) -> None:
    with connect(auth_postfix) as session:
        assert session.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "XOAUTH2"]
        session.user, session.password = "news", "wrong"
        authobject = getattr(session, f"auth_{mechanism.lower()}")
        for initial in (True, False):
            with pytest.raises(smtplib.SMTPAuthenticationError):
                session.auth(mechanism, authobject, initial_response_ok=initial)
        session.mail("one@example.com")
        assert session.rcpt("a@example.com")[0] == 554  # relaying wants a login
        session.rset()
        session.password = "secret"
        assert session.auth(mechanism, authobject)[0] == 235
        session.mail("one@example.com")
        assert session.rcpt("a@example.com")[0] == 250


def test_login_with_a_token(auth_postfix: Postfix) -> None:
    with connect(auth_postfix) as session:
        assert session.docmd("AUTH", "XOAUTH2 dXNlcj1uZXdzAWF1dGg9QmVhcmVyIG5vAQE=")[0] == 334
        assert session.docmd("")[0] == 535
        assert session.docmd("AUTH", "XOAUTH2 dXNlcj1uZXdzAWF1dGg9QmVhcmVyIHNlY3JldAEB")[0] == 235


def test_parameters_hold(auth_postfix: Postfix) -> None:
    with connect(auth_postfix) as session:
        session.login("news", "secret")
        assert session.mail("one@example.com", ["SIZE=9000"])[0] == 552


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Kind.WRONG_NAME, 62), (Kind.EXPIRED, 10), (Kind.SELF_SIGNED, 18)],
)
def test_bad_certificates_are_bad_in_the_one_way(
    make_postfix: Callable[..., Postfix], certificates: Certificates, kind: Kind, code: int
) -> None:
    server = make_postfix(kind=kind)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        smtplib.SMTP_SSL("localhost", server.tls_port, context=context(certificates))
    assert refused.value.verify_code == code


def test_postfix_does_not_outlive_whoever_started_it(postfix: Postfix, tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from tests.servers.certificates import Certificates\nfrom tests.servers.postfix import Postfix\n"
        f"server = Postfix(Certificates(Path({str(tmp_path)!r})))\n"
        "print(server.folder, server.port, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=_ROOT)
    assert run.returncode == -9, run.stderr
    folder, port = run.stdout.split()
    _until(lambda: not Path(folder).exists())
    _until(lambda: _refuses(int(port)))  # an smtpd has its listener for a moment longer than the master


def _refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_the_proxy_adds_a_round_trip_and_takes_no_bandwidth(echo: int) -> None:
    """Lower bounds hold on any machine; the upper one says that chunks do not queue behind delays."""
    with Proxy(echo, delay=0.05) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        started = time.monotonic()
        for number in range(40):
            client.sendall(bytes([number]) * 1000)
            time.sleep(0.002)
        received = _read(client, 40_000)
        assert time.monotonic() - started >= 0.1
    assert received == b"".join(bytes([number]) * 1000 for number in range(40))
    assert (proxy.traffic[0].upstream, proxy.traffic[0].downstream) == (40_000, 40_000)


def test_the_proxy_in_its_own_process(echo: int) -> None:
    with delayed(echo, 0.01) as port, socket.create_connection(("127.0.0.1", port)) as client:
        started = time.monotonic()
        client.sendall(b"there and back")
        assert _read(client, 14) == b"there and back"
        assert time.monotonic() - started >= 0.02
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("at", [0, 1, 999, 5000])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("way", ["upstream", "downstream"])
def test_the_proxy_cuts_at_the_byte(echo: int, way: str, at: int, reset: bool) -> None:
    sent = bytes(itertools.islice(itertools.cycle(range(251)), 6000))
    cut: dict[str, int] = {f"cut_{way}": at}
    with Proxy(echo, reset=reset, cuts=1, **cut) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            received = _talk(client, sent)
        assert sent.startswith(received)
        if way == "downstream" and not reset:
            assert len(received) == at
        assert getattr(proxy.traffic[0], way) == at
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(sent)
            assert _read(client, len(sent)) == sent  # the second connection is whole
        assert len(proxy.traffic) == 2


def test_how_a_cut_ends(echo: int) -> None:
    with Proxy(echo, cut_upstream=3) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"12345")
        assert client.recv(10) == b""
    with (
        Proxy(echo, cut_upstream=3, reset=True) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as client,
    ):
        client.sendall(b"12345")
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def test_mail_through_the_proxy(postfix: Postfix) -> None:
    with Proxy(postfix.port, delay=0.005) as proxy, connect(postfix, proxy.port) as session:
        session.sendmail("one@example.com", ["a@example.test"], CONTENT)
    assert [mail.content for mail in postfix.wait_delivered(1)] == [CONTENT]


_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a server that says back what it hears."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            try:
                while chunk := connection.recv(4096):
                    connection.sendall(chunk)
            except OSError:
                pass  # cut, as the test asked

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _read(client: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = client.recv(65536)
        assert chunk, "closed too early"
        received += chunk
    return received


def _talk(client: socket.socket, octets: bytes) -> bytes:
    """Write, and read until the connection ends, however it ends."""
    received = b""
    try:
        client.sendall(octets)
        while chunk := client.recv(65536):
            received += chunk
    except OSError:
        pass
    return received


def _until(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
