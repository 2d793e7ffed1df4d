"""The embedded server is a real one: TLS that verifies, a login, pipelining, and faults that repeat."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile, Security
from campaign.cli import main
from campaign.errors import ConnectFailed, UserError
from campaign.rehearsal import Fault, Faults, RehearsalServer, parse_faults, rehearsal_logins, rehearsed
from campaign.sending.network.connection import Connection
from campaign.smtp.auth import Login
from tests.folder import write_campaign

MAIL = b"From: a@x.test\r\nSubject: s\r\n\r\nHi\r\n"


def struck(fault: Fault | None, share: float = 0.5) -> str:
    """An address that half of a fault strikes, or spares."""
    faults = Faults(((fault or Fault.REFUSE, share),))
    return next(a for n in range(100) if faults.of(a := f"p{n}@x.test") is fault)


@pytest.fixture
def server() -> Iterator[RehearsalServer]:
    with RehearsalServer(Faults()) as server:
        yield server


@pytest.fixture
def client() -> Iterator[Callable[[RehearsalServer], smtplib.SMTP]]:
    """Sessions of the standard library's client, encrypted and logged in."""
    opened: list[smtplib.SMTP] = []

    def client(server: RehearsalServer) -> smtplib.SMTP:
        session = smtplib.SMTP("localhost", server.port, timeout=20)
        opened.append(session)
        session.starttls(context=ssl.create_default_context(cafile=str(server.ca_file)))
        session.login("rehearsal", server.password)
        return session

    yield client
    for session in opened:
        session.close()


def refused(failing: Callable[[], object]) -> tuple[int, bytes]:
    try:
        failing()
    except smtplib.SMTPRecipientsRefused as error:
        return next(iter(error.recipients.values()))
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    raise AssertionError("nothing was refused")


