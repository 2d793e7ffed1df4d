"""The connection to a ledger in PostgreSQL: statements, transactions, errors in words.

Each process has one connection, behind one lock. Where nothing else is said, every statement is a
transaction of its own, committed as durably as the server is set up to. With `connection`, the only
importer of psycopg.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from campaign.campaignfile.location import PostgresLocation
from campaign.errors import LedgerAway, LedgerGivenUp, LedgerReadOnly, Problem, UserError
from campaign.ledger.postgres.connection import Connection, Hurry, Row, interrupt_behind, meaning
from campaign.ledger.postgres.procedure import RECORD
from campaign.ledger.postgres.schema import NAMESPACE, SCHEMA, VERSION
from campaign.ledger.postgres.upgrade import STEPS
from campaign.ledger.serverwait import ServerWait

_MAKING = 0x43414D50  # the advisory lock of whoever makes the tables
_CHUNK = 500  # rows
_AGAIN = 10  # times that a transaction is tried which PostgreSQL gave up to end a deadlock

# Whatever the server, the database or the role has by default. An intent must outlive a crash, and
# `remote_apply` is more. To plan what is done for each message takes longer than to do it. To enrol a long
# list takes minutes; but who is suspended within a transaction must not keep its locks from all others.
_SETTINGS = f"""
SELECT set_config(name, ours, false) FROM pg_settings JOIN (VALUES
    ('search_path', '{NAMESPACE}'), ('plan_cache_mode', 'force_generic_plan'), ('client_encoding', 'UTF8'),
    ('default_transaction_isolation', 'read committed'), ('synchronous_commit', 'on'),
    ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '10s'),
    ('idle_session_timeout', '0'), ('transaction_timeout', '0')) o (name, ours) USING (name)
