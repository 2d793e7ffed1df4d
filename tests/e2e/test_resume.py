"""Going on after whatever happened: nobody twice, nobody missing, and what is unknown is named."""

from __future__ import annotations

import json
import platform
import re
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, kill, until
from tests.servers.postfix import Postfix

Folders = Callable[..., CampaignFolder]


@pytest.fixture(scope="module")
def slow_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """It takes two seconds to answer the final dot, and what has left by then is delivered."""
    return make_postfix(smtpd_end_of_data_restrictions="sleep 2")


@pytest.fixture(scope="module")
def silent_server(make_postfix: Callable[..., Postfix]) -> Postfix:
    """It does not answer the final dot as long as a test may take."""
    return make_postfix(smtpd_end_of_data_restrictions="sleep 100")


def mails(server: Postfix) -> Counter[str]:
    return Counter(mail.recipient for mail in server.wait_delivered())


def message_ids(server: Postfix) -> list[str]:
    found = (
        re.search(rb"^Message-ID: (<.*>)", mail.content, re.MULTILINE) for mail in server.wait_delivered()
    )
    return [match[1].decode() for match in found if match is not None]


# Death and interruption


def test_killed_in_mid_run_and_sent_again(postfix: Postfix, campaign_for: Folders) -> None:
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


def test_what_was_on_its_way_is_in_doubt_until_somebody_decides(
    slow_server: Postfix, campaign_for: Folders
) -> None:
    slow_server.empty()
    folder = campaign_for(slow_server)
    folder.people(2)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    kill(process)
    assert folder.counts() == {"in_doubt": 1, "pending": 1}  # whether or not anybody has written it down

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
def test_a_resend_carries_the_same_message_id(
    slow_server: Postfix, campaign_for: Folders, decision: str
) -> None:
    slow_server.empty()
    folder = campaign_for(slow_server)
    folder.people(1)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_once(postfix: Postfix, campaign_for: Folders, number: signal.Signals) -> None:
    folder = campaign_for(postfix, rate="100/second", smtp={"connections": 2})
    everybody = folder.people(150)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 20)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    said = [line for line in stderr.splitlines() if line and "warning" not in line]
    assert said == ["stopping; waiting for the answers that are due (again: at once)"]
    assert "to go on: campaign send campaign.yaml" in stdout
    counts = folder.counts()
    assert set(counts) == {"accepted", "pending"}
    assert folder.send().returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)


