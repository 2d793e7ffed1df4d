"""The SQLite file of a ledger: opening it, transactions, and translating SQLite's errors.

This is the only importer of sqlite3. Each process has one connection, behind one lock. The file is in
WAL mode, so that readers do not wait for a writer. Before 3.51.3, SQLite can lose committed writes if
two connections checkpoint (sqlite.org/wal.html, "the WAL-reset bug"): only the connection of the
process that holds the lease does.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from campaign.errors import Problem, UserError
from campaign.ledger.sqlite.file import Reserve, check_header, disk_full, refuse_newer, sync_folder
from campaign.ledger.sqlite.functions import functions
from campaign.ledger.sqlite.runs import refuse_held
from campaign.ledger.sqlite.schema import APPLICATION_ID, SCHEMA, VERSION
from campaign.ledger.sqlite.upgrade import upgrade
from campaign.wording import shown

OLDEST_SQLITE = (3, 37)  # STRICT tables
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction
CHECKPOINT_PAGES = 1000
# The page cache; the temporary tables of an enrolment are in a file beyond it.
_CACHE = -2 * 1024  # KiB


Row = tuple[Any, ...]  # SQLite's types are what the schema (STRICT) says
Parameters = Sequence[Any] | Mapping[str, Any]


class Database:
    """A connection. Its methods may be called from any thread; a transaction holds `lock`."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._connection = connection
        self._reserve = Reserve(path) if path is not None else None
        self._full = True

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False) -> Database:
        """Open the ledger at `path`; if there is none, `create` makes an empty one.

        Raises UserError if the file is not a ledger, newer than this program, damaged, or not writable;
        it is left untouched then.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise UserError(f"SQLite {sqlite3.sqlite_version} is too old for the ledger: 3.37 is needed")
        if not path.exists():
            if not create:
                raise UserError(Problem("there is no ledger yet: nothing was sent", shown(path)))
            _create(path)
        if check_header(path) < VERSION:
            _upgrade(path)
        try:
            # Read before opening for writing: a damaged file stays as it is.
            connection = _readable(path)
            if not read_only:
                connection.close()
                connection = _connect(path, "mode=rw")
                _prepare_to_write(connection)
        except sqlite3.DatabaseError as error:
            raise UserError(_broken(path, error)) from None
        return cls(path, connection)

    @classmethod
    def temporary(cls) -> Database:
        """Open a ledger that vanishes when it is closed; SQLite spills it to a file as it grows."""
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_bytes(32),))
        _set_up(connection)
        return cls(None, connection)

    def close(self) -> None:
        """Close the connection. SQLite folds the WAL into the file when the last one closes."""
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
        """Iterate over a query's rows in chunks, without holding the lock between them."""
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

    def add_function(self, name: str, arguments: int, function: Callable[..., str]) -> None:
        """Let statements call a Python function; the same arguments give the same value."""
        with self.lock:
            self._connection.create_function(name, arguments, function, deterministic=True)

    def change_many(self, statement: str, parameters: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of many parameter lists; return how many rows it changed."""
        with self.lock, _translated(self.path):
            return self._connection.executemany(statement, parameters).rowcount

    def script(self, statements: str) -> None:
        """Execute several statements; an open transaction is committed first."""
        with self.lock, _translated(self.path):
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self, *, full: bool = True) -> Iterator[None]:
        """Commit what is changed within, or nothing of it. Raises LedgerFull.

        With `full`, the commit survives a power loss. Without, it survives the death of the process,
        and becomes durable with the next full commit.
        """
        with self.lock, _translated(self.path):
            if full is not self._full:
                # Cannot be changed inside a transaction.
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            with self._begun("BEGIN IMMEDIATE"):
                yield

    @contextmanager
    def temporary_transaction(self) -> Iterator[None]:
        """Commit what is changed in temporary tables within, or nothing of it.

        It takes no lock on the file: it neither waits for another process nor makes one wait, and works
        on a read-only connection.
        """
        with self.lock, _translated(self.path), self._begun("BEGIN"):
            yield

    @contextmanager
    def _begun(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
                self._connection.execute("ROLLBACK")
            raise

    def may_checkpoint(self, allowed: bool) -> None:
        """Set whether this connection checkpoints; only that of the lease's holder may."""
        with self.lock:
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if allowed else 0}")

    def rewrite(self) -> bool:
        """Rewrite the file without deleted content; False if the disk is full or the file is locked."""
        return self._at_once("VACUUM") is not None

    def empty_wal(self) -> bool:
        """Fold the WAL into the file and truncate it; False if another connection is using it."""
        found = self._at_once("PRAGMA wal_checkpoint(TRUNCATE)")
        return found is not None and not found[0][0]

    def _at_once(self, statement: str) -> list[Row] | None:
        """Execute a statement, waiting only a second for locks; None if it failed."""
        with self.lock, _translated(self.path):
            self._connection.execute("PRAGMA busy_timeout = 1000")
            try:
                return self._connection.execute(statement).fetchall()
            except sqlite3.OperationalError:
                return None
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")

    def keep_reserve(self) -> None:
        """Reserve disk space for the results of a run whose disk fills up. Raises LedgerFull."""
        if self._reserve is not None:
            try:
                self._reserve.keep()
            except OSError as error:
                raise disk_full(self.path, str(error.strerror)) from None

    def use_reserve(self) -> None:
        """Release the reserved disk space."""
        if self._reserve is not None:
            self._reserve.give_back()

    def secret(self) -> bytes:
        """Return the key of this ledger's HMACs."""
        secret = self.setting("secret")
        assert isinstance(secret, bytes)  # noqa: S101
        return secret

    def setting(self, name: str) -> object:
        """Return a value of `settings`, or None."""
        found = self.row("SELECT value FROM settings WHERE name = ?", (name,))
        return found[0] if found else None

    def set_setting(self, name: str, value: object) -> None:
        """Store a value in `settings`; None removes it."""
        if value is None:
            self.change("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self.change(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                (name, value),
            )


