"""A campaign file → its values, or everything that is wrong with it. Each folder of bad_campaigns/ has
one kind of mistake and the exact words that it gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from campaign.campaignfile.each import Each
from campaign.campaignfile.load import load
from campaign.campaignfile.models import DkimAlgorithm, Security, Smtp
from campaign.campaignfile.schema import json_schema
from campaign.campaignfile.secret import SecretSource
from campaign.errors import Severity, UserError
from campaign.model import SECOND, Window
from campaign.smtp.auth import Mechanism
from tests.campaignfile.files import BAD, FULL, MINIMAL, keys, read, said, schema_keys


class TestBadCampaigns:
    """bad_campaigns/: the exact words, and nothing that is secret among them."""

    @pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
    def test_expected_error(self, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(case)
        with pytest.raises(UserError) as caught:
            load(Path("campaign.yaml"))
        assert f"{caught.value}\n" == (case / "expected-error").read_text(encoding="utf-8")

    def test_the_secret_of_some_is_said_of_none(self) -> None:
        assert sum("hunter2" in (case / "campaign.yaml").read_bytes().decode("latin-1") for case in BAD) > 5
        assert not any("hunter2" in (case / "expected-error").read_text(encoding="utf-8") for case in BAD)

    @pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
    def test_places(self, case: Path) -> None:
        """Each problem has its place, and they come in the order of the lines."""
        lines = (case / "expected-error").read_text(encoding="utf-8").splitlines()
        places = [re.match(r"(campaign|smtp)\.yaml:(\d+):(\d+): ", line) for line in lines]
        if case.name not in ("alias-of-itself", "nested-too-deeply"):
            assert all(places)
        order = [(place[1], int(place[2]), int(place[3])) for place in places if place]
        assert order == sorted(order)


class TestValues:
    """Every key of the contract, and what holds where it is not written."""

    def test_every_key(self, folder: Path) -> None:
        campaign = read(FULL, folder)
        assert campaign.name == "spring-newsletter"
        assert campaign.file == folder / "campaign.yaml"
        assert campaign.folder == folder
        people = campaign.recipients
        assert people.csv == folder / "list.csv"
        assert (people.email, people.key) == ("address", ("address", "plan"))
        assert people.name == "{{ first_name }} {{ last_name }}"
        assert (people.encoding, people.delimiter, people.where) == ("cp1252", ";", "plan == 'pro'")
        assert campaign.from_ == "Example News <news@example.com>"
        assert (campaign.sender, campaign.reply_to) == ("desk@example.com", "help@example.com")
        assert (campaign.cc, campaign.bcc) == (("{{ boss }}",), ("archive@example.com",))
        assert campaign.envelope_from == "bounces+{{ bounce.token }}@example.com"
        assert campaign.subject == "{{ first_name }}, what is new this spring"
        assert campaign.templates.text == folder / "body.txt.j2"
        assert campaign.templates.html == folder / "body.html.j2"
        assert (campaign.templates.subject, campaign.templates.markdown, campaign.templates.mjml) == (
            None,
        ) * 3
        assert campaign.vars == {"product": "Example", "year": 2026}
        assert campaign.headers == {"X-Campaign": "{{ campaign.name }}"}
        assert campaign.list_id == "Example News <news.example.com>"
        assert campaign.inline_css is False
        assert [(one.path, one.name, one.each) for one in campaign.attachments] == [
            ("assets/terms.pdf", None, None),
            ("invoices/{{ invoice }}.pdf", "Invoice {{ invoice }}.pdf", None),
            ("letters/{{ item }}", None, "{{ letters.split(';') }}"),
        ]
        assert campaign.attachments_root == folder / "files"
        unsubscribe = campaign.unsubscribe
        assert unsubscribe is not None
        assert unsubscribe.mailto == "unsubscribe@example.com"
        assert unsubscribe.url == "https://example.com/u/{{ unsubscribe.token }}"
        assert unsubscribe.one_click is True
        assert unsubscribe.secret == SecretSource(
            "unsubscribe.secret", env="UNSUBSCRIBE_SECRET", folder=folder
        )
        dkim = campaign.dkim
        assert dkim is not None
        assert (dkim.domain, dkim.selector, dkim.key_file) == ("example.com", "s1", folder / "dkim.pem")
        assert dkim.algorithm is DkimAlgorithm.ED25519_SHA256
        smtp = campaign.smtp
        assert (smtp.host, smtp.port, smtp.security) == ("smtp.example.com", 2525, Security.STARTTLS)
        assert (smtp.username, smtp.auth, smtp.account) == ("news", Mechanism.LOGIN, "our relay")
        assert smtp.secret == SecretSource("smtp.password", env="SMTP_PASSWORD", folder=folder)
        assert smtp.ca_file == folder / "ca.pem"
        assert (smtp.client_cert, smtp.client_key) == (folder / "client.pem", folder / "client.key")
        assert (smtp.connections, smtp.window, smtp.messages_per_session) == (4, 8, 50)
        assert smtp.rate == (Window(14, SECOND), Window(50_000, 86_400 * SECOND))
        assert campaign.rate == campaign.windows == (Window(10, 60 * SECOND),)
        retry = campaign.retry
        assert (retry.attempts, retry.first_delay, retry.max_delay) == (3, 30.0, 7200.0)
        assert (campaign.stop_when.refused, campaign.stop_when.in_doubt) == (0.125, 0.01)
        assert campaign.suppress is False
        assert campaign.bounces.soft == (5, 14 * 86_400)
        imap = campaign.bounces.imap
        assert imap is not None
        assert (imap.host, imap.port, imap.username) == ("imap.example.com", 9993, "bounces")
        assert (imap.folder, imap.done) == ("Bounces", "Read")
        assert imap.secret == SecretSource("bounces.imap.password", env="IMAP_PASSWORD", folder=folder)
        assert (imap.auth, imap.ca_file) == (Mechanism.PLAIN, folder / "ca.pem")
        assert campaign.ledger == folder / "../ledgers/spring.db"

    def test_a_key_without_a_value_says_nothing(self, folder: Path) -> None:
        (folder / "subject.j2").write_text("Hello")
        templates = "templates: {text: body.txt.j2, subject: subject.j2, html: null}"
        written = MINIMAL.replace("templates: {text: body.txt.j2}", templates)
        campaign = read(written.replace("subject: Hello", "subject: null"), folder)
        assert campaign.templates.subject == folder / "subject.j2"
        assert (
            read(f"{MINIMAL}reply_to: null\n".replace(".j2}", ".j2, subject: }"), folder).subject == "Hello"
        )

    def test_several_of_one_kind(self, folder: Path) -> None:
        copies = 'cc: {each: "{{ a }}"}\nbcc: [x@x.test, {each: "{{ b }}"}]\nreply_to: [x@x.test, y@x.test]\n'
        campaign = read(MINIMAL + copies, folder)
        assert campaign.cc == (Each("{{ a }}"),)
        assert campaign.bcc == ("x@x.test", Each("{{ b }}"))
        assert campaign.reply_to == ("x@x.test", "y@x.test")

    def test_the_test_above_misses_no_key(self, folder: Path) -> None:
        written = set(keys(yaml.safe_load(FULL)))
        others = {"templates.subject", "templates.markdown", "templates.mjml", "smtp.token_command"}
        others |= {"bounces.imap.token_command"}
        others |= {"recipients.sheet"}
        others |= {f"smtp.password_{way}" for way in ("command", "file")}
        others |= {f"bounces.imap.password_{way}" for way in ("command", "file")}
        others |= {f"unsubscribe.secret_{way}" for way in ("command", "file")}
        others |= {
            key for key in schema_keys(json_schema()) if key.startswith(("workers", "unsubscribe.texts"))
        }
        assert written | others == set(schema_keys(json_schema()))

    def test_defaults(self, folder: Path) -> None:
        campaign = read(MINIMAL, folder)
        people = campaign.recipients
        assert people.csv == folder / "list.csv"
        assert (people.email, people.key, people.name, people.where) == ("email", ("email",), None, None)
        assert (people.encoding, people.delimiter) == ("utf-8", None)
        assert (campaign.cc, campaign.bcc, campaign.reply_to, campaign.envelope_from) == ((), (), None, None)
        assert (campaign.vars, campaign.headers, campaign.attachments) == ({}, {}, ())
        assert campaign.inline_css is True
        assert campaign.attachments_root == folder
        assert (campaign.unsubscribe, campaign.dkim, campaign.list_id) == (None, None, None)
        smtp = campaign.smtp
        assert (smtp.port, smtp.security) == (587, Security.STARTTLS)
        assert (smtp.username, smtp.secret, smtp.auth, smtp.ca_file) == (None, None, None, None)
        assert (smtp.connections, smtp.messages_per_session, campaign.windows) == (1, 100, ())
        retry = campaign.retry
        assert (retry.attempts, retry.first_delay, retry.max_delay) == (5, 60.0, 3600.0)
        assert (campaign.stop_when.refused, campaign.suppress) == (0.2, True)
        assert campaign.ledger == folder / "ledger.db"

    @pytest.mark.parametrize(
        ("settings", "port", "security"),
        [
            ("", 587, Security.STARTTLS),
            ("port: 465", 465, Security.TLS),
            ("port: 25", 25, Security.STARTTLS),
            ("security: tls", 465, Security.TLS),
            ("security: tls, port: 8465", 8465, Security.TLS),
            ("security: starttls", 587, Security.STARTTLS),
        ],
    )
    def test_port_and_security_say_each_other(
        self, settings: str, port: int, security: Security, folder: Path
    ) -> None:
        text = MINIMAL.replace("smtp.example.com", f"smtp.example.com, {settings}".removesuffix(", "))
        smtp = read(text, folder).smtp
        assert (smtp.port, smtp.security) == (port, security)
        assert Smtp(host="x").port == 587

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", '"::1"', '"[::1]"'])
    def test_security_none_on_loopback(self, host: str, folder: Path) -> None:
        text = MINIMAL.replace("smtp.example.com", f"{host}, security: none, port: 2525")
        assert read(text, folder).smtp.security is Security.NONE

    @pytest.mark.parametrize(
        "host", ["mail", "smtp.example.com", "smtp.example.com.", "192.0.2.1", '"2001:db8::1"', "grüße.de"]
    )
    def test_hosts(self, host: str, folder: Path) -> None:
        assert read(MINIMAL.replace("smtp.example.com", host), folder).smtp.host == host.strip('"')

    @pytest.mark.parametrize(
        ("email", "key", "expected"),
        [
            ("", "", ("email",)),
            ("email: mail", "", ("mail",)),
            ("email: mail", "key: id", ("id",)),
            ("", "key: [a, b]", ("a", "b")),
        ],
    )
    def test_the_key_is_the_email_column(
        self, email: str, key: str, expected: tuple[str, ...], folder: Path
    ) -> None:
        parts = ", ".join(filter(None, ["csv: list.csv", email, key]))
        text = MINIMAL.replace("recipients: list.csv", f"recipients: {{{parts}}}")
        assert read(text, folder).recipients.key == expected

    @pytest.mark.parametrize(
        ("written", "delimiter"), [('","', ","), ("tab", "\t"), (r'"\t"', "\t"), ("'|'", "|"), ("~", None)]
    )
    def test_delimiters(self, written: str, delimiter: str | None, folder: Path) -> None:
        text = MINIMAL.replace("list.csv", f"{{csv: list.csv, delimiter: {written}}}")
        assert read(text, folder).recipients.delimiter == delimiter

    @pytest.mark.parametrize(
        ("written", "suppress"), [("auto", True), ("off", False), ('"off"', False), ("'auto'", True)]
    )
    def test_off_is_off_quoted_or_not(self, written: str, suppress: bool, folder: Path) -> None:
        assert read(f"{MINIMAL}suppress: {written}\n", folder).suppress is suppress

    @pytest.mark.parametrize(
        ("written", "seconds"),
        [("60", 60.0), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("2 d", 172800.0), ("0", 0.0)],
    )
    def test_durations(self, written: str, seconds: float, folder: Path) -> None:
        campaign = read(f"{MINIMAL}retry: {{first_delay: {written}, max_delay: 2d}}\n", folder)
        assert campaign.retry.first_delay == seconds

    @pytest.mark.parametrize(
        ("written", "share"), [("20%", 0.2), ("0.5 %", 0.005), ("100%", 1.0), ("~", None)]
    )
    def test_shares(self, written: str, share: float | None, folder: Path) -> None:
        assert read(f"{MINIMAL}stop_when: {{refused: {written}}}\n", folder).stop_when.refused == share

    def test_the_campaign_s_rate_stands_for_the_server_s(self, folder: Path) -> None:
        text = MINIMAL.replace("smtp.example.com", "smtp.example.com, rate: 14/second")
        assert read(text, folder).windows == (Window(14, SECOND),)
        assert read(f"{text}rate: [2/minute, 100/day]\n", folder).windows == (
            Window(2, 60 * SECOND),
            Window(100, 86_400 * SECOND),
        )

    def test_the_null_return_path(self, folder: Path) -> None:
        assert read(f"{MINIMAL}envelope_from: <>\n", folder).envelope_from == "<>"

    def test_an_url_may_begin_with_a_constant(self, folder: Path) -> None:
        text = f"{MINIMAL}unsubscribe: {{url: '{{{{ site }}}}/u', one_click: true}}\n"
        assert read(text, folder).unsubscribe is not None

    def test_frozen(self, folder: Path) -> None:
        campaign = read(MINIMAL, folder)
        with pytest.raises(ValueError, match="frozen"):
            setattr(campaign, "name", "other")  # noqa: B010


class TestSharedServer:
    """`smtp:` as the path of a file that several campaigns share."""

    SHARED = """\
