"""A ledger that was copied, restored, or moved without its WAL reports that messages may be missing."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from campaign.errors import LedgerMoved, UserError
from campaign.ledger import Ledger, Suppression
from campaign.ledger.sqlite import completeness
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.place import Place
from campaign.model import SECOND, Status
from tests.ledger.book import enrol, intent, row, start

# A process that is killed while a message is in flight.
_DIES = """
import os, sys, time
from pathlib import Path
from campaign.ledger import Ledger
from tests.ledger.book import enrol, intent, row, start
ledger = Ledger.open(Path(sys.argv[1]), "spring")
enrol(ledger, [row(1, "anna@example.com"), row(2, "ben@example.com")])
run = start(ledger, time.time_ns())
run.record([], [intent("anna@example.com")])
run.heartbeat(time.time_ns() - int(sys.argv[2]) * 10**9)
os.kill(os.getpid(), 9)
"""


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="SQLite changes what it reads as root only"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def died(path: Path, silent: int = 0) -> None:
    """Leave the ledger of a process that was killed, this many seconds after its last heartbeat."""
    subprocess.run([sys.executable, "-c", _DIES, str(path), str(silent)], check=False)
    assert path.with_name("ledger.db-wal").stat().st_size


def move_run(path: Path, host: str) -> None:
    """Make the dead run one of this host; the WAL is not changed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT 1 FROM runs").fetchone()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("UPDATE runs SET host = ?", (host,))


