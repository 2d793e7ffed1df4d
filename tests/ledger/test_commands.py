"""status, export, resolve, forget and the names of campaigns, from the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.cli import main
from campaign.ledger import Ledger
from campaign.model import Status
from campaign.sending.job import other_file
from tests.ledger.book import (
    NOW,
    enrol,
    files,
    intent,
    message_id,
    people,
    result,
    row,
    send,
    start,
    statuses,
)
from tests.ledger.namespace import ROOT

YAML = """
name: news
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt}
smtp: {host: localhost, port: 9}
"""
ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("campaign.yaml").write_text(YAML)
    Path("list.csv").write_text(f"email,city\n{ANNA},Oslo\n{BEN},Bergen\n")
    Path("body.txt").write_text("Hello\n")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the folder, and return what it says: on stderr, where it fails."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        found = main([*arguments])
        said = capsys.readouterr()
        assert found == code, said.err
        return said.err if code else said.out

    return run


@pytest.fixture
def ledger() -> Ledger:
    """Anna was accepted, Ben refused; Cleo is in doubt."""
    book = Ledger.open(Path("ledger.db"), "news", Path("campaign.yaml").absolute())
    rows = [row(1, ANNA), row(2, BEN, city='Bergen, "west"\n5003'), row(3, CLEO)]
    enrol(book, rows)
    sending = start(book)
    send(book, sending, ANNA)
    sending.record((), (intent(BEN),))
    sending.record((result(BEN, Status.REFUSED, reply="550 5.1.1 no\r\n such user"),), ())
    send(book, sending, CLEO, Status.IN_DOUBT)
    sending.end(NOW)
    return book


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


# status


def test_status_before_anything_was_sent(run: Run) -> None:
    assert run("status", "campaign.yaml") == "news: nothing was sent yet\n"
    found = json.loads(run("status", "campaign.yaml", "--json"))
    assert set(found["counts"]) == set(Status)
    assert not any(found["counts"].values())
    assert found["sending"] is None
    assert run("status", "campaign.yaml", "--watch").endswith("news: nothing was sent yet\n")
    assert not Path("ledger.db").exists()


def test_status_of_a_campaign_that_the_ledger_does_not_know(run: Run, ledger: Ledger) -> None:
    Path("campaign.yaml").write_text(YAML.replace("news", "letters", 1))
    assert run("status", "campaign.yaml") == "letters: nothing was sent yet\n"
    ledger.close()


def test_status_says_where_it_stands(run: Run, ledger: Ledger) -> None:
    said = run("status", "campaign.yaml")
    assert "news: 1 of 3 accepted" in said
    assert "campaign resolve campaign.yaml" in said
    assert json.loads(run("status", "campaign.yaml", "--json"))["counts"]["in_doubt"] == 1
    ledger.close()


def test_status_watches_until_nobody_is_sending(ledger: Ledger) -> None:
    sending = start(ledger, time.time_ns())
    watching = subprocess.Popen(
        [sys.executable, "-m", "campaign", "status", "campaign.yaml", "--watch"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "news: 1 of 3 accepted" in first
    assert ledger.settle_doubt(Status.ACCEPTED, [CLEO], "by hand", NOW) == 1
    sending.end(time.time_ns())
    rest = watching.communicate(timeout=30)[0]
    assert "news: 2 of 3 accepted" in rest
    assert watching.returncode == 0
    ledger.close()


# export


def test_an_export_is_a_list(run: Run, ledger: Ledger) -> None:
    """With its line breaks, quotes and commas; corrected, it is sent again."""
    found = table(run("export", "campaign.yaml", "--status", "refused,in_doubt"))
    assert found == [
        {
            "email": BEN,
            "city": 'Bergen, "west"\n5003',
            "campaign_status": "refused",
            "campaign_reply": "550 5.1.1 no such user",
        },
        {"email": CLEO, "city": "Oslo", "campaign_status": "in_doubt", "campaign_reply": "250 2.0.0 Ok"},
    ]
    assert run("export", "campaign.yaml", "--status", "Refused, in-doubt", "-o", "again.csv") == ""
    assert table(Path("again.csv").read_text()) == found
    Path("again.yaml").write_text(YAML.replace("list.csv", "again.csv").replace("news", "again", 1))
    assert "2 to send" in run("send", "again.yaml", "--dry-run")
    ledger.close()


def test_an_export_of_everything_and_of_nothing(run: Run, ledger: Ledger) -> None:
    assert [found["email"] for found in table(run("export", "campaign.yaml"))] == [ANNA, BEN, CLEO]
    assert (
        run("export", "campaign.yaml", "--status", "deferred")
        == "email,city,campaign_status,campaign_reply\n"
    )
    assert "'refussed' is none of pending" in run("export", "campaign.yaml", "--status", "refussed", code=2)
    assert "cannot be written" in run("export", "campaign.yaml", "-o", "none/out.csv", code=2)
    ledger.close()


def test_an_export_before_anything_was_sent(run: Run) -> None:
    assert "there is no ledger yet: nothing was sent" in run("export", "campaign.yaml", code=2)


def test_an_exported_list_that_is_exported_again_has_its_columns_once(run: Run, ledger: Ledger) -> None:
    columns = ("email", "city", "campaign_status", "campaign_reply")
    rows = [row(1, ANNA)]
    rows = [type(r)(r.number, r.line, r.key, r.email, r.name, dict.fromkeys(columns, "x")) for r in rows]
    again = Ledger(ledger.database, "again", None)
    enrol(again, rows, columns=columns)
    Path("campaign.yaml").write_text(YAML.replace("news", "again", 1))
    assert run("export", "campaign.yaml").splitlines() == [",".join(columns), "x,x,pending,"]
    ledger.close()


# resolve


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


def test_resolve_changes_nothing_by_mistake(run: Run, ledger: Ledger) -> None:
    assert f"{ANNA} is not in doubt; nothing was changed" in run(
        "resolve", "campaign.yaml", "--pending", CLEO, ANNA, code=2
    )
    assert "say whose" in run("resolve", "campaign.yaml", "--pending", code=2)
    assert "say what is true" in run("resolve", "campaign.yaml", CLEO, code=2)
    assert "give one of" in run("resolve", "campaign.yaml", "--pending", "--accepted", "--all", code=2)
    assert "cannot be read" in run("resolve", "campaign.yaml", "--from-log", "none.log", code=2)
    assert statuses(ledger)[CLEO] == "in_doubt"
    ledger.close()


# forget


def test_forget_leaves_the_other_commands_working(run: Run, ledger: Ledger) -> None:
    for address in ("Anna@example.com", CLEO, "nobody@example.com"):
        said = run("forget", address)
        assert ("0 rows" if address.startswith("nobody") else "1 row") + " of the ledger forgotten" in said
    ledger.close()
    assert b"anna" not in files(Path("ledger.db")).lower()
    assert "1 of 3 accepted" in run("status", "campaign.yaml")
    assert [found["email"] for found in table(run("export", "campaign.yaml"))] == [BEN]
    assert "(forgotten)" in run("resolve", "campaign.yaml")
    log = f"x postfix/cleanup[1]: 4ABC: message-id={message_id(CLEO)}\n"
    log += "x postfix/smtp[1]: 4ABC: to=<x>, status=sent (250 ok)\n"
    Path("mail.log").write_text(log)
    run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert run("report", "campaign.yaml", "-o", "page.html") is not None
    said = run("suppress", "list")
    assert said.count("forgotten") == 3
    assert "anna" not in said
    assert "1 removed" in run("suppress", "remove", ANNA)


def test_forget_during_a_send_waits_for_it(ledger: Ledger) -> None:
    sending = start(ledger, time.time_ns())
    forgetting = subprocess.Popen(
        [sys.executable, "-m", "campaign", "forget", ANNA],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert forgetting.stdout is not None
    assert "1 row of the ledger forgotten" in forgetting.stdout.readline()
    assert forgetting.poll() is None
    sending.heartbeat(time.time_ns())
    assert forgetting.communicate(timeout=30) == ("", "")
    assert forgetting.returncode == 0
    assert b"anna" not in files(Path("ledger.db")).lower()
    sending.end(NOW)
    ledger.close()


# Campaigns and ledgers, and what they are called.


def test_two_files_of_one_name_are_noticed(run: Run, ledger: Ledger) -> None:
    ledger.close()
    shutil.copy("campaign.yaml", "copy.yaml")
    said = run("send", "copy.yaml", "--yes", code=2)
    assert "copy.yaml:2:7: name: " in said
    assert "campaign.yaml has this name too, in the same ledger" in said


def test_a_file_that_was_renamed_takes_its_history_along(ledger: Ledger, folder: Path) -> None:
    ledger.close()
    Path("campaign.yaml").rename("spring.yaml")
    again = Ledger.open(Path("ledger.db"), "news", folder / "spring.yaml")
    assert other_file(load(Path("spring.yaml")), again.known_file) is None
    again.adopt(["the address"])
    assert again.history.summary(NOW).counts[Status.ACCEPTED] == 1
    again.close()
    # Another campaign may have the old file's name then.
    Path("campaign.yaml").write_text(YAML.replace("news", "summer", 1))
    once_more = Ledger.open(Path("ledger.db"), "news", folder / "spring.yaml")
    assert other_file(load(Path("spring.yaml")), once_more.known_file) is None
    once_more.close()


@pytest.mark.parametrize("change", ["another name", "another ledger", "copied with its ledger", "a link"])
def test_files_that_are_no_double(ledger: Ledger, folder: Path, change: str) -> None:
    ledger.close()
    file, path = folder / "copy.yaml", folder / "ledger.db"
    shutil.copy("campaign.yaml", file)
    match change:
        case "another name":
            Path("campaign.yaml").write_text(YAML.replace("news", "summer", 1))
        case "another ledger":
            Path("campaign.yaml").write_text(f"{YAML}\nledger: other.db\n")
        case "copied with its ledger":
            copied = shutil.copytree(folder, folder / "copied")
            file, path = copied / "campaign.yaml", copied / "ledger.db"
        case "a link":
            file.unlink()
            file.symlink_to("campaign.yaml")
    again = Ledger.open(path, "news", file)
    assert other_file(load(file), again.known_file) is None
    again.close()


def test_a_double_whose_file_is_broken_is_noticed_all_the_same(ledger: Ledger, folder: Path) -> None:
    ledger.close()
    shutil.copy("campaign.yaml", "copy.yaml")
    Path("campaign.yaml").write_text("name: [")
    again = Ledger.open(Path("ledger.db"), "news", folder / "copy.yaml")
    assert other_file(load(Path("copy.yaml")), again.known_file) == folder / "campaign.yaml"
    again.close()


def test_campaigns_of_a_ledger_and_ledgers_of_a_folder_do_not_mix(run: Run, ledger: Ledger) -> None:
    other = Ledger(ledger.database, "letters", None)
    enrol(other, people(ANNA))
    assert ledger.history.summary(NOW).counts[Status.PENDING] == 0
    assert other.history.summary(NOW).counts == {**dict.fromkeys(Status, 0), Status.PENDING: 1}
    assert enrol(other, []).withdrawn == 1
    assert statuses(ledger)[CLEO] == "in_doubt"
    ledger.close()
    Path("second.yaml").write_text(f"{YAML}\nledger: second.db\n")
    assert run("status", "second.yaml") == "news: nothing was sent yet\n"
    assert run("suppress", "add", "--campaign", "second.yaml", ANNA) is not None
    assert run("suppress", "list") == ""
    assert ANNA in run("suppress", "list", "--ledger", "second.db")
    assert "give one of them" in run("suppress", "list", "--ledger", "x", "--campaign", "second.yaml", code=2)


def test_rows_told_apart_by_something_else_are_not_mailed_again_by_mistake(run: Run, ledger: Ledger) -> None:
    ledger.adopt(["the address"])
    ledger.close()
    by_city = YAML.replace("recipients: list.csv", "recipients: {csv: list.csv, key: city}")
    Path("campaign.yaml").write_text(by_city)
    for arguments in (["--dry-run"], ["--yes"]):
        said = run("send", "campaign.yaml", *arguments, code=2)
        assert "campaign.yaml:3:34: recipients.key: rows were told apart by the address" in said
        assert "and now by `city`: those would be mailed again" in said
    Path("campaign.yaml").write_text(by_city.replace("news", "another", 1))
    assert "2 to send" in run("send", "campaign.yaml", "--dry-run")
    # The address is the address, whatever its column is called.
    Path("list.csv").write_text(f"Mail\n{ANNA}\n")
    Path("campaign.yaml").write_text(YAML.replace("list.csv", "{csv: list.csv, email: Mail}"))
    assert "1 accepted earlier" in run("send", "campaign.yaml", "--dry-run")


def test_two_renamed_campaigns_keep_their_rows_apart(ledger: Ledger) -> None:
    """A new `name` is a new campaign: everybody is to be mailed again, and the plan says so."""
    other = Ledger(ledger.database, "renamed", None)
    assert enrol(other, people(ANNA, BEN, CLEO)).new == 3
    ledger.close()


def test_an_export_never_overwrites_the_campaigns_own_files(run: Run) -> None:
    for name in ("list.csv", "campaign.yaml", "ledger.db"):
        before = Path(name).read_bytes() if Path(name).exists() else None
        assert "own files" in run("export", "campaign.yaml", "-o", name, code=2)
        assert (Path(name).read_bytes() if Path(name).exists() else None) == before
