"""One connection to PostgreSQL as psycopg makes it, and what psycopg says of one, in words.

A server may stop answering without a word: its host swaps, or its disk hangs. Whoever sends waits for it,
as for one that is away, until somebody is in a hurry (`Hurry`).
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
    # psycopg without libpq says the same with other words.
    raise UserError("a ledger in PostgreSQL needs psycopg: pip install 'campaign[postgres]'") from None

# It tells of a connection that broke in mid-pipeline; so do we.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

SHARED_BY_A_POOLER = (
    "a pooler gives its connections to others between transactions or statements (pool_mode): name the server"
    " itself, or a pool of sessions"
)

_CONNECT_TIMEOUT = 10  # seconds
_CANCEL_TIMEOUT = 1.0  # seconds that an interrupted statement's server has to take note of it
_LOOK = 0.1  # seconds between two looks whether somebody is in a hurry
_MOMENT = 2.0  # seconds that a server which answers needs for the last of a run

Row = tuple[Any, ...]  # PostgreSQL's types are what the schema says
Answer = TypeVar("Answer")


class Hurry:
    """Whether connections wait for a server that does not answer. A signal's handler may call `begin`."""

    def __init__(self) -> None:
        self._until: float | None = None

    def begin(self) -> None:
        """Let them wait for a moment, and then for nothing any more."""
        self._until = self._until or time.monotonic() + _MOMENT

    @property
    def is_over(self) -> bool:
        """Whether that moment is over."""
        return self._until is not None and time.monotonic() > self._until


class Connection(psycopg.Connection[Row]):
    """A connection whose statements end soon where somebody is in a hurry, or interrupts them."""

    hurry: Hurry

    @classmethod
    def opened(cls, location: PostgresLocation, hurry: Hurry) -> Connection:
        """Connect. Raises psycopg.Error."""
        connection = cls.connect(
            location.address,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            application_name="campaign",
            # A connection whose other end is gone without a word is noticed within half a minute.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )
        connection.hurry = hurry
        return connection

    def wait(self, gen: PQGen[Answer], interval: float = _LOOK, timeout: float | None = None) -> Answer:
        """Wait for an answer, unless somebody is in a hurry: then the connection is closed."""
        try:
            return super().wait(_Timely(gen, self), interval, timeout)
        except BaseException:
            if self.closed:
                # What is left of it would complain on stderr, when it is collected, that nothing is open.
                with suppress(psycopg.Error, RuntimeError):
                    gen.close()
            raise

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to give up the statement; one that takes no note is left. Raises psycopg.Error.

        psycopg would wait five seconds for that, and five more for the statement's end.
        """
        try:
            super().cancel_safe(timeout=min(timeout, _CANCEL_TIMEOUT))
        except psycopg.Error:
            self.pgconn.finish()
            raise


class _Timely(Generator[Any, Any, Answer]):
    """What psycopg waits for, until somebody is in a hurry.

    It is no generator function: an interrupt would end that one, and psycopg goes on with it behind one.
    """

    def __init__(self, gen: PQGen[Answer], connection: Connection) -> None:
        self._gen = gen
        self._connection = connection

    def send(self, ready: Any) -> Any:
        hurry = getattr(self._connection, "hurry", None)  # while it is being opened there is none
        if ready == Ready.NONE and hurry is not None and hurry.is_over:
            self._connection.pgconn.finish()
            return self._gen.throw(errors.OperationalError("the server does not answer"))
        return self._gen.send(ready)

    def throw(self, *error: Any) -> Any:
        return self._gen.throw(*error)


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that psycopg was answering when it failed: the error would hide it."""
    behind = error.__context__
    return behind if behind is None or isinstance(behind, KeyboardInterrupt) else interrupt_behind(behind)


def meaning(error: psycopg.Error, problem: Callable[[str], Problem]) -> Exception:
    """Return what an error of PostgreSQL means to a person, or itself where it is a fault of ours."""
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
        # PgBouncer has this code for much else.
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
            # What libpq says of an address that it cannot read.
            return UserError(problem("this address of a PostgreSQL database cannot be read"))
    return error


def words(error: psycopg.Error) -> str:
    """Return what PostgreSQL says, in one line; libpq lists every address that it tried."""
    said = error.diag.message_primary or str(error)
    return "; ".join(line.strip() for line in said.splitlines() if line.strip()).rstrip(".")