def _create(path: Path) -> None:
    """Make the file under another name and link it when it is complete, so that nobody opens half of it."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Recipients' data: readable by the owner only. SQLite gives the WAL the same mode.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            connection = sqlite3.connect(unfinished, isolation_level=None)
            try:
                connection.executescript(
                    f"PRAGMA secure_delete = ON; PRAGMA application_id = {APPLICATION_ID};"
                    f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
                )
                connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_bytes(32),))
                if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                    what = "the ledger cannot be made on this file system; name another place with `ledger:`"
                    raise UserError(Problem(what, shown(path)))
            finally:
                connection.close()
            try:
                os.link(unfinished, path)  # fails if another process was faster
            except FileExistsError:
                pass
            except OSError:  # this file system has no hard links
                unfinished.rename(path)
            sync_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, sqlite3.OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        what = f"the ledger cannot be made here ({why}); name another place with `ledger:`"
        raise UserError(Problem(what, shown(path))) from None


def _upgrade(path: Path) -> None:
    """Bring a ledger that an earlier release wrote to this schema; all of it or nothing.

    Raises UserError where that cannot be: another process is sending, or nothing can be written here.
    """
    try:
        with closing(_connect(path, "mode=rw")) as connection:
            _set_up(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            database = Database(path, connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
                    refuse_held(database, time.time_ns())
                    upgrade(database, time.time_ns())
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        what = (
            f"this ledger was written by an earlier campaign and cannot be brought up to date here ({error})"
        )
        raise UserError(Problem(what, shown(path))) from None


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _readable(path: Path) -> sqlite3.Connection:
    """Open read-only and check that the file can be read."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = _connect(path, options)
        try:
            refuse_newer(connection.execute("PRAGMA user_version").fetchone()[0], path)
            _set_up(connection)
            # Reading a table reveals a damaged file now.
            connection.execute("SELECT count(*) FROM campaigns").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if _code(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                raise
            # A read-only folder has no place for a WAL. Without a WAL nobody writes: immutable is safe.
            wal = path.with_name(f"{path.name}-wal")
            if wal.exists() and wal.stat().st_size:
                what = f"this folder cannot be written, and the ledger has {wal.name}: copy both elsewhere"
                raise UserError(Problem(what, shown(path))) from None
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise UserError(Problem("the ledger cannot be opened", shown(path)))


def _set_up(connection: sqlite3.Connection) -> None:
    secret = connection.execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()[0]
    for name, function in functions(secret).items():
        connection.create_function(name, 1, function, deterministic=True)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute(f"PRAGMA temp.cache_size = {_CACHE}")
    connection.execute(f"PRAGMA cache_size = {_CACHE}")


def _prepare_to_write(connection: sqlite3.Connection) -> None:
    try:
        _set_up(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("BEGIN IMMEDIATE")  # fails now if the file is not writable
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise


def _broken(path: Path, error: sqlite3.DatabaseError) -> Problem:
    if _code(error) in ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"):
        what = f"the ledger cannot be written here ({error}); name another place with `ledger:`"
    elif _code(error) == "SQLITE_BUSY":
        what = f"another process has kept the ledger locked for {BUSY_TIMEOUT:g} seconds"
    else:
        what = f"the ledger is damaged ({error}); it was left as it is: restore it from a backup"
    return Problem(what, shown(path))


def _code(error: sqlite3.Error) -> str:
    """Return the name of the primary result code, with which an extended one begins."""
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
            raise disk_full(path, str(error)) from error
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
