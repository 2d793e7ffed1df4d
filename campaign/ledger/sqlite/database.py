"""The connection to a ledger's file: statements and transactions.

Each process has one connection, behind one lock. The file is in WAL mode, so readers do not wait for a
writer. Before SQLite 3.51.3, committed writes can be lost if two connections checkpoint
(sqlite.org/wal.html, "the WAL-reset bug"); therefore only the process that holds the lease does.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from campaign.errors import LedgerMoved, Problem, UserError
from campaign.ledger.sqlite import opening
from campaign.ledger.sqlite.file import Reserve, check_header, disk_full
from campaign.ledger.sqlite.place import Place, has_wal, refuse_orphan
from campaign.ledger.sqlite.schema import SCHEMA
from campaign.ledger.sqlite.transaction import Transaction
from campaign.wording import shown

OLDEST_SQLITE = (3, 37)  # STRICT tables
CHECKPOINT_PAGES = 1000
OTHERS_CHANGES = "PRAGMA data_version"
"""Returns a number that changes whenever another connection has changed the file."""
_HELD_UP = 1.0  # seconds; a longer wait means that another process held this one up

Row = tuple[Any, ...]  # the schema (STRICT) determines the types
Parameters = Sequence[Any] | Mapping[str, Any]


class Database:
    """A connection. Any thread may call its methods; a transaction holds `lock`."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.place: Place | None = None
        self.run: int | None = None
        """The run that was started on this connection."""
        self._connection = connection
        self.execute_within = connection.execute
        """Execute a statement inside a `transaction`, which holds the lock and translates errors."""
        self.translated = opening.TranslatedErrors(path)
        self._reserve = Reserve(path) if path is not None else None
        self._full = True
        self._checkpoints = False
        self._patience = opening.BUSY_TIMEOUT
        # Must be closed after the connection: closing it drops this process's locks on the file (fcntl(2)).
        self._file: FileIO | None = None
        self._held_up_at = float("-inf")  # when the last such wait ended, by time.monotonic

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False) -> Database:
        """Open the ledger at `path`; if there is none, `create` makes an empty one.

        Raises UserError if the file is not a ledger, newer than this program, damaged, or not writable,
        LedgerBusy if another process keeps it locked, and LedgerFull if there is no room. In these cases
        the file is unchanged.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise UserError(f"SQLite {sqlite3.sqlite_version} is too old for the ledger: 3.37 is needed")
        if not path.exists():
            if not create:
                raise UserError(
                    Problem(
                        "there is no ledger yet: nothing was sent (`campaign send` makes it)", shown(path)
                    )
                )
            refuse_orphan(path)
            opening.create(path)
        check_header(path)
        place = Place.of(path)
        began = time.monotonic()
        try:
            # Reading comes first, so that a damaged file is not changed.
            connection = opening.readable(path)
            if not read_only:
                connection.close()
                connection = opening.connect(path, "mode=rw")
                opening.prepare_to_write(connection)
        except sqlite3.DatabaseError as error:
            raise opening.meaning(path, error) from None
        database = cls(path, connection)
        database._note_wait(began)
        database.place = place if read_only else place.with_wal()
        return database

    @classmethod
    def temporary(cls) -> Database:
        """Open a ledger that is deleted when it is closed. SQLite moves it to a file if it grows."""
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO settings VALUES ('secret', ?)", (os.urandom(32),))
        opening.set_up(connection)
        return cls(None, connection)

    def close(self, *, keep_wal: bool = False) -> None:
        """Close the connection. When the last one closes, SQLite copies the WAL into the file and removes it.

        `keep_wal` prevents that.
        """
        with self.lock, ExitStack() as last:
            if keep_wal and self.place is not None and self.place.is_kept():
                opening.keep_wal(self.place.path, last)
            self._connection.close()
            if self._file is not None:
                self._file.close()

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return every row of a query."""
        with self.lock, self.translated:
            return self._execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row of a query, or None."""
        with self.lock, self.translated:
            found: Row | None = self._execute(statement, parameters).fetchone()
            return found

    def each(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Iterate over a query's rows in chunks, without holding the lock between them."""
        for some in self.chunks(statement, parameters):
            yield from some

    def chunks(self, statement: str, parameters: Parameters = ()) -> Iterator[list[Row]]:
        """Iterate over a query's rows in lists of up to 500, without holding the lock between them."""
        with self.lock, self.translated:
            cursor = self._execute(statement, parameters)
        while True:
            with self.lock, self.translated:
                some = cursor.fetchmany(500)
            if not some:
                return
            yield some

    def change(self, statement: str, parameters: Parameters = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with self.lock, self.translated:
            if not self._connection.in_transaction:
                self._set_patience(opening.BUSY_TIMEOUT)
            return self._execute(statement, parameters).rowcount

    @property
    def own_changes(self) -> int:
        """How many rows this connection has changed so far."""
        return self._connection.total_changes

    def add_function(self, name: str, arguments: int, function: Callable[..., str]) -> None:
        """Let SQL statements call a Python function, which must be deterministic."""
        with self.lock:
            opening.add_function(self._connection, name, arguments, function)

    def change_many(self, statement: str, parameters: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of many parameter lists; return how many rows it changed."""
        with self.lock, self.translated:
            return self._connection.executemany(statement, parameters).rowcount

    def script(self, statements: str) -> None:
        """Execute several statements; an open transaction is committed first."""
        with self.lock, self.translated:
            self._connection.executescript(statements)

    def transaction(self, *, full: bool = True, patience: float | None = None) -> Transaction:
        """Commit all changes within this context, or none. Raises LedgerFull, LedgerBusy.

        With `full` (synchronous=FULL), the commit survives a power loss; raises LedgerMoved if the file is
        no longer at its path. Without, it survives the death of the process, and becomes durable with the
        next full commit. `patience` is how long to wait for another process's transaction, in seconds;
        default `BUSY_TIMEOUT`.
        """
        return Transaction(self, full, opening.BUSY_TIMEOUT if patience is None else patience)

    @contextmanager
    def temporary_transaction(self) -> Iterator[None]:
        """Commit all changes to temporary tables within this context, or none. Reads are of one moment.

        It does not lock the file, so it neither waits nor makes others wait. It works read-only too.
        """
        with self.lock, self.translated:
            self._begin("BEGIN")
            try:
                yield
            except BaseException:
                self.roll_back()
                raise
            self.commit()

    def begin(self, full: bool, patience: float) -> None:
        """Begin a transaction that writes; see `transaction`."""
        if patience != self._patience:
            self._set_patience(patience)
        if full is not self._full:
            # The setting cannot be changed inside a transaction.
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full
        self._begin("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the transaction; if that fails, roll it back."""
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Roll the transaction back."""
        if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
            self._connection.execute("ROLLBACK")

    def _begin(self, begin: str) -> None:
        began = time.monotonic()
        try:
            self._execute(begin, ())
        except sqlite3.OperationalError:
            self._held_up_at = time.monotonic()
            raise
        self._note_wait(began)

    def _note_wait(self, began: float) -> None:
        ended = time.monotonic()
        if ended - began > _HELD_UP:
            self._held_up_at = ended

    def held_up_within(self, seconds: float) -> bool:
        """Whether another process held this one up within the last `seconds`.

        If so, it may have held up others too, for example a heartbeat.
        """
        return time.monotonic() - self._held_up_at < seconds

    def _set_patience(self, seconds: float) -> None:
        if seconds != self._patience:
            opening.set_busy_timeout(self._connection, seconds)
            self._patience = seconds

    def _execute(self, statement: str, parameters: Parameters) -> sqlite3.Cursor:
        return opening.execute_waiting(self._connection, statement, parameters, self._patience)

    def refuse_moved(self) -> None:
        """Raise LedgerMoved if the path no longer leads to the file that was opened."""
        if self.place is not None and not self.place.is_kept():
            what = "another file is here than when the ledger was opened, or none; nothing more is sent or"
            what = f"{what} changed. Put the ledger back, with its -wal, before you send again"
            raise LedgerMoved(Problem(what, shown(self.place.path)))

    def may_checkpoint(self, allowed: bool) -> None:
        """Set whether this connection may checkpoint; only the holder of the lease may."""
        with self.lock:
            self._checkpoints = allowed
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if allowed else 0}")

    def checkpoint(self) -> None:
        """If allowed, copy the WAL into the file, as far as no reader still needs it."""
        if self._checkpoints:
            self._at_once("PRAGMA wal_checkpoint(PASSIVE)")

    def overwrite_remains(self) -> bool:
        """Overwrite what deleted rows have left in the file; return False if the WAL is not empty.

        Call it in a transaction that changes something: other connections then read their pages again, and
        cannot write old ones.
        """
        if self.path is None:
            return True
        from campaign.ledger.sqlite import remains

        with self.lock:
            if has_wal(self.path):
                return False
            if self._file is None:
                self._file = self.path.open("r+b", buffering=0)
            done = remains.overwrite(self._file)
            os.fsync(self._file.fileno())
            return done

    def drop_cache(self) -> None:
        """Drop all cached pages, so that no old one is written."""
        self.rows("PRAGMA shrink_memory")

    def rewrite(self) -> bool:
        """Rewrite the file without deleted content; False if the disk is full or the file is locked."""
        return self._at_once("VACUUM") is not None

    def empty_wal(self) -> bool:
        """Copy the WAL into the file and truncate it; return False if another connection is using it."""
        found = self._at_once("PRAGMA wal_checkpoint(TRUNCATE)")
        return found is not None and not found[0][0]

    def _at_once(self, statement: str) -> list[Row] | None:
        """Execute a statement, waiting at most a second for locks; return None if it failed."""
        with self.lock, self.translated:
            self._set_patience(1.0)
            try:
                return self._connection.execute(statement).fetchall()
            except sqlite3.OperationalError:
                return None
            finally:
                self._set_patience(opening.BUSY_TIMEOUT)

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy of the file to `path`, also while other processes write."""
        with self.lock, self.translated, closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy, pages=-1)

    def keep_reserve(self) -> None:
        """Reserve disk space for a run's last results. Raises LedgerFull."""
        if self._reserve is not None:
            try:
                self._reserve.keep()
            except OSError as error:
                raise disk_full(self.path, str(error.strerror)) from None

    def use_reserve(self) -> None:
        """Release the reserved disk space."""
        if self._reserve is not None:
            self._reserve.give_back()

    def version(self) -> int:
        """Return the version of the schema."""
        found = self.row("PRAGMA user_version")
        return found[0] if found else 0

    def secret(self) -> bytes:
        """Return this ledger's HMAC key."""
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
