"""Failures of servers and recipients: the right status, the right exit code, plain words."""

from __future__ import annotations

import base64
import re
import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from campaign.model import Status
from tests.e2e.folder import Folders
from tests.servers.certificates import Kind
from tests.servers.postfix import RECIPIENT_FAULTS, SENDER_FAULTS, Postfix

LOGIN = {"username": "news", "password_env": "SMTP_PASSWORD"}
FAULTS = {
    **RECIPIENT_FAULTS,
    "dead.test": "550 5.1.1 no such user",
    "policy.test": "550 5.7.1 we do not like you",
    "quota.test": "550 5.4.5 daily sending quota exceeded",
}


@pytest.fixture(scope="module")
def server(make_postfix: Callable[..., Postfix]) -> Postfix:
    return make_postfix(recipient_faults=FAULTS, message_size_limit=2000)


@pytest.fixture(scope="module")
def login_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    return make_postfix(auth=True)


@pytest.fixture(scope="module")
def changing_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """A server for tests that change its settings; each begins by setting what it needs."""
    # Otherwise Postfix's master starts no smtpd for a minute after one was killed, as `reload` does.
    return make_postfix(service_throttle_time="1s")


def received(server: Postfix, *addresses: str) -> Counter[str]:
    """Return how many messages each of these addresses has received."""
    counts = Counter(mail.recipient for mail in server.wait_delivered())
    return Counter({address: counts[address] for address in addresses if counts[address]})


def speaks_plainly(ended: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in ended.stderr
    assert "bug in campaign" not in ended.stderr
    for line in ended.stderr.splitlines():
        assert re.match(r"error: |\S+: warning: |.*; waiting ", line), line


# The session cannot be opened


@pytest.mark.parametrize("connections", [1, 4])
def test_a_wrong_password_is_tried_once(
    login_server: Postfix, campaign_for: Folders, connections: int
) -> None:
    folder = campaign_for(login_server, smtp={**LOGIN, "connections": connections})
    folder.people(10)
    folder.env["SMTP_PASSWORD"] = "not-the-secret"
    before = login_server.log().count("authentication failed")
    sent = folder.send("--log", "attempts.jsonl", "--verbose")
    assert sent.returncode == 6
    assert login_server.log().count("authentication failed") == before + 1
    speaks_plainly(sent)
    assert re.search(
        r"^error: campaign.yaml:\d+:\d+: smtp.password_env: localhost:\d+: .*refused the login: 535",
        sent.stderr,
        re.MULTILINE,
    )
    assert "0 of 10 accepted" in sent.stdout
    assert "to resume: campaign send campaign.yaml" in sent.stdout
    for secret in ("not-the-secret", base64.b64encode(b"\0news\0not-the-secret").decode()):
        assert secret not in sent.stdout + sent.stderr
        for file in folder.folder.iterdir():
            assert secret.encode() not in file.read_bytes(), file
    assert folder.counts() == {"pending": 10}
    for command in (("check", "campaign.yaml", "--server"), ("test", "campaign.yaml", "me@example.test")):
        tried = folder.run(*command)
        assert tried.returncode == 6
        assert re.search(r"^error: campaign.yaml:\d+:\d+: smtp.password_env: ", tried.stderr, re.MULTILINE)

    folder.env["SMTP_PASSWORD"] = "secret"
    assert folder.send().returncode == 0
    assert folder.counts() == {"accepted": 10}


def test_a_missing_password_stops_the_send_before_connecting(
    login_server: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(login_server, smtp=LOGIN)
    folder.people(2)
    del folder.env["SMTP_PASSWORD"]
    before = login_server.log().count("authentication failed")
    sent = folder.send()
    assert sent.returncode == 2
    speaks_plainly(sent)
    missing = "smtp.password_env: the environment variable SMTP_PASSWORD is not set"
    assert re.search(rf"^error: campaign.yaml:\d+:\d+: {missing}$", sent.stderr, re.MULTILINE)
    checked = folder.run("check", "campaign.yaml", "--server")
    assert checked.returncode == 0
    warned = r"^campaign.yaml:\d+:\d+: warning: smtp.password_env: .*SMTP_PASSWORD is not set or empty"
    assert re.search(warned, checked.stderr, re.MULTILINE)
    assert folder.run("check", "campaign.yaml", "--server", "--strict").returncode == 2
    assert login_server.log().count("authentication failed") == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.WRONG_NAME, "is for mail.example.com: write the name in the certificate as `smtp.host`"),
        (Kind.EXPIRED, "has expired: its owner must renew it"),
        (Kind.SELF_SIGNED, "is self-signed"),
    ],
)
def test_a_wrong_certificate_ends_the_send(
    make_postfix: Callable[..., Postfix], campaign_for: Folders, kind: Kind, words: str
) -> None:
    server = make_postfix(kind=kind)
    for port, security in ((server.port, "starttls"), (server.tls_port, "tls")):
        folder = campaign_for(server, smtp={"port": port, "security": security})
        folder.people(2)
        sent = folder.send()
        assert sent.returncode == 6
        speaks_plainly(sent)
        assert f"localhost:{port}: the certificate of localhost {words}" in sent.stderr
        assert "next try" not in sent.stderr  # another would not help
        assert folder.counts() == {"pending": 2}


