"""Another process keeps the ledger locked during a send. With a real Postfix."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders, kill, until
from tests.ledger.lock import locked
from tests.servers.postfix import Postfix
from tests.servers.proxy import delayed

# The command, but its intents wait for a moment instead of thirty seconds, and heartbeats are frequent.
_IMPATIENT = """
from campaign.cli import main
from campaign.ledger.sqlite import opening
from campaign.model import SECOND
from campaign.sending import sender
opening.BUSY_TIMEOUT, sender._HEARTBEAT = {patience}, SECOND
raise SystemExit(main())
"""


def sending(
    folder: CampaignFolder, until: Status = Status.ACCEPTED, patience: float = 1
) -> subprocess.Popen[str]:
    """Start a run with short waits, and wait for a row of some status; its log is attempts.jsonl."""
    folder.program = _IMPATIENT.format(patience=patience)
    process = folder.start("send", "campaign.yaml", "--yes", "--log", "attempts.jsonl")
    folder.wait_for(until)
    return process


def logged(folder: CampaignFolder) -> int:
    """Return how many attempts the log has."""
    return (folder.folder / "attempts.jsonl").read_text().count("\n")


def everybody_once(server: Postfix, people: list[str]) -> bool:
    return Counter(mail.recipient for mail in server.wait_delivered(len(people))) == dict.fromkeys(people, 1)


def test_intents_are_given_up_and_results_are_written_after_the_lock(
    postfix: Postfix, campaign_for: Folders
) -> None:
    folder = campaign_for(postfix, rate="10/second", smtp={"connections": 2})
    people = folder.people(60)
    process = sending(folder)
    with locked(folder.folder / "ledger.db"):
        time.sleep(3)  # how it behaves meanwhile is tested here
        assert process.poll() is None
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 5, said
    assert "another process has kept the ledger locked for 1 seconds" in said
    assert "Traceback" not in said
    assert set(folder.counts()) == {"accepted", "pending"}
    assert len(folder.addresses(Status.ACCEPTED)) == logged(folder)
    assert folder.send("--quiet").returncode == 0
    assert everybody_once(postfix, people)


def test_a_waiting_run_survives_a_lock(make_postfix: Callable[..., Postfix], campaign_for: Folders) -> None:
    """It only has heartbeats to write, which can wait."""
    server = make_postfix(smtpd_recipient_restrictions="check_recipient_access static:{450 4.2.0 later}")
    folder = campaign_for(server, retry={"attempts": 2, "first_delay": "4s", "max_delay": "4s"})
    folder.people(1)
    process = sending(folder, Status.DEFERRED)
    with locked(folder.folder / "ledger.db", 2.5):
        said, wrong = process.communicate(timeout=60)
    assert process.returncode == 3, wrong
    assert "gave up after 2 attempts" in said


def test_results_kept_by_a_killed_run_are_in_doubt(postfix: Postfix, campaign_for: Folders) -> None:
    """They are listed as in doubt, and nobody is mailed twice."""
    with delayed(postfix.port, 0.15) as port:
        folder = campaign_for(postfix, rate="2/second", smtp={"port": port})
        people = folder.people(30)
        process = sending(folder, patience=10)
        while not held_back(folder, process):
            assert process.poll() is None
        in_doubt = folder.addresses(Status.IN_FLIGHT)
    assert len(in_doubt) == 1
    folder.write(rate=None)
    ended = folder.send("--quiet")
    assert ended.returncode == 4, ended.stderr
    assert folder.addresses(Status.IN_DOUBT) == in_doubt
    assert in_doubt.pop() in folder.run("resolve", "campaign.yaml").stdout
    until(lambda: "status=sent" in postfix.log())
    (folder.folder / "mail.log").write_text(postfix.log())
    folder.run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert folder.counts() == {"accepted": len(people)}
    assert everybody_once(postfix, people)


def held_back(folder: CampaignFolder, process: subprocess.Popen[str]) -> bool:
    """Lock the ledger, and kill the run if it then keeps a result; else let it continue."""
    with locked(folder.folder / "ledger.db"):
        for _ in range(20):
            if logged(folder) > len(folder.addresses(Status.ACCEPTED)):
                kill(process)
                return True
            time.sleep(0.05)
    return False
