"""Other commands during a send, and a second send."""

from __future__ import annotations

import json
import platform
import signal

from campaign.model import Status
from tests.e2e.folder import Folders, kill, mails
from tests.servers.postfix import Postfix


def test_a_second_sender_is_refused_and_readers_work(postfix: Postfix, campaign_for: Folders) -> None:
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


def test_decisions_during_a_send_take_effect(postfix: Postfix, campaign_for: Folders) -> None:
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


def test_a_row_in_doubt_can_be_settled_during_a_send(slow_server: Postfix, campaign_for: Folders) -> None:
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


def test_a_person_forgotten_in_flight_leaves_no_trace(slow_server: Postfix, campaign_for: Folders) -> None:
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
    assert folder.send().returncode == 0  # the list still has them
    assert mails(slow_server) == {"user1@example.test": 1, "user2@example.test": 1}
