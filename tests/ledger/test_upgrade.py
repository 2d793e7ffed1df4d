"""A ledger that an earlier release wrote is upgraded, and nothing is lost.

`version1.sql` was written by the program that made schema 1. It has every status, copies, people who were
forgotten, folded and hashed suppressions, two campaigns, and a run that died.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from campaign.address import fold
from campaign.errors import LeaseHeld, UserError
from campaign.ledger import Ledger
from campaign.ledger.processes import BROKE_OFF
from campaign.model import SECOND, Recipient, Status
from tests.ledger.book import database, enrol, intent, result, row, start

VERSION_1 = Path(__file__).with_name("version1.sql")
NOW = 1_770_001_000 * SECOND
_INTENDED = "SELECT id, key FROM messages WHERE message_id IS NOT NULL"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.read_text("utf-8"))
    connection.close()
    return path


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_every_row_keeps_its_status_and_reply(path: Path) -> None:
    query = "SELECT id, status, email, attempts, reply, message_id, settled_at FROM messages ORDER BY id"
    before = rows(path, query)
    Ledger.open(path, "spring", create=False).close()
    after = rows(path, query)
    # Opening the ledger for writing ends a dead run.
    crashed = [row for row in before if row[1] == "in_flight"]
    assert [row for row in after if row not in before] == [
        (*row[:1], "in_doubt", *row[2:4], BROKE_OFF, *row[5:6], at)
        for row, at in zip(crashed, (row[6] for row in after if row not in before), strict=True)
    ]
    assert len(after) == len(before)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA user_version") == [(2,)]


@pytest.mark.parametrize("table", ["attempts", "events", "runs", "layouts", "campaigns", "suppressions"])
def test_the_upgrade_loses_nothing(path: Path, table: str) -> None:
    before = rows(path, f"SELECT count(*) FROM {table}")
    Ledger.open(path, "spring", create=False).close()
    said = f" WHERE text != '{BROKE_OFF}'" if table == "events" else ""  # of the run that died
    assert rows(path, f"SELECT count(*) FROM {table}{said}") == before


def test_an_upgraded_ledger_opens_repeatedly(path: Path) -> None:
    for _ in range(2):
        ledger = Ledger.open(path, "spring", create=False)
        entries = list(ledger.history.entries(NOW))
        assert {entry.status for entry in entries} == set(Status) - {Status.IN_FLIGHT}  # of a dead run
        assert sum(entry.forgotten for entry in entries) == 1
        assert ledger.digest == "d1"
        ledger.close()


def test_opening_for_reading_upgrades_too(path: Path) -> None:
    ledger = Ledger.open(path, "spring", create=False, read_only=True)
    assert ledger.history.summary(NOW).counts[Status.ACCEPTED] > 0
    ledger.close()


def test_a_ledger_that_cannot_be_upgraded_is_not_changed(path: Path) -> None:
    if os.geteuid() == 0:
        # Root can write anywhere, so another process's lock stands for a place that cannot be written.
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    try:
        import campaign.ledger.sqlite.opening as opening

        patience, opening.BUSY_TIMEOUT = opening.BUSY_TIMEOUT, 0.1
        with pytest.raises(UserError, match=r"locked|cannot be brought up to date"):
            Ledger.open(path, "spring", create=False, read_only=True)
    finally:
        opening.BUSY_TIMEOUT = patience
        connection.close()
    assert rows(path, "PRAGMA user_version") == [(1,)]


def test_a_ledger_in_use_by_the_earlier_release_is_not_changed(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE runs SET ended_at = NULL, heartbeat = ?, host = 'elsewhere'", (2**62,))
    connection.commit()
    now = connection.execute("SELECT CAST(strftime('%s') AS INTEGER) * 1000000000").fetchone()[0]
    connection.execute("UPDATE runs SET heartbeat = ?", (now,))
    connection.commit()
    connection.close()
    with pytest.raises(LeaseHeld, match="is sending from this ledger"):
        Ledger.open(path, "spring", create=False)
    assert rows(path, "PRAGMA user_version") == [(1,)]


def test_waiting_for_a_run_of_the_earlier_release_does_not_make_the_ledger_a_copy(path: Path) -> None:
    told = "UPDATE runs SET ended_at = NULL, host = 'a container', heartbeat = ?"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            reader.execute("SELECT 1 FROM runs").fetchone()
            connection.execute(told, (time.time_ns(),))
            connection.close()
    with pytest.raises(LeaseHeld):
        Ledger.open(path, "spring", create=False)
    assert path.with_name("ledger.db-wal").stat().st_size
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT 1 FROM runs").fetchone()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(told, (time.time_ns() - 100 * SECOND,))
    ledger = Ledger.open(path, "spring", create=False)
    assert ledger.incomplete == ""
    ledger.close()


def test_a_row_accepted_under_the_old_folding_is_not_new(path: Path) -> None:
    """`straße@` was stored as `strasse@`. They are two people now, and one of them was mailed."""
    (email,) = {str(e) for (e,) in rows(path, "SELECT email FROM messages") if "ß" in str(e)}
    ledger = Ledger.open(path, "spring", create=False)
    stored = {
        str(key): str(status)
        for key, status in database(ledger).rows("SELECT key, status FROM messages WHERE email = ?", (email,))
    }
    assert set(stored) == {fold(email)}
    other = email.replace("ß", "ss")
    plan = enrol(
        ledger,
        [Recipient(1, 2, fold(email), email, "", {"email": email, "city": ""}), row(2, other)],
        now=NOW,
    )
    assert plan.new == 1
    assert plan.last == other
    ledger.close()


def test_a_row_that_had_an_intent_keeps_its_identity(path: Path) -> None:
    before = dict(rows(path, _INTENDED))
    Ledger.open(path, "spring", create=False).close()
    for row_id, key, identity in rows(
        path, "SELECT id, key, identity FROM messages WHERE message_id IS NOT NULL"
    ):
        assert (identity or key) == before[row_id]


def test_suppressions_written_under_the_old_folding_still_match(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO suppressions VALUES ('weiss@strasse.example', 'asked', 1)")
    connection.commit()
    connection.close()
    ledger = Ledger.open(path, "spring", create=False)
    try:
        assert ledger.is_suppressed("weiß@strasse.example")
        assert ledger.is_suppressed("Weiss@strasse.example")
        plan = enrol(ledger, [row(1, "weiß@strasse.example"), row(2, "weiss@strasse.example")], now=NOW)
        assert (plan.suppressed, plan.new) == (2, 0)
        # From now on, new entries tell the two apart.
        ledger.suppressions.remove(["weiss@strasse.example"])
        assert not ledger.is_suppressed("weiß@strasse.example")
        from campaign.ledger import Suppression

        ledger.suppressions.add([Suppression("weiss@strasse.example", "asked again", 2**62)])
        assert ledger.is_suppressed("weiss@strasse.example")
        assert not ledger.is_suppressed("weiß@strasse.example")
        assert ledger.is_suppressed("forgotten@example.com")
    finally:
        ledger.close()


def test_deferred_copies_are_still_to_be_sent(path: Path) -> None:
    said = rows(
        path,
        "SELECT m.status, e.kind FROM events e JOIN messages m ON m.campaign = e.campaign AND m.key = e.key"
        " WHERE e.address != '' AND lower(e.address) != lower(m.email)",
    )
    Ledger.open(path, "spring", create=False).close()
    kinds = Counter(str(kind) for (kind,) in rows(path, "SELECT status FROM copies"))
    assert sum(kinds.values()) == len(said)
    assert kinds == {"deferred": 1, "refused": 1}


def test_two_rows_that_get_the_same_key_are_both_kept(path: Path) -> None:
    """Composed and decomposed letters were two keys in schema 1. The accepted row gets the key."""
    connection = sqlite3.connect(path)
    for key, status in (("ze\u0301@x.test", "accepted"), ("z\u00e9@x.test", "pending")):
        connection.execute(
            "INSERT INTO messages (campaign, key, number, line, email, name, layout, fields, status, due_at,"
            " attempts, reply) SELECT 1, ?, 90, 91, ?, '', min(id), '[]', ?, 0, 0, '' FROM layouts",
            (key, key, status),
        )
    connection.commit()
    connection.close()
    Ledger.open(path, "spring", create=False).close()
    found = rows(path, "SELECT key, status FROM messages WHERE email LIKE 'z%@x.test' ORDER BY status")
    assert found[0] == ("z\u00e9@x.test", "accepted")
    assert len(found) == 2


def test_sending_continues_after_the_upgrade(path: Path) -> None:
    ledger = Ledger.open(path, "spring", create=False)
    run = start(ledger, NOW)
    keys = {claim.recipient.key for claim in run.claim(NOW, 10)}
    assert keys == {"deferred@example.com", "pending@example.com"}
    for key in keys:
        assert run.record((), (intent(key, NOW),)) == {key}
        run.record((result(key, now=NOW),), ())
    run.end(NOW)
    counts = ledger.history.summary(NOW).counts
    assert counts[Status.PENDING] == counts[Status.DEFERRED] == 0
    ledger.close()


def test_an_interrupted_upgrade_changes_nothing(path: Path, tmp_path: Path) -> None:
    """It is one transaction: without its commit, the file is still of schema 1."""
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(path, copy / "ledger.db")
    from campaign.ledger.sqlite.database import Database
    from campaign.ledger.sqlite.upgrade import from_version_1

    ledger = Ledger.open(path, "spring", create=False)
    ledger.close()
    connection = sqlite3.connect(copy / "ledger.db", isolation_level=None)
    database = Database(copy / "ledger.db", connection)
    from campaign.ledger.sqlite.opening import set_up

    set_up(connection)
    connection.execute("BEGIN IMMEDIATE")
    from_version_1(database, NOW)
    connection.close()  # never committed
    assert rows(copy / "ledger.db", "PRAGMA user_version") == [(1,)]
    assert rows(copy / "ledger.db", "SELECT count(*) FROM messages") == rows(
        path, "SELECT count(*) FROM messages"
    )
