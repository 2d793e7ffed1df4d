"""`send` killed again and again at random moments, over TLS: then the ledger is held against the mailbox."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix

LOG = "attempts.jsonl"


def interrupted_runs(
    folder: CampaignFolder, number: signal.Signals, times: int, chance: random.Random, connections: int
) -> int:
    """Start `send` and signal it after some messages, so often; return how many runs were hit."""
    hit = 0
    log = folder.folder / LOG
    for _ in range(times):
        before = len(log.read_bytes().splitlines()) if log.exists() else 0
        process = folder.start("send", "campaign.yaml", "--yes", "--quiet", "--log", LOG)
        wanted = before + chance.randrange(0, 25)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_bytes().splitlines()) >= wanted:
                break
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        if process.poll() is None:
            process.send_signal(number)
            hit += 1
        _, said = process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGKILL, 130, 0, 4), said
        if process.returncode == 0:
            break
        doubtful = folder.addresses(Status.IN_DOUBT, Status.IN_FLIGHT)
        assert len(doubtful) <= hit * connections, doubtful
    return hit


def held_against_the_mailbox(folder: CampaignFolder, server: Postfix, everybody: list[str]) -> set[str]:
    """Compare each status with what was delivered; return who is in doubt."""
    delivered = Counter(mail.recipient for mail in server.wait_delivered(timeout=120))
    assert max(delivered.values(), default=0) <= 1, [a for a, n in delivered.items() if n > 1]
    accepted = folder.addresses(Status.ACCEPTED)
    doubtful = folder.addresses(Status.IN_DOUBT, Status.IN_FLIGHT)
    assert accepted <= set(delivered)
    assert set(delivered) <= accepted | doubtful
    assert folder.addresses(*Status) == set(everybody)
    return doubtful


def finish(folder: CampaignFolder, server: Postfix, everybody: list[str]) -> None:
    """Let the server's log settle what is in doubt, send what is left, and count."""
    (folder.folder / "mail.log").write_text(server.log())
    settled = folder.run("resolve", "campaign.yaml", "--from-log", "mail.log")
    assert settled.returncode == 0, settled.stderr
    if folder.counts().get("in_doubt"):
        folder.run("resolve", "campaign.yaml", "--pending", "--all")
    done = folder.send("--log", LOG, timeout=300)
    assert done.returncode == 0, done.stderr
    delivered = Counter(mail.recipient for mail in server.wait_delivered(len(everybody), timeout=120))
    assert delivered == dict.fromkeys(everybody, 1)


def campaign_folder(
    server: Postfix, path: Path, count: int, connections: int
) -> tuple[CampaignFolder, list[str]]:
    server.empty()
    folder = CampaignFolder(path, server, smtp={"connections": connections})
    return folder, folder.people(count)


@pytest.mark.parametrize("connections", [1, 4])
def test_kills(postfix: Postfix, tmp_path: Path, connections: int) -> None:
    run_killed(postfix, tmp_path, people=150, kills=8, connections=connections)


@pytest.mark.long
@pytest.mark.parametrize("connections", [1, 4])
def test_a_hundred_kills(postfix: Postfix, tmp_path: Path, connections: int) -> None:
    run_killed(postfix, tmp_path, people=2000, kills=100, connections=connections)


def run_killed(server: Postfix, path: Path, *, people: int, kills: int, connections: int) -> None:
    folder, everybody = campaign_folder(server, path, people, connections)
    hit = interrupted_runs(folder, signal.SIGKILL, kills, random.Random(connections), connections)
    assert hit >= min(kills, 3)
    doubtful = held_against_the_mailbox(folder, server, everybody)
    assert len(doubtful) <= hit * connections
    finish(folder, server, everybody)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_nothing_is_in_doubt(postfix: Postfix, tmp_path: Path, number: signal.Signals) -> None:
    folder, everybody = campaign_folder(postfix, tmp_path, 150, 4)
    interrupted_runs(folder, number, 6, random.Random(number), 4)
    assert held_against_the_mailbox(folder, postfix, everybody) == set()
    finish(folder, postfix, everybody)
