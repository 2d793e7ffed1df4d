"""Helpers for the tests of this folder: ledgers, rows and results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from campaign.address import fold
from campaign.campaignfile.location import Location
from campaign.delivery import Outcome, Result, Verdict
from campaign.errors import Problem
from campaign.ledger import Ledger, Scope
from campaign.ledger.postgres.database import Database as PostgresDatabase
from campaign.ledger.postgres.storage import PostgresStorage
from campaign.ledger.protocols import Choices, Intent, Plan, Run
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.storage import SqliteStorage
from campaign.model import SECOND, BadRow, Recipient, Status

NOW = 1_770_000_000 * SECOND
SCOPE = Scope("mail.example.com", "news")
COLUMNS = ("email", "city")
TABLES = ("messages", "copies", "events", "attempts", "suppressions", "settings")


def row(number: int, email: str, *, key: str = "", name: str = "", city: str = "Oslo") -> Recipient:
    """Return row N of a list; its key is its address unless one is given."""
    return Recipient(number, number + 1, key or fold(email), email, name, {"email": email, "city": city})


def bad(number: int, key: str = "", words: str = "the address is blank", **cells: str) -> BadRow:
    """Return a row that cannot be sent."""
    return BadRow(number, number + 1, key, (Problem(words),), cells)


def people(*addresses: str) -> list[Recipient | BadRow]:
    """Return a list of rows with these addresses."""
    return [row(number, address) for number, address in enumerate(addresses, 1)]


class Sql(Protocol):
    """SQL statements on a ledger of either kind, for what no method reads or changes; parameters are `?`."""

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def row(self, statement: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None: ...

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int: ...


@dataclass(frozen=True)
class _PostgresSql:
    database: PostgresDatabase

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.database.rows(statement.replace("?", "%s"), parameters)

    def row(self, statement: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        return self.database.row(statement.replace("?", "%s"), parameters)

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self.database.change(statement.replace("?", "%s"), parameters)


def database(ledger: Ledger) -> Sql:
    """Return the SQL access to a ledger."""
    if isinstance(ledger.storage, PostgresStorage):
        return _PostgresSql(ledger.storage.database)
    return sqlite(ledger)


def sqlite(ledger: Ledger) -> Database:
    """Return the connection of a ledger in a file."""
    assert isinstance(ledger.storage, SqliteStorage)
    return ledger.storage.database


def registered(location: Location, name: str = "news") -> Ledger:
    """Open the ledger at `location` for a campaign, and register it."""
    ledger = Ledger.open(location, name)
    ledger.register()
    return ledger


def enrol(
    ledger: Ledger,
    rows: Iterable[Recipient | BadRow],
    choices: Choices | None = None,
    *,
    columns: tuple[str, ...] = COLUMNS,
    now: int = NOW,
) -> Plan:
    """Enrol a list, and return the plan made before."""
    ledger.register()
    enrolment = ledger.enrolment(choices)
    enrolment.stage(columns, rows)
    enrolment.drop_duplicates()
    enrolment.recognise()
    plan = enrolment.plan()
    enrolment.apply(now)
    return plan


def start(ledger: Ledger, now: int = NOW) -> Run:
    """Take the lease."""
    return ledger.start(SCOPE, now)


def intent(key: str, now: int = NOW, copies: tuple[str, ...] = ()) -> Intent:
    """Return the intent to send one row, and copies with it."""
    return Intent(key, now, (key, *copies), message_id(key))


def message_id(key: str) -> str:
    """Return a Message-ID that does not show the key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:20]}@example.com>"


_VERDICTS = {
    Status.ACCEPTED: Verdict.ACCEPTED,
    Status.REFUSED: Verdict.REFUSED,
    Status.DEFERRED: Verdict.DEFERRED,
    Status.IN_DOUBT: Verdict.IN_DOUBT,
}


def outcome(
    address: str, status: Status = Status.ACCEPTED, reply: str = "250 2.0.0 Ok", *, due_at: int = NOW
) -> Outcome:
    """Return the outcome for one address."""
    charged = status in (Status.ACCEPTED, Status.REFUSED, Status.DEFERRED)
    return Outcome(address, status, reply, charged, due_at)


def result(
    key: str,
    status: Status = Status.ACCEPTED,
    *,
    address: str = "",
    reply: str = "250 2.0.0 Ok",
    now: int = NOW,
    due_at: int | None = None,
    suppress: bool = False,
    copies: tuple[Outcome, ...] = (),
    spared: bool = False,
) -> Result:
    """Return the result for one row."""
    own = outcome(address or key, status, reply, due_at=now if due_at is None else due_at)
    verdict = _VERDICTS.get(status, Verdict.UNSENT)
    return Result(key, verdict, (own, *copies), now, spared, suppress)


def send(ledger: Ledger, sending: Run, key: str, status: Status = Status.ACCEPTED) -> bool:
    """Record an intent and a result for one row; return whether the intent held."""
    sending.claim(NOW, 1000)
    held = key in sending.record((), (intent(key),))
    if held:
        sending.record((result(key, status),), ())
    return held


def statuses(ledger: Ledger) -> dict[str, str]:
    """Return the status of every row, by key."""
    return {
        str(key): str(status) for key, status in database(ledger).rows("SELECT key, status FROM messages")
    }


def files(location: Location) -> bytes:
    """Return the octets of a ledger's files, one after another, except for the reserve, which is random.

    For a database, return the contents of all its tables.
    """
    if not isinstance(location, Path):
        ledger = Ledger.open(location, "")
        held = [database(ledger).rows(f"SELECT * FROM {table}") for table in TABLES]
        ledger.close()
        return repr(held).encode()
    found = sorted(location.parent.glob(f"{location.name}*"))
    return b"".join(file.read_bytes() for file in found if not file.name.endswith("-reserve"))
