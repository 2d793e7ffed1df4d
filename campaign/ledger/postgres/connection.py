"""One connection to PostgreSQL, and the translation of psycopg's errors.

A server may stop answering without closing the connection: its host swaps, or its disk hangs. A process
that sends waits for it as for one that cannot be reached, until it is told to hurry (`Hurry`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

from campaign.campaignfile.location import PostgresLocation
from campaign.errors import LedgerAway, LedgerFull, LedgerReadOnly, Problem, UserError

try:
    import psycopg
    from psycopg import errors
    from psycopg.abc import PQGen
    from psycopg.waiting import Ready
except ImportError:
    # psycopg without libpq raises ImportError too, with another text.
    raise UserError("a ledger in PostgreSQL needs psycopg: pip install 'campaign[postgres]'") from None

# psycopg logs that a connection broke in a pipeline; we report that ourselves.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

SHARED_BY_A_POOLER = (
    "a pooler gives its connections to others between transactions or statements (pool_mode): name the server"
    " itself, or a pool of sessions"
)

_CONNECT_TIMEOUT = 10  # seconds
_CANCEL_TIMEOUT = 1.0  # seconds that the server gets to acknowledge the cancellation of a statement
_LOOK = 0.1  # seconds between two checks of `Hurry`
_MOMENT = 2.0  # seconds; a server that answers needs less for a run's last records

Row = tuple[Any, ...]  # the schema determines the types
Answer = TypeVar("Answer")


class Hurry:
    """Whether connections still wait for a server that does not answer. A signal handler may call `begin`."""

    def __init__(self) -> None:
        self._until: float | None = None

    def begin(self) -> None:
        """Let connections wait for a moment longer, and then not at all."""
        self._until = self._until or time.monotonic() + _MOMENT

    @property
    def is_over(self) -> bool:
        """Whether that moment has passed."""
        return self._until is not None and time.monotonic() > self._until


class Connection(psycopg.Connection[Row]):
    """A connection whose statements end soon when told to hurry, or when interrupted."""

    hurry: Hurry

    @classmethod
    def opened(cls, location: PostgresLocation, hurry: Hurry) -> Connection:
        """Connect. Raises psycopg.Error."""
        connection = cls.connect(
            location.address,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            application_name="campaign",
            # A dead connection is noticed within half a minute.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )
        connection.hurry = hurry
        return connection

    def wait(self, gen: PQGen[Answer], interval: float = _LOOK, timeout: float | None = None) -> Answer:
        """Wait for an answer. When the time to hurry is over, the connection is closed instead."""
        try:
            return super().wait(_Timely(gen, self), interval, timeout)
        except BaseException:
            if self.closed:
                # Otherwise it prints to stderr, when it is collected, that the connection is closed.
                with suppress(psycopg.Error, RuntimeError):
                    gen.close()
            raise

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel the statement; if it does not react, close the connection.

        Raises psycopg.Error. psycopg would wait five seconds for that, and five more for the end of the
        statement.
        """
        try:
            super().cancel_safe(timeout=min(timeout, _CANCEL_TIMEOUT))
        except psycopg.Error:
            self.pgconn.finish()
            raise


class _Timely(Generator[Any, Any, Answer]):
    """The generator that psycopg waits on, which raises when the time to hurry is over.

    It is a class because an interrupt would end a generator function, while psycopg goes on using it.
    """

    def __init__(self, gen: PQGen[Answer], connection: Connection) -> None:
        self._gen = gen
        self._connection = connection

    def send(self, ready: Any) -> Any:
        hurry = getattr(self._connection, "hurry", None)  # there is none yet while it is being opened
        if ready == Ready.NONE and hurry is not None and hurry.is_over:
            self._connection.pgconn.finish()
            return self._gen.throw(errors.OperationalError("the server does not answer"))
        return self._gen.send(ready)

    def throw(self, *error: Any) -> Any:
        return self._gen.throw(*error)


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that psycopg was handling when it failed, which the error would hide."""
    behind = error.__context__
    return behind if behind is None or isinstance(behind, KeyboardInterrupt) else interrupt_behind(behind)


def meaning(error: psycopg.Error, problem: Callable[[str], Problem]) -> Exception:
    """Return what an error of PostgreSQL means to the user; the error itself if it is a bug of ours."""
    match error:
        case (
            errors.DiskFull() | errors.IoError() | errors.OutOfMemory() | errors.ConfigurationLimitExceeded()
        ):
            what = f"the ledger's server cannot write: {words(error)}. Make room there, then send again"
            return LedgerFull(problem(what))
        case errors.ReadOnlySqlTransaction():
            return LedgerReadOnly(problem(f"the ledger cannot be written: {words(error)}"))
        case errors.InsufficientPrivilege():
            return UserError(problem(f"the role may not use the ledger: {words(error)}"))
        case errors.DuplicatePreparedStatement() | errors.InvalidSqlStatementName():
            return UserError(problem(SHARED_BY_A_POOLER))
        # PgBouncer uses this code for other errors too.
        case errors.ProtocolViolation() if "statement pooling" in words(error):
            return UserError(problem(SHARED_BY_A_POOLER))
        case errors.UntranslatableCharacter():
            what = f"the database's encoding is not UTF8, and cannot keep it all: {words(error)}"
            return UserError(problem(what))
        case errors.UndefinedTable() | errors.UndefinedFunction():
            return UserError(problem(f"the ledger is damaged, or restored in part: {words(error)}"))
        case errors.IdleInTransactionSessionTimeout():
            what = "this process was suspended in a transaction, which the ledger's server has ended"
            return LedgerAway(problem(what))
        case psycopg.OperationalError() if not isinstance(error, errors.DeadlockDetected):
            return LedgerAway(problem(f"the ledger's server cannot be reached: {words(error)}"))
        case psycopg.ProgrammingError(sqlstate=None):
            # libpq's error for an address that it cannot parse.
            return UserError(problem("this address of a PostgreSQL database cannot be read"))
    return error


def words(error: psycopg.Error) -> str:
    """Return PostgreSQL's message in one line. libpq has a line for each address that it tried."""
    said = error.diag.message_primary or str(error)
    return "; ".join(line.strip() for line in said.splitlines() if line.strip()).rstrip(".")