def test_a_certificate_of_an_unknown_authority_ends_the_send(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server, smtp={"ca_file": None})
    folder.people(2)
    sent = folder.send()
    assert sent.returncode == 6
    speaks_plainly(sent)
    assert "comes from an authority that this machine does not know" in sent.stderr
    assert "smtp.ca_file" in sent.stderr
    checked = folder.run("check", "campaign.yaml", "--server")
    assert checked.returncode == 6
    assert "campaign.yaml: 1 error" in checked.stdout
    assert "smtp.ca_file" in checked.stderr


def test_without_starttls_nothing_is_sent_in_the_clear(
    changing_server: Postfix, campaign_for: Folders
) -> None:
    changing_server.reload(smtpd_discard_ehlo_keywords="starttls")
    folder = campaign_for(changing_server)
    folder.people(2)
    sent = folder.send()
    changing_server.reload(smtpd_discard_ehlo_keywords="")
    assert sent.returncode == 6
    speaks_plainly(sent)
    assert "STARTTLS: the server does not offer STARTTLS, and nothing is sent without it" in sent.stderr
    assert folder.counts() == {"pending": 2}
    disconnect = [line for line in changing_server.log().splitlines() if " disconnect from " in line][-1]
    assert "mail=" not in disconnect
    assert "auth=" not in disconnect


def test_a_server_that_cannot_be_reached_ends_the_send(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server, smtp={"port": 1, "connections": 3})
    folder.people(3)
    folder.hasty = True
    sent = folder.send()
    assert sent.returncode == 6
    speaks_plainly(sent)
    refused = "cannot connect to localhost:1: Connection refused"
    said = [line.partition(";")[0].partition(" (attempt")[0] for line in sent.stderr.splitlines()]
    assert said == [refused, f"error: {refused}"]
    assert folder.counts() == {"pending": 3}
    tested = folder.run("test", "campaign.yaml", "me@example.test")
    assert tested.returncode == 6
    assert tested.stderr == f"error: {refused}\n"


# One recipient


def test_refused_and_deferred_recipients(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server)
    folder.list(
        ["anna@example.test,Anna", "bad@example.test,Bad", "ben@example.test,Ben", "defer@example.test,D"]
    )
    server.empty()
    sent = folder.send("--log", "attempts.jsonl")
    assert sent.returncode == 3
    speaks_plainly(sent)
    assert folder.addresses(Status.ACCEPTED) == {"anna@example.test", "ben@example.test"}
    assert folder.addresses(Status.REFUSED) == {"bad@example.test", "defer@example.test"}
    assert folder.reply("bad@example.test").startswith("550 5.1.1")
    assert folder.reply("defer@example.test").startswith("gave up after 3 attempts: 450 4.2.1")
    assert folder.suppressed() == {"bad@example.test"}
    assert Counter(mail.recipient for mail in server.wait_delivered()) == {
        "anna@example.test": 1,
        "ben@example.test": 1,
    }
    assert "2 of 4 accepted" in sent.stdout
    assert "(no such mailbox)" in sent.stdout
    assert "campaign export campaign.yaml --status refused" in sent.stdout
    exported = folder.run("export", "campaign.yaml", "--status", "refused")
    assert [line.split(",")[:3] for line in exported.stdout.splitlines()] == [
        ["email", "name", "campaign_status"],
        ["bad@example.test", "Bad", "refused"],
        ["defer@example.test", "D", "refused"],
    ]
    attempts = (folder.folder / "attempts.jsonl").read_text()
    assert attempts.count("defer@example.test") >= 3

    again = folder.send()  # nothing was sent, and refused rows stay refused
    assert again.returncode == 3
    assert "0 to send" in again.stdout