def test_interrupted_once_waits_for_the_answer(slow_server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(slow_server)
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert folder.counts() == {"accepted": 1, "pending": 2}


def test_whose_lease_is_taken_stops(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="10/second")
    everybody = folder.people(60)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    with closing(sqlite3.connect(folder.folder / "ledger.db")) as other, other:
        other.execute("UPDATE runs SET ended_at = heartbeat")  # as another machine does, taking it for dead
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "error: another process has taken this ledger over; nothing more is sent from here" in stderr
    assert "Traceback" not in stderr
    folder.write()
    assert folder.send("--resend-doubt").returncode == 0
    assert set(mails(postfix)) == set(everybody)


def test_interrupted_twice_does_not_wait(silent_server: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(silent_server)
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() + process.stderr.readline() != ""  # it has heard the first
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == ""
    assert "1 in doubt" in stdout
    assert folder.counts() == {"in_doubt": 1, "pending": 2}


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def test_interrupted_while_the_server_says_nothing(
    postfix: Postfix, campaign_for: Folders, mute_port: int
) -> None:
    folder = campaign_for(postfix, smtp={"port": mute_port})
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    assert process.stdout is not None
    while "rate:" not in process.stdout.readline():  # the plan ends with it
        pass
    folder.wait_for(Status.PENDING)
    process.send_signal(signal.SIGTERM)  # no answer is due: nothing to wait for
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert folder.counts() == {"pending": 3}


def test_stopped_before_anything_is_sent(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, smtp={"username": "news", "password_command": ["sleep", "20"]})
    folder.people(3)
    process = folder.start("send", "campaign.yaml", "--yes")
    until(lambda: folder.rows("SELECT 1 FROM runs WHERE ended_at IS NULL"))
    process.terminate()
    process.wait(60)
    assert process.returncode != 0
    folder.write()
    assert folder.send().returncode == 0  # a dead process holds no lease


# Two at once


def test_a_second_sender_is_refused_and_readers_are_not(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="1/second")
    folder.people(40)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED)
    who = f"process {process.pid} on {platform.node()} is sending"
    for arguments in (["send", "campaign.yaml", "--yes"], ["test", "campaign.yaml", "me@example.test"]):
        second = folder.run(*arguments)
        assert second.returncode == 7
        assert second.stderr.startswith(f"error: ledger.db: {who} from this ledger")
        assert second.stdout == ""
    assert folder.send("--log", "second.log").returncode == 7
    assert not (folder.folder / "second.log").exists()
    assert who in folder.run("status", "campaign.yaml").stdout
    assert json.loads(folder.run("status", "campaign.yaml", "--json").stdout)["sending"]["pid"] == process.pid
    exported = folder.run("export", "campaign.yaml", "--status", "pending").stdout.splitlines()
    assert "user40@example.test,Person 40,pending," in exported
    assert folder.run("check", "campaign.yaml").returncode == 0
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_what_a_person_decides_while_a_send_is_running(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, rate="20/second")
    folder.people(100)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED, 3)
    ledger = ("--campaign", "campaign.yaml")
    with folder.held(process):  # of these three, the first is claimed already
        added = folder.run("suppress", "add", "user50@example.test", "user90@example.test", *ledger)
        assert added.stdout.endswith("2 added; 2 waiting rows are suppressed by it\n")
        forgetting = folder.start("forget", "user60@example.test", *ledger)
        assert forgetting.stdout is not None
        assert forgetting.stdout.readline().startswith("user60@example.test: 1 row of the ledger forgotten")
        assert "nothing is in doubt" in folder.run("resolve", "campaign.yaml").stdout
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr + stdout
    assert folder.counts() == {"accepted": 97, "suppressed": 2}
    got = mails(postfix)
    assert set(got.values()) == {1}
    assert {"user50@example.test", "user60@example.test", "user90@example.test"} & set(got) == set()
    assert "error" not in stderr


def test_somebody_in_doubt_is_settled_while_a_send_is_running(
    slow_server: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(slow_server)
    folder.people(4)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    kill(process)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.ACCEPTED)
    with folder.held(process):
        resolved = folder.run("resolve", "campaign.yaml", "--pending", "--all")
    assert resolved.stdout == "1 settled as pending\n"
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert folder.counts() == {"accepted": 4}


def test_who_is_forgotten_while_on_their_way_leaves_no_trace(
    slow_server: Postfix, campaign_for: Folders
) -> None:
    slow_server.empty()
    folder = campaign_for(slow_server)
    folder.people(2)
    process = folder.start("send", "campaign.yaml", "--yes")
    folder.wait_for(Status.IN_FLIGHT)
    with folder.held(process):
        [(address,)] = folder.rows("SELECT email FROM messages WHERE status = 'in_flight'")
        forgetting = folder.start("forget", address, "--campaign", "campaign.yaml")
        assert forgetting.stdout is not None
        assert address in forgetting.stdout.readline()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "2 of 2 accepted" in stdout
    forgetting.communicate(timeout=60)
    assert forgetting.returncode == 0
    ledger = b"".join(file.read_bytes() for file in folder.folder.glob("ledger.db*"))
    assert address.encode() not in ledger
    assert b"@example.test" in ledger  # of the other
    assert folder.send().returncode == 0  # the list has them still
    assert mails(slow_server) == {"user1@example.test": 1, "user2@example.test": 1}


# The same list again, and another


