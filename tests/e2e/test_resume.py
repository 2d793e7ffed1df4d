"""Continuing after a crash: nobody is mailed twice, nobody is missing, and what is unknown is listed."""

from __future__ import annotations

import json

import pytest

from campaign.model import Status
from tests.e2e.folder import Folders, kill, mails, message_ids, until
from tests.servers.postfix import Postfix


def test_after_a_killed_run_nobody_is_mailed_twice_or_lost(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="150/second")
    everybody = set(folder.people(240))
    for so_far in (40, 120):
        process = folder.start("send", "campaign.yaml", "--yes")
        folder.wait_for(Status.ACCEPTED, so_far)
        kill(process)
        status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
        assert status["counts"]["in_doubt"] <= 2
        assert status["counts"]["in_flight"] == 0
    last = folder.send()
    in_doubt = folder.addresses(Status.IN_DOUBT)
    assert last.returncode == (4 if in_doubt else 0), last.stderr
    assert "Traceback" not in last.stderr
    assert folder.addresses(Status.ACCEPTED) | in_doubt == everybody
    assert len(in_doubt) <= 2  # one for each time it was killed
    got = mails(postfix)
    assert all(count == 1 for count in got.values()), got.most_common(3)
    assert set(got) - in_doubt == everybody - in_doubt
    listed = folder.run("resolve", "campaign.yaml").stdout
    assert all(address in listed for address in in_doubt)


def test_a_message_in_flight_is_in_doubt_until_a_person_decides(
    slow_server: Postfix, campaign_for: Folders
) -> None:
    slow_server.empty()
    folder = campaign_for(slow_server)
    folder.people(2)
    before = slow_server.contents()
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: slow_server.contents() > before)
    kill(process)
    assert folder.counts() == {"in_doubt": 1, "pending": 1}  # whether or not any process has recorded that

    listed = folder.run("resolve", "campaign.yaml")
    assert listed.returncode == 0
    assert "user1@example.test" in listed.stdout
    assert "1 may have arrived" in listed.stdout
    went_on = folder.send()
    assert went_on.returncode == 4
    assert "1 in doubt" in went_on.stdout
    assert "campaign resolve campaign.yaml" in went_on.stdout
    assert folder.counts() == {"accepted": 1, "in_doubt": 1}
    assert mails(slow_server) == {"user1@example.test": 1, "user2@example.test": 1}

    log = folder.folder / "mail.log"
    log.write_text(slow_server.log())
    settled = folder.run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert settled.stdout.startswith("1 settled as accepted")
    assert folder.send().returncode == 0
    assert mails(slow_server) == {"user1@example.test": 1, "user2@example.test": 1}


@pytest.mark.parametrize("decision", ["--resend-doubt", "resolve --pending"])
def test_a_message_sent_again_has_the_same_message_id(
    slow_server: Postfix, campaign_for: Folders, decision: str
) -> None:
    slow_server.empty()
    folder = campaign_for(slow_server)
    folder.people(1)
    before = slow_server.contents()
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: slow_server.contents() > before)
    kill(process)
    if decision == "--resend-doubt":
        again = folder.send("--resend-doubt")
    else:
        resolved = folder.run("resolve", "campaign.yaml", "--pending", "USER1@example.test")
        assert resolved.stdout == "1 settled as pending\n"
        again = folder.send()
    assert again.returncode == 0, again.stderr
    first, second = message_ids(slow_server)
    assert first == second
