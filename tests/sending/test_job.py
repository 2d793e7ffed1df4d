"""The main job, called by a test instead of a command: no terminal, no parser."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from campaign.campaignfile.load import load
from campaign.cli.codes import OK, REFUSED
from campaign.cli.ending import exit_code
from campaign.delivery import Result
from campaign.errors import NotAccepted, UserError
from campaign.ledger import Ledger
from campaign.ledger.protocols import Claim
from campaign.model import Status
from campaign.rehearsal import Faults, RehearsalServer, parse_faults, rehearsal_logins, rehearsed
from campaign.report.terminal import next_lines
from campaign.sending.audience import Finished, Interruptible
from campaign.sending.dispatch import Ending
from campaign.sending.job import run
from campaign.sending.plan import Mode, Options, Plan
from campaign.sending.preflight.changes import Change
from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix


@dataclass
class Person:
    """An audience that records what it is told, and answers yes or no."""

    answer: bool = True
    plans: list[Plan] = field(default_factory=list)
    asked: list[Plan] = field(default_factory=list)
    attempts: list[tuple[str, Status]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def progress(self, doing: str, done: int, of: int) -> None:
        assert done <= max(of, done)

    def leased(self, ledger: Ledger) -> None:
        """Nothing to open."""

    def planned(self, plan: Plan) -> None:
        self.plans.append(plan)

    def agrees(self, plan: Plan) -> bool:
        self.asked.append(plan)
        return self.answer

    def attempted(self, claim: Claim, result: Result) -> None:
        self.attempts.append((claim.recipient.email, result.status))

    def waiting(self, seconds: float, why: str) -> None:
        self.waits.append(why)

    def without_window(self, why: str) -> None:
        self.waits.append(why)

    @contextmanager
    def sending(self, run: Interruptible, total: int) -> Iterator[None]:
        yield


@pytest.fixture
def folder(campaign_for: Callable[..., CampaignFolder], postfix: Postfix) -> CampaignFolder:
    made = campaign_for(postfix)
    made.people(3)
    return made


def do(folder: CampaignFolder, person: Person, file: str = "campaign.yaml", **options: Any) -> Finished:
    """Run the job; a new ledger is accepted."""
    return run(load(folder.folder / file), Options(**{"new_ledger": True, **options}), person)


def snapshot(folder: CampaignFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.folder.iterdir()}


class TestSend:
    def test_everybody_is_mailed_once_and_a_second_send_does_nothing(
        self, folder: CampaignFolder, postfix: Postfix
    ) -> None:
        person = Person()
        finished = do(folder, person)
        assert finished.stop.ending is Ending.DONE
        assert finished.summary is not None
        assert finished.summary.counts[Status.ACCEPTED] == 3
        assert [status for _, status in person.attempts] == [Status.ACCEPTED] * 3
        assert len(postfix.wait_delivered(3)) == 3
        assert person.asked == []
        again = do(folder, person)
        assert again.summary == finished.summary
        assert len(person.attempts) == 3

    def test_a_new_ledger_must_be_agreed_to(self, folder: CampaignFolder) -> None:
        with pytest.raises(UserError, match=r"a new ledger: it knows nobody.* add --new-ledger"):
            do(folder, Person(), new_ledger=False)
        assert not (folder.folder / "ledger.db").exists()
        person = Person()
        do(folder, person, new_ledger=False, asks=True, limit=1)
        assert [plan.new_ledger for plan in person.asked] == [True]
        do(folder, person, new_ledger=False)
        assert not person.plans[-1].new_ledger
        assert folder.counts() == {"accepted": 3}

    def test_nothing_is_sent_if_the_user_declines(self, folder: CampaignFolder) -> None:
        person = Person(answer=False)
        assert do(folder, person, asks=True).stop.ending is Ending.DECLINED
        assert [plan.to_send for plan in person.asked] == [3]
        assert folder.counts() == {}

    def test_changed_content_is_asked_about_or_refused(self, folder: CampaignFolder) -> None:
        do(folder, Person(), limit=1)
        (folder.folder / "body.txt.j2").write_text("Something else.\n")
        with pytest.raises(NotAccepted, match=r"the content has changed .* add --accept content"):
            do(folder, Person())
        person = Person(answer=False)
        do(folder, person, asks=True)
        assert [change for change, _ in person.asked[0].changes] == [Change.CONTENT]
        assert folder.counts() == {"accepted": 1, "pending": 2}
        person = Person()
        do(folder, person, accept=frozenset({Change.CONTENT}))
        assert person.plans[0].changes == ()
        assert folder.counts() == {"accepted": 3}

    def test_another_key_is_asked_about_or_refused(self, folder: CampaignFolder) -> None:
        do(folder, Person(), limit=1)
        folder.write(recipients={"csv": "list.csv", "key": "name", "name": "{{ name }}"})
        told_apart = r"rows were told apart by `email` .* now by `name`; 1 of the new rows goes to"
        for _ in range(2):  # what was declined is not recorded
            with pytest.raises(NotAccepted, match=f"{told_apart} .* add --accept keys$"):
                do(folder, Person())
            person = Person(answer=False)
            do(folder, person, asks=True)
            assert [change for change, _ in person.asked[0].changes] == [Change.KEYS]
        assert folder.counts() == {"accepted": 1, "pending": 2}
        do(folder, Person(), accept=frozenset({Change.KEYS}), limit=1)
        do(folder, Person())
        assert folder.counts() == {"accepted": 4, "withdrawn": 2}

    def test_everything_missing_is_reported_together(self, folder: CampaignFolder) -> None:
        do(folder, Person(), limit=1)
        (folder.folder / "body.txt.j2").write_text("Something else, {{ name }}.\n")
        folder.write(recipients={"csv": "list.csv", "key": "name", "name": "{{ name }}"})
        with pytest.raises(NotAccepted, match=r"add --accept content,keys$"):
            do(folder, Person())
        with pytest.raises(NotAccepted, match=r"add --accept keys$"):
            do(folder, Person(), accept=frozenset({Change.CONTENT}))

    def test_an_edited_name_is_asked_about(self, folder: CampaignFolder) -> None:
        do(folder, Person())
        folder.write(name="autumn")
        with pytest.raises(NotAccepted, match=r"3 rows had .* named 'test'; .* add --accept name$"):
            do(folder, Person())
        do(folder, Person(), accept=frozenset({Change.NAME}))
        assert folder.counts() == {"accepted": 3}

    def test_an_emptied_list_is_asked_about_even_if_nothing_would_be_sent(
        self, folder: CampaignFolder
    ) -> None:
        do(folder, Person(), limit=1)
        folder.list([])
        with pytest.raises(NotAccepted, match=r"the list has 0 rows, and had 3 last time.* --accept list$"):
            do(folder, Person())
        person = Person(answer=False)
        assert do(folder, person, asks=True).stop.ending is Ending.DECLINED
        assert folder.counts() == {"accepted": 1, "pending": 2}
        do(folder, Person(), accept=frozenset({Change.LIST}))
        assert folder.counts() == {"accepted": 1, "withdrawn": 2}
        assert do(folder, Person()).stop.ending is Ending.DONE

    def test_a_refused_row_that_left_the_list_no_longer_counts(self, folder: CampaignFolder) -> None:
        folder.list(["user1@example.test,Ann", "bad@example.test,Ben"])
        assert exit_code(do(folder, Person())) == REFUSED
        folder.list(["user1@example.test,Ann"])
        finished = do(folder, Person())
        assert exit_code(finished) == OK
        assert finished.summary is not None
        assert finished.summary.counts[Status.WITHDRAWN] == 1
        assert list(next_lines("campaign.yaml", finished.summary)) == []
        folder.list(["user1@example.test,Ann", "bad@example.test,Ben"])
        assert exit_code(do(folder, Person())) == REFUSED
        assert folder.counts() == {"accepted": 1, "refused": 1}

    def test_a_limit_counts_attempts(self, folder: CampaignFolder) -> None:
        finished = do(folder, Person(), limit=2)
        assert finished.stop.ending is Ending.LIMIT
        assert folder.counts() == {"accepted": 2, "pending": 1}


class TestDryRun:
    def test_a_dry_run_shows_what_send_would_do_and_writes_nothing(
        self, folder: CampaignFolder, postfix: Postfix
    ) -> None:
        before = snapshot(folder)
        person = Person()
        finished = do(folder, person, mode=Mode.DRY_RUN)
        assert (finished.stop.ending, finished.summary) == (Ending.DONE, None)
        assert person.plans[0].to_send == 3
        assert snapshot(folder) == before
        assert list(postfix.mailbox()) == []

    def test_a_dry_run_refuses_what_send_refuses(self, folder: CampaignFolder) -> None:
        do(folder, Person(), limit=1)
        shutil.copy(folder.folder / "campaign.yaml", folder.folder / "second.yaml")
        for mode in (Mode.SEND, Mode.DRY_RUN):
            with pytest.raises(UserError, match="has this name too, in the same ledger"):
                do(folder, Person(), "second.yaml", mode=mode)

    def test_a_dry_run_finds_the_changes_that_send_asks_about(self, folder: CampaignFolder) -> None:
        do(folder, Person(), limit=1)
        (folder.folder / "body.txt.j2").write_text("Something else.\n")
        person = Person()
        do(folder, person, mode=Mode.DRY_RUN)
        assert [change for change, _ in person.plans[0].changes] == [Change.CONTENT]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_rate_too_small_for_a_message_stops_every_sending_command(
    folder: CampaignFolder, mode: Mode
) -> None:
    folder.write(cc=["boss@example.test"], rate="1/minute")
    with pytest.raises(UserError, match="1/minute is too narrow"):
        do(folder, Person(), mode=mode, test_to=("me@example.test",))
    for command in ("status", "export", "resolve"):
        done = folder.run(command, "campaign.yaml")
        assert "too narrow" not in done.stdout + done.stderr


class TestRehearsal:
    def rehearse(self, folder: CampaignFolder, faults: Faults, **options: Any) -> Finished:
        with RehearsalServer(faults) as server:
            campaign = rehearsed(load(folder.folder / "campaign.yaml"), server, paced=False)
            logins = rehearsal_logins(server)
            return run(campaign, Options(mode=Mode.REHEARSAL, logins=logins, **options), Person())

    def test_a_rehearsal_leaves_nothing_behind(self, folder: CampaignFolder) -> None:
        before = snapshot(folder)
        finished = self.rehearse(folder, Faults())
        assert finished.summary is not None
        assert finished.summary.counts[Status.ACCEPTED] == 3
        assert snapshot(folder) == before

    @pytest.mark.parametrize("suppress", ["auto", "off"])
    def test_suppress_off_also_holds_in_a_rehearsal(
        self, folder: CampaignFolder, suppress: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two rows have the same dead address: with `auto`, the second would not be tried."""
        folder.list(["dead@example.test,Ann,1", "dead@example.test,Ben,2"], header="email,name,key")
        folder.write(
            suppress=suppress,
            recipients={"csv": "list.csv", "key": "key", "name": "{{ name }}"},
            smtp={"connections": 1},
        )
        finished = self.rehearse(folder, parse_faults("refuse:100%"))
        assert finished.summary is not None
        refused = 2 if suppress == "off" else 1
        assert finished.summary.counts[Status.REFUSED] == refused
        assert finished.summary.counts[Status.SUPPRESSED] == 2 - refused

    def test_bad_rows_stop_a_rehearsal(self, folder: CampaignFolder) -> None:
        folder.list(["user1@example.test,Ann", "nobody,Ben"])
        with pytest.raises(UserError, match="nobody"):
            self.rehearse(folder, Faults())
        finished = self.rehearse(folder, Faults(), skip_bad_rows=True)
        assert finished.summary is not None
        assert finished.summary.counts[Status.INVALID] == 1