class TestServer:
    def test_before_tls_it_takes_nothing(self, server: RehearsalServer) -> None:
        with smtplib.SMTP("localhost", server.port, timeout=20) as session:
            session.ehlo()
            assert session.has_extn("starttls")
            assert not session.has_extn("auth")
            assert refused(lambda: session.sendmail("a@x.test", "b@x.test", MAIL))[0] == 530
        assert server.messages == 0

    def test_its_certificate_is_no_other_authority_s(self, server: RehearsalServer) -> None:
        with smtplib.SMTP("localhost", server.port, timeout=20) as session:
            with pytest.raises(ssl.SSLCertVerificationError):
                session.starttls(context=ssl.create_default_context())
            session.close()

    def test_it_wants_a_login(self, server: RehearsalServer) -> None:
        with smtplib.SMTP("localhost", server.port, timeout=20) as session:
            session.starttls(context=ssl.create_default_context(cafile=str(server.ca_file)))
            session.ehlo()
            for extension in ("auth", "pipelining", "enhancedstatuscodes", "smtputf8", "8bitmime"):
                assert session.has_extn(extension)
            assert refused(lambda: session.sendmail("a@x.test", "b@x.test", MAIL))[0] == 530
            assert refused(lambda: session.login("rehearsal", "guess"))[0] == 535
            assert refused(lambda: session.login("other", server.password))[0] == 535
            session.login("rehearsal", server.password)
            assert session.sendmail("a@x.test", "b@x.test", MAIL) == {}
        assert (server.messages, server.sessions, server.received) == (1, 1, Counter({"b@x.test": 1}))

    def test_each_has_a_password_and_an_authority_of_its_own(self, server: RehearsalServer) -> None:
        with RehearsalServer(Faults()) as other:
            assert other.password != server.password
            assert other.ca_file.read_text() != server.ca_file.read_text()
            assert other.port != server.port

    def test_it_listens_on_loopback_and_leaves_nothing(self) -> None:
        with RehearsalServer(Faults()) as server:
            assert server._server is not None
            assert [listening.getsockname()[0] for listening in server._server.sockets] == ["127.0.0.1"]
            session = socket.create_connection(("127.0.0.1", server.port))
            assert session.recv(4) == b"220 "
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        session.close()
        assert not server.ca_file.parent.exists()

    def test_one_flight_of_commands_and_content(
        self, server: RehearsalServer, client: Callable[[RehearsalServer], smtplib.SMTP]
    ) -> None:
        session = client(server)
        flight = b"MAIL FROM:<a@x.test>\r\nRCPT TO:<%b@x.test>\r\nDATA\r\n"
        session.send(flight % b"b")
        assert [session.getreply()[0] for _ in range(3)] == [250, 250, 354]
        session.send(MAIL + b".\r\n" + flight % b"c")
        assert [session.getreply()[0] for _ in range(4)] == [250, 250, 250, 354]
        session.send(MAIL + b".\r\nQUIT\r\n")
        assert [session.getreply()[0] for _ in range(2)] == [250, 221]
        assert server.received == {"b@x.test": 1, "c@x.test": 1}

    def test_addresses_are_counted_folded(
        self, server: RehearsalServer, client: Callable[[RehearsalServer], smtplib.SMTP]
    ) -> None:
        session = client(server)
        session.sendmail("a@x.test", ["B@x.test", "c@x.test"], MAIL)
        session.sendmail("a@x.test", ["b@X.test"], MAIL)
        assert (server.messages, server.received) == (2, {"b@x.test": 2, "c@x.test": 1})


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "shares"),
        [
            ("", ()),
            ("refuse", ((Fault.REFUSE, 0.05),)),
            (" refuse:10% , defer:2.5% ,", ((Fault.REFUSE, 0.1), (Fault.DEFER, 0.025))),
            ("drop:100%", ((Fault.DROP, 1.0),)),
            ("doubt:0%", ((Fault.DOUBT, 0.0),)),
            ("refuse:", ((Fault.REFUSE, 0.05),)),
        ],
    )
    def test_they_are_read(self, text: str, shares: tuple[tuple[Fault, float], ...]) -> None:
        assert parse_faults(text).shares == shares

    @pytest.mark.parametrize(
        "text",
        ["explode", "refuse:x", "refuse:-1%", "refuse:101%", "refuse:nan", ":5%", "refuse 5%"],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UserError, match="is none of refuse, defer, drop, doubt, with a share such as"):
            parse_faults(text)

    @pytest.mark.parametrize("text", ["refuse:20", "defer:10%,refuse:20"])
    def test_a_share_without_its_unit(self, text: str) -> None:
        with pytest.raises(UserError, match="--faults: a share is in per cent: write refuse:20%"):
            parse_faults(text)

    def test_more_than_all(self) -> None:
        with pytest.raises(UserError, match="more than 100%"):
            parse_faults("refuse:60%,defer:60%")

    def test_an_address_meets_one_in_every_rehearsal(self) -> None:
        faults = parse_faults("refuse:20%,defer:20%,drop:20%,doubt:20%")
        met = Counter(faults.of(f"p{n}@x.test") for n in range(2000))
        assert set(met) == {*Fault, None}
        assert all(300 < count < 500 for count in met.values())
        assert faults.of("P1@X.test") is faults.of("p1@x.test")
        assert {parse_faults("").of(f"p{n}@x.test") for n in range(50)} == {None}
        assert {parse_faults("drop:100%").of(f"p{n}@x.test") for n in range(50)} == {Fault.DROP}

    def test_refuse(self, client: Callable[[RehearsalServer], smtplib.SMTP]) -> None:
        with RehearsalServer(Faults(((Fault.REFUSE, 0.5),))) as server:
            session = client(server)
            for _ in range(2):
                code, text = refused(lambda: session.sendmail("a@x.test", struck(Fault.REFUSE), MAIL))
                assert (code, text[:5]) == (550, b"5.1.1")
            session.sendmail("a@x.test", struck(None), MAIL)
            assert server.received == {struck(None): 1}

    def test_defer_the_first_time(self, client: Callable[[RehearsalServer], smtplib.SMTP]) -> None:
        with RehearsalServer(Faults(((Fault.DEFER, 1.0),))) as server:
            session = client(server)
            code, text = refused(lambda: session.sendmail("a@x.test", "b@x.test", MAIL))
            assert (code, text[:5]) == (450, b"4.2.1")
            session.sendmail("a@x.test", "b@x.test", MAIL)
            assert server.received == {"b@x.test": 1}

    def test_drop_the_first_time(self, client: Callable[[RehearsalServer], smtplib.SMTP]) -> None:
        with RehearsalServer(Faults(((Fault.DROP, 1.0),))) as server:
            with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
                client(server).sendmail("a@x.test", "b@x.test", MAIL)
            assert server.messages == 0
            client(server).sendmail("a@x.test", "b@x.test", MAIL)
            assert (server.messages, server.sessions) == (1, 2)

    def test_doubt(self, client: Callable[[RehearsalServer], smtplib.SMTP]) -> None:
        with RehearsalServer(Faults(((Fault.DOUBT, 1.0),))) as server:
            with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
                client(server).sendmail("a@x.test", "b@x.test", MAIL)
            assert server.received == {"b@x.test": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign of forty whose own server cannot be reached, and whose password command tells on itself."""
    monkeypatch.chdir(tmp_path)
    people = "email\n" + "".join(f"p{n}@x.test\n" for n in range(40))
    write_campaign(
        tmp_path,
        {"list.csv": people},
        rate="1/minute",
        smtp={
            "host": "smtp.invalid",
            "username": "news",
            "password_command": ["touch", "password-was-asked-for"],
            "rate": "1/hour",
        },
        retry={"attempts": 3, "first_delay": "1h", "max_delay": "2h"},
    )
    return tmp_path


@pytest.fixture
def spring(folder: Path) -> CampaignFile:
    return load(folder / "spring.yaml")


class TestRehearsed:
    def test_the_campaign_goes_to_the_embedded_server(
        self, spring: CampaignFile, server: RehearsalServer
    ) -> None:
        campaign = rehearsed(spring, server, paced=False)
        connection = Connection.open(campaign.smtp, rehearsal_logins(server).current())
        assert connection.transport.tls is not None
        assert connection.session.extensions.pipelining
        connection.quit()
        connection.close()
        assert server.sessions == 1

    def test_another_login_is_refused(self, spring: CampaignFile, server: RehearsalServer) -> None:
        campaign = rehearsed(spring, server, paced=False)
        with pytest.raises(ConnectFailed) as caught:
            Connection.open(campaign.smtp, Login("rehearsal", "guess"))
        assert caught.value.permanent

    def test_another_authority_is_refused(
        self, spring: CampaignFile, server: RehearsalServer, folder: Path
    ) -> None:
        with RehearsalServer(Faults()) as other:
            smtp = rehearsed(spring, server, paced=False).smtp.model_copy(update={"ca_file": other.ca_file})
            with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
                Connection.open(smtp, rehearsal_logins(server).current())

    def test_its_pace_and_waits_are_left_out_or_kept(
        self, spring: CampaignFile, server: RehearsalServer
    ) -> None:
        quick, paced = (rehearsed(spring, server, paced=paced) for paced in (False, True))
        assert quick.windows == ()
        assert quick.retry.max_delay < 10
        assert quick.retry.attempts == 3
        assert paced.windows == spring.windows
        assert paced.retry == spring.retry
        assert paced.smtp.host == "localhost"
        assert paced.smtp.security is Security.STARTTLS


class TestCommand:
    @pytest.fixture
    def run(self, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
        def run(*options: str) -> tuple[int, str]:
            code = main(["rehearse", "spring.yaml", *options])
            return code, "".join(capfd.readouterr())

        return run

    def test_everybody_gets_one(self, folder: Path, run: Callable[..., tuple[int, str]]) -> None:
        code, output = run()
        assert code == 0, output
        assert "the server took 40 messages for 40 addresses" in output
        assert "nobody got it twice" in output
        assert "nothing left this machine" in output
        assert sorted(path.name for path in folder.iterdir()) == ["body.txt", "list.csv", "spring.yaml"]

    @pytest.mark.parametrize(
        ("fault", "code", "arrived"),
        [("refuse", 3, False), ("defer", 0, True), ("drop", 0, True), ("doubt", 4, True)],
    )
    def test_each_fault(
        self, folder: Path, run: Callable[..., tuple[int, str]], fault: str, code: int, arrived: bool
    ) -> None:
        struck = sum(parse_faults(f"{fault}:20%").of(f"p{n}@x.test") is not None for n in range(40))
        assert 2 < struck < 20
        exit_code, output = run("--faults", f"{fault}:20%")
        assert exit_code == code, output
        took = 40 if arrived else 40 - struck
        assert f"took {took} messages for {took} addresses" in output
        assert "nobody got it twice" in output