def test_a_limit_is_of_attempts(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    everybody = folder.people(25)
    for so_far in (10, 20):
        sent = folder.send("--limit", "10")
        assert sent.returncode == 5
        assert sent.stderr == ""
        assert f"{so_far} of 25 accepted" in sent.stdout
        assert folder.counts() == {"accepted": so_far, "pending": 25 - so_far}
    assert folder.send("--limit", "10").returncode == 0
    assert mails(postfix) == dict.fromkeys(everybody, 1)

    folder.write(name="deferred", retry={"attempts": 9, "first_delay": "0.1s", "max_delay": "0.1s"})
    folder.list(["defer@example.test,D"])
    assert folder.send("--limit", "4", "--accept", "name").returncode == 5
    assert folder.rows("SELECT attempts FROM messages WHERE email = 'defer@example.test'") == [(4,)]


def test_a_corrected_list(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, recipients={"csv": "list.csv", "key": "id", "name": "{{ name }}"})
    header = "id,email,name"
    folder.list(
        [
            "1,anna@example.test,Anna",
            "2,bad@example.test,Ben",
            "3,carl@example.test,Carl",
            "4,d@example.test,D",
        ],
        header,
    )
    assert folder.send("--limit", "2").returncode == 5
    assert folder.counts() == {"accepted": 1, "pending": 2, "refused": 1}
    # Ben's address is corrected, Carl has left, D's name is another, Eve is new.
    folder.list(
        [
            "4,d@example.test,Dora",
            "1,anna@example.test,Anna",
            "2,ben@example.test,Ben",
            "5,eve@example.test,Eve",
        ],
        header,
    )
    sent = folder.send("--limit", "2")
    assert "3 to send" in sent.stdout
    assert "of these:    1 new, 2 changed since" in sent.stdout
    assert "1 left the list" in sent.stdout
    assert folder.counts() == {"accepted": 3, "pending": 1, "withdrawn": 1}
    # Carl is back.
    folder.list(
        [
            "3,carl@example.test,Carl",
            "2,ben@example.test,Ben",
            "4,d@example.test,D",
            "5,eve@example.test,Eve",
        ],
        header,
    )
    last = folder.send()
    assert last.returncode == 0
    assert "1 back on the list" in last.stdout
    assert folder.counts() == {"accepted": 5}
    assert mails(postfix) == dict.fromkeys(
        [f"{name}@example.test" for name in ("anna", "ben", "carl", "d", "eve")], 1
    )
    greetings = {mail.recipient: mail.content for mail in postfix.mailbox()}
    assert b"Dear Dora," in greetings["d@example.test"]


def test_rows_with_one_key_are_one_message(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["anna@example.test,Anna", "ben@example.test,Ben", "ANNA@EXAMPLE.test,Anna"])
    sent = folder.send()
    assert sent.returncode == 0
    assert "list.csv:4: warning: " in sent.stderr
    assert "1 double" in sent.stdout
    assert mails(postfix) == {"anna@example.test": 1, "ben@example.test": 1}


def test_two_letters_for_one_person_are_not_one(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["anna@example.test,Anna", "ben@example.test,Ben", "ANNA@EXAMPLE.test,Anna again"])
    stopped = folder.send()
    assert stopped.returncode == 2
    assert "list.csv:4: 'anna@example.test' stands in line 2 already, with another name" in stopped.stderr
    assert "`key: name` if each is a letter of its own" in stopped.stderr
    assert mails(postfix) == {}
    folder.write(recipients={"csv": "list.csv", "name": "{{ name }}", "key": "name"})
    assert folder.send().returncode == 0
    assert mails(postfix) == {"anna@example.test": 1, "ANNA@example.test": 1, "ben@example.test": 1}


def test_bad_rows_stop_everything_or_are_skipped(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["anna@example.test,Anna", "not an address,Ben", "carl@example.test,Carl", "d@example.test"])
    stopped = folder.send()
    assert stopped.returncode == 2
    places = [line for line in stopped.stderr.splitlines() if line.startswith("error: list.csv:")]
    assert [line.split(":")[2] for line in places] == ["3", "5"]
    assert "nothing was sent; correct the list, or leave such rows out with --skip-bad-rows" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert folder.rows("SELECT count(*) FROM messages") == [(0,)]
    assert mails(postfix) == {}

    skipped = folder.send("--skip-bad-rows")
    assert skipped.returncode == 0
    assert "2 bad rows, skipped" in skipped.stdout
    assert folder.counts() == {"accepted": 2, "invalid": 2}
    to_correct = folder.run("export", "campaign.yaml", "--status", "invalid").stdout.splitlines()
    assert to_correct[1] == "not an address,Ben,invalid,email: 'not an address' has no @"
    assert to_correct[2].startswith('d@example.test,,invalid,"the row has 1 cell, fewer than')
    folder.list(
        ["anna@example.test,Anna", "ben@example.test,Ben", "carl@example.test,Carl", "d@example.test,D"]
    )
    assert folder.send().returncode == 0
    assert set(mails(postfix).values()) == {1}
    assert len(mails(postfix)) == 4
    assert folder.counts()["accepted"] == 4


def test_changed_content_is_not_sent_unasked(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(4)
    assert folder.send("--limit", "2").returncode == 5
    (folder.folder / "body.txt.j2").write_text("Dear {{ name }},\n\nthis is quite another text.\n")
    sent = folder.send()
    assert sent.returncode == 5
    assert "the content has changed since some had it" in sent.stderr
    assert "--accept content" in sent.stderr
    assert folder.counts() == {"accepted": 2, "pending": 2}
    folder.write(smtp={"messages_per_session": 3}, rate="100/second", retry={"attempts": 2})
    assert folder.send("--accept-changes").returncode == 0
    assert folder.counts() == {"accepted": 4}
    (folder.folder / "body.txt.j2").write_text("Dear {{ name }},\n\nthis is yet another text.\n")
    assert folder.send().returncode == 0  # nobody is left to have it


def test_what_is_no_content_may_change(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(2)
    assert folder.send("--limit", "1").returncode == 5
    folder.write(smtp={"messages_per_session": 3}, rate="100/second", retry={"attempts": 2})
    assert folder.send().returncode == 0


def test_refused_earlier_are_tried_again_when_asked(
    make_postfix: Callable[..., Postfix], campaign_for: Folders
) -> None:
    server = make_postfix(recipient_faults={"b@example.test": "554 5.7.1 no"}, service_throttle_time="1s")
    folder = campaign_for(server)
    folder.list(["a@example.test,A", "b@example.test,B"])
    assert folder.send().returncode == 3
    server.reload(recipient_faults={})
    again = folder.send()
    assert again.returncode == 3
    assert "1 refused earlier (--retry-refused)" in again.stdout
    assert folder.send("--retry-refused").returncode == 0
    assert mails(server) == {"a@example.test": 1, "b@example.test": 1}


def test_who_is_suppressed_gets_nothing_by_any_way(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, cc=["gone@example.test", "boss@example.test"], bcc=["x@gone.test"])
    folder.list(["anna@example.test,Anna", "gone@example.test,Gone", "ben@example.test,Ben", "y@gone.test,Y"])
    folder.run("suppress", "add", "GONE@example.test", "gone.test", "--campaign", "campaign.yaml")
    sent = folder.send()
    assert sent.returncode == 0, sent.stderr
    assert "2 suppressed" in sent.stdout
    for address in ("gone@example.test", "z@gone.test"):
        tested = folder.run("test", "campaign.yaml", address)
        assert tested.returncode == 2
        assert tested.stderr == f"error: {address} is suppressed: it gets nothing\n"
    assert mails(postfix) == {"anna@example.test": 1, "ben@example.test": 1, "boss@example.test": 2}
    assert folder.counts() == {"accepted": 2, "suppressed": 2}
    folder.run("suppress", "remove", "gone@example.test", "--campaign", "campaign.yaml")
    assert folder.send().returncode == 0
    assert mails(postfix)["gone@example.test"] == 1


def test_a_test_message_is_no_part_of_the_campaign(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix, cc=["boss@example.test"])
    folder.people(2)
    tested = folder.run("test", "campaign.yaml", "me@example.test", "you@example.test", "--as", "2")
    assert tested.returncode == 0, tested.stderr
    assert [line.split(":")[:2] for line in tested.stdout.splitlines()] == [
        ["me@example.test", " accepted"],
        ["you@example.test", " accepted"],
    ]
    assert mails(postfix) == {"me@example.test": 1, "you@example.test": 1}
    assert all(b"Dear Person 2," in mail.content for mail in postfix.mailbox())
    assert folder.rows("SELECT count(*) FROM messages") == [(0,)]
    assert folder.rows("SELECT sum(addresses) FROM attempts") == [(2,)]
    assert folder.send().returncode == 0
    assert len(set(message_ids(postfix))) == 4
