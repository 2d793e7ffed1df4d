"""`send --log` has each result once, also if a run was killed or the file was truncated."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from campaign.model import Status
from tests.e2e.folder import CampaignFolder, Folders, kill
from tests.servers.postfix import Postfix


@pytest.fixture
def folder(postfix: Postfix, campaign_for: Folders) -> CampaignFolder:
    folder = campaign_for(postfix, cc=["boss@example.test"], smtp={"connections": 2, "rate": "40/second"})
    folder.list(["bad@example.test,Bad", *(f"user{n}@example.test,Zoë {n}" for n in range(40))])
    return folder


def told(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def recorded(folder: CampaignFolder) -> Counter[tuple[str, str, str]]:
    """Return the attempts at rows that the ledger has, without copies."""
    return Counter(
        folder.rows(
            "SELECT key, address, kind FROM events WHERE address != 'boss@example.test' AND source IS NULL"
            " AND key != ''"
        )
    )


def test_results_that_a_killed_run_did_not_log_are_logged_by_the_next(folder: CampaignFolder) -> None:
    log = folder.folder / "attempts.log"
    chosen = random.Random(7)
    for _ in range(4):
        process = folder.start("send", "campaign.yaml", "--yes", "--log", "attempts.log")
        before = len(folder.addresses(Status.ACCEPTED))
        while len(folder.addresses(Status.ACCEPTED)) < before + 2 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chosen.random() / 10)
        kill(process)
    assert folder.send("--log", "attempts.log").returncode in (3, 4)  # a kill may leave doubt
    lines = told(log)
    assert Counter((line["key"], line["address"], line["status"]) for line in lines) == recorded(folder)
    assert all(list(line)[:5] == ["key", "address", "status", "reply", "time"] for line in lines)
    assert all(line["copies"] for line in lines if line["status"] in ("accepted", "in_doubt"))
    # Another run has nothing to add.
    folder.send("--log", "attempts.log")
    assert told(log) == lines


@pytest.mark.parametrize("cut", [1, 60, 300])
def test_a_truncated_log_is_completed(folder: CampaignFolder, cut: int) -> None:
    """As after a power failure: the ledger has the results, the file has not."""
    log = folder.folder / "attempts.log"
    log.write_text("another's, without a line end")
    process = folder.start("send", "campaign.yaml", "--yes", "--log", "attempts.log")
    folder.wait_for(Status.ACCEPTED, 8)
    with folder.held(process):
        process.send_signal(signal.SIGKILL)
    process.communicate()
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) - cut])
    folder.send("--log", "attempts.log")
    first, *rest = log.read_text("utf-8").splitlines()
    assert first == "another's, without a line end"
    counted = Counter((line["key"], line["address"], line["status"]) for line in map(json.loads, rest))
    assert counted == recorded(folder)


def test_a_new_log_gets_only_the_results_of_its_run(folder: CampaignFolder) -> None:
    process = folder.start("send", "campaign.yaml", "--yes", "--log", "first.log")
    folder.wait_for(Status.ACCEPTED, 3)
    kill(process)
    (folder.folder / "second.log").write_text("kept\n")
    folder.send("--log", "second.log")
    kept, *second = (folder.folder / "second.log").read_text("utf-8").splitlines()
    first = {line["key"] for line in told(folder.folder / "first.log")}
    assert kept == "kept"
    assert first.isdisjoint(json.loads(line)["key"] for line in second)
