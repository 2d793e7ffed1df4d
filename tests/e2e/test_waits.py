"""What the user is told while a run waits, and before anything is sent."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from datetime import datetime

import pytest

from campaign.ledger import Ledger, Scope
from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders
from tests.ledger.book import database
from tests.servers.postfix import Postfix


@pytest.fixture
def folder(postfix: Postfix, campaign_for: Folders) -> CampaignFolder:
    return campaign_for(postfix)


def test_a_full_window_shows_the_reason_the_end_and_the_finish(folder: CampaignFolder) -> None:
    folder.people(10)
    folder.write(rate="3/hour")
    sending = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    time.sleep(2.5)  # it checks once a second
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    assert status["waiting_for"] == "hourly limit reached (3/hour)"
    first = datetime.fromisoformat(status["first_accepted_at"])
    until = (datetime.fromisoformat(status["next_message_at"]) - first).total_seconds()
    ends = (datetime.fromisoformat(status["ends_at"]) - first).total_seconds()
    # 4 to 6 leave in the second hour, 7 to 9 in the third, the last in the fourth.
    assert 3590 < until < 3610
    assert 3 * 3600 - 10 < ends < 3 * 3600 + 10
    words = "hourly limit reached (3/hour): next message "
    assert words in folder.run("status", "campaign.yaml").stdout
    sending.send_signal(signal.SIGINT)
    out, err = sending.communicate(timeout=60)
    assert sending.returncode == 130
    assert words in out
    assert err.count(words) == 1
    assert "end about" in err


def test_messages_in_flight_are_counted_once_in_the_finish(folder: CampaignFolder) -> None:
    """Their places in the window are taken: the fourth of 3/hour leaves in an hour, not in two."""
    folder.people(4)
    folder.write(rate="3/hour")
    assert folder.send("--limit", "3").returncode == 5
    ledger = Ledger.open(folder.folder / "ledger.db", "test")
    try:
        lease = ledger.start(Scope("localhost", ""), time.time_ns())
        database(ledger).change(
            "UPDATE messages SET status = 'in_flight', run = (SELECT max(id) FROM runs) WHERE number < 4"
        )
        status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
        lease.end(time.time_ns())
    finally:
        ledger.close()
    assert (status["counts"]["in_flight"], status["counts"]["pending"]) == (3, 1)
    assert status["next_message_at"] == status["ends_at"]


def test_averages_do_not_include_pauses(folder: CampaignFolder) -> None:
    folder.people(60)
    folder.write(rate="10/second")
    assert folder.send("--limit", "30").returncode == 5
    ledger = sqlite3.connect(folder.folder / "ledger.db")
    with ledger:  # the first half was sent yesterday
        ledger.execute("UPDATE messages SET settled_at = settled_at - 86400000000000 WHERE settled_at > 0")
        ledger.execute("UPDATE attempts SET started_at = started_at - 86400000000000, steady = NULL")
        ledger.execute("UPDATE runs SET started_at = started_at - 86400000000000")
    ledger.close()
    done = folder.send()
    assert done.returncode == 0, done.stderr
    words = re.compile(r"[5-9]\.\d a second, pauses left out|10\.\d a second, pauses left out")
    assert words.search(done.stdout), done.stdout
    assert words.search(folder.run("status", "campaign.yaml").stdout)
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    assert 300 < status["accepted_per_minute"] <= 606
    assert folder.run("report", "campaign.yaml", "-o", "page.html").returncode == 0
    assert words.search((folder.folder / "page.html").read_text())


def test_the_last_line_counts_copies_and_deferred_rows(folder: CampaignFolder) -> None:
    folder.people(9)
    folder.write(rate="4/hour", cc=["boss@example.test"])
    assert folder.send("--limit", "2").returncode == 5
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    first = datetime.fromisoformat(status["first_accepted_at"])
    # Two messages an hour: the last of the seven that are left leaves in the fifth hour.
    ends = (datetime.fromisoformat(status["ends_at"]) - first).total_seconds()
    assert 4 * 3600 - 10 < ends < 4 * 3600 + 10
    ledger = sqlite3.connect(folder.folder / "ledger.db")
    with ledger:
        due = int((first.timestamp() + 9 * 3600) * 1e9)
        ledger.execute("UPDATE messages SET status = 'deferred', due_at = ? WHERE number = 9", (due,))
    ledger.close()
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    assert (datetime.fromisoformat(status["ends_at"]) - first).total_seconds() == pytest.approx(
        9 * 3600, abs=1
    )


def test_a_wait_for_deferred_rows_is_explained(folder: CampaignFolder) -> None:
    folder.list(["defer@example.test,One"])
    folder.write(retry={"attempts": 3, "first_delay": "10m", "max_delay": "1h"})
    sending = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.DEFERRED, 1)
    time.sleep(2.5)
    sending.send_signal(signal.SIGINT)
    out, err = sending.communicate(timeout=60)
    assert "put off by the server: next message " in out
    assert err.count("those that are left were put off by the server: next message ") == 1
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    assert status["waiting_for"] == "put off by the server"
    assert status["next_message_at"] == status["ends_at"] == status["next_due_at"]


def test_the_plan_shows_the_first_message(folder: CampaignFolder) -> None:
    folder.people(5)
    (folder.folder / "terms.txt").write_text("terms")
    folder.write(attachments=["terms.txt"], cc="boss@example.test", rate="2/hour")
    plan = folder.run("send", "campaign.yaml", "--dry-run", "--limit", "2").stdout
    for line in (
        "from:        News <news@example.com>",
        "subject:     Hello Person 1",
        "attachments: terms.txt (5 bytes)",
        "in this run: 2 at most (--limit)",
        "mails:       10, with 5 by cc and bcc",
        "you can stop it (Ctrl-C) or switch the machine off",
    ):
        assert line in plan, line
    assert "  size:        " in plan


def test_the_plan_shows_who_may_get_a_message_twice(folder: CampaignFolder) -> None:
    folder.people(3)
    assert folder.send().returncode == 0
    ledger = sqlite3.connect(folder.folder / "ledger.db")
    with ledger:
        ledger.execute("UPDATE messages SET status = 'in_doubt' WHERE number < 3")
    ledger.close()
    plan = folder.run("send", "campaign.yaml", "--dry-run", "--resend-doubt").stdout
    assert "2 may get it a second time: they are in doubt (--resend-doubt)" in plan
    assert "a second time" not in folder.run("send", "campaign.yaml", "--dry-run").stdout
