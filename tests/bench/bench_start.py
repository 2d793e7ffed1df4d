"""How soon a command answers: whole processes, against one that only imports the command line's library."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from campaign.ledger import Ledger
from tests.ledger.book import enrol, people, send, start

pytestmark = pytest.mark.bench

ROUNDS = 15
PEOPLE, SENT = 200, 120
CAMPAIGN = str(Path(sys.executable).with_name("campaign"))
PEER = [sys.executable, "-c", "import click"]


def ratio(ours: list[str], folder: Path) -> float:
    """Run both in turns, and return the quotient of their median times."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(ROUNDS + 1):
        for mine, command in ((True, ours), (False, PEER)):
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
            if number:  # the first round reads from the disk
                times[mine].append(time.perf_counter() - began)
    ms, peer = (statistics.median(times[mine]) * 1000 for mine in (True, False))
    print(f"\ncampaign {' '.join(ours[1:])}: {ms / peer:.2f} times `import click`", end=" ")
    print(f"({ms:.0f} ms against {peer:.0f} ms; medians of {ROUNDS})")
    return ms / peer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign of a few hundred people, most of whom were mailed."""
    addresses = [f"user{number}@example.com" for number in range(PEOPLE)]
    (tmp_path / "list.csv").write_text("\n".join(["email", *addresses]) + "\n")
    (tmp_path / "body.txt.j2").write_text("Hello\n")
    values = {
        "name": "news",
        "recipients": "list.csv",
        "from": "news@example.com",
        "subject": "News",
        "templates": {"text": "body.txt.j2"},
        "smtp": {"host": "smtp.example.com", "rate": "14/second"},
    }
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(values))
    ledger = Ledger.open(tmp_path / "ledger.db", "news")
    enrol(ledger, people(*addresses))
    run = start(ledger)
    for address in addresses[:SENT]:
        assert send(ledger, run, address)
    run.end(time.time_ns())
    ledger.close()
    return tmp_path


def test_help(tmp_path: Path) -> None:
    assert ratio([CAMPAIGN, "--help"], tmp_path) <= 1.5


def test_status_of_a_small_ledger(folder: Path) -> None:
    shown = subprocess.run([CAMPAIGN, "status", "campaign.yaml"], cwd=folder, capture_output=True, text=True)
    assert f"{SENT} of {PEOPLE} accepted" in shown.stdout, shown.stdout + shown.stderr
    assert ratio([CAMPAIGN, "status", "campaign.yaml"], folder) <= 3
