"""Who holds the sender's lease, and how a run with it ends. With a real Postfix."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from campaign.campaignfile.load import load
from campaign.model import Status
from campaign.sending.job import run
from campaign.sending.plan import Options, Plan
from tests.e2e.folder import CampaignFolder, Folders, until
from tests.sending.test_job import Person
from tests.servers.postfix import Postfix


def test_a_waiting_send_starts_when_the_other_has_ended(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="5/second")
    folder.people(100)
    first = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED)
    second = folder.start("send", "campaign.yaml", "--yes", "--wait", "10m", "--log", "second.log")
    assert second.stderr is not None
    waits = second.stderr.readline()
    assert f"process {first.pid} on " in waits
    assert "waiting" in waits
    assert not (folder.folder / "second.log").exists()
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert second.wait(60) == 0
    assert folder.counts() == {"accepted": 100}
    assert (folder.folder / "second.log").exists()
    assert set(Counter(mail.recipient for mail in postfix.wait_delivered(100)).values()) == {1}


def test_a_send_that_waits_too_long_gives_up(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="1/second")
    folder.people(40)
    folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED)
    assert folder.send("--wait", "1s").returncode == 7
    assert folder.run("test", "campaign.yaml", "me@example.test", "--wait", "1s").returncode == 7
    wrong = folder.send("--wait", "soon")
    assert wrong.returncode == 2
    assert "expected a duration such as 60s, 5m" in wrong.stderr


def test_a_run_that_has_sent_something_never_ends_with_2(postfix: Postfix, campaign_for: Folders) -> None:
    """Another program locks the ledger for longer than intents wait: that is no error in the command."""
    folder = campaign_for(postfix, rate="5/second")
    folder.people(100)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED)
    connection = sqlite3.connect(folder.folder / "ledger.db", isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(40)  # an intent is given up after thirty seconds
    finally:
        connection.close()
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 5, stderr
    assert "locked" in stderr


@dataclass
class Slow(Person):
    """An audience that reads the plan until the lease has been renewed."""

    folder: CampaignFolder | None = None

    def agrees(self, plan: Plan) -> bool:
        assert self.folder is not None
        folder = self.folder
        query = "SELECT heartbeat > started_at FROM runs"
        until(lambda: folder.rows(query) == [(1,)])
        return False


def test_the_lease_is_renewed_while_the_user_reads_the_plan(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(3)
    person = Slow(folder=folder)
    run(load(folder.folder / "campaign.yaml"), Options(asks=True), person)
    assert folder.rows("SELECT ended_at IS NOT NULL FROM runs") == [(1,)]