WHERE name != 'synchronous_commit' OR setting = 'off'
"""

Parameters = Sequence[Any] | Mapping[str, Any]
Result = TypeVar("Result")


class Database:
    """A connection. Its methods may be called from any thread; a transaction holds `lock`."""

    def __init__(self, location: PostgresLocation, hurry: Hurry | None = None) -> None:
        self.location = location
        self.hurry = hurry or Hurry()
        self.lock = threading.RLock()
        self.connected = 0
        """How often it was connected: what was in temporary tables is gone with each."""
        self._names = count()
        self._beside: list[Database] = []
        self._secret: bytes | None = None
        self.server_wait = ServerWait()
        self._connection = self._connect()

    @classmethod
    def open(cls, location: PostgresLocation, *, create: bool) -> Database:
        """Connect; if there are no tables, `create` makes them.

        Raises UserError if the server cannot be reached, if there is no ledger, or a newer one.
        """
        database = cls(location)
        try:
            if not database._has_tables():
                if not create:
                    raise UserError(database.problem("there is no ledger yet: nothing was sent"))
                database._make()
            if database._version() < VERSION:
                database._upgrade()
            if (version := database._version()) > VERSION:
                what = (
                    f"this ledger was written by a newer release (schema {version}; this one knows {VERSION})"
                )
                raise UserError(database.problem(f"{what}; upgrade"))
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def exists(cls, location: PostgresLocation) -> bool:
        """Whether the database has a ledger. Raises UserError if the server cannot be reached."""
        database = cls(location)
        try:
            return database._has_tables()
        finally:
            database.close()

    def _connect(self) -> Connection:
        if self.hurry.is_over:
            raise self._given_up()
        with self._translated():
            connection = Connection.opened(self.location, self.hurry)
            try:
                connection.execute(_SETTINGS)
            except BaseException:
                connection.close()
                raise
        self.connected += 1
        return connection

    def reconnect(self) -> None:
        """Connect again. Raises LedgerAway."""
        with self.lock:
            self._connection.close()
            self._connection = self._connect()

    def beside(self) -> Database:
        """Open another connection to the same ledger, which is closed with this one at the latest."""
        other = Database(self.location, self.hurry)
        self._beside.append(other)
        return other

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed, or broke."""
        return self._connection.closed

    @property
    def pid(self) -> int:
        """The process that serves the connection, as it says itself."""
        return self._connection.info.backend_pid

    def close(self) -> None:
        """Close the connection."""
        for other in self._beside:
            other.close()
        with self.lock:
            self._connection.close()

    def _has_tables(self) -> bool:
        return self.row("SELECT to_regclass(%s)", (f"{NAMESPACE}.settings",)) != (None,)

    def _make(self) -> None:
        with self.transaction():
            self.change("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            if self._has_tables():
                return  # another process was faster
            (encoding,) = self.row("SHOW server_encoding") or ("",)
            if encoding != "UTF8":
                what = f"the database's encoding is {encoding}, and a ledger has letters of all languages:"
                raise UserError(self.problem(f"{what} CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"))
            self.change(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}")
            self.change(SCHEMA)
            self.change(RECORD)
            self.set_setting("secret", secrets.token_bytes(32).hex())
            self.set_setting("version", str(VERSION))

    def _version(self) -> int:
        return int(self.setting("version") or 1)

    def _upgrade(self) -> None:
        """Bring the tables of an earlier version up to this one's, all of it or nothing."""
        with self.transaction():
            self.change("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            # Another process may have been faster, and of a newer campaign.
            for step in STEPS[self._version() - 1 :]:
                self.change(step)
            self.set_setting("version", str(max(self._version(), VERSION)))

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return every row of a query."""
        with self._using():
            return self._execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row of a query, or None."""
        with self._using():
            return self._execute(statement, parameters).fetchone()

    def each(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Iterate over a query's rows in chunks, without holding the lock between them.

        They are of one moment, and the server keeps them until they were read.
        """
        name = f"each_{next(self._names)}"
        with self._using():
            connected = self.connected
            self._execute(f"DECLARE {name} NO SCROLL CURSOR WITH HOLD FOR {statement}", parameters)
        try:
            while True:
                with self._using():
                    some = self._execute(f"FETCH {_CHUNK} FROM {name}", ()).fetchall()
                if not some:
                    return
                yield from some
        finally:
            with self._using():
                if connected == self.connected and not self._connection.closed:
                    self._execute(f"CLOSE {name}", ())

    def change(self, statement: str, parameters: Parameters = ()) -> int:
        """Execute a statement and return how many rows it changed."""
        with self._using():
            return self._execute(statement, parameters).rowcount

    def change_many(self, statement: str, parameters: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of many parameter lists; return how many rows it changed."""
        with self._using(), self._connection.cursor() as cursor:
            cursor.executemany(statement, parameters)
            return max(0, cursor.rowcount)

    def together(
        self, statements: Sequence[tuple[str, Parameters]], *, durable: bool = True
    ) -> list[list[Row]]:
        """Execute statements in one transaction and one round trip; return each one's rows.

        `durable`: it survives a crash of the server; without, only the next durable commit makes it so.
        """
        with self._using():
            # What stands before a pipeline's end is one transaction (libpq, "Pipeline Mode").
            with self._connection.pipeline():
                if not durable:
                    self._execute("SELECT set_config('synchronous_commit', 'off', true)", ())
                cursors = [self._execute(statement, parameters) for statement, parameters in statements]
            return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def copy(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Send rows to a COPY … FROM STDIN."""
        with (
            self._using(),
            self._connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is changed within, or nothing of it. Raises LedgerFull, LedgerAway."""
        with self._using(), self._connection.transaction():
            yield

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all that is read within be of one moment."""
        with self.transaction():
            if self._connection.info.transaction_status.name == "INTRANS":
                self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
                # It keeps nobody out, and who reads what is written out may take their time.
                self._execute("SET LOCAL idle_in_transaction_session_timeout = 0", ())
            yield

    def repeated(self, act: Callable[[], Result]) -> Result:
        """Do a transaction, and again where PostgreSQL gave it up to end a deadlock."""
        for _ in range(_AGAIN):
            try:
                return act()
            except errors.DeadlockDetected:
                continue
        return act()

    def patiently(self, act: Callable[[], Result]) -> Result:
        """Do what may be done twice, and again while the server is away. Raises LedgerAway at last.

        Who calls it behind that, to tidy up, does not wait as long once more.
        """
        while True:
            try:
                with self.lock:
                    if self.is_closed:
                        self.reconnect()
                done = self.repeated(act)
            except LedgerAway as away:
                self.server_wait.again(away)
            else:
                self.server_wait.over()
                return done

    def _execute(self, statement: str, parameters: Parameters) -> psycopg.Cursor[Row]:
        # Statements are put together from our own constants only; an empty list of parameters would
        # make psycopg look for placeholders.
        return self._connection.execute(statement, parameters or None)

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Let nobody else use the connection, and close it where it is of no use any more."""
        with self.lock:
            try:
                with self._translated():
                    yield
            except (KeyboardInterrupt, LedgerReadOnly):
                self._connection.close()  # answers are still due on it; another server may take over
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._meaning(error) from None

    def _meaning(self, error: psycopg.Error) -> BaseException:
        if (interrupt := interrupt_behind(error)) is not None:
            return interrupt
        if self.hurry.is_over and isinstance(error, psycopg.OperationalError):
            return self._given_up()
        return meaning(error, self.problem)

    def _given_up(self) -> LedgerGivenUp:
        return LedgerGivenUp(self.problem("the ledger's server does not answer"))

    def secret(self) -> bytes:
        """Return the key of this ledger's HMACs."""
        if self._secret is None:
            value = self.setting("secret")
            if value is None:
                raise UserError(self.problem("the ledger is damaged (it has no secret)"))
            self._secret = bytes.fromhex(value)
        return self._secret

    def setting(self, name: str) -> str | None:
        """Return a value of `settings`, or None."""
        found = self.row("SELECT value FROM settings WHERE name = %s", (name,))
        return None if found is None else str(found[0])

    def set_setting(self, name: str, value: str | None) -> None:
        """Store a value in `settings`; None removes it."""
        if value is None:
            self.change("DELETE FROM settings WHERE name = %s", (name,))
        else:
            self.change(
                "INSERT INTO settings VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def problem(self, message: str) -> Problem:
        """Return a problem located at the ledger."""
        return Problem(message, str(self.location))
