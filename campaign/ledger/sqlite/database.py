"""The SQLite file under a ledger: opening, versions, transactions, what can go wrong with a disk.

The only importer of sqlite3. One connection for each process, behind one lock. WAL, so that others
read while one writes. SQLite before 3.51.3 can lose committed writes where two connections write and
checkpoint (sqlite.org/wal.html, "the WAL-reset bug"): only the sender's connection ever does.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from campaign.errors import LedgerFull, Problem, UserError
from campaign.ledger.sqlite.file import Reserve, check_header, refuse_newer
from campaign.ledger.sqlite.functions import functions
from campaign.ledger.sqlite.schema import APPLICATION_ID, SCHEMA, VERSION
from campaign.wording import shown

OLDEST_SQLITE = (3, 37)  # STRICT tables
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction
CHECKPOINT_PAGES = 1000
# The temporary tables of an enrolment live in a file, and this much of them in memory.
_CACHE = -2 * 1024  # KiB


Row = tuple[Any, ...]  # SQLite's types are what the schema (STRICT) says
Parameters = Sequence[Any] | Mapping[str, Any]


class Database:
    """A connection. Its methods may be called from any thread; transactions hold `lock`."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._connection = connection
        self._reserve = Reserve(path) if path is not None else None
        self._full = True

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False) -> Database:
        """Open the ledger at `path`, making it where there is none and `create` says so.

        Raises UserError where the file is none of ours, newer, damaged, or cannot be written;
        it is left untouched then.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise UserError(f"SQLite {sqlite3.sqlite_version} is too old for the ledger: 3.37 is needed")
        if not path.exists():
            if not create:
                raise UserError(Problem("there is no ledger yet: nothing was sent", shown(path)))
            _create(path)
        check_header(path)
        try:
            # Reading first: a file that is damaged stays as it is.
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
        """Open a ledger that vanishes when it is closed; it is spilled to a file as it grows."""
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_bytes(32),))
        _set_up(connection)
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

    def change_many(self, statement: str, parameters: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of many parameter lists; return how many rows it changed."""
        with self.lock, _translated(self.path):
            return self._connection.executemany(statement, parameters).rowcount

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

    def rewrite(self) -> bool:
        """Write the file anew, without what was deleted; False where there is no room, or another writes."""
        return self._at_once("VACUUM") is not None

    def empty_wal(self) -> bool:
        """Fold the WAL into the file and cut it to nothing; False where a reader still needs it."""
        found = self._at_once("PRAGMA wal_checkpoint(TRUNCATE)")
        return found is not None and not found[0][0]

    def _at_once(self, statement: str) -> list[Row] | None:
        """Execute what others may be in the way of, and wait for them a second only."""
        with self.lock, _translated(self.path):
            self._connection.execute("PRAGMA busy_timeout = 1000")
            try:
                return self._connection.execute(statement).fetchall()
            except sqlite3.OperationalError:
                return None
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")

    def keep_reserve(self) -> None:
        """Keep room on the disk for what must be written when it is full. Raises LedgerFull."""
        if self._reserve is not None:
            try:
                self._reserve.keep()
            except OSError as error:
                raise _full(self.path, str(error.strerror)) from None

    def use_reserve(self) -> None:
        """Give that room back."""
        if self._reserve is not None:
            self._reserve.give_back()

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
                if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                    what = "the ledger cannot be made on this file system; name another place with `ledger:`"
                    raise UserError(Problem(what, shown(path)))
            finally:
                connection.close()
            try:
                os.link(unfinished, path)  # fails where another process was quicker
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                unfinished.rename(path)
            _sync_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, sqlite3.OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        what = f"the ledger cannot be made here ({why}); name another place with `ledger:`"
        raise UserError(Problem(what, shown(path))) from None


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every system syncs folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _readable(path: Path) -> sqlite3.Connection:
    """Open for reading, and look whether it is whole."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = _connect(path, options)
        try:
            refuse_newer(connection.execute("PRAGMA user_version").fetchone()[0], path)
            _set_up(connection)
            # Touches a table: a damaged file shows itself now.
            connection.execute("SELECT count(*) FROM campaigns").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if _code(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                raise
            # A folder that cannot be written has no place for a WAL; without one, nobody is writing.
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
        connection.execute("BEGIN IMMEDIATE")  # where it cannot be written, that is said now
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


def _full(path: Path | None, why: str) -> LedgerFull:
    what = f"the ledger cannot be written: {why}. Make room on the disk, then send again"
    return LedgerFull(Problem(what, shown(path) if path else None))


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
            raise _full(path, str(error)) from error
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
