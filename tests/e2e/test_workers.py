"""Several workers send one campaign: each person gets one message, from any of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from campaign.campaignfile.yamlmarks import read
from campaign.model import Status
from tests.e2e.folder import kill, until
from tests.e2e.machines import Machines, ended
from tests.servers.postfix import Postfix
from tests.servers.postgresql import PostgreSQL

MachinesFor = Callable[..., Machines]


@pytest.fixture
def machines_for(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[MachinesFor]:
    """Make a campaign whose ledger is in PostgreSQL."""
    made: list[Machines] = []

    def make(server: Postfix, **changes: Any) -> Machines:
        folder = tmp_path / f"machines{len(made)}"
        folder.mkdir()
        made.append(Machines(folder, server, postgresql.ledger(), **changes))
        return made[-1]

    yield make
    for one in made:
        one.close()
        postgresql.drop(one.place)


def delivered(postfix: Postfix, count: int) -> list[str]:
    return sorted(one.recipient for one in postfix.wait_delivered(count))


def test_three_workers_send_each_person_one_message(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix, smtp={"connections": 2})
    people = folder.people(60)
    folder.begin()
    assert ended(folder.workers(3)) == [0, 0, 0]
    assert delivered(postfix, 60) == sorted(people)
    assert folder.counts() == {"accepted": 60}
    assert folder.state() == "idle"


def test_send_watches_until_workers_have_sent_all(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix)
    folder.people(5)
    watching = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_until_sending(watching)
    attached = folder.start("send", "campaign.yaml", "--yes")
    assert ended([*folder.workers(1), watching]) == [0, 0]
    out, _ = attached.communicate(timeout=60)
    assert (attached.returncode, "5 accepted" in out) == (0, True), out
    assert len(delivered(postfix, 5)) == 5
    # Nothing is left: one more send has nothing to do, and one more worker neither.
    assert folder.send().returncode == 0
    assert ended(folder.workers(1)) == [0]
    assert len(delivered(postfix, 5)) == 5


def test_a_rate_holds_over_all_workers_and_stop_ends_them_all(
    postfix: Postfix, machines_for: MachinesFor
) -> None:
    folder = machines_for(postfix, rate="5/second", smtp={"connections": 2})
    folder.people(500)
    folder.begin()
    assert (
        "no worker is running; start one on any machine: campaign work"
        in folder.run("status", "campaign.yaml").stdout
    )
    workers = folder.workers(2)
    folder.wait_for(Status.ACCEPTED, 12)
    shown = folder.run("workers", "campaign.yaml")
    assert "sending; 2 workers" in shown.stdout, shown.stdout
    tested = folder.run("test", "campaign.yaml", "me@example.test")
    assert tested.returncode == 0, tested.stderr
    watching = folder.start("status", "campaign.yaml", "--watch")
    assert watching.stdout is not None
    assert any("2 workers at it" in line for line in watching.stdout)
    stopped = folder.run("stop", "campaign.yaml")
    assert "campaign send campaign.yaml" in stopped.stdout
    of_rows = "FROM attempts WHERE message IS NOT NULL"  # a test that is late is counted twice
    [(at_stop,)] = folder.rows(f"SELECT count(*) {of_rows}")
    assert ended(workers) == [5, 5]
    starts = [at for (at,) in folder.rows(f"SELECT started_at {of_rows} ORDER BY started_at")]
    assert len(starts) - at_stop <= 4  # one for each connection
    # The recorded time is a plan, at most 0.1 s before the start itself.
    assert all(last - first > 0.8e9 for first, last in zip(starts, starts[5:], strict=False))
    assert folder.counts()["pending"] == 500 - len(starts)
    assert folder.state() == "stopped"
    watching.communicate(timeout=60)  # it ends when nobody is sending any more


def test_a_worker_that_is_killed_leaves_doubt_and_the_others_send_the_rest(
    postfix: Postfix, machines_for: MachinesFor
) -> None:
    folder = machines_for(postfix, rate="40/second")
    people = folder.people(120)
    folder.begin()
    unpacked = folder.folder / "unpacked"
    unpacked.mkdir()
    folder.env["TMPDIR"] = str(unpacked)
    killed, *others = folder.workers(3)
    folder.wait_for(Status.ACCEPTED, 20)
    kill(killed)
    assert ended(others) == [0, 0]
    counts = folder.counts()
    assert counts.get("accepted", 0) + counts.get("in_doubt", 0) == 120
    assert counts.get("in_doubt", 0) <= 1
    got = delivered(postfix, counts["accepted"])
    assert len(set(got)) == len(got)
    assert set(got) <= set(people)
    ended(folder.workers(1))
    assert list(unpacked.iterdir()) == []  # the killed one's is gone too


def test_rows_of_the_last_worker_are_sent_by_a_worker_for_all_campaigns(
    silent_server: Postfix, machines_for: MachinesFor
) -> None:
    # Nothing else is due: rows are claimed, or in flight, by a dead worker.
    folder = machines_for(silent_server)
    folder.people(2)
    folder.begin()
    every = ["work", "--all", "--ledger", folder.place.url]
    killed = folder.start(*every)
    folder.wait_for(Status.IN_FLIGHT)
    kill(killed)
    last = folder.start(*every)
    until(lambda: folder.counts() == {"in_doubt": 1, "in_flight": 1})
    kill(last)
    assert folder.run(*every).returncode == 0
    assert folder.state() == "idle"
    assert folder.counts() == {"in_doubt": 2}


def test_a_drain_ends_when_its_time_is_over(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix, rate="2/second")
    folder.people(100)
    folder.begin()
    assert ended(folder.workers(1, "--drain", "3s")) == [0]
    assert folder.state() == "sending"
    assert folder.counts()["pending"] > 80
    assert folder.rows("SELECT count(*) FROM messages WHERE claim IS NOT NULL") == [(0,)]


def test_every_campaign_of_a_ledger_is_drained(postfix: Postfix, machines_for: MachinesFor) -> None:
    one = machines_for(postfix)
    one.people(3)
    one.begin()
    other = machines_for(postfix, name="other", ledger=one.place.url)
    other.people(4, "other.test")
    watching = other.start("send", "campaign.yaml", "--yes")
    until(lambda: one.rows("SELECT 1 FROM campaigns WHERE name = 'other' AND state = 'sending'"))
    worker = one.start("work", "--all", "--ledger", one.place.url)
    assert ended([worker, watching]) == [0, 0]
    assert len(delivered(postfix, 7)) == 7


_ROOM = 1 << 20  # octets that a file may have
WITHOUT_ROOM = f"""
import resource
from campaign.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({_ROOM - 1}, {_ROOM - 1}))
raise SystemExit(main())
"""


@pytest.mark.parametrize(
    ("lacks", "words", "code", "every"),
    [
        ("account", "'elsewhere'", 5, True),
        ("server", "Connection refused", 6, False),
        ("room", "temporary files cannot be written: File too large. Make room", 5, True),
    ],
)
def test_a_campaign_that_a_worker_cannot_send_does_not_block_others(
    postfix: Postfix, machines_for: MachinesFor, lacks: str, words: str, code: int, every: bool
) -> None:
    one = machines_for(postfix, smtp={"account": "elsewhere"}, attachments=["large.pdf"])
    (one.folder / "large.pdf").write_bytes(bytes(_ROOM))
    one.people(2)
    one.begin()
    other = machines_for(postfix, name="other", ledger=one.place.url)
    other.people(3, "other.test")
    watching = other.start("send", "campaign.yaml", "--yes")
    until(lambda: one.rows("SELECT 1 FROM campaigns WHERE name = 'other' AND state = 'sending'"))
    smtp = other.campaign["smtp"]
    there = {"elsewhere": {"smtp": {**smtp, "port": 1}}} if lacks != "account" else {}
    (one.folder / "accounts.yaml").write_text(
        yaml.safe_dump({"accounts": {"localhost": {"smtp": smtp}, **there}})
    )
    one.hasty = True
    one.program = WITHOUT_ROOM if lacks == "room" else ""
    both = (
        ["--all", "--ledger", one.place.url] if every else ["campaign.yaml", f"{other.folder}/campaign.yaml"]
    )
    worked = one.run("work", *both)
    assert worked.returncode == code, worked.stderr
    assert words in worked.stderr
    assert ended([watching]) == [0]
    assert len(delivered(postfix, 3)) == 3


@pytest.mark.parametrize(
    ("changes", "body", "path", "place"),
    [
        ({"subject": "Hello {{ 12 // name|int }}"}, "Hi", ("subject",), "campaign.yaml:{}:{}: subject: "),
        ({}, "Hi\n{{ 12 // name|int }}", (), "body.txt.j2:2: "),
        (
            {"attachments": ["{{ name }}.pdf"]},
            "Hi",
            ("attachments", 0),
            "campaign.yaml:{}:{}: attachments, entry 1: there is no file '0.pdf' in the campaign's folder;",
        ),
    ],
)
def test_messages_that_cannot_be_made_are_reported_with_the_names_of_the_sender(
    postfix: Postfix,
    machines_for: MachinesFor,
    changes: dict[str, Any],
    body: str,
    path: tuple[str | int, ...],
    place: str,
) -> None:
    folder = machines_for(postfix, **changes)
    for name in "34":
        (folder.folder / f"{name}.pdf").write_bytes(b"%PDF")
    (folder.folder / "body.txt.j2").write_text(body)
    folder.list(["ann@example.test,3", "ben@example.test,4"])
    folder.begin()
    folder.change("UPDATE messages SET fields = replace(fields, '4', '0')")
    worked = folder.run("work", "campaign.yaml")
    assert worked.returncode == 5, worked.stderr
    assert place.format(*read(folder.folder / "campaign.yaml").marks[path]) in worked.stderr
    shown = [folder.run(command, "campaign.yaml").stdout for command in ("status", "workers", "report")]
    told = (worked.stderr, *shown, folder.why(), folder.reply("ben@example.test"))
    assert [word for text in told for word in text.split() if "campaign-" in word] == []


_PACKS_LITTLE = """
from campaign.cli import main
from campaign.sending.workers import packing
packing.MOST_ATTACHED = 10
raise SystemExit(main())
"""


@pytest.mark.parametrize("emptied", [False, True])
def test_losing_the_shared_folder_charges_no_row(
    postfix: Postfix, machines_for: MachinesFor, emptied: bool
) -> None:
    folder = machines_for(postfix, attachments=["letters/{{ name }}.txt"], rate="10/second")
    letters, gone = folder.folder / "letters", folder.folder / "gone"
    letters.mkdir()
    for number in range(1, 61):
        (letters / f"Person {number}.txt").write_text(f"A letter to person {number}.")
    people = folder.people(60)
    folder.program = _PACKS_LITTLE
    folder.begin()
    folder.program = ""
    folder.accounts(smtp=folder.campaign["smtp"], attachments_root=str(folder.folder))
    [worker] = folder.workers(1)
    folder.wait_for(Status.ACCEPTED, 5)
    letters.rename(gone)
    if emptied:
        letters.mkdir()
    _, err = worker.communicate(timeout=60)
    assert (worker.returncode, "is that folder mounted?" in err) == (5, True), (worker.returncode, err)
    assert set(folder.counts()) == {"accepted", "pending"}
    assert folder.state() == "sending"  # it may exist on another machine
    gone.rename(letters)
    assert ended(folder.workers(1)) == [0]
    assert delivered(postfix, 60) == sorted(people)


_FULL = """
CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'No space left on device'; END $$;
"""
_WRITTEN = ("attempts", "events", "messages", "campaigns", "runs")


def test_a_worker_ends_with_5_if_the_disk_of_the_ledger_is_full(
    postfix: Postfix, machines_for: MachinesFor
) -> None:
    folder = machines_for(postfix, rate="20/second")
    people = folder.people(60)
    folder.begin()
    worker = folder.start("work", "--all", "--ledger", folder.place.url)
    folder.wait_for(Status.ACCEPTED, 5)
    triggers = (f"CREATE TRIGGER is_full BEFORE INSERT OR UPDATE ON {table}" for table in _WRITTEN)
    folder.change(_FULL + ";".join(f"{trigger} EXECUTE FUNCTION is_full()" for trigger in triggers))
    _, err = worker.communicate(timeout=60)
    assert (worker.returncode, "No space left on device. Make room there" in err) == (5, True), err
    folder.change(";".join(f"DROP TRIGGER is_full ON {table}" for table in _WRITTEN))
    assert ended([folder.start("work", "--all", "--ledger", folder.place.url)]) == [0]
    counts = folder.counts()
    assert counts["accepted"] + counts.get("in_doubt", 0) == 60
    assert counts.get("in_doubt", 0) <= 2  # a result that could not be written
    got = delivered(postfix, counts["accepted"])
    assert len(set(got)) == len(got)
    assert set(got) <= set(people)


def test_a_breaker_that_trips_on_one_worker_stops_all(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(
        postfix, stop_when={"refused": "10%"}, rate="10/second", envelope_from="{{ name }}@x.test"
    )
    refused = {0: "e554"}  # what Postfix answers to such a sender's content
    folder.list(f"user{number}@example.test,{refused.get(number % 5, 'ok')}" for number in range(300))
    folder.begin()
    any_campaign = folder.start("work", "--all", "--ledger", folder.place.url)
    assert ended([*folder.workers(1), any_campaign]) == [5, 5]
    assert folder.state() == "paused"
    assert "stop_when.refused" in folder.run("workers", "campaign.yaml").stdout
    [(attempts,)] = folder.rows("SELECT count(*) FROM attempts")
    assert 50 <= attempts < 100  # each of them alone has seen fewer than the 50 that are judged


def test_a_refused_login_is_tried_only_once_by_all_workers(
    make_postfix: Callable[..., Postfix], machines_for: MachinesFor
) -> None:
    server = make_postfix(auth=True)
    folder = machines_for(server, smtp={"username": "news", "password_env": "SMTP_PASSWORD"})
    folder.accounts("news@localhost", smtp=folder.campaign["smtp"])
    folder.people(3)
    watching = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_until_sending(watching)
    folder.env["SMTP_PASSWORD"] = "not-the-secret"
    assert ended(folder.workers(1)) == [6]
    assert ended(folder.workers(2)) == [5, 5]  # as systemd starts them again
    assert server.log().count("authentication failed") == 1
    _, err = watching.communicate(timeout=60)
    assert (watching.returncode, "refused the login: 535" in err) == (5, True), err
    folder.env["SMTP_PASSWORD"] = "secret"
    folder.begin()
    assert ended(folder.workers(1)) == [0]


def test_a_worker_uses_only_its_own_accounts(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix)
    folder.people(2)
    folder.begin()
    folder.accounts("another", smtp={"host": "localhost"})
    refused = folder.run("work", "campaign.yaml")
    assert refused.returncode == 2
    assert "there is no account 'localhost'" in refused.stderr
    folder.env.pop("CAMPAIGN_ACCOUNTS")
    refused = folder.run("work", "campaign.yaml")
    assert (refused.returncode, "--accounts" in refused.stderr) == (2, True)
    refused = folder.run("work", "campaign.yaml", "--accounts", "missing.yaml")
    assert (refused.returncode, "no such file of accounts" in refused.stderr) == (2, True)


def test_workers_are_asked_what_they_lack(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix, rate="2/second")
    folder.people(200)
    folder.begin()
    [equipped] = folder.workers(1)
    folder.wait_for(Status.ACCEPTED)
    folder.write(rate="2/second", ledger=folder.place.url, workers={}, smtp={"ca_file": None})
    check = folder.start("check", "campaign.yaml", "--workers")
    until(lambda: folder.rows("SELECT 1 FROM questions"))
    folder.accounts("another", smtp={"host": "localhost"})
    [lacking] = folder.workers(1)  # as systemd starts it, again and again
    assert ended([lacking]) == [2]
    out, err = check.communicate(timeout=60)
    assert check.returncode == 2, out + err
    assert f" {lacking.pid}: there is no account 'localhost'" in err
    assert f" {equipped.pid} has what it needs" in out
    assert f" {equipped.pid}: the account 'localhost' trusts its ca_file here, and" in err
    assert "2 workers: 1 of them lacks something" in out
    assert folder.rows("SELECT 1 FROM questions") == folder.rows("SELECT 1 FROM answers") == []
    assert equipped.poll() is None


def test_another_campaign_with_the_same_name_is_not_watched(
    postfix: Postfix, machines_for: MachinesFor
) -> None:
    one = machines_for(postfix)
    one.people(2)
    one.begin()
    other = machines_for(postfix, ledger=one.place.url)
    other.people(3)
    refused = other.send(timeout=30)
    assert (refused.returncode, "has this name too, in the same ledger" in refused.stderr) == (2, True), (
        refused
    )


@pytest.mark.parametrize("option", [("--limit", "3"), ("--log", "attempts.jsonl")])
def test_options_for_a_single_process_are_refused(
    postfix: Postfix, machines_for: MachinesFor, option: tuple[str, str]
) -> None:
    folder = machines_for(postfix)
    folder.people(2)
    for state in ("", "sending"):
        if state:
            folder.begin()
        refused = folder.send(*option)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"{option[0]} is for one process, and workers send this campaign" in refused.stderr
        assert folder.state() == state


@pytest.mark.parametrize("option", ["--retry-refused", "--resend-doubt"])
def test_options_for_the_beginning_are_refused_while_workers_send(
    postfix: Postfix, machines_for: MachinesFor, option: str
) -> None:
    folder = machines_for(postfix)
    folder.people(2)
    folder.begin()
    refused = folder.send(option)
    assert (refused.returncode, refused.stdout) == (7, "")
    assert f"{option} can only be used when sending starts" in refused.stderr
    assert "campaign stop campaign.yaml" in refused.stderr
    folder.run("stop", "campaign.yaml")
    folder.begin(option)


def test_stop_names_a_process_that_it_cannot_end(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix, workers=None, rate="2/second")
    folder.people(100)
    alone = folder.start("send", "campaign.yaml", "--yes", "--new-ledger")
    folder.wait_for(Status.ACCEPTED)
    stopped = folder.run("stop", "campaign.yaml")
    assert (stopped.returncode, stopped.stdout) == (7, "")
    assert f"process {alone.pid} on " in stopped.stderr
    assert "idle; 0 workers" in (shown := folder.run("workers", "campaign.yaml").stdout)
    assert f" {alone.pid}: `campaign send`" in shown
    as_json = json.loads(folder.run("workers", "campaign.yaml", "--json").stdout)
    assert (as_json["alone"]["pid"], as_json["workers"]) == (alone.pid, [])
    alone.send_signal(signal.SIGINT)
    assert ended([alone]) == [130]
    stopped = folder.run("stop", "campaign.yaml")
    assert (stopped.returncode, "is not being sent" in stopped.stdout) == (0, True)


def test_workers_need_a_shared_ledger_and_a_broker_its_variable(
    postfix: Postfix, machines_for: MachinesFor
) -> None:
    folder = machines_for(postfix, workers={"broker_env": "NO_SUCH_BROKER"})
    folder.people(1)
    refused = folder.send()
    assert (refused.returncode, "NO_SUCH_BROKER is not set" in refused.stderr) == (2, True)
    assert folder.state() == ""
    folder.write(workers={}, ledger="ledger.db")
    refused = folder.run("check", "campaign.yaml")
    assert (refused.returncode, "and this one is a file" in refused.stderr) == (2, True)


def test_ctrl_c_ends_a_worker_after_the_pending_replies(postfix: Postfix, machines_for: MachinesFor) -> None:
    folder = machines_for(postfix, rate="5/second")
    folder.people(200)
    folder.begin()
    [worker] = folder.workers(1)
    folder.wait_for(Status.ACCEPTED, 3)
    worker.send_signal(signal.SIGINT)
    assert ended([worker]) == [130]
    assert set(folder.counts()) == {"accepted", "pending"}
