"""Opens a ledger's file with SQLite: creates it, or opens it for reading or writing; translates errors.

This module and `database` are the only importers of sqlite3.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from campaign.errors import LedgerBusy, Problem, UserError
from campaign.ledger.sqlite.file import disk_full, refuse_newer, sync_folder
from campaign.ledger.sqlite.functions import functions
from campaign.ledger.sqlite.schema import APPLICATION_ID, SCHEMA, VERSION
from campaign.ledger.sqlite.unfinished import unfinished
from campaign.wording import shown

# Primary result codes that are not our fault. For the first two, the disk is full or failing.
_TOLD = (
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_BUSY",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_PERM",
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
)
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction
_SLICE = 0.25  # seconds per try: while SQLite waits, Python handles no signals
# Size of the page cache; temporary tables of an enrolment beyond it are in a file.
_CACHE = -2 * 1024  # KiB
_interrupts: list[KeyboardInterrupt] = []  # raised in a Python function called by SQL


def create(path: Path) -> None:
    """Create the file under a temporary name and link it when it is complete: nobody opens half of it."""
    if path.is_symlink():
        what = (
            f"the ledger is a link to {os.path.realpath(path)}, and nothing is there: is a disk not mounted?"
            " Put the ledger back; or, if there is to be a new one, remove the link"
        )
        raise UserError(Problem(what, shown(path)))
    try:
        with unfinished(path) as name:
            # It contains personal data, so only the owner may read it. SQLite gives the WAL the same mode.
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(name, isolation_level=None)) as connection:
                connection.executescript(
                    f"PRAGMA secure_delete = ON; PRAGMA application_id = {APPLICATION_ID};"
                    f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
                )
                connection.execute("INSERT INTO settings VALUES ('secret', ?)", (os.urandom(32),))
                if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                    what = "the ledger cannot be made on this file system; name another place with `ledger:`"
                    raise UserError(Problem(what, shown(path)))
            try:
                os.link(name, path)  # fails if another process was faster
            except FileExistsError:
                pass
            except OSError:  # the file system has no hard links
                name.rename(path)
            sync_folder(path.parent)
    except (OSError, sqlite3.OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        if _code(error) == "SQLITE_FULL" or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path, str(why)) from None
        what = f"the ledger cannot be made here ({why}); name another place with `ledger:`"
        raise UserError(Problem(what, shown(path))) from None


def connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def readable(path: Path) -> sqlite3.Connection:
    """Open read-only, and check that the file can be read."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = connect(path, options)
        try:
            refuse_newer(connection.execute("PRAGMA user_version").fetchone()[0], path)
            set_up(connection)
            # Reading a table finds a damaged file now.
            connection.execute("SELECT count(*) FROM campaigns").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            full = _is_full(error)
            if _code(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY") and not full:
                raise
            # In a read-only folder, or on a full disk, no WAL can be created. Without a WAL nobody
            # is writing, so immutable is safe.
            wal = path.with_name(f"{path.name}-wal")
            if wal.exists() and wal.stat().st_size:
                if full:
                    raise
                what = f"this folder cannot be written, and the ledger has {wal.name}: copy both elsewhere"
                raise UserError(Problem(what, shown(path))) from None
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise UserError(Problem("the ledger cannot be opened", shown(path)))


def keep_wal(path: Path, stack: ExitStack) -> None:
    """Keep SQLite from removing the WAL until `stack` is closed.

    It removes the WAL with the last connection that can write; a read-only one that is still open prevents
    that.
    """
    with suppress(sqlite3.Error):
        reader = stack.enter_context(closing(connect(path, "mode=ro")))
        reader.execute("SELECT count(*) FROM runs").fetchone()


def leave_setting(path: Path, name: str, value: int) -> None:
    """Store a value in `settings` on behalf of a read-only connection, unless another process is writing."""
    with suppress(sqlite3.Error), closing(connect(path, "mode=rw")) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def set_up(connection: sqlite3.Connection) -> None:
    secret = connection.execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()
    if secret is None or not isinstance(secret[0], bytes):
        raise sqlite3.DatabaseError("it has no secret")
    for name, function in functions(secret[0]).items():
        add_function(connection, name, 1, function)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute(f"PRAGMA temp.cache_size = {_CACHE}")
    connection.execute(f"PRAGMA cache_size = {_CACHE}")


def add_function(
    connection: sqlite3.Connection, name: str, arguments: int, function: Callable[..., str]
) -> None:
    """Let SQL statements call a Python function, which must be deterministic.

    If an interrupt comes while the function runs, SQLite only reports that it failed; `TranslatedErrors`
    raises the interrupt.
    """

    def call(*values: str) -> str:
        try:
            return function(*values)
        except KeyboardInterrupt as interrupt:
            _interrupts.append(interrupt)
            raise

    connection.create_function(name, arguments, call, deterministic=True)


def set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    """Set how long SQLite itself waits in one try of `execute_waiting`."""
    connection.execute(f"PRAGMA busy_timeout = {min(seconds, _SLICE) * 1000:.0f}")


def execute_waiting(
    connection: sqlite3.Connection,
    statement: str,
    parameters: Sequence[Any] | Mapping[str, Any],
    seconds: float,
) -> sqlite3.Cursor:
    """Execute a statement; wait up to `seconds` for another process's transaction."""
    until = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            return connection.execute(statement, parameters)
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            # If SQLite did not wait at all, it would be a deadlock: each process would wait for the other.
            if not is_busy(error) or now >= until or now - began < _SLICE / 2:
                raise


def prepare_to_write(connection: sqlite3.Connection) -> None:
    try:
        set_busy_timeout(connection, BUSY_TIMEOUT)
        set_up(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # Fails now if the file is not writable.
        execute_waiting(connection, "BEGIN IMMEDIATE", (), BUSY_TIMEOUT)
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise


def meaning(path: Path | None, error: sqlite3.DatabaseError) -> UserError:
    """Return what to tell the user: LedgerFull, LedgerBusy or UserError. A temporary ledger has no `path`."""
    if _is_full(error):
        return disk_full(path, str(error))
    what = _broken(path or Path("temporary"), error)
    return LedgerBusy(what) if is_busy(error) else UserError(what)


def _broken(path: Path, error: sqlite3.DatabaseError) -> Problem:
    if _code(error) in ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"):
        what = f"this user cannot write the ledger ({error}): run this as {_owner_of(path)}"
        what = f"{what}. Another place in `ledger:` would be a new ledger, which knows nobody"
    elif is_busy(error):
        what = f"another process has kept the ledger locked for {BUSY_TIMEOUT:g} seconds"
    else:
        what = f"the ledger is damaged ({error}); it was not changed: restore it from a backup"
    return Problem(what, shown(path))


def _owner_of(path: Path) -> str:
    try:
        return f"{path.owner()}, who owns it, where its folder can be written"
    except (OSError, KeyError, NotImplementedError):  # the user has no name, or this is Windows
        return "the one who owns it, where its folder can be written"


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has the file locked."""
    return _code(error) == "SQLITE_BUSY"


def _is_full(error: sqlite3.Error) -> bool:
    """Whether the disk is full or failing."""
    return _code(error) in ("SQLITE_FULL", "SQLITE_IOERR")


def _code(error: Exception) -> str:
    """Return the name of SQLite's primary result code, without the extended part; "" if there is none."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


class TranslatedErrors:
    """A context in which SQLite's errors become UserError, LedgerBusy or LedgerFull. It is reentrant."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Do nothing. A generator-based context manager would take longer than most statements."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.raise_for(error)

    def raise_for(self, error: BaseException) -> None:
        """Raise the translation of an SQLite error; return for any other error."""
        if isinstance(error, sqlite3.DatabaseError):
            if _interrupts:
                raise _interrupts.pop() from None
            self._translate(error)

    def _translate(self, error: sqlite3.DatabaseError) -> None:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return
        if _code(error) in _TOLD:
            raise meaning(self._path, error) from error
