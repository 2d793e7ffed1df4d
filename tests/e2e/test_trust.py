"""One wrong reply does not suppress everybody, and copies have their own status. With a real Postfix."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Callable

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders
from tests.servers.postfix import Postfix


def status(folder: CampaignFolder) -> dict[str, dict[str, int]]:
    parsed: dict[str, dict[str, int]] = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    return parsed


class TestAServerThatRefusesEverybody:
    """A wrong relay map replies 5.1.1 to each recipient: no address is dead."""

    def test_a_server_that_refuses_everybody_suppresses_nobody(
        self, make_postfix: Callable[..., Postfix], campaign_for: Folders
    ) -> None:
        people = [f"user{n}@example.test" for n in range(1, 121)]
        wrong = make_postfix(recipient_faults=dict.fromkeys(people, "550 5.1.1 no such user"))
        folder = campaign_for(wrong, stop_when={"refused": "20%"}, smtp={"messages_per_session": 1000})
        folder.people(120)
        # A cron job sends forty at a time: no single run has the fifty results that are judged.
        first = folder.send("--limit", "40")
        assert first.returncode == 5, first.stderr
        second = folder.send("--limit", "40")
        assert second.returncode == 5
        assert "50 of the last 50 were refused" in second.stderr
        assert "the last refusal said: 550 5.1.1" in second.stderr
        assert folder.counts() == {"refused": 50, "pending": 70}
        assert folder.suppressed() == set()
        # The advice works once the cause is fixed.
        assert "--retry-refused" in second.stdout
        right = make_postfix()
        folder.server = right
        folder.write(stop_when={"refused": "20%"})
        assert folder.send("--retry-refused").returncode == 0
        assert folder.counts() == {"accepted": 120}
        assert set(Counter(m.recipient for m in right.wait_delivered(120)).values()) == {1}

    def test_a_dead_address_among_others_is_suppressed_for_all_campaigns(
        self, postfix: Postfix, campaign_for: Folders
    ) -> None:
        folder = campaign_for(postfix)
        folder.list(["bad@example.test,Bad", *(f"user{n}@example.test,P" for n in range(20))])
        sent = folder.send()
        assert sent.returncode == 3
        assert "1 dead address was suppressed" in sent.stdout
        assert folder.suppressed() == {"bad@example.test"}
        folder.write(name="autumn")
        assert folder.send("--accept", "name").returncode == 0
        assert folder.addresses(Status.SUPPRESSED) == {"bad@example.test"}


def test_a_refused_sender_leaves_the_rows_as_they_were(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(smtpd_delay_reject="no", smtpd_sender_restrictions="reject")
    folder = campaign_for(server)
    folder.people(10)
    sent = folder.send()
    assert sent.returncode == 5, sent.stderr
    assert "3 refusals in a row are about the sender" in sent.stderr
    assert folder.counts() == {"pending": 10}
    assert folder.rows("SELECT max(attempts) FROM messages") == [(0,)]
    assert folder.suppressed() == set()


def test_too_many_messages_in_doubt_stop_the_run(campaign_for: Folders, postfix: Postfix) -> None:
    folder = campaign_for(postfix)
    folder.people(60)
    done = folder.run("rehearse", "campaign.yaml", "--faults", "doubt:100%")
    assert done.returncode == 4
    assert "5 in a row are in doubt" in done.stderr
    assert " 5 in doubt" in done.stdout
    assert "55 pending" in done.stdout


class TestCopies:
    def test_a_deferred_copy_is_tried_again_without_its_row(
        self, make_postfix: Callable[..., Postfix], campaign_for: Folders
    ) -> None:
        server = make_postfix(recipient_faults={"later@example.test": "450 4.2.1 busy"})
        folder = campaign_for(server, cc=["later@example.test"], retry={"attempts": 9, "first_delay": "1h"})
        folder.people(3)
        sent = folder.send("--limit", "3")
        assert sent.returncode == 5, sent.stderr
        assert folder.counts() == {"accepted": 3}
        assert status(folder)["copies"] == {"deferred": 3}
        assert "3 copies by cc or bcc deferred" in sent.stdout
        server.reload(recipient_faults={})
        connection = sqlite3.connect(folder.folder / "ledger.db")
        connection.execute("UPDATE copies SET due_at = 0")
        connection.commit()
        connection.close()
        again = folder.send()
        assert again.returncode == 0, again.stderr
        assert "3 copies by cc or bcc of messages that were accepted" in again.stdout
        assert status(folder)["copies"] == {}
        got = Counter(mail.recipient for mail in server.wait_delivered(6))
        assert got == {"later@example.test": 3, **{f"user{n}@example.test": 1 for n in (1, 2, 3)}}

    def test_a_refused_copy_is_reported(self, postfix: Postfix, campaign_for: Folders) -> None:
        folder = campaign_for(postfix, bcc=["bad@example.test"])
        folder.people(2)
        sent = folder.send()
        assert sent.returncode == 3
        assert folder.counts() == {"accepted": 2}
        assert status(folder)["copies"] == {"refused": 2}
        assert "550 5.1.1" in sent.stdout
        exported = folder.run("export", "campaign.yaml").stdout
        assert exported.splitlines()[0].endswith("campaign_status,campaign_reply,campaign_copies")
        assert "bad@example.test: refused: 550 5.1.1" in exported

    def test_a_copy_is_given_up_without_its_row(
        self, make_postfix: Callable[..., Postfix], campaign_for: Folders
    ) -> None:
        server = make_postfix(recipient_faults={"later@example.test": "450 4.2.1 busy"})
        folder = campaign_for(
            server, cc=["later@example.test"], retry={"attempts": 2, "first_delay": "0.1s", "max_delay": "1s"}
        )
        folder.people(1)
        sent = folder.send()
        assert sent.returncode == 3, sent.stderr
        assert status(folder)["copies"] == {"refused": 1}
        assert folder.rows("SELECT attempts, reply FROM copies")[0][0] == 2
        assert "gave up after 2 attempts" in folder.rows("SELECT reply FROM copies")[0][0]
        assert [mail.recipient for mail in server.wait_delivered(1)] == ["user1@example.test"]


class TestAnAttachmentThatGoesAwayOnTheWay:
    """The plan was made with all files; one disappears, or changes, before its message is made."""

    @pytest.mark.parametrize("vanishes", [True, False])
    def test_a_row_whose_attachment_disappears_is_sent_by_the_next_run(
        self, postfix: Postfix, campaign_for: Folders, vanishes: bool
    ) -> None:
        folder = campaign_for(
            postfix, attachments=["{{ name }}.pdf"], smtp={"rate": "1/second"}, recipients={"csv": "list.csv"}
        )
        folder.list(f"user{n}@example.test,file{n}" for n in range(1, 7))
        for n in range(1, 7):
            (folder.folder / f"file{n}.pdf").write_bytes(b"%PDF-1.4 " + str(n).encode())
        process = folder.start("send", "campaign.yaml", "--yes")
        folder.wait_for(Status.ACCEPTED)
        victim = folder.folder / "file5.pdf"
        if vanishes:
            victim.unlink()
        else:
            victim.write_bytes(b"%PDF-1.4 another's")
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 5, stderr
        assert "1 message could no longer be made; the next send tries again: " in stderr
        assert "line 6 of the list" in stderr
        assert "file5.pdf is gone, or has changed since the plan was made" in stderr
        assert "5 of 6 accepted" in stdout
        assert folder.counts() == {"accepted": 5, "invalid": 1}
        assert folder.rows("SELECT attempts FROM messages WHERE status = 'invalid'") == [(0,)]
        victim.write_bytes(b"%PDF-1.4 5")
        again = folder.send()
        assert again.returncode == 0, again.stderr
        assert folder.counts() == {"accepted": 6}
        assert set(Counter(mail.recipient for mail in postfix.wait_delivered(6)).values()) == {1}


def test_a_rate_per_second_holds_over_several_short_runs(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"rate": "1/second"})
    folder.people(4)
    for left in (3, 2, 1, 0):
        assert folder.send("--limit", "1").returncode == (5 if left else 0)
    starts = [start for (start,) in folder.rows("SELECT steady FROM attempts ORDER BY id")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert min(gaps) >= 1_000_000_000, gaps
