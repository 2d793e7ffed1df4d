"""Commands that look at a ledger of a million rows: their processor time, process start included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from campaign.ledger import Ledger
from tests.folder import write_campaign
from tests.ledger.book import NOW, database, enrol, people, send, start

pytestmark = pytest.mark.bench

ROWS = 1_000_000

# Runs the command, and prints its exit code and processor time, in seconds (getrusage(2)).
TIMED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "campaign", *sys.argv[1:]], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that was sent to a million people of some thousand domains; a fiftieth was refused."""
    folder = tmp_path_factory.mktemp("million")
    write_campaign(folder, file="campaign.yaml")
    ledger = Ledger.open(folder / "ledger.db", "spring")
    enrol(ledger, people(*(f"user{n}@domain{n * n % 5003}.example" for n in range(ROWS))))
    sending = start(ledger)
    assert send(ledger, sending, "user0@domain0.example")
    sending.end(NOW)
    for statement in (
        "UPDATE messages SET status = iif(number % 50, 'accepted', 'refused'), settled_at = due_at + number,"
        " run = 1, attempts = 1, message_id = '<' || hash || '@example.com>',"
        " reply = iif(number % 50, '250 2.0.0 Ok', '550 5.1.1 <' || email || '>: no such user')",
        "INSERT INTO attempts (run, message, started_at, addresses) SELECT 1, id, due_at, 1 FROM messages",
        "INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)"
        " SELECT campaign, key, email, status, settled_at, reply, 1, status FROM messages",
    ):
        database(ledger).change(statement)
    ledger.close()
    return folder


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (["status", "campaign.yaml"], 0.5),
        (["report", "campaign.yaml"], 0.5),
        (["resolve", "campaign.yaml"], 0.5),
        (["suppress", "list"], 0.5),
        (["suppress", "add", "user7@domain49.example", "domain50.example"], 0.5),
        (["export", "campaign.yaml", "-o", "all.csv"], 3.0),
        (["forget", "user9@domain81.example"], 3.0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_processor_time(folder: Path, arguments: list[str], most: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TIMED, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    code, took = map(float, done.stdout.split())
    print(f"\ncampaign {' '.join(arguments)}: {took:.2f} s, wanted {most} ({ROWS:,} rows)")
    assert code == 0, done.stderr
    assert took < most
