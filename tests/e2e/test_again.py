"""Sending a campaign again, with the same list or another."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.folder import Folders, mails, message_ids
from tests.servers.postfix import Postfix


def test_a_limit_counts_attempts(postfix: Postfix, campaign_for: Folders) -> None:
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


def test_a_corrected_list_sends_only_the_missing_rows(postfix: Postfix, campaign_for: Folders) -> None:
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
    # Ben's address is corrected, Carl has left, D's name has changed, Eve is new.
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


def test_two_messages_for_one_person_need_another_key(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.list(["anna@example.test,Anna", "ben@example.test,Ben", "ANNA@EXAMPLE.test,Anna again"])
    stopped = folder.send()
    assert stopped.returncode == 2
    assert "list.csv:4: 'anna@example.test' is already in line 2, with another name" in stopped.stderr
    assert "`key: name` if each row is a letter of its own" in stopped.stderr
    assert mails(postfix) == {}
    folder.write(recipients={"csv": "list.csv", "name": "{{ name }}", "key": "name"})
    assert folder.send().returncode == 0
    assert mails(postfix) == {"anna@example.test": 1, "ANNA@example.test": 1, "ben@example.test": 1}


def test_bad_rows_stop_the_send_or_are_skipped(postfix: Postfix, campaign_for: Folders) -> None:
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
    assert skipped.returncode == 5
    assert "2 bad rows, skipped" in skipped.stdout
    left = "  2 bad rows left out, to correct: campaign export campaign.yaml --status invalid"
    assert left in skipped.stdout
    assert folder.send("--skip-bad-rows").returncode == 5  # they are still left
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


def test_changed_content_must_be_accepted(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(4)
    assert folder.send("--limit", "2").returncode == 5
    (folder.folder / "body.txt.j2").write_text("Dear {{ name }},\n\nthis is quite another text.\n")
    sent = folder.send()
    assert sent.returncode == 5
    assert "the content has changed since some people received it" in sent.stderr
    assert "--accept content" in sent.stderr
    assert folder.counts() == {"accepted": 2, "pending": 2}
    folder.write(smtp={"messages_per_session": 3}, rate="100/second", retry={"attempts": 2})
    assert folder.send("--accept-changes").returncode == 0
    assert folder.counts() == {"accepted": 4}
    (folder.folder / "body.txt.j2").write_text("Dear {{ name }},\n\nthis is yet another text.\n")
    assert folder.send().returncode == 0  # nobody is left to have it


def test_other_settings_may_change(postfix: Postfix, campaign_for: Folders) -> None:
    folder = campaign_for(postfix)
    folder.people(2)
    assert folder.send("--limit", "1").returncode == 5
    folder.write(smtp={"messages_per_session": 3}, rate="100/second", retry={"attempts": 2})
    assert folder.send().returncode == 0


def test_refused_rows_are_sent_again_on_request(
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


def test_no_command_mails_a_suppressed_address(postfix: Postfix, campaign_for: Folders) -> None:
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


def test_a_test_message_is_not_recorded_in_the_campaign(postfix: Postfix, campaign_for: Folders) -> None:
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
