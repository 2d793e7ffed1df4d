"""`campaign resolve`: what is in doubt is listed, and settled by what a person or a log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger import Ledger
from campaign.model import Status
from tests.cli.conftest import ANNA, BEN, CLEO, YAML, Run
from tests.ledger.book import NOW, enrol, intent, message_id, outcome, result, row, send, start, statuses


def test_resolve_lists_what_is_in_doubt(run: Run, ledger: Ledger) -> None:
    said = run("resolve", "campaign.yaml")
    assert CLEO in said
    assert message_id(CLEO) in said
    assert "1 may have arrived" in said
    assert run("resolve", "campaign.yaml", "--accepted", "Cleo@example.com") == "1 settled as accepted\n"
    assert run("resolve", "campaign.yaml") == "nothing is in doubt\n"
    ledger.close()


@pytest.mark.parametrize(("option", "status"), [("--accepted", "accepted"), ("--pending", "pending")])
def test_resolve_settles_all(run: Run, ledger: Ledger, option: str, status: str) -> None:
    assert run("resolve", "campaign.yaml", option, "--all") == f"1 settled as {status}\n"
    assert statuses(ledger)[CLEO] == status
    ledger.close()


def test_resolve_says_who_gets_nothing_all_the_same(run: Run, ledger: Ledger) -> None:
    other = Ledger(ledger.storage, "copies", None)
    enrol(other, [row(1, ANNA), row(2, BEN)])
    sending = start(other)
    send(other, sending, BEN, Status.IN_DOUBT)
    sending.claim(NOW, 1)
    sending.record((), (intent(ANNA, copies=(CLEO,)),))
    sending.record((result(ANNA, copies=(outcome(CLEO, Status.IN_DOUBT),)),), ())
    sending.end(NOW)
    Path("campaign.yaml").write_text(YAML.replace("news", "copies", 1))
    run("suppress", "add", CLEO)
    said = run("resolve", "campaign.yaml", "--pending", "--all")
    assert (
        said == "1 settled as pending\n1 settled as suppressed: who is suppressed or forgotten gets nothing\n"
    )
    ledger.close()


def test_resolve_changes_nothing_by_mistake(run: Run, ledger: Ledger) -> None:
    assert f"{ANNA} is not in doubt; nothing was changed" in run(
        "resolve", "campaign.yaml", "--pending", CLEO, ANNA, code=2
    )
    assert "name addresses or keys" in run("resolve", "campaign.yaml", "--pending", code=2)
    assert "say what became" in run("resolve", "campaign.yaml", CLEO, code=2)
    assert "give only one of" in run("resolve", "campaign.yaml", "--pending", "--accepted", "--all", code=2)
    assert "cannot be read" in run("resolve", "campaign.yaml", "--from-log", "none.log", code=2)
    assert statuses(ledger)[CLEO] == "in_doubt"
    ledger.close()


def test_a_key_names_a_row_too(run: Run, ledger: Ledger) -> None:
    """As it stands in the list: a key that is no address has no other case."""
    other = Ledger(ledger.storage, "keys", None)
    enrol(other, [row(1, CLEO, key="ML-0103"), row(2, CLEO, key="ml-0103"), row(3, BEN, key="X")])
    sending = start(other)
    for key in ("ML-0103", "ml-0103", "X"):
        send(other, sending, key, Status.IN_DOUBT)
    sending.end(NOW)
    Path("campaign.yaml").write_text(YAML.replace("news", "keys", 1))
    assert run("resolve", "campaign.yaml", "--accepted", "ML-0103") == "1 settled as accepted\n"
    assert run("resolve", "campaign.yaml").count(CLEO) == 1
    said = run("resolve", "campaign.yaml", "--pending", "x", "ML-0103", code=2)
    assert "x is not in doubt; nothing was changed" in said
    assert "ML-0103 is not in doubt; nothing was changed" in said
    assert run("resolve", "campaign.yaml", "--pending", CLEO.upper(), "X") == "2 settled as pending\n"


def test_one_is_not_many(run: Run, ledger: Ledger) -> None:
    assert "1 may have arrived. Look for its Message-ID at the server" in run("resolve", "campaign.yaml")
    Path("mail.log").write_text("")
    said = run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert said == "0 settled as accepted; 1 is not in mail.log and stays in doubt\n"


@pytest.mark.parametrize("status", [Status.IN_DOUBT, Status.DEFERRED, Status.PENDING])
def test_a_copy_has_its_row_s_message_id_and_is_settled_where_the_log_names_it(
    run: Run, ledger: Ledger, status: Status
) -> None:
    """The log of a ledger that was restored: one copy left since, the other never did."""
    other = Ledger(ledger.storage, "copies", None)
    enrol(other, [row(1, ANNA)])
    sending = start(other)
    sending.claim(NOW, 1)
    sending.record((), (intent(ANNA, copies=(BEN, CLEO)),))
    owed = tuple(outcome(address, status) for address in (BEN, CLEO))
    sending.record((result(ANNA, copies=owed),), ())
    sending.end(NOW)
    Path("campaign.yaml").write_text(YAML.replace("news", "copies", 1))
    lines = [
        f"2026-11-28T10:00:0{n} host postfix/{line}"
        for n, mail in enumerate((ANNA, BEN.upper()))
        for line in (
            f"cleanup[1]: 4ABCDE{n}: message-id={message_id(ANNA)}",
            f"qmgr[2]: 4ABCDE{n}: from=<news@example.com>, size=9, nrcpt=1 (queue active)",
            f"smtp[3]: 4ABCDE{n}: to=<{mail}>, relay=mx.example.com, dsn=2.0.0, status=sent (250 ok)",
        )
    ]
    Path("mail.log").write_text("\n".join(lines) + "\n")
    said = run("resolve", "campaign.yaml", "--from-log", "mail.log")
    if status is Status.IN_DOUBT:
        assert said == "1 settled as accepted; 1 is not in mail.log and stays in doubt\n"
    else:
        assert "1 message that waited had been sent before: settled as accepted" in said
    left = {copy.address: copy.status for copy in other.history.copies(NOW, tuple(Status))}
    assert left == {BEN: Status.ACCEPTED, CLEO: status}


def test_a_device_is_no_log(run: Run, ledger: Ledger) -> None:
    said = run("resolve", "campaign.yaml", "--from-log", "/dev/zero", code=2)
    assert "/dev/zero is a device, and a server's log is expected" in said