def test_deferred_and_accepted_later(changing_server: Postfix, campaign_for: Folders) -> None:
    changing_server.reload(recipient_faults={"late@example.test": "450 4.2.1 busy"})
    changing_server.empty()
    folder = campaign_for(changing_server, retry={"attempts": 90, "first_delay": "0.2s", "max_delay": "0.4s"})
    folder.list(["anna@example.test,Anna", "late@example.test,Late", "ben@example.test,Ben"])
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.DEFERRED)
    changing_server.reload(recipient_faults={})
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "3 of 3 accepted" in stdout
    assert stderr == ""
    assert Counter(mail.recipient for mail in changing_server.wait_delivered(3)) == {
        "anna@example.test": 1,
        "late@example.test": 1,
        "ben@example.test": 1,
    }


def test_421_ends_the_session_and_others_get_their_mail(server: Postfix, campaign_for: Folders) -> None:
    """The row that causes it every time is charged for it in the end."""
    folder = campaign_for(server)
    folder.hasty = True
    folder.list(["a@example.test,A", "bye@example.test,Bye", "b@example.test,B", "c@example.test,C"])
    server.empty()
    connected = server.log().count(" connect from")
    sent = folder.send()
    assert sent.returncode == 3, sent.stderr
    speaks_plainly(sent)
    assert "gave up after 3 attempts: 421 4.7.0" in folder.reply("bye@example.test")
    assert folder.counts() == {"accepted": 3, "refused": 1}
    assert folder.rows("SELECT attempts, spared FROM messages WHERE email = 'bye@example.test'") == [(3, 2)]
    assert folder.suppressed() == set()
    # One with a, one with b and c, and those that carried nothing.
    assert server.log().count(" connect from") - connected <= 7
    assert received(server, "a@example.test", "b@example.test", "c@example.test") == {
        "a@example.test": 1,
        "b@example.test": 1,
        "c@example.test": 1,
    }

    folder.list(["a@example.test,A", "b@example.test,B", "c@example.test,C", "d@example.test,D"])
    again = folder.send()
    assert again.returncode == 0
    assert folder.counts() == {"accepted": 4, "withdrawn": 1}


def test_421_at_every_dot(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server, **{"from": "News <e421@x.test>"})
    folder.hasty = True
    folder.people(8)
    connected = server.log().count(" connect from")
    sent = folder.send()
    assert sent.returncode == 6
    speaks_plainly(sent)
    assert "421 4.7.0 <e421@x.test>" in sent.stderr
    assert folder.counts() == {"pending": 8}
    assert folder.rows("SELECT max(attempts) FROM messages") == [(0,)]
    assert server.log().count(" connect from") - connected == 5


PIPELINING = pytest.mark.parametrize("discarded", ["", "pipelining"], ids=["pipelined", "lock-step"])


@PIPELINING
def test_a_full_server_slows_us_down_and_nobody_is_charged(
    changing_server: Postfix, campaign_for: Folders, discarded: str
) -> None:
    changing_server.reload(
        recipient_faults={}, sender_faults=SENDER_FAULTS, smtpd_discard_ehlo_keywords=discarded
    )
    changing_server.empty()
    folder = campaign_for(changing_server, **{"from": "News <e452@x.test>"})
    addresses = folder.people(4)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.DEFERRED, 2)
    changing_server.reload(sender_faults={})
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stdout + stderr
    assert folder.rows("SELECT max(attempts) FROM messages") == [(1,)]  # the one that was accepted
    assert Counter(mail.recipient for mail in changing_server.wait_delivered(4)) == dict.fromkeys(
        addresses, 1
    )