class TestTest:
    def test_a_test_sends_the_message_of_a_row_to_other_addresses(
        self, folder: CampaignFolder, postfix: Postfix
    ) -> None:
        folder.write(cc=["boss@example.test"])
        finished = do(
            folder, Person(), mode=Mode.TEST, row=2, test_to=("me@example.test", "you@example.test")
        )
        assert [(r.outcomes[0].address, r.status) for r in finished.results] == [
            ("me@example.test", Status.ACCEPTED),
            ("you@example.test", Status.ACCEPTED),
        ]
        mails = postfix.wait_delivered(2)
        assert {mail.recipient for mail in mails} == {"me@example.test", "you@example.test"}
        assert all(b"Subject: [Test] Hello Person 2" in mail.content for mail in mails)
        # The ledger counts them in the rate, but has no rows.
        assert folder.rows("SELECT message, addresses FROM attempts") == [(None, 1), (None, 1)]
        assert folder.rows("SELECT count(*) FROM messages") == [(0,)]
        assert folder.rows("SELECT count(*) FROM runs WHERE ended_at IS NULL") == [(0,)]

    def test_a_refused_or_deferred_test_message_is_not_tried_again(self, folder: CampaignFolder) -> None:
        to = ("bad@example.test", "defer@example.test", "me@example.test")
        finished = do(folder, Person(), mode=Mode.TEST, test_to=to)
        said = {result.outcomes[0].address: result for result in finished.results}
        assert said["bad@example.test"].status is Status.REFUSED
        assert said["defer@example.test"].status is Status.DEFERRED
        assert said["me@example.test"].status is Status.ACCEPTED
        assert folder.suppressed() == set()

    def test_a_test_of_a_missing_row_is_refused(self, folder: CampaignFolder) -> None:
        with pytest.raises(UserError, match="there is no row 9: the list has 3 rows"):
            do(folder, Person(), mode=Mode.TEST, row=9, test_to=("me@example.test",))

    def test_a_test_reports_that_the_rate_is_used_up(self, folder: CampaignFolder) -> None:
        folder.write(rate="1/hour")
        do(folder, Person(), mode=Mode.TEST, test_to=("me@example.test",))
        with pytest.raises(UserError, match=r"the rate 1/hour is used up: this could be sent in 60 minutes"):
            do(folder, Person(), mode=Mode.TEST, test_to=("me@example.test",))

    def test_a_test_tries_to_connect_only_once(self, folder: CampaignFolder) -> None:
        folder.write(smtp={"host": "127.0.0.1", "port": 1, "security": "none", "ca_file": None})
        person = Person()
        finished = do(folder, person, mode=Mode.TEST, test_to=("me@example.test",))
        assert finished.stop.ending is Ending.DISCONNECTED
        assert "127.0.0.1:1" in finished.stop.why
        assert person.waits == []


def test_a_dry_run_works_with_a_read_only_ledger(folder: CampaignFolder) -> None:
    do(folder, Person(), limit=1)
    connection = sqlite3.connect(folder.folder / "ledger.db")
    connection.execute("BEGIN IMMEDIATE")
    try:
        person = Person()
        do(folder, person, mode=Mode.DRY_RUN)
        assert person.plans[0].to_send == 2
    finally:
        connection.close()


def test_a_dry_run_does_not_create_a_ledger(folder: CampaignFolder) -> None:
    do(folder, Person(), mode=Mode.DRY_RUN)
    assert not Path(folder.folder / "ledger.db").exists()
