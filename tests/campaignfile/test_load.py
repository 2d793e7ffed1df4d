"""The campaign file: what it says is read, and what is wrong with it is said, all at once and in place.

Each folder of bad_campaigns/ has one kind of mistake and the exact words that it gets.
"""

from __future__ import annotations

import functools
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile, DkimAlgorithm, Security, Smtp
from campaign.campaignfile.schema import json_schema
from campaign.campaignfile.secret import SecretSource
from campaign.errors import Severity, UserError
from campaign.model import SECOND, Window
from campaign.smtp import Mechanism

BAD = sorted(path.parent for path in Path(__file__).parents[1].glob("bad_campaigns/*/campaign.yaml"))
SAMPLES = sorted(Path(__file__).parents[2].glob("templates/*/campaign.yaml"))

MINIMAL = """\
name: spring
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt.j2}
smtp: {host: smtp.example.com}
"""
FULL = """\
name: spring-newsletter
recipients:
  csv: list.csv
  email: address
  name: "{{ first_name }} {{ last_name }}"
  key: [address, plan]
  encoding: cp1252
  delimiter: ";"
  where: "plan == 'pro'"
from: "Example News <news@example.com>"
reply_to: help@example.com
cc: ["{{ boss }}"]
bcc: archive@example.com
envelope_from: "bounces+{{ bounce.token }}@example.com"
subject: "{{ first_name }}, what is new this spring"
templates:
  text: body.txt.j2
  html: body.html.j2
vars: {product: Example, year: 2026}
headers: {X-Campaign: "{{ campaign.name }}"}
list_id: "Example News <news.example.com>"
inline_css: false
attachments:
  - assets/terms.pdf
  - {path: "invoices/{{ invoice }}.pdf", name: "Invoice {{ invoice }}.pdf"}
attachments_root: files
unsubscribe:
  mailto: unsubscribe@example.com
  url: "https://example.com/u/{{ unsubscribe.token }}"
  secret_env: UNSUBSCRIBE_SECRET
  one_click: true
dkim: {domain: example.com, selector: s1, key_file: dkim.pem, algorithm: ed25519-sha256}
smtp:
  host: smtp.example.com
  port: 2525
  security: starttls
  username: news
  password_env: SMTP_PASSWORD
  auth: login
  ca_file: ca.pem
  client_cert: client.pem
  client_key: client.key
  connections: 4
  messages_per_session: 50
  rate: [14/second, 50000/day]
rate: 10/minute
retry: {attempts: 3, first_delay: 30s, max_delay: 2h}
stop_when: {refused: 12.5%}
suppress: off
ledger: ../ledgers/spring.db
"""


