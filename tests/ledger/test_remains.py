"""What deleted rows left behind in SQLite's file is overwritten, and nothing else is."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from campaign.ledger import Ledger
from campaign.ledger.sqlite import remains
from tests.ledger.book import NOW, database, enrol, files, row

SECRET = "personal"


def written(path: Path, page_size: int, chance: random.Random, secure_delete: str = "ON") -> None:
    """Make a database in which rows were inserted, changed, moved and deleted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {page_size}")
        db.execute(f"PRAGMA secure_delete = {secure_delete}")
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, key TEXT UNIQUE, cells TEXT)")
        db.execute("CREATE TABLE words (word TEXT PRIMARY KEY, said TEXT) WITHOUT ROWID")
        db.execute("CREATE INDEX people_cells ON people (cells)")
        db.execute("BEGIN")
        for number in range(2000):
            words = f"{SECRET if number % 3 else 'public'} {number:08x}" * chance.randrange(1, 12)
            db.execute("INSERT INTO people VALUES (?, ?, ?)", (chance.randrange(1 << 40), words[:60], words))
            db.execute("INSERT INTO words VALUES (?, ?)", (f"{chance.random()} {words[:30]}", words * 8))
        db.execute("COMMIT")
        db.execute(f"DELETE FROM people WHERE cells LIKE '{SECRET}%'")
        db.execute(f"DELETE FROM words WHERE said LIKE '{SECRET}%'")
        db.execute(f"CREATE VIEW {SECRET} AS SELECT 1")  # it is in the first page
        db.execute(f"DROP VIEW {SECRET}")


# Without secure_delete, more is left in b-tree pages; with this page size there are no others.
@pytest.mark.parametrize(
    ("page_size", "secure_delete"), [(512, "ON"), (4096, "ON"), (65536, "ON"), (65536, "OFF")]
)
def test_only_unused_octets_are_overwritten(tmp_path: Path, page_size: int, secure_delete: str) -> None:
    path = tmp_path / "some.db"
    written(path, page_size, random.Random(page_size), secure_delete)
    assert SECRET.encode() in path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    with path.open("r+b", buffering=0) as file:
        assert remains.overwrite(file)
    assert SECRET.encode() not in path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # It can be written to as before.
        db.executemany("INSERT INTO people VALUES (NULL, ?, ?)", ((f"new {n}", "x" * n) for n in range(2000)))
        db.commit()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_with_an_unexpected_page_is_left_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    written(path, 4096, random.Random(1))
    with path.open("r+b", buffering=0) as file:
        file.seek(4096 + 5)
        file.write(b"\xff\xff")  # cells that begin after the end of the page
        damaged = path.read_bytes()[4096:8192]
        assert not remains.overwrite(file)
    assert path.read_bytes()[4096:8192] == damaged


def test_a_file_with_too_many_pages_to_tell_them_apart_is_left_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY)")
    with path.open("r+b", buffering=0) as file:
        assert remains.overwrite(file)
        file.truncate(512 * remains._MOST_PAGES)  # takes no room
        assert not remains.overwrite(file)


def test_a_connection_that_cached_old_pages_does_not_write_them_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path, "news")
    chance = random.Random(3)
    addresses = [f"{chance.randrange(16**6):06x}@example.test" for _ in range(300)]
    enrol(ledger, [row(n, a, city="x" * chance.randrange(300)) for n, a in enumerate(addresses, 1)])
    other = Ledger.open(path, "news")
    gone = chance.sample(addresses, 100)
    for address in gone:
        assert ledger.forget(address, NOW).found
        database(other).rows("SELECT * FROM messages ORDER BY id")
    assert ledger.scrub(NOW)
    for writer in (other, ledger):
        database(writer).change("UPDATE messages SET line = line + 1, reply = ?", (str(writer),))
        assert [address for address in gone if address.encode() in files(path)] == []
    other.close()
    ledger.close()
    assert [address for address in gone if address.encode() in files(path)] == []
