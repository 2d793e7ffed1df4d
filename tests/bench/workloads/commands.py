"""How soon a command answers, or a worker; and what commands cost that look at a large ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.alone import WORKERS
from tests.bench.measure import Took, run
from tests.bench.place import CAMPAIGN, PYTHON, ROOT, Place
from tests.bench.turns import Comparison, Contender, in_turns
from tests.bench.workloads.rows import SEND, enrolled
from tests.bench.workloads.stages import part

_SENT_TO_ALL = (
    "UPDATE messages SET status = iif(number % 50, 'accepted', 'refused'), settled_at = due_at + number,"
    " run = 1, attempts = 1, message_id = '<' || hash || '@example.com>',"
    " reply = iif(number % 50, '250 2.0.0 Ok', '550 5.1.1 <' || email || '>: no such user')",
    "INSERT INTO attempts (run, message, started_at, addresses)"
    " SELECT 1, id, due_at, 1 FROM messages WHERE number > 1",
    "INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)"
    " SELECT campaign, key, email, status, settled_at, reply, 1, status FROM messages WHERE number > 1",
)


def start(place: Place) -> Iterator[Comparison]:
    """`--help`, `status` and `check` of something small, beside a process that only imports click."""
    folder = place.newsletter(200)
    run([*SEND, "--limit", "120"], folder, env=place.env, codes=(5,))
    place.server.arrived()
    sample = str(ROOT / "templates" / "newsletter" / "campaign.yaml")
    check = [*CAMPAIGN, "check", sample]
    contenders = [
        _command(place, folder, "import click alone", [*PYTHON, "-c", "import click; print('ok')"], "ok"),
        _command(place, folder, "campaign --help", [*CAMPAIGN, "--help"], "Usage"),
        _command(place, folder, "campaign status", [*CAMPAIGN, "status", "campaign.yaml"], "120 of 200"),
        _command(place, folder, "campaign check, the sample", check, "347 messages"),
    ]
    wanted = "--help <= 1.5, status <= 3 times click's; check <= 0.8 s of processor time"
    yield in_turns("start-up", contenders, 3 * place.rounds, warm=True, wanted=wanted)
    workers = [
        part(place, folder, WORKERS, "worker", "another worker, until its first row is drafted"),
        part(place, folder, WORKERS, "bare-worker", "one that has nothing to compile"),
    ]
    yield in_turns("a worker's start", workers, place.rounds, wanted="wall <= 50 ms")


def ledger(place: Place) -> Iterator[Comparison]:
    """`status` and its kin, on a ledger in which everybody was sent to, a fiftieth refused."""
    count = max(place.sizes)
    folder = place.newsletter(count)
    enrolled(folder, *_SENT_TO_ALL)
    page, table = folder / "page.html", folder / "all.csv"

    def counted(took: Took) -> int:
        return sum(json.loads(took.output)["counts"].values())

    def said(took: Took) -> int:
        return count if f"{count:,}" in page.read_text("utf-8") else 0

    def exported(took: Took) -> int:
        with table.open("rb") as file:
            return sum(1 for _ in file) - 1

    contenders = [
        _look(place, folder, count, ["status", "campaign.yaml", "--json"], counted),
        _look(place, folder, count, ["report", "campaign.yaml", "-o", str(page)], said),
        _look(place, folder, count, ["export", "campaign.yaml", "-o", str(table)], exported),
    ]
    wanted = "processor time for a million: <= 0.5 us each (export 3)"
    yield in_turns(f"a ledger of {count:,}", contenders, 1, wanted=wanted)


def _command(place: Place, folder: Path, name: str, command: list[str], words: str) -> Contender:
    return Contender(
        name, 1, lambda: run(command, folder, env=place.env), lambda took: int(words in took.output)
    )


def _look(
    place: Place, folder: Path, count: int, arguments: list[str], done: Callable[[Took], int]
) -> Contender:
    name = f"campaign {arguments[0]}"
    command = [*CAMPAIGN, *arguments]
    return Contender(name, count, lambda: run(command, folder, env=place.env, memory=True), done)
