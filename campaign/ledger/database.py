"""The SQLite file under a ledger: opening, versions, transactions, what can go wrong with a disk.

The only importer of sqlite3. One connection for each process, behind one lock. WAL, so that others
read while one writes. SQLite before 3.51.3 can lose committed writes where two connections write and
checkpoint (sqlite.org/wal.html, "the WAL-reset bug"): only the sender's connection ever does.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from campaign.address import domain_of, fold
from campaign.errors import CampaignError, Problem, UserError
from campaign.ledger.schema import APPLICATION_ID, SCHEMA, VERSION
from campaign.place import shown

BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction
CHECKPOINT_PAGES = 1000
# The temporary tables of an enrolment live in a file, and this much of them in memory.
_CACHE = -16 * 1024  # KiB


class LedgerFull(CampaignError):
    """Nothing can be written any more: the disk is full, or fails."""


Row = tuple[Any, ...]  # SQLite's types are what the schema (STRICT) says
Parameters = Sequence[Any] | Mapping[str, Any]


class Database:
    """A connection. Its methods may be called from any thread; transactions hold `lock`."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._connection = connection
        self._full = True

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False) -> Database:
        """Open the ledger at `path`, making it where there is none and `create` says so.

        Raises UserError where the file is none of ours, newer, damaged, or cannot be written;
        it is left untouched then.
        """
        if not path.exists():
            if not create:
                raise UserError(Problem("there is no ledger yet: nothing was sent", shown(path)))
            _create(path)
        mode = "ro" if read_only else "rw"
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as error:
            raise UserError(Problem(f"the ledger cannot be opened: {error}", shown(path))) from None
        try:
            _check(connection, path)
            _set_up(connection, writable=not read_only)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise UserError(_broken(path, error)) from None
        except BaseException:
            connection.close()
            raise
        return cls(path, connection)

    @classmethod
    def temporary(cls) -> Database:
        """Open a ledger that vanishes when it is closed; it is spilled to a file as it grows."""
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_bytes(32),))
        _set_up(connection, writable=False)
        return cls(None, connection)

    def close(self) -> None:
        """Close the connection; the last one to close folds the WAL into the file."""
        with self.lock:
            self._connection.close()

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return every row of a query."""
        with self.lock, _translated(self.path):
            return self._connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row of a query, or None."""
        with self.lock, _translated(self.path):
            found: Row | None = self._connection.execute(statement, parameters).fetchone()
            return found

    def each(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Iterate over a query's rows without holding the lock, some hundreds of rows at a time."""
        with self.lock, _translated(self.path):
            cursor = self._connection.execute(statement, parameters)
        while True:
            with self.lock, _translated(self.path):
                some = cursor.fetchmany(500)
            if not some:
                return
            yield from some

    def change(self, statement: str, parameters: Parameters = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with self.lock, _translated(self.path):
            return self._connection.execute(statement, parameters).rowcount

    def change_many(self, statement: str, parameters: Iterable[Sequence[object]]) -> None:
        """Execute a statement for each of many parameter lists."""
        with self.lock, _translated(self.path):
            self._connection.executemany(statement, parameters)

    def script(self, statements: str) -> None:
        """Execute several statements, outside of any transaction."""
        with self.lock, _translated(self.path):
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self, *, full: bool = True) -> Iterator[None]:
        """Commit what is changed within, or nothing of it.

        `full`: it is on the disk when this returns, power loss included; else it survives the death
        of the process, and the next full commit writes it too. Raises LedgerFull.
        """
        with self.lock, _translated(self.path):
            if full is not self._full:
                # Cannot be changed inside a transaction.
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk rolls back by itself
            self._connection.execute("ROLLBACK")

    def may_checkpoint(self, allowed: bool) -> None:
        """Say whether this connection is the sender's, the one that checkpoints."""
        with self.lock:
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if allowed else 0}")

    def truncate_wal(self) -> bool:
        """Fold the WAL into the file and cut it to nothing; False where a reader still needs it."""
        found = self.row("PRAGMA wal_checkpoint(TRUNCATE)")
        return found is not None and found[0] == 0

    def setting(self, name: str) -> object:
        """Return a value of `settings`, or None."""
        found = self.row("SELECT value FROM settings WHERE name = ?", (name,))
        return found[0] if found else None

    def set_setting(self, name: str, value: object) -> None:
        """Keep a value in `settings`; None removes it."""
        if value is None:
            self.change("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self.change(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                (name, value),
            )


def _create(path: Path) -> None:
    """Make the file whole under another name first, so that nobody finds half a ledger."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # It holds recipients' data: its owner's alone, and SQLite gives the WAL the same mode.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            connection = sqlite3.connect(unfinished, isolation_level=None)
            try:
                connection.executescript(
                    f"PRAGMA secure_delete = ON; PRAGMA application_id = {APPLICATION_ID};"
                    f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
                )
                connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_bytes(32),))
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
            try:
                os.link(unfinished, path)  # fails where another process was quicker
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, sqlite3.OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        what = f"the ledger cannot be made here ({why}); name another place with `ledger:`"
        raise UserError(Problem(what, shown(path))) from None


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise UserError(Problem("this file is no ledger of campaign; it was left as it is", shown(path)))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        what = f"this ledger was written by a newer campaign (schema {version}, known is {VERSION}); upgrade"
        raise UserError(Problem(what, shown(path)))


def _set_up(connection: sqlite3.Connection, *, writable: bool) -> None:
    secret = connection.execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()[0]
    functions: dict[str, Callable[[str], str]] = {
        "fold": fold,
        "domain_of": _domain_of,
        "hashed": partial(hashed, secret),
    }
    for name, function in functions.items():
        connection.create_function(name, 1, function, deterministic=True)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute(f"PRAGMA temp.cache_size = {_CACHE}")
    connection.execute(f"PRAGMA cache_size = {_CACHE}")
    if writable:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # Touches a table: a damaged file shows itself now.
        connection.execute("SELECT count(*) FROM campaigns").fetchone()


def hashed(secret: bytes, address: str) -> str:
    """Return what stands for an address that was forgotten: nobody can tell it without the secret."""
    return "#" + hmac.digest(secret, fold(address).encode(), "sha256").hex()


def _domain_of(address: str) -> str:
    return "@" + domain_of(fold(address))


def _broken(path: Path, error: sqlite3.DatabaseError) -> Problem:
    if _code(error) in ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"):
        what = f"the ledger cannot be written here ({error}); name another place with `ledger:`"
    elif _code(error) == "SQLITE_BUSY":
        what = f"another process has kept the ledger locked for {BUSY_TIMEOUT:g} seconds"
    else:
        what = f"the ledger is damaged ({error}); it was left as it is: restore it from a backup"
    return Problem(what, shown(path))


def _code(error: sqlite3.Error) -> str:
    """The primary result code's name: extended ones carry it in front."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


@contextmanager
def _translated(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
            raise
        code = _code(error)
        if code in ("SQLITE_FULL", "SQLITE_IOERR"):
            raise LedgerFull(
                f"the ledger {shown(path) if path else ''} cannot be written: {error}."
                " Make room on the disk, then send again."
            ) from error
        if code in (
            "SQLITE_READONLY",
            "SQLITE_CANTOPEN",
            "SQLITE_PERM",
            "SQLITE_BUSY",
            "SQLITE_CORRUPT",
            "SQLITE_NOTADB",
        ):
            raise UserError(_broken(path or Path("temporary"), error)) from error
        raise
