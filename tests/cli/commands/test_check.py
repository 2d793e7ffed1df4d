"""`campaign check`: what it finds at a server is a problem like any other, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaign.sending.job import MOST_CHECKED
from tests.checks.dns.server import Zone, serve, txt
from tests.cli.conftest import Run
from tests.e2e.folder import CampaignFolder
from tests.need import need
from tests.servers.certificates import Kind
from tests.servers.postfix import Postfix

Folders = Callable[..., CampaignFolder]
PROBLEM = {"message", "file", "line", "column", "path", "severity", "rule", "row", "row_line", "rows"}
# No warning of any rule: a sender with a domain of its own, and a text that says something.
CLEAN = {"from": "News <news@news.example.org>", "recipients": {"csv": "list.csv"}}


def clean(folder: CampaignFolder, **changes: Any) -> CampaignFolder:
    """Write a campaign of which no rule warns."""
    folder.list(["ann@example.test,Ann"])
    folder.write(**{**CLEAN, **changes})
    checked = folder.run("check", "campaign.yaml", "--strict")
    assert checked.returncode == 0, checked.stderr
    return folder


def problems(folder: CampaignFolder, *arguments: str, code: int) -> list[dict[str, Any]]:
    """Run `check --json`, and return its list; nothing else may be said."""
    checked = folder.run("check", "campaign.yaml", "--json", *arguments)
    assert (checked.returncode, checked.stderr) == (code, ""), checked.stdout
    found: list[dict[str, Any]] = json.loads(checked.stdout)
    return found


@pytest.fixture(scope="module")
def ending(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A server whose certificate ends in four and a half days."""
    return make_postfix(kind=Kind.ENDING)


def test_a_certificate_that_ends_soon_is_a_warning(ending: Postfix, campaign_for: Folders) -> None:
    for port, security in ((ending.port, "starttls"), (ending.tls_port, "tls")):
        folder = clean(campaign_for(ending), smtp={"port": port, "security": security})
        checked = folder.run("check", "campaign.yaml", "--server")
        assert checked.returncode == 0
        wanted = "smtp.host: the certificate of localhost ends in 4 days; from then on nothing can be sent"
        [line] = checked.stderr.splitlines()
        assert line.startswith("campaign.yaml:")
        assert line.endswith(f": warning: {wanted}")
        assert ", 4 days left\n" in checked.stdout
        assert checked.stdout.endswith("campaign.yaml: 1 warning\n")
        assert folder.run("check", "campaign.yaml", "--server", "--strict").returncode == 2
        [warning, server] = problems(folder, "--server", "--strict", code=2)
        assert (warning["severity"], warning["rule"], warning["path"]) == (
            "warning",
            "certificate",
            "smtp.host",
        )
        assert warning["message"] == wanted.removeprefix("smtp.host: ")
        assert warning["line"] > 1
        assert server["server"]["certificate"]["days_left"] == 4


def test_json_is_a_list_and_its_last_entry_what_was_negotiated(
    postfix: Postfix, campaign_for: Folders
) -> None:
    folder = clean(campaign_for(postfix))
    assert problems(folder, code=0) == []
    [entry] = problems(folder, "--server", "--strict", code=0)
    assert set(entry) == {*PROBLEM, "server"}
    assert (entry["severity"], entry["rule"]) == ("info", "server")
    server = entry["server"]
    certificate = server.pop("certificate")
    ends = datetime.fromisoformat(certificate.pop("ends"))
    assert timedelta(days=14) < ends - datetime.now(UTC)
    assert certificate["names"] == ["localhost", "127.0.0.1"]
    assert certificate["days_left"] >= 14
    assert server["tls"]["version"].startswith("TLSv1.")
    assert "PIPELINING" in server["extensions"]
    assert {key: server[key] for key in ("host", "port", "security", "auth", "pipelining", "login")} == {
        "host": "localhost",
        "port": postfix.port,
        "security": "starttls",
        "auth": [],
        "pipelining": True,
        "login": "none is configured",
    }
    assert server["size"] == 10_240_000
    assert server["greeting"].endswith("ESMTP Postfix")