host: smtp.example.com
username: news
password_file: secret/password
ca_file: ca.pem
rate: 1/day
"""

    @pytest.fixture
    def shared(self, folder: Path) -> Path:
        (folder.parent / "server").mkdir()
        (folder.parent / "server" / "ca.pem").write_text("x")
        (folder.parent / "server" / "smtp.yaml").write_text(self.SHARED)
        return folder.parent / "server"

    def test_paths_are_relative_to_it(self, folder: Path, shared: Path) -> None:
        campaign = read(MINIMAL.replace("{host: smtp.example.com}", "../server/smtp.yaml"), folder)
        smtp = campaign.smtp
        assert smtp.host == "smtp.example.com"
        assert smtp.ca_file is not None
        assert smtp.password_file is not None
        assert smtp.ca_file.resolve() == shared / "ca.pem"
        assert smtp.password_file.resolve() == shared / "secret" / "password"
        assert smtp.secret is not None
        assert smtp.secret.folder is not None
        assert smtp.secret.folder.resolve() == shared
        assert campaign.windows == (Window(1, 86_400 * SECOND),)
        assert campaign.ledger == folder / "ledger.db"

    def test_problems_stand_in_it(self, folder: Path, shared: Path) -> None:
        campaign = read(MINIMAL.replace("{host: smtp.example.com}", "../server/smtp.yaml"), folder)
        file = shared / "smtp.yaml"
        assert str(campaign.problem("smtp.username", "x")) == f"{file}:2:11: smtp.username: x"
        assert str(campaign.problem("smtp.port", "x")) == f"{file}:1:1: smtp.port: x"
        assert str(campaign.problem("name", "x")) == "campaign.yaml:1:7: name: x"

    def test_every_problem_of_both(self, folder: Path, shared: Path) -> None:
        (shared / "smtp.yaml").write_text(
            "port: smtps\nconnections: 0\nuser: x\nhost: smtp.example.com\nport: 5\n"
        )
        text = MINIMAL.replace("{host: smtp.example.com}", "../server/smtp.yaml").replace("spring", "no")
        file = shared / "smtp.yaml"
        assert said(text, folder) == [
            "campaign.yaml:1:7: name: expected text, got no, which YAML reads as false; put it in quotes",
            f"{file}:1:7: smtp.port: expected a number from 1 to 65535, got 'smtps'",
            f"{file}:2:14: smtp.connections: expected at least 1, got 0",
            f"{file}:3:1: smtp.user: unknown key; did you mean 'username'?",
            f"{file}:5:1: smtp.port: duplicate key; it was first set in line 1",
        ]


class TestPlaces:
    """Where later problems stand."""

    @pytest.mark.parametrize(
        ("path", "place"),
        [
            ("name", "1:7"),
            ("recipients", "3:3"),
            ("recipients.where", "9:10"),
            ("recipients.nothing", "3:3"),
            ("attachments.1.path", "28:12"),
            ("attachments.7", "27:3"),
            ("headers.X-Campaign", "23:23"),
            ("dkim.key_file", "37:53"),
            ("", "1:1"),
        ],
    )
    def test_problem(self, path: str, place: str, folder: Path) -> None:
        problem = read(FULL, folder).problem(path, "is odd", Severity.WARNING, "rule")
        assert (problem.file, f"{problem.line}:{problem.column}") == ("campaign.yaml", place)
        assert (problem.path, problem.severity, problem.rule) == (path, Severity.WARNING, "rule")
        words = {"attachments.1.path": "attachments, entry 2, path", "attachments.7": "attachments, entry 8"}
        shown = words.get(path, path)
        expected = f"campaign.yaml:{place}: warning: " + (f"{shown}: " if shown else "") + "is odd"
        assert str(problem) == expected

    def test_what_is_not_written_has_no_line(self, folder: Path) -> None:
        problem = read(MINIMAL, folder).problem("dkim.selector", "is odd")
        assert str(problem) == "campaign.yaml: dkim.selector: is odd"

    def test_the_file_is_named_from_where_the_person_stands(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "campaign.yaml").write_text(MINIMAL.replace("name: spring\n", ""))
        monkeypatch.chdir(folder.parent)
        with pytest.raises(UserError, match=r"^spring/campaign\.yaml:1:1: name: is missing$"):
            load(Path("spring/campaign.yaml"))
        monkeypatch.chdir("/")
        with pytest.raises(UserError, match=rf"^{re.escape(str(folder)[1:])}/campaign\.yaml:1:1: name: "):
            load(folder / "campaign.yaml")

    def test_a_file_that_is_not_there_is_named_from_there_too(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "campaign.yaml").write_text(MINIMAL.replace("body.txt.j2", "none.txt"))
        line = "spring/campaign.yaml:5:19: templates.text: there is no file 'none.txt'"
        monkeypatch.chdir(folder.parent)
        with pytest.raises(UserError) as caught:
            load(Path("spring/campaign.yaml"))
        assert str(caught.value) == f"{line} (looked for spring/none.txt)"
