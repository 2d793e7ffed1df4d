"""Runs are killed at random moments, over and over; then the ledger must match the mailbox.

Promise 2 in numbers, with a real Postfix over TLS: nobody is mailed twice, nobody is missing, nobody is
accepted who got nothing, and at most one is in doubt for each connection of each run that was killed.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders
from tests.servers.postfix import Postfix


class Harness:
    """Runs one campaign, ending each of its runs before it is finished."""

    def __init__(self, folder: CampaignFolder, people: int, endings: int, seed: int) -> None:
        self.folder = folder
        self.everybody = set(folder.people(people))
        self.endings = endings
        self.ended = 0
        self.codes: Counter[int] = Counter()
        self._random = random.Random(seed)
        # At most this many messages before each end; half of the list is left for the runs that go on.
        self._stride = max(1, people // endings)
        self._log = folder.folder / "attempts.jsonl"

    def end_runs(self, *signals: signal.Signals) -> None:
        """Start run after run, and end each with one of these signals at a random moment."""
        while self.ended < self.endings:
            process = self.folder.start("send", "campaign.yaml", "--yes", "--quiet", "--log", str(self._log))
            if self._at_some_moment(process):
                process.send_signal(self._random.choice(signals))
                self.ended += 1
            said = process.communicate()[1]
            # Until the program runs, Python itself reports an interrupt.
            if "KeyboardInterrupt" not in said or "campaign/cli/program.py" in said:
                assert "Traceback" not in said, said
                self.codes[process.returncode] += 1
            if process.returncode in (0, 4):
                break

    def _at_some_moment(self, process: subprocess.Popen[str]) -> bool:
        """Wait for some more results, or some time after the start; False if the run ended before."""
        if self._random.random() < 0.1:
            time.sleep(self._random.uniform(0, 0.6))
            return process.poll() is None
        goal = self._size() + self._random.randrange(self._stride) * 120  # octets of a line, approximately
        while self._size() <= goal:
            if process.poll() is not None:
                return False
            time.sleep(0.001)
        time.sleep(self._random.uniform(0, 0.004))
        return process.poll() is None

    def _size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def hold_against(self, server: Postfix) -> str:
        """Finish the campaign, compare, settle the rows in doubt, and compare again."""
        folder = self.folder
        last = folder.send("--quiet", timeout=300)
        in_doubt = folder.addresses(Status.IN_DOUBT)
        assert last.returncode == (4 if in_doubt else 0), last.stderr
        accepted = folder.addresses(Status.ACCEPTED)
        assert accepted | in_doubt == self.everybody
        delivered = Counter(mail.recipient for mail in server.wait_delivered())
        assert [address for address, count in delivered.items() if count > 1] == [], "delivered twice"
        assert accepted - set(delivered) == set(), "accepted, and not delivered"
        assert set(delivered) <= self.everybody

        log = folder.folder / "mail.log"
        log.write_text(server.log())
        settled = folder.run("resolve", "campaign.yaml", "--from-log", str(log))
        assert settled.returncode == 0, settled.stderr
        left = folder.addresses(Status.IN_DOUBT)
        assert left == in_doubt - set(delivered)
        if left:
            assert folder.run("resolve", "campaign.yaml", "--pending", "--all").returncode == 0
        assert folder.send("--quiet").returncode == 0
        assert folder.counts() == {"accepted": len(self.everybody)}
        delivered = Counter(mail.recipient for mail in server.wait_delivered())
        assert delivered == dict.fromkeys(self.everybody, 1)
        return (
            f"{self.ended} runs ended, {len(self.everybody)} people, {len(in_doubt)} in doubt of whom"
            f" {len(left)} had got nothing; exit codes {dict(self.codes)}"
        )

    def most_in_doubt(self) -> int:
        """Return the greatest number of rows that one run has left in doubt."""
        runs = self.folder.rows("SELECT count(*) FROM messages WHERE status = 'in_doubt' GROUP BY run")
        return max((count for (count,) in runs), default=0)


def killed(
    postfix: Postfix, campaign_for: Folders, *, connections: int, people: int, kills: int, seed: int
) -> str:
    folder = campaign_for(postfix, smtp={"connections": connections, "messages_per_session": 40})
    harness = Harness(folder, people, kills, seed)
    harness.end_runs(signal.SIGKILL)
    assert harness.most_in_doubt() <= connections
    return harness.hold_against(postfix)


def interrupted(
    postfix: Postfix, campaign_for: Folders, *, connections: int, people: int, times: int, seed: int
) -> str:
    folder = campaign_for(postfix, smtp={"connections": connections, "messages_per_session": 40})
    harness = Harness(folder, people, times, seed)
    harness.end_runs(signal.SIGTERM, signal.SIGINT)
    assert folder.rows("SELECT * FROM events WHERE kind = 'in_doubt'") == []
    assert folder.rows("SELECT * FROM messages WHERE status IN ('in_flight', 'in_doubt')") == []
    assert set(harness.codes) <= {130, 0, -signal.SIGTERM, -signal.SIGINT}, harness.codes
    return harness.hold_against(postfix)


def test_killed_some_times(postfix: Postfix, campaign_for: Folders) -> None:
    killed(postfix, campaign_for, connections=2, people=150, kills=8, seed=random.randrange(10**6))


def test_interrupted_some_times(postfix: Postfix, campaign_for: Folders) -> None:
    interrupted(postfix, campaign_for, connections=2, people=100, times=5, seed=random.randrange(10**6))


@pytest.mark.long
@pytest.mark.parametrize("connections", [1, 4])
def test_killed_a_hundred_times(
    postfix: Postfix, campaign_for: Folders, connections: int, record_property: Callable[[str, object], None]
) -> None:
    result = killed(postfix, campaign_for, connections=connections, people=2000, kills=100, seed=connections)
    record_property("result", result)
    print(result)
    assert result.startswith("100 runs ended")


@pytest.mark.long
@pytest.mark.parametrize("connections", [1, 4])
def test_interrupted_a_hundred_times(postfix: Postfix, campaign_for: Folders, connections: int) -> None:
    result = interrupted(
        postfix, campaign_for, connections=connections, people=2000, times=100, seed=connections
    )
    print(result)
    assert result.startswith("100 runs ended")
