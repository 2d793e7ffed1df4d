"""The connection to PostgreSQL: settings that do not depend on the administrator, and servers it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from campaign.campaignfile.location import Location, PostgresLocation
from campaign.errors import LedgerAway, LedgerFull, UserError
from campaign.ledger import Ledger
from campaign.ledger.postgres.database import Database
from tests.ledger.book import NOW, enrol, people, registered, start
from tests.servers.pgbouncer import pooled
from tests.servers.postgresql import PostgreSQL

pytestmark = pytest.mark.kinds("postgres")


@pytest.fixture
def database(location: Location) -> Iterator[Database]:
    assert isinstance(location, PostgresLocation)
    opened = Database(location)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "50ms"),
        ("lock_timeout", "50ms"),
        ("idle_in_transaction_session_timeout", "50ms"),
        ("idle_session_timeout", "50ms"),
        ("default_transaction_isolation", "serializable"),
        ("client_encoding", "latin1"),
        ("search_path", "elsewhere"),
        ("synchronous_commit", "off"),
    ],
)
def test_settings_of_the_server_or_role_are_overridden(
    location: Location, database: Database, setting: str, value: str
) -> None:
    known = "SELECT 1 FROM pg_settings WHERE name = %s"
    if database.row(known, (setting,)) is None:
        pytest.skip(f"needs a PostgreSQL with {setting}: a newer one")
    found = database.row("SELECT current_database()")
    assert found is not None
    database.change(f"ALTER DATABASE {found[0]} SET {setting} = '{value}'")
    assert isinstance(location, PostgresLocation)
    with psycopg.connect(location.address) as plain:
        theirs = plain.execute("SELECT current_setting(%s)", (setting,)).fetchone()
    other = Database(location)
    try:
        with other.transaction():
            assert other.row("SELECT pg_sleep(0.2)") is not None
            assert other.row("SELECT current_setting(%s)", (setting,)) != theirs
    finally:
        other.close()
    book = registered(location)
    enrol(book, people("zoë@example.com", "łucja@example.com"))
    start(book).end(NOW)
    book.close()


def test_a_process_suspended_in_a_transaction_blocks_others_for_seconds_only(
    location: Location, database: Database
) -> None:
    assert isinstance(location, PostgresLocation)
    other = Database(location)

    def held_up() -> None:
        with database.transaction():
            database.change("LOCK TABLE runs")
            assert other.row("SELECT count(*) FROM runs") is not None  # waits until the server has ended it
            database.row("SELECT 1")

    try:
        with pytest.raises(LedgerAway, match="suspended in a transaction"):
            held_up()
        with other.at_one_moment():  # like `export` into a pager
            assert other.row("SELECT current_setting('idle_in_transaction_session_timeout')") == ("0",)
    finally:
        other.close()


def test_a_stronger_synchronous_commit_is_kept(location: Location, database: Database) -> None:
    found = database.row("SELECT current_database()")
    assert found is not None
    database.change(f"ALTER DATABASE {found[0]} SET synchronous_commit = 'remote_apply'")
    assert isinstance(location, PostgresLocation)
    other = Database(location)
    assert other.row("SHOW synchronous_commit") == ("remote_apply",)
    other.close()


def test_a_pooler_that_shares_connections_between_transactions_is_refused(database: Database) -> None:
    # Another program has prepared a statement on the connection that the pooler shares.
    database.change('PREPARE "_pg3_0" AS SELECT 1')

    def often() -> None:
        for _ in range(10):
            database.row("SELECT %s::int", (1,))

    with pytest.raises(UserError, match="pool_mode"):
        often()


@pytest.mark.parametrize("size", [1, 5])
def test_a_run_does_not_start_behind_a_pooler_that_shares_connections(
    location: Location, size: int, tmp_path: Path
) -> None:
    assert isinstance(location, PostgresLocation)
    registered(location).close()
    with pooled(location, "transaction", size, tmp_path) as place:
        book = Ledger.open(place, "spring")
        with pytest.raises(UserError, match="pool_mode"):
            start(book)
        book.close()
    with pooled(location, "session", 5, tmp_path) as place:
        book = Ledger.open(place, "spring")
        start(book).end(NOW)
        book.close()


def test_a_pooler_that_shares_connections_between_statements_is_reported(
    location: Location, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    assert isinstance(location, PostgresLocation)
    registered(location).close()
    with pooled(location, "statement", 5, tmp_path) as place:
        for act in (start, lambda book: enrol(book, people("anna@example.com"))):
            book = Ledger.open(place, "spring")
            with pytest.raises(UserError, match="pool_mode"):
                act(book)
            book.close()
    empty = postgresql.empty("UTF8")
    with pooled(empty, "statement", 5, tmp_path) as place, pytest.raises(UserError, match="pool_mode"):
        Ledger.open(place, "spring")
    postgresql.drop(empty)


def test_a_missing_table_is_reported_as_damage(location: Location, database: Database) -> None:
    database.change("DROP TABLE runs CASCADE")
    book = Ledger.open(location, "spring", create=False)
    try:
        with pytest.raises(UserError, match=r'damaged, or restored in part: relation "runs" does not exist'):
            book.history.summary(NOW)
    finally:
        book.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused(postgresql: PostgreSQL, encoding: str) -> None:
    place = postgresql.empty(encoding)
    with pytest.raises(UserError, match=f"the database's encoding is {encoding}.*CREATE DATABASE"):
        Ledger.open(place, "spring")
    postgresql.drop(place)


def test_a_character_that_the_database_cannot_store_is_reported(postgresql: PostgreSQL) -> None:
    place = postgresql.empty("LATIN1")
    other = Database(place)
    with pytest.raises(UserError, match="the database's encoding is not UTF8"):
        other.row("SELECT %s", ("Łucja",))
    other.close()
    postgresql.drop(place)


def test_a_limit_of_the_server_is_not_reported_as_an_unreachable_server(database: Database) -> None:
    database.change("SET temp_file_limit = 64; SET work_mem = 64")
    with pytest.raises(LedgerFull, match="exceeds temp_file_limit"):
        database.row("SELECT count(*) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY -n) o")


def test_missing_privileges_are_reported(location: Location, database: Database) -> None:
    database.change("SET ROLE pg_monitor")
    with pytest.raises(UserError, match="the role may not use the ledger: permission denied"):
        database.rows("SELECT * FROM campaign.messages")