@pytest.fixture
def fall_silent(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Wait for longer than a live run is silent."""
    monkeypatch.setattr(completeness, "SILENCE", 2 * SECOND)
    return partial(time.sleep, 2.5)


def why(path: Path, name: str = "spring") -> str:
    ledger = Ledger.open(path, name, create=False)
    try:
        return ledger.incomplete
    finally:
        ledger.close()


def test_a_ledger_is_complete_after_a_crash(path: Path) -> None:
    died(path)
    assert why(path) == ""
    assert not path.with_name("ledger.db-wal").exists()
    assert why(path) == ""


def test_a_process_that_had_the_ledger_open_while_a_run_died_leaves_it_complete(path: Path) -> None:
    Ledger.open(path, "spring").close()
    server = Ledger.open(path, "spring", create=False)  # such as the unsubscribe page
    died(path)
    server.close()  # the last connection: SQLite removes the WAL
    assert why(path) == ""
    assert not path.with_name("ledger.db-wal").exists()


def test_opening_before_an_invisible_run_counts_as_dead_leaves_the_ledger_complete(
    path: Path, fall_silent: Callable[[], None]
) -> None:
    died(path)
    move_run(path, "a container")
    fall_silent()
    later = Ledger.open(path, "spring", create=False)
    later.suppressions.add([Suppression("carl@example.com", "asked", 0)])
    later.close()
    move_run(path, platform.node())
    assert why(path) == ""
    assert not path.with_name("ledger.db-wal").exists()


def test_opening_a_copy_before_an_invisible_run_counts_as_dead_does_not_hide_the_copy(
    path: Path, fall_silent: Callable[[], None]
) -> None:
    died(path)
    move_run(path, "a container")
    fall_silent()
    path.with_name("ledger.db-wal").touch()  # as cp does, onto the existing file
    Ledger.open(path, "spring", create=False).close()
    move_run(path, platform.node())
    assert "it was copied or restored while a run had not ended" in why(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root's reading leaves marks"
)
def test_root_can_read_a_ledger_after_a_crash(path: Path, fall_silent: Callable[[], None]) -> None:
    died(path)
    for _ in range(2):
        fall_silent()
        reading = Ledger.open(path, "spring", create=False, read_only=True)
        assert reading.incomplete == ""
        reading.close()
    assert why(path) == ""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root's reading leaves marks"
)
def test_reading_a_copy_as_root_does_not_hide_the_copy(path: Path, fall_silent: Callable[[], None]) -> None:
    died(path)
    fall_silent()
    path.with_name("ledger.db-wal").touch()
    for _ in range(2):
        reading = Ledger.open(path, "spring", create=False, read_only=True)
        assert "it was copied or restored while a run had not ended" in reading.incomplete
        reading.close()
    assert "it was copied or restored while a run had not ended" in why(path)


def test_a_ledger_without_its_wal_is_incomplete_until_that_is_settled(path: Path) -> None:
    died(path)
    path.with_name("ledger.db-wal").unlink()
    reading = Ledger.open(path, "spring", create=False, read_only=True)
    assert "its -wal file is missing" in reading.incomplete
    reading.close()
    assert "its -wal file is missing" in why(path)
    assert "its -wal file is missing" in why(path)
    ledger = Ledger.open(path, "spring", create=False)
    ledger.mark_complete()
    assert ledger.incomplete == ""
    ledger.close()
    assert "its -wal file is missing" in why(path, "another campaign")  # of which nothing was settled
    ledger = Ledger.open(path, "spring", create=False)
    ledger.mark_complete(for_all=True)
    ledger.close()
    assert why(path, "another campaign") == ""


def test_a_file_written_by_another_program_is_reported_as_a_copy(path: Path) -> None:
    began = time.time_ns()
    ledger = Ledger.open(path, "spring")
    enrol(ledger, [row(1, "anna@example.com")])
    start(ledger, began).end(began)
    ledger.close()
    assert why(path) == ""
    ledger = Ledger.open(path, "spring", create=False)
    ledger.suppressions.add([Suppression("ben@example.com", "asked", began)])
    ledger.close()
    assert why(path) == ""
    os.utime(path, ns=(began, began + 30 * SECOND))  # a slow disk
    assert why(path) == ""
    os.utime(path, ns=(began, began + 3600 * SECOND))  # cp, of a complete file
    reading = Ledger.open(path, "spring", create=False, read_only=True)
    assert "copied or restored since it was used last" in reading.incomplete
    reading.close()
    assert "copied or restored since it was used last" in why(path)
    assert "copied or restored since it was used last" in why(path)  # until a person has settled it
    ledger = Ledger.open(path, "spring", create=False)
    ledger.mark_complete(for_all=True)
    assert ledger.incomplete == ""
    ledger.close()
    assert why(path) == ""


def test_a_file_with_another_inode_than_the_run_recorded_is_reported_as_a_copy(
    path: Path, tmp_path: Path
) -> None:
    died(path)
    (tmp_path / "copy").mkdir()
    for name in ("ledger.db", "ledger.db-wal"):
        shutil.copy2(path.with_name(name), tmp_path / "copy" / name)
    assert "it was copied or restored while a run had not ended" in why(tmp_path / "copy" / "ledger.db")
    assert why(path) == ""


def test_a_wal_written_long_after_the_last_heartbeat_is_reported_as_a_copy(path: Path) -> None:
    died(path, silent=30)
    # Nothing else recent may be left either: the attempt, and when the file was last written.
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("DELETE FROM attempts")
    connection.execute("DELETE FROM settings WHERE name = 'written'")
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)  # keeps the WAL as the writer closes
    reader.execute("SELECT 1 FROM runs").fetchone()
    connection.close()
    assert "it was copied or restored while a run had not ended" in why(path)
    reader.close()


def test_a_file_put_beside_the_wal_of_another_is_not_trusted(path: Path, tmp_path: Path) -> None:
    died(path)
    assert why(path) == ""  # which ends the run
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO settings VALUES ('more', 1)")
    shutil.copy(path, tmp_path / "ended.db")
    (tmp_path / "ended.db").replace(path)
    assert "another one's -wal file" in why(path)
    connection.close()


def test_a_wal_without_its_ledger_is_not_read_into_a_new_one(path: Path) -> None:
    died(path)
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(UserError, match=r"there is no ledger here, but its ledger.db-wal is"):
        Ledger.open(path, "spring")
    assert not path.exists()
    path.with_name("elsewhere.db").rename(path)
    assert why(path) == ""


def test_nothing_is_committed_to_a_file_that_was_removed(path: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(path, "spring")
    enrol(ledger, [row(1, "anna@example.com")])
    run = start(ledger, time.time_ns())
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(LedgerMoved, match="another file is here"):
        run.heartbeat(time.time_ns())
    with pytest.raises(LedgerMoved):
        run.record([], [intent("anna@example.com")])
    with pytest.raises(LedgerMoved):
        ledger.settle_doubt(Status.ACCEPTED, ["anna@example.com"], "by hand", time.time_ns())
    with pytest.raises(LedgerMoved):
        ledger.forget("anna@example.com", time.time_ns())
    (tmp_path / "elsewhere.db").rename(path)
    run.heartbeat(time.time_ns())
    run.end(time.time_ns())
    ledger.close()
    assert why(path) == ""


def test_a_link_in_place_of_the_ledger_uses_the_wal_of_its_target(path: Path, tmp_path: Path) -> None:
    """SQLite looks for the WAL beside the file that the link leads to."""
    ledger = Ledger.open(path, "spring")
    enrol(ledger, [row(1, "anna@example.com")])
    run = start(ledger, time.time_ns())
    elsewhere = tmp_path / "elsewhere.db"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(LedgerMoved):  # its WAL has stayed
        run.heartbeat(time.time_ns())
    path.with_name("ledger.db-wal").rename(tmp_path / "elsewhere.db-wal")
    run.heartbeat(time.time_ns())
    path.unlink()
    elsewhere.rename(path)
    with pytest.raises(LedgerMoved):
        run.heartbeat(time.time_ns())
    (tmp_path / "elsewhere.db-wal").rename(path.with_name("ledger.db-wal"))
    run.end(time.time_ns())
    ledger.close()
    assert why(path) == ""


def test_nothing_is_committed_without_the_wal(path: Path) -> None:
    ledger = Ledger.open(path, "spring")
    enrol(ledger, [row(1, "anna@example.com")])
    path.with_name("ledger.db-wal").unlink()
    with pytest.raises(LedgerMoved):
        ledger.forget("anna@example.com", time.time_ns())
    ledger.close()


def test_a_ledger_file_that_is_a_mount_point_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a mount as proc(5) shows it; a real one needs root or user namespaces."""
    Database.open(path).close()
    line = f"36 35 98:0 /ledger.db {str(path).replace(' ', chr(92) + '040')} rw,noatime - ext3 /dev/root rw\n"
    read_text = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: line if self == Path("/proc/self/mountinfo") else read_text(self, *a, **k),
    )
    with pytest.raises(UserError, match="is itself a mount point: mount its folder instead"):
        Place.of(path)


def test_a_ledger_with_a_second_name_is_refused(path: Path) -> None:
    Database.open(path).close()
    os.link(path, path.with_name("second.db"))
    with pytest.raises(UserError, match=r"has a second name \(a hard link\)"):
        Database.open(path)