MARKS = "[]{}:,-?!&*#|>%@`'\"\\\n\t =~<a1."
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=20).filter(lambda text: text.isprintable())
    | st.sampled_from(["{{ x }}", "a@b.example, c@d.example", "off", "~", "1/0", "0/day", "-1s", "[", "::"])
)
JUNK = st.recursive(
    SCALARS.map(lambda value: str(value) if not isinstance(value, bool | int | float | None) else value),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab{}: ", max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign's folder with the files that MINIMAL and FULL name; the person stands in it."""
    folder = tmp_path / "spring"
    (folder / "files" / "assets").mkdir(parents=True)
    for name in ("list.csv", "body.txt.j2", "body.html.j2", "files/assets/terms.pdf"):
        (folder / name).write_text("x")
    for name in ("dkim.pem", "ca.pem", "client.pem", "client.key"):
        (folder / name).write_text("x")
    monkeypatch.chdir(folder)
    return folder


def read(text: str, folder: Path) -> CampaignFile:
    (folder / "campaign.yaml").write_text(text, encoding="utf-8")
    return load(Path("campaign.yaml"))


def said(text: str, folder: Path) -> list[str]:
    """The lines that a person reads."""
    with pytest.raises(UserError) as caught:
        read(text, folder)
    return str(caught.value).splitlines()


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
        assert campaign.reply_to == "help@example.com"
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
        assert [(one.path, one.name) for one in campaign.attachments] == [
            ("assets/terms.pdf", None),
            ("invoices/{{ invoice }}.pdf", "Invoice {{ invoice }}.pdf"),
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
        assert (smtp.username, smtp.auth) == ("news", Mechanism.LOGIN)
        assert smtp.secret == SecretSource("smtp.password", env="SMTP_PASSWORD", folder=folder)
        assert smtp.ca_file == folder / "ca.pem"
        assert (smtp.client_cert, smtp.client_key) == (folder / "client.pem", folder / "client.key")
        assert (smtp.connections, smtp.messages_per_session) == (4, 50)
        assert smtp.rate == (Window(14, SECOND), Window(50_000, 86_400 * SECOND))
        assert campaign.rate == campaign.windows == (Window(10, 60 * SECOND),)
        retry = campaign.retry
        assert (retry.attempts, retry.first_delay, retry.max_delay) == (3, 30.0, 7200.0)
        assert campaign.stop_when.refused == 0.125
        assert campaign.suppress is False
        assert campaign.ledger == folder / "../ledgers/spring.db"

    def test_the_test_above_misses_no_key(self, folder: Path) -> None:
        written = set(_keys(yaml.safe_load(FULL)))
        others = {"templates.subject", "templates.markdown", "templates.mjml", "smtp.token_command"}
        others |= {f"smtp.password_{way}" for way in ("command", "file")}
        others |= {f"unsubscribe.secret_{way}" for way in ("command", "file")}
        assert written | others == set(_schema_keys(json_schema()))

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
        campaign = read(f"{MINIMAL}retry: {{first_delay: {written}}}\n", folder)
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


class TestYaml:
    """What YAML and its editors do to a file."""

    def test_bom_and_crlf(self, folder: Path) -> None:
        (folder / "campaign.yaml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
        campaign = load(Path("campaign.yaml"))
        assert campaign.name == "spring"
        assert str(campaign.problem("subject", "x")).startswith("campaign.yaml:4:10: ")

    def test_json_is_yaml(self, folder: Path) -> None:
        values = {**yaml.safe_load(MINIMAL), "subject": "Spring 🌷 is here"}
        assert read(json.dumps(values), folder).subject == "Spring 🌷 is here"
        assert read(json.dumps(values, ensure_ascii=False), folder).subject == "Spring 🌷 is here"

    def test_a_lone_equals_sign(self, folder: Path) -> None:
        assert read(MINIMAL.replace("Hello", "="), folder).subject == "="

    def test_keys_are_as_written(self, folder: Path) -> None:
        campaign = read(f"{MINIMAL}vars: {{no: 1, on: 2, _3: [no]}}\n", folder)
        assert campaign.vars == {"no": 1, "on": 2, "_3": [False]}

    def test_anchors_may_repeat_a_value(self, folder: Path) -> None:
        campaign = read(f"{MINIMAL}reply_to: &us us@example.com\ncc: [*us]\n", folder)
        assert campaign.cc == ("us@example.com",)

    def test_no_such_file(self, folder: Path) -> None:
        for name in ("none.yaml", ".", "a" * 5000, "a\0b"):
            with pytest.raises(UserError):
                load(Path(name))

    def test_too_large(self, folder: Path) -> None:
        (line,) = said(MINIMAL + "#" * (1 << 20), folder)
        assert line == "campaign.yaml: the file has more than 1 MB: it is no campaign file"

    def test_paths_that_no_system_takes(self, folder: Path) -> None:
        long = "a" * 5000
        text = (
            MINIMAL.replace("list.csv", long).replace("body.txt.j2", '"a\\0b"')
            + f"attachments: [{long}, loop]\nledger: ~nobody-of-that-name/x\n"
        )
        (folder / "loop").symlink_to("loop")
        lines = said(text, folder)
        assert [line.split(": ")[1] for line in lines] == [
            "recipients.csv",
            "templates.text",
            "attachments, entry 1",
            "attachments, entry 2",
            "ledger",
        ]
        assert said(f"{MINIMAL}attachments_root: {long}\nattachments: [a]\n", folder)
        assert said(MINIMAL.replace("{host: smtp.example.com}", long), folder)
        assert said(MINIMAL.replace("{host: smtp.example.com}", "~nobody-of-that-name/x"), folder)

    @given(st.data())
    def test_nothing_but_a_sentence(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """Whatever stands at whatever place, it is read or refused with words."""
        folder = tmp_path_factory.getbasetemp() / "junk"
        folder.mkdir(exist_ok=True)
        values = yaml.safe_load(FULL)
        for _ in range(data.draw(st.integers(1, 4))):
            at = values
            while True:
                key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
                below = at[key]
                if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
                    break
                at = below
            at[key] = data.draw(JUNK)
        for text in (json.dumps(values), yaml.safe_dump(values, allow_unicode=True)):
            (folder / "campaign.yaml").write_text(text, encoding="utf-8", errors="replace")
            with pytest.raises(UserError) as caught:  # the files that FULL names are not there
                load(folder / "campaign.yaml")
            assert all(problem.line for problem in caught.value.problems)

    @given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text(MARKS, max_size=60))
    def test_any_text(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        file = tmp_path_factory.getbasetemp() / "text.yaml"
        file.write_text(text, encoding="utf-8", newline="")
        with pytest.raises(UserError) as caught:
            load(file)
        assert "\n" not in caught.value.problems[0].message


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
            f"{file}:5:1: smtp.port: the key stands here again; it stood first in line 1",
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
            ("attachments.1.path", "25:12"),
            ("attachments.7", "24:3"),
            ("headers.X-Campaign", "20:23"),
            ("dkim.key_file", "32:53"),
            ("nothing.at.all", "1:1"),
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


class TestSecrets:
    """Read from where the file says, and never shown."""

    def source(self, settings: str, folder: Path) -> SecretSource:
        text = MINIMAL.replace("smtp.example.com", f"smtp.example.com, username: news, {settings}")
        campaign = read(text, folder)
        assert campaign.smtp.secret is not None
        assert "hunter2" not in repr(campaign)
        assert "hunter2" not in repr(campaign.smtp.secret)
        return campaign.smtp.secret

    def test_environment(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SMTP_PASSWORD", "hunter2 ")
        assert self.source("password_env: SMTP_PASSWORD", folder).read() == "hunter2 "

    def test_command_runs_in_the_folder_of_its_file(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "password").write_text("hunter2\r\n")
        source = self.source("password_command: cat password", folder)
        monkeypatch.chdir("/")
        assert source.read() == "hunter2"
        script = folder / "secret.sh"
        script.write_text("#!/bin/sh\ncat password\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.chdir(folder)
        assert self.source("password_command: [./secret.sh]", folder).read() == "hunter2"

    def test_a_command_needs_no_shell(self, folder: Path) -> None:
        source = self.source("password_command: \"printf '%s' 'a b; $HOME'\"", folder)
        assert source.read() == "a b; $HOME"

    def test_file(self, folder: Path) -> None:
        (folder / "password").write_text("hunter2\n")
        assert self.source("password_file: password", folder).read() == "hunter2"

    def test_token(self, folder: Path) -> None:
        source = self.source("auth: xoauth2, token_command: [echo, ya29]", folder)
        assert (source.what, source.read()) == ("smtp.token", "ya29")

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ("password_env: NOT_SET", "smtp.password_env: the environment variable NOT_SET is not set"),
            ("password_file: none", "smtp.password_file: .*none: No such file or directory"),
            ("password_file: empty", "smtp.password: the file .*empty gives nothing"),
            ("password_file: latin", "smtp.password_file: .*latin is not UTF-8"),
            ("password_command: no-such-one", "smtp.password_command: there is no command 'no-such-one'"),
            ("password_command: false hunter2", "smtp.password_command: false ended with exit code 1"),
            ("password_command: [printf, '\\344']", "smtp.password_command: what printf prints is not UTF-8"),
            ("password_command: ['true']", "smtp.password: the command true gives nothing"),
            ("password_command: [/]", "smtp.password_command: / cannot be run"),
        ],
    )  # fmt: skip
    def test_what_goes_wrong(self, settings: str, words: str, folder: Path) -> None:
        (folder / "empty").write_text("\n")
        (folder / "latin").write_bytes(b"\xe4")
        source = self.source(settings, folder)
        with pytest.raises(UserError, match=f"^(campaign.yaml:[0-9:]+: )?{words}") as caught:
            source.read()
        assert "hunter2" not in str(caught.value)

    def test_private_files_are_those_that_nobody_gets(self, folder: Path) -> None:
        campaign = read(FULL.replace("password_env: SMTP_PASSWORD", "password_file: password"), folder)
        names = {file.name for file in campaign.private}
        assert names == {"campaign.yaml", "list.csv", "spring.db", "client.key", "password", "dkim.pem"}

    def test_nothing_of_it_is_read_when_the_file_is(self, folder: Path) -> None:
        marker = folder / "ran"
        self.source(f"password_command: [touch, {marker}]", folder)
        assert not marker.exists()


class TestSchema:
    """The JSON Schema for editors says what the parser says."""

    @pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.parent.name)
    def test_samples(self, file: Path) -> None:
        assert list(_invalid(yaml.safe_load(file.read_text("utf-8")))) == []
        load(file)

    @pytest.mark.parametrize(
        "text", [MINIMAL, FULL, MINIMAL.replace("{host: smtp.example.com}", "smtp.yaml")]
    )
    def test_what_is_right(self, text: str) -> None:
        assert list(_invalid(yaml.safe_load(text))) == []

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("subjct: x", "subjct"),
            ("inline_css: maybe", "inline_css"),
            ("retry: {attempts: 0}", "retry.attempts"),
            ("retry: {first_delay: soon}", "retry.first_delay"),
            ("stop_when: {refused: 20}", "stop_when.refused"),
            ("rate: 14", "rate"),
            ("rate: [14 a second]", "rate"),
            ("suppress: never", "suppress"),
            ("attachments: [{name: x}]", "attachments.0"),
            ("dkim: {domain: x, selector: y, key_file: z, algorithm: rsa}", "dkim"),
            ("smtp: {host: x, port: smtps}", "smtp"),
            ("smtp: {port: 25}", "smtp"),
            ("name: 5", "name"),
        ],
    )
    def test_what_is_wrong(self, text: str, at: str) -> None:
        values = {**yaml.safe_load(MINIMAL), **yaml.safe_load(text)}
        assert list(_invalid(values)) == [at]

    def test_required(self) -> None:
        schema = json_schema()
        assert set(schema["required"]) == {"name", "recipients", "from", "templates", "smtp"}
        assert schema["$defs"]["RecipientList"]["required"] == ["csv"]
        assert schema["$defs"]["Smtp"]["required"] == ["host"]
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def test_every_key_is_explained(self) -> None:
        schema = json_schema()
        parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
        for part in parts:
            assert part["additionalProperties"] is False
            assert all(
                value.get("description") or "$ref" in value for value in part["properties"].values()
            ), part["title"]

    def test_it_is_json(self) -> None:
        assert json.loads(json.dumps(json_schema())) == json_schema()


_schema = functools.cache(json_schema)


def _keys(values: dict[str, Any], within: str = "") -> list[str]:
    """The dotted keys of a campaign file; what stands in vars and headers is the person's own."""
    found = []
    for key, value in values.items():
        found.append(f"{within}{key}")
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and key not in ("vars", "headers"):
                found += _keys(part, f"{within}{key}.")
    return found


def _schema_keys(schema: dict[str, Any]) -> list[str]:
    def keys(part: dict[str, Any], within: str) -> list[str]:
        found = []
        for name, value in part["properties"].items():
            found.append(f"{within}{name}")
            for reference in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
                if "properties" in schema["$defs"][reference]:
                    found += keys(schema["$defs"][reference], f"{within}{name}.")
        return found

    return keys(schema, "")


def _invalid(value: object, part: dict[str, Any] | None = None, path: str = "") -> list[str]:
    """The dotted paths at which `value` is not what the schema says; as much of JSON Schema as ours uses."""
    schema = _schema()
    part = schema if part is None else part
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    known = {
        "$defs", "$schema", "$ref", "title", "description", "default", "type", "enum", "anyOf", "items",
        "pattern", "properties", "required", "additionalProperties", "minimum", "maximum", "minLength",
        "maxLength", "minItems",
    }  # fmt: skip
    assert set(part) <= known
    if "anyOf" in part and all(_invalid(value, option, path) for option in part["anyOf"]):
        return [path]
    types: dict[str, Any] = {
        "string": str, "object": dict, "array": list, "null": type(None), "boolean": bool,
        "integer": int, "number": (int, float),
    }  # fmt: skip
    if "type" in part and not isinstance(value, types[part["type"]]):
        return [path]
    if ("enum" in part and value not in part["enum"]) or (
        isinstance(value, str) and "pattern" in part and not re.search(part["pattern"], value)
    ):
        return [path]
    if isinstance(value, int) and not part.get("minimum", value) <= value <= part.get("maximum", value):
        return [path]
    wrong: list[str] = []
    if isinstance(value, dict) and "properties" in part:
        if not set(part.get("required", ())) <= set(value):
            return [path]
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            known_key = key in part["properties"]
            wrong += _invalid(inner, part["properties"][key], below) if known_key else [below]
    if isinstance(value, list) and "items" in part:
        for index, inner in enumerate(value):
            wrong += _invalid(inner, part["items"], f"{path}.{index}")
    return wrong
