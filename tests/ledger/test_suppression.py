"""The suppression list: no command mails anybody on it; it can be edited, imported and exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.address import AddressError
from campaign.campaignfile.location import Location
from campaign.ledger import Ledger, Suppression, parse_pattern
from tests.e2e.folder import CampaignFolder
from tests.ledger.book import NOW, enrol, people, registered, row, send, start, statuses
from tests.servers.postfix import Postfix


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    book = registered(location)
    yield book
    book.close()


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (" Anna@Example.COM ", "anna@example.com"),
        ("example.com", "@example.com"),
        ("@Example.com", "@example.com"),
        ("*@Example.com", "@example.com"),
        (" *@bücher.example ", "@xn--bcher-kva.example"),
        ("Bücher.example", "@xn--bcher-kva.example"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("#" + "0f" * 32, "#" + "0f" * 32),
    ],
)
def test_a_pattern_is_an_address_or_a_domain(text: str, pattern: str) -> None:
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "anna@",
        "@",
        "a@b@c.example",
        "#12",
        "#" + "0z" * 32,
        "#" + "0F" * 32,
        "*@example.com.",
        "@com",
        "*",
        "**@x.test",
        "a*@x.test",
        "*@*.x.test",
        "*.x.test",
        "*x.test",
        "*@",
        "@@x.test",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_pattern(text)


def test_a_domain_pattern_does_not_cover_subdomains(ledger: Ledger) -> None:
    ledger.suppressions.add([Suppression("@example.com", "asked", NOW)])
    assert ledger.is_suppressed("Anna@EXAMPLE.com")
    assert not ledger.is_suppressed("anna@sub.example.com")
    assert not ledger.is_suppressed("anna@notexample.com")


def test_waiting_rows_are_suppressed_and_others_stay(ledger: Ledger) -> None:
    enrol(ledger, [row(1, "Anna@example.com"), row(2, "ben@example.com"), row(3, "cleo@example.org")])
    sending = start(ledger)
    send(ledger, sending, "ben@example.com")
    entries = [
        Suppression("@example.com", "asked", NOW),
        Suppression("anna@example.com", "asked", NOW),
        Suppression("ben@example.com", "asked", NOW),
    ]
    assert ledger.suppressions.add(entries) == ([entry.pattern for entry in entries], 1)
    assert statuses(ledger) == {
        "anna@example.com": "suppressed",
        "ben@example.com": "accepted",
        "cleo@example.org": "pending",
    }
    assert ledger.suppressions.add(entries) == ([], 0)
    assert len(ledger.suppressions) == 3


def test_an_address_that_begins_with_a_number_sign_is_not_a_hash(ledger: Ledger) -> None:
    short, long = "#1fan@example.com", f"#{'1' * 52}@example.com"
    assert len(long) == len("#" + "0f" * 32)
    enrol(ledger, people(short, long, "ben@example.com"))
    entries = [Suppression(parse_pattern(address), "asked", NOW) for address in (short, long)]
    assert ledger.suppressions.add(entries) == ([short, long], 2)
    assert statuses(ledger) == {short: "suppressed", long: "suppressed", "ben@example.com": "pending"}


def test_an_address_removed_from_the_list_is_mailed_by_the_next_send(ledger: Ledger) -> None:
    ledger.suppressions.add([Suppression("anna@example.com", "asked", NOW)])
    assert enrol(ledger, people("anna@example.com")).suppressed == 1
    assert ledger.suppressions.remove(["anna@example.com", "ben@example.com"]) == ["ben@example.com"]
    assert enrol(ledger, people("anna@example.com")).to_send == 1


def test_an_address_suppressed_after_the_list_was_read_is_not_mailed(ledger: Ledger) -> None:
    """For example while the user reads the plan."""
    enrolment = ledger.enrolment()
    enrolment.stage(("email", "city"), people("anna@example.com", "ben@example.com"))
    list(enrolment.drop_duplicates())
    enrolment.recognise()
    assert enrolment.plan().to_send == 2
    ledger.suppressions.add([Suppression("anna@example.com", "asked", NOW)])
    enrolment.apply(NOW)
    assert statuses(ledger) == {"anna@example.com": "suppressed", "ben@example.com": "pending"}


# Through a real server: what leaves, and to whom.


def test_an_enrolment_reports_suppressed_copy_addresses(ledger: Ledger) -> None:
    enrol(ledger, people("ann@x.test", "forgotten@x.test"))
    ledger.suppressions.add(Suppression(one, "asked", NOW) for one in ("boss@x.test", "@blocked.test"))
    ledger.forget("forgotten@x.test", NOW)
    gone = {"Boss@x.test", "any.body@BLOCKED.test", "forgotten@x.test"}
    enrolment = ledger.enrolment()
    assert enrolment.suppressed([*gone, "archive@x.test", "ann@x.test"]) == gone
    assert enrolment.suppressed([]) == set()


@pytest.fixture
def folder(tmp_path: Path, postfix: Postfix) -> Iterator[CampaignFolder]:
    made = CampaignFolder(tmp_path, postfix, cc=["Boss@example.test"], bcc=["archive@archive.test"])
    yield made
    made.close()


def recipients(server: Postfix) -> Counter[str]:
    return Counter(mail.recipient for mail in server.wait_delivered())


def test_no_command_mails_a_suppressed_address(folder: CampaignFolder, postfix: Postfix) -> None:
    people = folder.people(4)
    gone = ["User1@Example.test", "blocked.test", "boss@example.test", "archive.test"]
    folder.list(
        [
            "user1@example.test,One",
            "user2@example.test,Two",
            "somebody@BLOCKED.test,Three",
            "forgotten@example.test,Four",
        ]
    )
    assert folder.run("suppress", "add", *gone).returncode == 0
    assert folder.run("suppress", "add", "forgotten@example.test").returncode == 0
    assert folder.run("forget", "Forgotten@example.test").returncode == 0
    before = postfix.log()

    tests = folder.run("test", "campaign.yaml", "user2@example.test", "USER1@example.test")
    assert tests.returncode == 2
    assert "suppressed" in tests.stderr
    for address in ("x@blocked.test", "forgotten@example.test", "archive@archive.test"):
        assert folder.run("test", "campaign.yaml", address).returncode == 2
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert "3 suppressed, 2 suppressed copies" in sent.stdout
    assert "mails:" not in sent.stdout  # no copy is left
    assert folder.send("--resend-doubt", "--retry-refused").returncode == 0
    folder.write(name="another", cc=["somebody@blocked.test"], bcc=["forgotten@example.test"])
    named = folder.send("--accept", "name")
    assert named.returncode == 0
    assert "2 suppressed copies" in named.stdout

    assert recipients(postfix) == {"user2@example.test": 2}
    log = postfix.log()[len(before) :].lower()
    for address in ("user1@", "blocked.test", "boss@", "archive.test", "forgotten@"):
        assert address not in log
    assert people[1] in log


@pytest.mark.parametrize("suppress", ["auto", "off"])
def test_dead_addresses_are_left_out_of_the_next_campaign(
    make_postfix: Callable[..., Postfix], tmp_path: Path, suppress: str
) -> None:
    faults = {
        "gone@example.test": "550 5.1.1 no such user",
        "moved@example.test": "550 5.1.6 moved",
        "full@example.test": "552 5.2.2 mailbox full",
        "nohost@example.test": "550 5.1.2 no such host",
        "disabled@example.test": "550 5.2.1 disabled",
        "plain@example.test": "550 no",
        "policy@example.test": "550 5.7.1 policy",
    }
    server = make_postfix(recipient_faults=faults)
    folder = CampaignFolder(tmp_path, server, suppress=suppress)
    folder.list([f"{address},X" for address in [*faults, "good@example.test"]])
    assert folder.send().returncode == 3
    dead = {"gone@example.test", "moved@example.test"} if suppress == "auto" else set()
    assert folder.suppressed() == dead
    # A second run reports them as refused, as they were; --retry-refused does not reach dead addresses.
    again = folder.send()
    assert f"{7 - len(dead)} refused earlier (--retry-refused)" in again.stdout
    assert ("2 refused earlier and suppressed (campaign suppress remove)" in again.stdout) == bool(dead)
    assert again.returncode == 3
    assert folder.send("--retry-refused").returncode == 3
    refused = folder.run("export", "campaign.yaml", "--status", "refused").stdout
    assert all(address in refused for address in faults)
    assert "550 5.1.1 <gone@example.test>" in refused

    folder.write(name="another", suppress=suppress)
    sent = folder.send("--accept", "name")
    assert sent.returncode == 3
    assert ("2 suppressed" in sent.stdout) == bool(dead)
    log = server.log()
    for address in faults:
        assert log.count(f"to=<{address}>") == (1 if address in dead else 3)
    assert recipients(server) == {"good@example.test": 2}
