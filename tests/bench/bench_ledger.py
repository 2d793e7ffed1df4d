"""The ledger against bare SQLite, and a million rows against reading their list alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.delivery import Result
from campaign.ledger import Ledger
from campaign.ledger.sqlite.schema import SCHEMA
from campaign.recipients.list import Recipients
from tests.bench.pairs import paired, report
from tests.e2e.folder import CampaignFolder
from tests.ledger.book import NOW, database, enrol, intent, people, result, start
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.bench

MESSAGES = 1000
PEOPLE, WAITING = 1_000_000, 1_000
COLUMNS = ("email", "name")

READ_ALONE = """
import sys
from pathlib import Path
from campaign.campaignfile import load
from campaign.delivery import Result
from campaign.recipients import Recipients
print(sum(1 for _ in Recipients(load(Path("campaign.yaml")))))
"""

# Runs the command, and says its exit code and the most memory that it has had, in KiB (getrusage(2)).
PEAK = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "campaign", *sys.argv[1:]], stdin=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class Ours:
    """Intends and settles a thousand messages in turn, each answer with the next intent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def prepare(self) -> None:
        self._runs += 1
        self.ledger = Ledger.open(self._folder / f"ours{self._runs}.db", "news")
        enrol(self.ledger, people(*(f"user{n}@example.com" for n in range(MESSAGES))))
        self.sending = start(self.ledger)
        self.keys = [claim.recipient.key for claim in self.sending.claim(NOW, MESSAGES)]

    def run(self) -> None:
        before: tuple[Result, ...] = ()
        for key in self.keys:
            assert self.sending.record(before, (intent(key),)) == {key}
            before = (result(key),)
        self.sending.record(before, ())

    def close(self) -> None:
        self.ledger.close()


class Bare:
    """The same rows, statements and commits, and nothing around them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def prepare(self) -> None:
        self._runs += 1
        self.db = sqlite3.connect(self._folder / f"bare{self._runs}.db", isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")
        self.db.executemany(
            "INSERT INTO messages (campaign, key, number, line, email, name, layout, fields, status,"
            " due_at, attempts, reply)"
            " VALUES (1, ?1, ?2, ?2, ?1, '', 1, json_array(?1, 'Oslo'), 'pending', 0, 0, '')",
            ((f"user{n}@example.com", n) for n in range(MESSAGES)),
        )

    def run(self) -> None:
        tell = self.db.execute
        before = ""
        for number in range(MESSAGES):
            tell("BEGIN IMMEDIATE")
            if before:
                self._settle(before)
            before = f"user{number}@example.com"
            tell(
                "UPDATE messages SET status = 'in_flight', run = 1, message_id = ? WHERE campaign = 1"
                " AND key = ? AND status IN ('pending', 'deferred')",
                (f"<{before}>", before),
            )
            tell("INSERT INTO attempts VALUES (NULL, 1, ?, ?, 1)", (number, NOW))
            tell("COMMIT")
        tell("BEGIN IMMEDIATE")
        self._settle(before)
        tell("COMMIT")

    def _settle(self, key: str) -> None:
        self.db.execute(
            "UPDATE messages SET status = 'accepted', reply = '250 2.0.0 Ok', attempts = attempts + 1,"
            " settled_at = ? WHERE campaign = 1 AND key = ?",
            (NOW, key),
        )
        self.db.execute(
            "INSERT INTO events VALUES (NULL, 1, ?, ?, 'accepted', ?, '250 2.0.0 Ok')", (key, key, NOW)
        )

    def close(self) -> None:
        self.db.close()


def timed_turns(ours: Ours, bare: Bare, rounds: int = 5) -> tuple[float, float]:
    """Return the best time of each, its files made anew for each round."""

    def timed(one: Ours | Bare) -> float:
        one.prepare()
        began = time.perf_counter()
        one.run()
        took = time.perf_counter() - began
        one.close()
        return took

    turns = [(timed(ours), timed(bare)) for _ in range(rounds)]
    return min(took for took, _ in turns), min(took for _, took in turns)


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_intend_and_settle_against_bare_sqlite(tmp_path: Path, where: str) -> None:
    """In memory there is no disk to wait for, and what the ledger does besides shows most."""
    shared = Path("/dev/shm")
    if where == "memory" and not shared.is_dir():
        pytest.skip("needs /dev/shm")
    folder = tmp_path if where == "disk" else shared / tmp_path.name
    folder.mkdir(exist_ok=True)
    try:
        ours, bare = timed_turns(Ours(folder), Bare(folder))
    finally:
        for file in folder.iterdir():
            file.unlink()
    ratio = 1 / report(f"ledger, {where}", ours, bare, 1 / 2.5, f"{MESSAGES} messages, a commit for each")
    assert ratio <= 2.5


@pytest.fixture(scope="module")
def million(
    make_postfix: Callable[..., Postfix], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CampaignFolder]:
    """A campaign of a million people of whom all but a thousand were accepted."""
    folder = CampaignFolder(tmp_path_factory.mktemp("million"), make_postfix())
    folder.people(PEOPLE)
    campaign = load(folder.folder / "campaign.yaml")
    ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file)
    began = time.perf_counter()
    enrol(ledger, Recipients(campaign), columns=COLUMNS)
    print(f"\nthe first enrolment of {PEOPLE:,}: {time.perf_counter() - began:.1f} s")
    database(ledger).change(
        "UPDATE messages SET status = 'accepted', attempts = 1, settled_at = ? WHERE number <= ?",
        (NOW, PEOPLE - WAITING),
    )
    ledger.close()
    yield folder
    folder.close()


def test_a_million_rows_of_which_a_thousand_wait(million: CampaignFolder) -> None:
    """Until the first new message leaves, against reading and validating the list alone."""
    leaving: list[float] = []
    peaks: list[int] = []

    def send() -> None:
        started = time.time_ns()
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                PEAK,
                "send",
                "campaign.yaml",
                "--yes",
                "--new-ledger",
                "--quiet",
                "--limit",
                "1",
            ],
            cwd=million.folder,
            env=million.env,
            capture_output=True,
            text=True,
        )
        code, peak = map(int, run.stdout.split())
        assert code == 5, run.stderr
        peaks.append(peak // 1024)
        [(left,)] = million.rows("SELECT max(started_at) FROM attempts")
        leaving.append((left - started) / 1e9)

    def read() -> None:
        run = subprocess.run(
            [sys.executable, "-c", READ_ALONE],
            cwd=million.folder,
            env={**million.env, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
        )
        assert run.stdout == f"{PEOPLE}\n", run.stderr

    _, alone = paired(send, read, rounds=3)
    workload = f"{PEOPLE:,} rows, {WAITING:,} of them new; {max(peaks)} MB at most"
    ratio = 1 / report("the first new message", min(leaving), alone, 1 / 1.5, workload)
    assert ratio <= 1.5
    assert max(peaks) < 150
