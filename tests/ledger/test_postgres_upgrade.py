"""A ledger in PostgreSQL that an earlier release wrote is upgraded, and nothing is lost.

`postgres_version1.sql` is a pg_dump of a ledger of schema 1: a run that died with one message in flight,
and rows of most statuses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from campaign.campaignfile.location import PostgresLocation
from campaign.errors import UserError
from campaign.ledger import Ledger
from campaign.ledger.postgres.pace import BOOK
from campaign.ledger.postgres.schema import VERSION
from campaign.ledger.processes import BROKE_OFF
from campaign.model import Status
from tests.ledger.book import NOW, intent, result, start, statuses
from tests.servers.postgresql import PostgreSQL

VERSION_1 = Path(__file__).with_name("postgres_version1.sql")


@pytest.fixture
def location(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLocation]:
    monkeypatch.setattr("campaign.ledger.postgres.runs.UP_SINCE", "0")
    place = postgresql.empty()
    with psycopg.connect(place.address) as connection:
        connection.execute(VERSION_1.read_bytes())
    yield place
    postgresql.drop(place)


def rows(location: PostgresLocation, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(location.address) as connection:
        return connection.execute(query.encode()).fetchall()


def version(location: PostgresLocation) -> str:
    [(value,)] = rows(location, "SELECT value FROM campaign.settings WHERE name = 'version'")
    return str(value)


def open_and_close(location: PostgresLocation) -> None:
    Ledger.open(location, "spring", create=False).close()


@pytest.mark.parametrize("table", ["messages", "attempts", "events", "runs", "layouts", "suppressions"])
def test_the_upgrade_loses_nothing(location: PostgresLocation, table: str) -> None:
    everything = f"SELECT * FROM campaign.{table} ORDER BY 1"
    before = rows(location, everything)
    for _ in range(2):
        open_and_close(location)
        assert version(location) == str(VERSION)
        assert rows(location, everything) == before


def test_sending_continues_after_the_upgrade(location: PostgresLocation) -> None:
    ledger = Ledger.open(location, "spring", create=False)
    ledger.register()
    run = start(ledger, NOW)
    keys = {claim.recipient.key for claim in run.claim(NOW, 10)}
    assert keys == {"deferred@example.com", "pending@example.com", "beside@example.com"}
    assert run.record((), [intent(key) for key in keys]) == keys
    assert run.record([result(key) for key in keys], ()) == set()
    run.end(NOW)
    accepted = dict.fromkeys([*keys, "accepted@example.com"], "accepted")
    assert statuses(ledger) == {
        **accepted,
        "refused@example.com": "refused",
        "flying@example.com": "in_doubt",
    }
    assert [entry.reply for entry in ledger.history.entries(NOW) if entry.status is Status.IN_DOUBT] == [
        BROKE_OFF
    ]
    assert ledger.is_suppressed("nobody@example.net")
    assert ledger.history.summary(NOW).counts[Status.ACCEPTED] == len(accepted)
    ledger.close()


def test_a_worker_of_the_earlier_release_continues_during_the_upgrade(location: PostgresLocation) -> None:
    open_and_close(location)
    with psycopg.connect(location.address) as old:
        old.execute("SET search_path TO campaign")
        old.execute("UPDATE runs SET recorded = 3 WHERE id = 1")
        changed = old.execute(
            "UPDATE messages SET status = 'accepted', settled_at = 1, claim = nullif(claim, 1)"
            " WHERE status = 'in_flight' AND run = 1"
        )
        assert changed.rowcount == 1
        old.execute("INSERT INTO attempts (run, message, started_at, addresses) VALUES (1, 5, 1, 1)")


def test_the_booking_function_of_version_2_is_replaced(location: PostgresLocation) -> None:
    open_and_close(location)
    source = "SELECT prosrc FROM pg_proc WHERE proname = 'pace_book'"
    with psycopg.connect(location.address) as old:
        (now,) = old.execute(source).fetchone() or ()
        arguments = "text, text, bigint[], bigint[], bigint, bigint, bigint, boolean"
        old.execute(f"DROP FUNCTION campaign.pace_book({arguments})".encode())
        before = now.replace("greatest(up, account.last)", "up")
        assert before != now
        old.execute("SET search_path = campaign")
        old.execute(BOOK.replace("greatest(up, account.last)", "up").encode())
        old.execute("UPDATE settings SET value = '2' WHERE name = 'version'")
    open_and_close(location)
    assert version(location) == str(VERSION)
    with psycopg.connect(location.address) as brought:
        assert brought.execute(source).fetchall() == [(now,)]


def test_two_processes_that_open_it_at_once_upgrade_it_once(location: PostgresLocation) -> None:
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            open_and_close(location)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert version(location) == str(VERSION)


def test_an_upgrade_that_fails_changes_nothing(location: PostgresLocation) -> None:
    with psycopg.connect(location.address) as other:
        made = "CREATE FUNCTION campaign.no_more() RETURNS event_trigger LANGUAGE plpgsql AS $$"
        other.execute(f"{made} BEGIN RAISE insufficient_privilege; END $$")
        other.execute("CREATE EVENT TRIGGER no_more ON ddl_command_end EXECUTE FUNCTION campaign.no_more()")
    with pytest.raises(UserError, match="the role may not use the ledger"):
        open_and_close(location)
    assert version(location) == "1"


def test_a_ledger_of_a_newer_release_is_refused(location: PostgresLocation) -> None:
    with psycopg.connect(location.address) as newer:
        newer.execute("UPDATE campaign.settings SET value = '99' WHERE name = 'version'")
    with pytest.raises(UserError, match=rf"newer release \(schema 99; this one knows {VERSION}\); upgrade"):
        open_and_close(location)
    assert version(location) == "99"