def test_a_server_that_limits_the_rate_is_obeyed(changing_server: Postfix, campaign_for: Folders) -> None:
    changing_server.reload(
        recipient_faults={},
        smtpd_client_message_rate_limit=3,
        smtpd_client_event_limit_exceptions="",
        anvil_rate_time_unit="2s",
    )
    changing_server.empty()
    folder = campaign_for(changing_server)
    addresses = folder.people(8)
    sent = folder.send()
    changing_server.reload(smtpd_client_message_rate_limit=0)
    assert sent.returncode == 0, sent.stderr + sent.stdout
    assert "rate limit exceeded" in changing_server.log()
    assert Counter(mail.recipient for mail in changing_server.wait_delivered(8)) == dict.fromkeys(
        addresses, 1
    )


def test_a_message_that_is_too_large_is_refused(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server)
    folder.list(["a@example.test,A", "large@example.test,Large", "c@example.test,C"])
    (folder.folder / "body.txt.j2").write_text(
        "Dear {{ name }},\n{% if name == 'Large' %}{{ 'a line of it\n' * 300 }}{% endif %}\n"
    )
    sent = folder.send()
    assert sent.returncode == 3
    speaks_plainly(sent)
    assert folder.counts() == {"accepted": 2, "refused": 1}
    assert "and the server takes at most 2000" in folder.reply("large@example.test")
    assert folder.suppressed() == set()


# The campaign pauses


def test_policy_refusals_in_a_row_pause_the_campaign(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server)
    rows = [f"user{n}@{'policy' if n > 1 else 'example'}.test,P" for n in range(1, 8)]
    folder.list(rows)
    sent = folder.send()
    assert sent.returncode == 5
    speaks_plainly(sent)
    assert "3 refusals in a row are about the sender or a policy" in sent.stderr
    assert "campaign send campaign.yaml --retry-refused" in sent.stdout
    assert folder.counts() == {"accepted": 1, "pending": 3, "refused": 3}
    assert folder.suppressed() == set()

    folder.list(f"user{n}@example.test,P" for n in range(1, 8))  # other keys: as if they had moved
    assert folder.send().returncode == 0
    assert folder.counts() == {"accepted": 7, "withdrawn": 6}


@PIPELINING
def test_content_refused_at_every_dot_pauses_the_campaign(
    changing_server: Postfix, campaign_for: Folders, discarded: str
) -> None:
    changing_server.reload(sender_faults=SENDER_FAULTS, smtpd_discard_ehlo_keywords=discarded)
    folder = campaign_for(changing_server, **{"from": "News <e554@x.test>"})
    folder.people(8)
    sent = folder.send()
    assert sent.returncode == 5
    speaks_plainly(sent)
    assert "554 5.7.1 <e554@x.test>" in sent.stderr
    assert folder.counts() == {"pending": 5, "refused": 3}
    assert folder.suppressed() == set()
    # What followed a refusal in the same flight is not a verdict.
    assert folder.rows("SELECT count(*) FROM messages WHERE reply LIKE '503%'") == [(0,)]


def test_too_many_refusals_pause_the_campaign(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server, stop_when={"refused": "20%"})
    folder.list(f"user{n}@{'dead' if n % 3 == 0 else 'example'}.test,P" for n in range(90))
    sent = folder.send()
    assert sent.returncode == 5
    speaks_plainly(sent)
    assert "17 of the last 50 were refused, more than `stop_when.refused` allows" in sent.stderr
    counts = folder.counts()
    assert counts["accepted"] + counts["refused"] <= 51  # one was in flight
    folder.write(stop_when={"refused": "100%"})
    assert folder.send().returncode == 3
    assert folder.counts() == {"accepted": 60, "refused": 30}


def test_a_quota_pauses_the_campaign(server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(server)
    folder.list(["a@example.test,A", "b@quota.test,B", "c@example.test,C"])
    sent = folder.send()
    assert sent.returncode == 5
    speaks_plainly(sent)
    assert "the server says that the quota is used up: 550 5.4.5" in sent.stderr
    assert folder.counts() == {"accepted": 1, "pending": 2}
    assert folder.rows("SELECT max(attempts) FROM messages WHERE status = 'pending'") == [(0,)]
