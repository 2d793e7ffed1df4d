"""Long lists: time and memory of check, of enrolling, of sending, and of going on where most have it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from campaign.campaignfile.load import load
from campaign.ledger import Ledger
from campaign.recipients.list import Recipients
from tests.bench.measure import Took, run
from tests.bench.place import CAMPAIGN, PYTHON, Place
from tests.bench.turns import Comparison, Contender, in_turns
from tests.ledger import book
from tests.ledger.book import NOW, enrol, start

CHECK = [*CAMPAIGN, "check", "campaign.yaml"]
SEND = [*CAMPAIGN, "send", "campaign.yaml", "--yes", "--new-ledger"]
_WAITING = 1000  # one in so many


def rows(place: Place) -> Iterator[Comparison]:
    """`check` on two processes and on one, and `send --limit 1`: it reads, renders and enrols every row."""
    for count in place.sizes:
        folder = place.newsletter(count)
        first = partial(_anew, place, folder, [*SEND, "--jobs", "2", "--limit", "1"], 5)
        contenders = [
            *(
                Contender(
                    f"check --jobs {jobs}",
                    count,
                    partial(_run, place, folder, [*CHECK, "--jobs", jobs]),
                    _checked,
                )
                for jobs in ("2", "1")
            ),
            Contender("send --jobs 2 --limit 1", count, first, _enrolled),
        ]
        wanted = "memory < 150 MB, at a million <= 1.2 times that at 10,000; --jobs 1 >= 1.7 times --jobs 2"
        yield in_turns(f"check and enrol {count:,} rows", contenders, _rounds(place, count), wanted=wanted)


def whole(place: Place) -> Iterator[Comparison]:
    """The whole send, with its memory."""
    for count in place.sizes:
        folder = place.newsletter(count)
        send = partial(_anew, place, folder, [*SEND, "--jobs", "2"])
        ours = Contender("send --jobs 2", count, send, lambda took: place.server.arrived())
        yield in_turns(f"send {count:,} rows", [ours], 1, wanted="memory < 150 MB")


def resume(place: Place) -> Iterator[Comparison]:
    """A list of which one in a thousand has not been accepted yet, against reading it alone."""
    for count in place.sizes:
        folder = place.newsletter(count)
        enrolled(folder)
        waiting = count // _WAITING

        def go_on(folder: Path = folder) -> Took:
            change(
                folder,
                f"UPDATE messages SET status = iif(number % {_WAITING}, 'accepted', 'pending'),"
                " settled_at = iif(number % 1000, due_at, NULL), attempts = 0",
            )
            return _run(place, folder, SEND)

        ours = Contender("campaign send", count, go_on, lambda took: place.server.arrived() * _WAITING)
        alone = [*PYTHON, "-m", "tests.bench.alone", "list", ".", "0"]
        peer = Contender("reading the list alone", count, partial(run, alone, folder, env=place.env), _read)
        words = f"resume: {count:,} rows, {waiting:,} of them not accepted yet"
        yield in_turns(words, [ours, peer], _rounds(place, count))


def enrolled(folder: Path, *statements: str) -> None:
    """Make a ledger in which everybody of a folder's list is enrolled, one is sent to, and these were run."""
    campaign = load(folder / "campaign.yaml")
    ledger = Ledger.open(folder / "ledger.db", campaign.name, campaign.file)
    recipients = Recipients(campaign)
    enrol(ledger, recipients, columns=recipients.columns)
    run = start(ledger)
    assert book.send(ledger, run, "user0@example.test")
    run.end(NOW)
    ledger.close()
    change(folder, *statements)


def change(folder: Path, *statements: str) -> None:
    """Change a folder's ledger behind the program's back."""
    connection = sqlite3.connect(folder / "ledger.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def _rounds(place: Place, count: int) -> int:
    return 1 if count > 10_000 else place.rounds


def _run(place: Place, folder: Path, command: list[str], code: int = 0) -> Took:
    place.server.arrived()  # what came before is not counted
    return run(command, folder, env=place.env, codes=(code,), memory=True)


def _anew(place: Place, folder: Path, command: list[str], code: int = 0) -> Took:
    for file in folder.glob("ledger.db*"):
        file.unlink()
    return _run(place, folder, command, code)


def _checked(took: Took) -> int:
    found = re.match(r"([\d,]+) rows, \1 messages", took.output)
    return int(found[1].replace(",", "")) if found else 0


def _enrolled(took: Took) -> int:
    found = re.search(r"1 of ([\d,]+) accepted", took.output)
    return int(found[1].replace(",", "")) if found else 0


def _read(took: Took) -> int:
    return int(took.output.split()[0])
