"""The ledger's file: permissions, foreign and damaged files, folders that cannot be written."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from campaign.errors import LedgerFull, UserError
from campaign.ledger import Ledger
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.schema import VERSION
from campaign.model import SECOND, KeyColumn, Status
from tests.ledger.book import NOW, database, enrol, people, send, start
from tests.ledger.namespace import run_on_disk

VERSION_1 = Path(__file__).with_name("version1.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def error(path: Path, *, read_only: bool = False) -> str:
    """Return the error for a ledger that cannot be opened; assert that no file changed."""
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(UserError) as failed:
        Ledger.open(path, "news", read_only=read_only)
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file in before} == before
    return str(failed.value)


def test_only_the_owner_can_read_the_file(path: Path) -> None:
    ledger = Ledger.open(path, "news")
    sending = start(ledger)
    enrol(ledger, people("anna@example.com"))
    names = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(names) == {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-reserve"}
    assert set(names.values()) == {0o600}
    sending.end(NOW)
    ledger.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("content", [b"", b"email,name\n", b"SQLite format 3\0" + bytes(2000)])
def test_a_file_that_is_not_a_ledger_is_not_changed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "is not a ledger of campaign" in error(path)


def test_the_database_of_another_program_is_not_changed(path: Path) -> None:
    """Nor its WAL, which closing the last connection would copy into the file."""
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE campaigns (name)")
    other.commit()
    copy = path.with_name("copy.db")
    for end in ("", "-wal"):
        copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    assert "is not a ledger of campaign" in error(copy)
    other.close()


def test_a_ledger_of_a_newer_release_is_not_changed(path: Path) -> None:
    Ledger.open(path, "news").close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    assert "written by a newer release (schema 3; this one knows 2); upgrade" in error(path)


@pytest.mark.parametrize("page", [1, 2, 3, 5])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_damaged_ledger_is_not_changed(path: Path, page: int, read_only: bool) -> None:
    ledger = Ledger.open(path, "news")
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(500))))
    ledger.close()
    whole = path.read_bytes()
    begin = 100 if page == 1 else (page - 1) * 4096
    path.write_bytes(whole[:begin] + b"\xff" * 4096 + whole[begin + 4096 :])
    said = said_of(path, read_only=read_only)
    assert "the ledger is damaged" in said
    assert "it was not changed" in said


def said_of(path: Path, *, read_only: bool) -> str:
    """Return the error for a damaged ledger, whether it is found on opening or later."""
    try:
        with closing(Ledger.open(path, "news", read_only=read_only)) as ledger:
            for table in ("settings", "campaigns", "layouts", "runs", "messages", "attempts", "events"):
                database(ledger).rows(f"SELECT * FROM {table}")
            enrol(ledger, people("user1@example.com"))
    except UserError as damaged:
        return str(damaged)
    return "nothing"


def test_a_truncated_ledger_is_not_changed(path: Path) -> None:
    ledger = Ledger.open(path, "news")
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(500))))
    ledger.close()
    path.write_bytes(path.read_bytes()[:8192])
    assert "the ledger is damaged" in error(path)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM settings WHERE name = 'secret'",
        "UPDATE settings SET value = 'text' WHERE name = 'secret'",
    ],
)
def test_a_ledger_without_its_secret_is_damaged(path: Path, damage: str) -> None:
    Ledger.open(path, "news").close()
    damaged = sqlite3.connect(path, isolation_level=None)
    damaged.execute(damage)
    damaged.close()
    assert "the ledger is damaged" in error(path)


def test_a_damaged_ledger_with_a_wal_is_not_changed(path: Path) -> None:
    ledger = Ledger.open(path, "news")
    enrol(ledger, people("anna@example.com"))
    copy = path.parent / "copy" / "ledger.db"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
    copy.with_name("ledger.db-wal").write_bytes(path.with_name("ledger.db-wal").read_bytes())
    assert "the ledger" in error(copy)
    ledger.close()


@pytest.mark.parametrize("create", [True, False])
def test_a_missing_folder_is_reported(path: Path, create: bool) -> None:
    with pytest.raises(UserError) as failed:
        Ledger.open(path.parent / "none" / "ledger.db", "news", create=create)
    expected = (
        "cannot be made here (No such file or directory); name another place with `ledger:`"
        if create
        else "there is no ledger yet: nothing was sent"
    )
    assert expected in str(failed.value)


def test_opening_a_pipe_does_not_block(path: Path) -> None:
    os.mkfifo(path)
    for read_only in (False, True):
        with pytest.raises(UserError, match="this is not a regular file, so not a ledger"):
            Ledger.open(path, "news", read_only=read_only)


def test_a_dangling_link_is_reported_as_a_lost_ledger(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere.db"))
    with pytest.raises(UserError, match=r"is a link to .*elsewhere\.db, and nothing is there"):
        Ledger.open(path, "news")
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


KILLED = """
import os, signal, sqlite3, sys
from contextlib import closing
from pathlib import Path
from campaign.ledger import Ledger
connect, calls = sqlite3.connect, 0
def trace(statement):
    if statement.strip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
