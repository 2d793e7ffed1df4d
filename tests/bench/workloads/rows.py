"""Long lists: time and memory of check, of enrolling, of sending, and of going on where most have it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Took, run
from tests.bench.place import CAMPAIGN, PYTHON, Place
from tests.bench.turns import Comparison, Contender, in_turns

CHECK = [*CAMPAIGN, "check", "campaign.yaml"]
SEND = [*CAMPAIGN, "send", "campaign.yaml", "--yes", "--new-ledger"]
_WAITING = 1000  # one in so many


def rows(place: Place) -> Iterator[Comparison]:
    """`check`, `send --limit 1` (which reads, renders and enrols every row), and the whole send."""
    for count in _sizes(place):
        folder = place.newsletter(count)
        rounds = 1 if count > 10_000 or place.quick else 3
        check = Contender("campaign check", count, partial(_run, place, folder, CHECK), _checked)
        first = partial(_anew, place, folder, [*SEND, "--limit", "1"], 5)
        enrol = Contender("campaign send --limit 1", count, first, _enrolled)
        yield in_turns(f"check and enrol {count:,} rows", [check, enrol], rounds, wanted="memory < 150 MB")
        if count <= 100_000:
            everybody = partial(_anew, place, folder, SEND)
            send = Contender("campaign send", count, everybody, lambda took: place.server.arrived())
            yield in_turns(f"send {count:,} rows", [send], 1, wanted="memory < 150 MB")


def resume(place: Place) -> Iterator[Comparison]:
    """A list of which one in a thousand has not been accepted yet, against reading it alone."""
    for count in _sizes(place):
        folder = place.newsletter(count)
        _anew(place, folder, [*SEND, "--limit", "1"], 5)
        waiting = count // _WAITING

        def go_on(folder: Path = folder) -> Took:
            with_ledger(
                folder,
                f"UPDATE messages SET status = iif(number % {_WAITING}, 'accepted', 'pending'),"
                " settled_at = iif(number % 1000, due_at, NULL), attempts = 0",
            )
            return _run(place, folder, SEND)

        ours = Contender("campaign send", count, go_on, lambda took: place.server.arrived() * _WAITING)
        alone = [*PYTHON, "-m", "tests.bench.alone", "list", ".", "0"]
        peer = Contender("reading the list alone", count, partial(run, alone, folder, env=place.env), _read)
        words = f"resume: {count:,} rows, {waiting:,} of them not accepted yet"
        yield in_turns(words, [ours, peer], 1 if count > 100_000 or place.quick else 3)


def with_ledger(folder: Path, *statements: str) -> None:
    """Change a folder's ledger behind the program's back."""
    connection = sqlite3.connect(folder / "ledger.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def _sizes(place: Place) -> list[int]:
    if place.quick:
        return [1_000]
    return [10_000, 100_000, *([1_000_000] if place.million else [])]


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
