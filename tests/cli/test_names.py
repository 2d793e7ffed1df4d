"""Campaigns and ledgers, and what they are called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.ledger import Ledger
from campaign.model import KeyColumn, Status
from campaign.sending.preflight.guards import other_file
from tests.cli.conftest import ANNA, BEN, CLEO, YAML, Run
from tests.ledger.book import NOW, enrol, people, statuses


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
    again.adopt([KeyColumn("email", addressed=True)])
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
    other = Ledger(ledger.storage, "letters", None)
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
    assert "give only one of --campaign" in run(
        "suppress", "list", "--ledger", "x", "--campaign", "second.yaml", code=2
    )


def test_rows_told_apart_by_something_else_are_not_mailed_again_by_mistake(run: Run, ledger: Ledger) -> None:
    ledger.adopt([KeyColumn("email", addressed=True)])
    ledger.close()
    by_city = YAML.replace("recipients: list.csv", "recipients: {csv: list.csv, key: city}")
    Path("campaign.yaml").write_text(by_city)
    said = run("send", "campaign.yaml", "--dry-run")
    assert "1 of the new rows goes to addresses that have had this campaign under another key" in said
    assert "Rows were told apart by `email` when some were mailed, and now by `city`; 1 of" in said
    assert "another key: send asks, or needs --accept keys." in said
    said = run("send", "campaign.yaml", "--yes", code=5)
    assert "If that is meant, add --accept keys\n" in said
    assert "'key' is none of" in run("send", "campaign.yaml", "--yes", "--accept", "key", code=2)
    Path("campaign.yaml").write_text(by_city.replace("news", "another", 1))
    assert "2 to send" in run("send", "campaign.yaml", "--dry-run")
    # The address is the address, whatever its column is called.
    Path("list.csv").write_text(f"Mail\n{ANNA}\n")
    Path("campaign.yaml").write_text(YAML.replace("list.csv", "{csv: list.csv, email: Mail}"))
    assert "1 accepted earlier" in run("send", "campaign.yaml", "--dry-run")


def test_two_renamed_campaigns_keep_their_rows_apart(ledger: Ledger) -> None:
    """A new `name` is a new campaign: everybody is to be mailed again, and the plan says so."""
    other = Ledger(ledger.storage, "renamed", None)
    assert enrol(other, people(ANNA, BEN, CLEO)).new == 3
    ledger.close()


def test_a_working_directory_that_is_gone_is_a_sentence(run: Run, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    os.chdir(other)
    other.rmdir()
    assert "the working directory was removed" in run("send", "campaign.yaml", "--yes", code=2)
    assert "2 to send" in run("send", str(folder / "campaign.yaml"), "--dry-run")