def test_what_the_server_does_not_take_is_an_error(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    small = make_postfix(message_size_limit="20000", smtputf8_enable="no")
    folder = clean(campaign_for(small))
    assert problems(folder, "--server", code=0)[0]["rule"] == "server"
    folder.list(["ann@example.test,Ann", "zoë@example.test,Zoë"])
    (folder.folder / "body.txt.j2").write_text(f"Hi\n{'word ' * 5000}\n")
    size, letters, _ = problems(folder, "--server", code=2)
    assert size["message"].endswith(" octets, and the server takes at most 20,000")
    assert letters["message"].startswith("1 message needs SMTPUTF8")
    assert {one["severity"] for one in (size, letters)} == {"error"}


def test_a_window_is_tried(make_postfix: Callable[..., Postfix], campaign_for: Folders) -> None:
    folder = clean(campaign_for(make_postfix()), smtp={"window": 8})
    assert (
        "  window:     8 messages can be unanswered\n"
        in folder.run("check", "campaign.yaml", "--server").stdout
    )
    assert problems(folder, "--server", code=0)[0]["server"]["window"] == 8
    folder = clean(campaign_for(make_postfix(smtpd_discard_ehlo_keywords="chunking")), smtp={"window": 8})
    said = folder.run("check", "campaign.yaml", "--server").stdout
    assert "  window:     not used: the server does not offer CHUNKING and PIPELINING\n" in said
    assert problems(folder, "--server", code=0)[0]["server"]["window"] == 1


def test_a_server_that_cannot_be_reached_is_a_problem(postfix: Postfix, campaign_for: Folders) -> None:
    folder = clean(campaign_for(postfix), smtp={"port": 9})
    [problem] = problems(folder, "--server", code=6)
    assert set(problem) == PROBLEM
    assert (problem["severity"], problem["rule"]) == ("error", "server")
    assert "cannot connect to localhost:9: Connection refused" in problem["message"]
    assert problems(folder, "--server", "--strict", code=6) == [problem]
    checked = folder.run("check", "campaign.yaml", "--server")
    assert checked.returncode == 6
    assert checked.stderr.startswith("error: campaign.yaml:")
    assert checked.stderr.count("\n") == 1
    assert checked.stdout.endswith("campaign.yaml: 1 error\n")
    assert folder.run("check", "campaign.yaml", "--server", "-q").stdout == ""


def test_a_password_file_that_is_missing(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["ann@example.test,Ann"])
    folder.write(smtp={"username": "news", "password_file": "none"}, **CLEAN)
    found = problems(folder, "--server", code=2)
    assert [problem["severity"] for problem in found] == ["warning", "error"]
    assert all("none" in problem["message"] for problem in found)


def test_no_server_is_asked_while_there_are_errors(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["no address,Ann"])
    folder.write(smtp={"port": 9}, **CLEAN)
    assert {problem["rule"] for problem in problems(folder, "--server", code=2)} == {""}


def test_counts_of_one(run: Run) -> None:
    Path("list.csv").write_text("email,city\nanna@exämple.com,Oslo\nöle@example.com,Oslo\n", "utf-8")
    said = run("check", "campaign.yaml")
    assert "2 rows, 2 messages to 2 addresses" in said
    assert "1 of them needs a server with SMTPUTF8" in said


def test_dns_says_what_to_publish(campaign_for: Folders, postfix: Postfix) -> None:
    zone: Zone = {
        ("news.example.org", "MX"): ["10 mail.example.org."],
        ("news.example.org", "TXT"): [txt("v=spf1 -all")],
    }
    folder = clean(campaign_for(postfix))
    with serve(zone) as address:
        checked = folder.run("check", "campaign.yaml", "--dns", "--nameserver", address)
        found = problems(folder, "--dns", "--nameserver", address, code=2)
    assert checked.returncode == 2
    assert "from: the SPF record of news.example.org says that nobody sends mail for it" in checked.stderr
    assert "publish a TXT record at _dmarc.news.example.org: `v=DMARC1; p=none;" in checked.stderr
    assert "  MX of news.example.org: mail.example.org\n" in checked.stdout
    *said, records = found
    assert {one["rule"] for one in said} == {"dns"}
    assert {"error", "warning", "note"} == {one["severity"] for one in said}
    assert records["severity"] == "info"
    assert {"what": "MX of news.example.org", "record": "mail.example.org"} in records["dns"]


def test_dns_of_messages_that_are_signed(campaign_for: Folders, postfix: Postfix) -> None:
    folder = clean(campaign_for(postfix))
    key = Ed25519PrivateKey.generate()
    (folder.folder / "dkim.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    folder.write(**CLEAN, dkim={"domain": "news.example.org", "selector": "s1", "key_file": "dkim.pem"})
    with serve({("news.example.org", "MX"): ["10 mail.example.org."]}) as address:
        checked = folder.run("check", "campaign.yaml", "--dns", "--nameserver", address)
    assert "s1._domainkey.news.example.org" in checked.stderr, checked.stderr
    assert "  MX of news.example.org: mail.example.org\n" in checked.stdout


def test_dns_that_does_not_answer_is_said_once_and_without_a_table(
    campaign_for: Folders, postfix: Postfix
) -> None:
    folder = clean(campaign_for(postfix))
    kinds = [("news.example.org", kind) for kind in ("MX", "TXT", "A", "AAAA")]
    broken: Zone = dict.fromkeys([*kinds, ("_dmarc.news.example.org", "TXT")])
    with serve(broken) as address:
        checked = folder.run("check", "campaign.yaml", "--dns", "--nameserver", address)
    said = checked.stderr.splitlines()
    assert len(said) == len(set(said)) > 0
    assert "DNS\n" not in checked.stdout


def test_a_nameserver_that_is_none_is_an_error(campaign_for: Folders, postfix: Postfix) -> None:
    checked = clean(campaign_for(postfix)).run(
        "check", "campaign.yaml", "--dns", "--nameserver", "example.com"
    )
    assert checked.returncode == 2
    assert "'example.com' is no IP address of a DNS server" in checked.stderr


def test_spam_tells_the_worst_row_and_its_rules(campaign_for: Folders, postfix: Postfix) -> None:
    need("spamassassin")
    folder = clean(campaign_for(postfix))
    gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    rows = [f"ann{number}@example.test,{gtube if number == 1 else 'Ann'}" for number in range(1, 4)]
    folder.list(["fine@example.test,Fine", *rows])
    checked = folder.run("check", "campaign.yaml", "--spam")
    assert checked.returncode == 0, checked.stderr
    assert "SpamAssassin: 4 messages judged; the worst is row 2 (" in checked.stdout
    assert "  GTUBE: BODY: Generic Test for Unsolicited Bulk Email\n" in checked.stdout
    assert "SpamAssassin calls row 2 spam:" in checked.stderr
    *_, judged = problems(folder, "--spam", code=0)
    assert (judged["severity"], judged["spam"]["row"], judged["spam"]["judged"]) == ("info", 2, 4)


def test_without_spamassassin_its_absence_is_a_note(
    campaign_for: Folders, postfix: Postfix, tmp_path: Path
) -> None:
    folder = clean(campaign_for(postfix))
    checked = folder.run("check", "campaign.yaml", "--spam", env={"PATH": str(tmp_path)})
    assert checked.returncode == 0
    assert ": note: templates: SpamAssassin is not installed, so nothing was judged" in checked.stderr


def test_one_is_not_many_in_plans_and_rehearsals(run: Run) -> None:
    Path("list.csv").write_text("email,city\nann@example.com,Oslo\nnobody,Bergen\n")
    plan = run("send", "campaign.yaml", "--dry-run", "--skip-bad-rows")
    assert "1 bad row, skipped" in plan
    assert "HTML PAGE" not in plan
    Path("body.html").write_text("<p>Hello</p>")
    text = Path("campaign.yaml").read_text()
    Path("campaign.yaml").write_text(text.replace("{text: body.txt}", "{html: body.html}"))
    plan = run("send", "campaign.yaml", "--dry-run", "--skip-bad-rows")
    assert "bytes; campaign preview campaign.yaml --open shows it" in plan
    Path("campaign.yaml").write_text(text)
    rehearsal = "campaign.yaml", "--skip-bad-rows"
    said = run("rehearse", *rehearsal, code=5, out=True)
    assert "rehearsing 1 message on localhost" in said
    assert "the server took 1 message for 1 address in" in said
    assert "1 session over STARTTLS" in said


def test_check_sees_every_row_and_send_the_first_ones(campaign_for: Folders, postfix: Postfix) -> None:
    folder = clean(campaign_for(postfix))
    rows = [f"p{number}@example.test,Ann" for number in range(1, MOST_CHECKED + 1)]
    folder.list([*rows, "last@example.test,{{ who }}"])
    checked = folder.run("check", "campaign.yaml")
    assert f"(row {MOST_CHECKED + 1})" in checked.stderr
    assert "shows {{" not in folder.run("send", "campaign.yaml", "--dry-run").stderr
    folder.list(["first@example.test,{{ who }}", *rows])
    assert "shows {{" in folder.run("send", "campaign.yaml", "--dry-run").stderr


def test_a_problem_that_quotes_a_long_cell_is_shortened(run: Run) -> None:
    """Its place and the row stay."""
    Path("list.csv").write_text(f"email,city\nann@example.com,{'x' * 100_000}\n")
    text = Path("campaign.yaml").read_text()
    Path("campaign.yaml").write_text(text + 'attachments: ["{{ city }}.pdf"]\n')
    said = run("check", "campaign.yaml", code=2)
    assert len(said) < 3000
    assert said.startswith("error: campaign.yaml:")
    assert "(row 1, line 2 of the list)" in said
