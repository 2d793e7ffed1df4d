"""The connection to a ledger in PostgreSQL: statements, transactions, error messages.

Each process has one connection, behind one lock. Outside of `transaction` each statement is a transaction
of its own, committed as durably as the server is configured to. This module and `connection` are the only
importers of psycopg.
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

_MAKING = 0x43414D50  # advisory lock while the tables are created
_CHUNK = 500  # rows
_AGAIN = 10  # tries of a transaction that PostgreSQL aborts because of a deadlock

# These hold whatever the defaults of the server, the database or the role are. An intent must survive a
# crash; `remote_apply` is stronger than `on`, so it stays. Planning a statement takes longer than executing
# it. Enrolling a long list takes minutes; but a process that is suspended in a transaction must not keep
# its locks.
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
    """A connection. Any thread may call its methods; a transaction holds `lock`."""

    def __init__(self, location: PostgresLocation, hurry: Hurry | None = None) -> None:
        self.location = location
        self.hurry = hurry or Hurry()
        self.lock = threading.RLock()
        self.connected = 0
        """How many times it was connected. Each connection loses the temporary tables of the one before."""
        self._names = count()
        self._beside: list[Database] = []
        self._secret: bytes | None = None
        self.server_wait = ServerWait()
        self._connection = self._connect()

    @classmethod
    def open(cls, location: PostgresLocation, *, create: bool) -> Database:
        """Connect; if there are no tables, `create` creates them.

        Raises UserError if the server cannot be reached, if there is no ledger, or if a newer release wrote
        it.
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

    def second_connection(self) -> Database:
        """Open another connection to the same ledger. It is closed with this one, if not before."""
        other = Database(self.location, self.hurry)
        self._beside.append(other)
        return other

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed, or broke."""
        return self._connection.closed

    @property
    def pid(self) -> int:
        """The id of the server process for this connection, as the other side reports it."""
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
        """Upgrade the tables from an earlier version, all of it or nothing."""
        with self.transaction():
            self.change("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            # Another process may have been faster, and have a newer release.
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

        All rows are of one moment; the server keeps them until they are read.
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

    def pipelined(
        self, statements: Sequence[tuple[str, Parameters]], *, durable: bool = True
    ) -> list[list[Row]]:
        """Execute statements in one transaction and one round trip; return each one's rows.

        `durable`: the commit survives a crash of the server. Without, the next durable commit makes it so.
        """
        with self._using():
            # A pipeline is one transaction (libpq, "Pipeline Mode").
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
        """Commit all changes within this context, or none. Raises LedgerFull, LedgerAway."""
        with self._using(), self._connection.transaction():
            yield

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within this context, all reads see the ledger as it was at one moment."""
        with self.transaction():
            if self._connection.info.transaction_status.name == "INTRANS":
                self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
                # It blocks nobody, and a slow reader of the output may take longer.
                self._execute("SET LOCAL idle_in_transaction_session_timeout = 0", ())
            yield

    def retried_after_deadlock(self, act: Callable[[], Result]) -> Result:
        """Call `act`, which is a transaction; again if PostgreSQL aborted it because of a deadlock."""
        for _ in range(_AGAIN):
            try:
                return act()
            except errors.DeadlockDetected:
                continue
        return act()

    def retried_while_away(self, act: Callable[[], Result]) -> Result:
        """Call `act`, and again while the server cannot be reached. Raises LedgerAway if it takes too long.

        `act` must be safe to repeat. After it has raised, another call does not wait for the full time again.
        """
        while True:
            try:
                with self.lock:
                    if self.is_closed:
                        self.reconnect()
                done = self.retried_after_deadlock(act)
            except LedgerAway as away:
                self.server_wait.wait_or_raise(away)
            else:
                self.server_wait.answered()
                return done

    def _execute(self, statement: str, parameters: Parameters) -> psycopg.Cursor[Row]:
        # Statements consist of our own constants only. With an empty list of parameters, psycopg would
        # look for placeholders.
        return self._connection.execute(statement, parameters or None)

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Use the connection exclusively, and close it if it cannot be used any more."""
        with self.lock:
            try:
                with self._translated():
                    yield
            except (KeyboardInterrupt, LedgerReadOnly):
                self._connection.close()  # answers are still due on it, or another server may take over
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
        """Return this ledger's HMAC key."""
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