def connected(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(trace)
    return connection
sqlite3.connect = connected
Ledger.open(Path(sys.argv[1]), "news")
"""


@pytest.mark.parametrize("statement", ["CREATE TABLE", "COMMIT", "INSERT INTO settings", "PRAGMA journal"])
def test_leftovers_of_an_interrupted_creation_are_removed(path: Path, statement: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, path, statement])
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    assert any(file.name.startswith(".ledger.db.") for file in path.parent.iterdir())
    Ledger.open(path, "news").close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_folder_at_the_path_of_the_ledger_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UserError, match="the ledger cannot be read: Is a directory"):
        Ledger.open(path, "news")


READ_ONLY = """
import json, subprocess, sys
from contextlib import closing
from pathlib import Path
from campaign.errors import UserError
from campaign.ledger import Ledger
from tests.ledger.book import NOW, SECOND, enrol, people
folder = Path(sys.argv[1])
path = folder / "ledger.db"
ledger = Ledger.open(path, "news")
enrol(ledger, people("anna@example.com"))
if sys.argv[2] == "left open":
    wal = path.with_name("ledger.db-wal").read_bytes()
ledger.close()
if sys.argv[2] == "left open":
    path.with_name("ledger.db-wal").write_bytes(wal)
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
said = {}
try:
    reader = Ledger.open(path, "news", create=False, read_only=True)
    said["read"] = [entry.email for entry in reader.history.entries(NOW)]
    enrolment = reader.enrolment()
    enrolment.stage(("email", "city"), people("anna@example.com", "ben@example.com"))
    said["plan"] = enrolment.plan().new
except UserError as error:
    said["read"] = str(error)
for name in ("ledger.db", "new.db"):
    try:
        Ledger.open(folder / name, "news")
        said[name] = "opened"
    except UserError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_a_ledger_in_a_read_only_folder_can_be_read(tmp_path: Path) -> None:
    said = run_on_disk(tmp_path / "disk", "8m", READ_ONLY, "clean")
    assert said["read"] == ["anna@example.com"]
    assert said["plan"] == 1
    assert "where its folder can be written" in said["ledger.db"]
    assert "name another place" not in said["ledger.db"]  # it would be an empty ledger
    assert "cannot be made here" in said["new.db"]
    assert "name another place with `ledger:`" in said["new.db"]


def test_a_ledger_with_a_wal_in_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    said = run_on_disk(tmp_path / "disk", "8m", READ_ONLY, "left open")
    assert "ledger.db-wal" in said["read"]
    assert "copy both" in said["read"]


def test_a_ledger_created_meanwhile_by_another_process_is_not_overwritten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two processes create the ledger at the same time, both use one, with one secret."""
    first = Ledger.open(path, "news")
    secret = first.secret
    first.close()
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: self != path and real(self))
    second = Ledger.open(path, "news")
    assert second.secret == secret
    second.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_ledger_kept_locked_by_another_process_is_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.open(path, "news").close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("campaign.ledger.sqlite.opening.BUSY_TIMEOUT", 0.1)
    assert "another process has kept the ledger locked for 0.1 seconds" in error(path)
    reader = Ledger.open(path, "news", create=False, read_only=True)
    assert reader.history.summary(NOW).waiting == 0
    reader.close()
    other.close()


def test_a_full_disk_is_reported_as_such(path: Path) -> None:
    ledger = Ledger.open(path, "news")
    pages = database(ledger).rows("PRAGMA page_count")[0][0]
    database(ledger).rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerFull, match="Make room on the disk"):
        enrol(ledger, people(*(f"user{n}@example.com" for n in range(500))))
    database(ledger).rows("PRAGMA max_page_count = 1000000")
    assert database(ledger).rows("SELECT * FROM messages") == []
    assert enrol(ledger, people("anna@example.com")).new == 1
    ledger.close()


def test_only_the_sender_checkpoints(path: Path) -> None:
    """The WAL-reset bug of SQLite before 3.51.3 needs two connections that checkpoint."""
    ledger = Ledger.open(path, "news")
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(10))))
    sending = start(ledger)
    other = Database.open(path, create=False)
    assert other.rows("PRAGMA wal_autocheckpoint") == [(0,)]
    assert database(ledger).rows("PRAGMA wal_autocheckpoint") == [(1000,)]
    for n in range(10):
        assert send(ledger, sending, f"user{n}@example.com", Status.ACCEPTED)
        other.change(
            "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
            " VALUES (?, 0, 'released', '', 0)",
            (f"x{n}@example.com",),
        )
    before = path.read_bytes()
    other.close()
    assert path.read_bytes() == before
    sending.end(NOW)
    assert database(ledger).rows("PRAGMA wal_autocheckpoint") == [(0,)]
    ledger.close()


def test_each_ledger_has_its_own_secret(tmp_path: Path) -> None:
    secrets = set()
    for name in ("a.db", "b.db"):
        ledger = Ledger.open(tmp_path / name, "news")
        assert len(ledger.secret) == 32
        secrets.add(ledger.secret)
        ledger.close()
    assert len(secrets) == 2


def test_opening_does_not_register_the_campaign(path: Path) -> None:
    ledger = Ledger.open(path, "news")
    assert database(ledger).rows("SELECT * FROM campaigns") == []
    assert not any(ledger.history.summary(NOW).counts.values())
    ledger.adopt([KeyColumn("email", addressed=True)])
    ledger.register()
    assert database(ledger).rows("SELECT name, file FROM campaigns") == [("news", "")]
    assert ledger.known_file is None
    ledger.close()


def test_importing_the_ledger_does_not_import_what_only_sending_needs() -> None:
    program = "import sys, campaign.ledger; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"pydantic", "jinja2", "tenacity", "yaml"} & set(run.stdout.split()) == set()


def test_a_ledger_of_version_1_opens(path: Path) -> None:
    """`version1.sql` was written by the program that made version 1.

    It has every status, copies, people who were forgotten, folded and hashed suppressions, two campaigns,
    and a run that died.
    """
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.read_text("utf-8"))
    connection.close()

    ledger = Ledger.open(path, "spring", create=False)
    entries = list(ledger.history.entries(1_770_001_000 * SECOND))
    assert {entry.status for entry in entries} == set(Status) - {Status.IN_FLIGHT}  # it is in doubt by now
    assert {s for (s,) in database(ledger).rows("SELECT status FROM messages")} == set(Status) - {
        Status.IN_FLIGHT
    }
    assert len(entries) == 17
    assert sum(entry.forgotten for entry in entries) == 1
    assert len(ledger.suppressions) == 6
    assert ledger.digest == "d1"
    assert ledger.other_key([KeyColumn("invoice")]) == (KeyColumn("", addressed=True),)
    assert ledger.other_key([KeyColumn("mail", addressed=True)]) is None
    assert ledger.is_suppressed("forgotten@example.com")
    run = start(ledger, 1_770_001_000 * SECOND)
    assert {claim.recipient.key for claim in run.claim(1_770_001_000 * SECOND, 10)} == {
        "deferred@example.com",
        "pending@example.com",
    }
    run.end(1_770_001_000 * SECOND)
    ledger.close()


def test_an_interrupt_in_a_function_called_by_sql_is_raised(path: Path) -> None:
    """SQLite itself only reports that the function failed."""

    def interrupted(address: str) -> str:
        signal.raise_signal(signal.SIGINT)
        return address

    database = Database.open(path, create=True)
    database.add_function("interrupted", 1, interrupted)
    # SIGINT is ignored if the tests run in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            database.row("SELECT interrupted('anna@example.com')")
    finally:
        signal.signal(signal.SIGINT, before)
        database.close()
