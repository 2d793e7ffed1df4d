"""What only a ledger on a server must do: leases by its clock, claims of several runs, broken connections."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from types import FrameType

import psycopg
import pytest

from campaign.campaignfile.location import Location, PostgresLocation
from campaign.errors import LeaseHeld, LeaseLost, LedgerAway, LedgerFull, UserError
from campaign.ledger import Ledger, Suppression
from campaign.ledger.machines import State
from campaign.ledger.postgres.database import Database, Parameters
from campaign.ledger.postgres.enrolment import _ENROLLING
from campaign.ledger.postgres.run import PostgresRun
from campaign.ledger.postgres.runs import LEASE, reap
from campaign.ledger.postgres.storage import PostgresStorage
from campaign.model import SECOND, Status
from tests.e2e.folder import until
from tests.ledger.book import (
    NOW,
    SCOPE,
    database,
    enrol,
    intent,
    outcome,
    people,
    registered,
    result,
    row,
    start,
    statuses,
)

ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND

pytestmark = pytest.mark.kinds("postgres")


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    book = registered(location)
    enrol(book, people(ANNA, BEN, CLEO))
    yield book
    book.close()


@pytest.fixture
def elsewhere(location: Location) -> Iterator[Ledger]:
    """The same ledger, opened by another machine."""
    book = registered(location)
    yield book
    book.close()


def connection_of(ledger: Ledger) -> Database:
    assert isinstance(ledger.storage, PostgresStorage)
    return ledger.storage.database


def silent_for(ledger: Ledger, seconds: int) -> None:
    """Make the run one of another machine, with its last heartbeat this long ago."""
    database(ledger).change(
        "UPDATE runs SET host = 'elsewhere', heartbeat = heartbeat - ?", (seconds * SECOND,)
    )


@pytest.mark.parametrize(("seconds", "lives"), [(0, True), (25, True), (31, False), (86_400, False)])
def test_a_run_on_another_machine_is_alive_while_its_heartbeat_is_recent(
    ledger: Ledger, seconds: int, lives: bool
) -> None:
    start(ledger)
    silent_for(ledger, seconds)
    if lives:
        with pytest.raises(LeaseHeld, match="counts as dead 30 s after its last heartbeat"):
            start(ledger)
    else:
        start(ledger)


def test_no_run_counts_as_dead_until_a_lease_has_passed_since_the_server_started(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(ledger)
    silent_for(ledger, 600)
    up = f"{time.time_ns() - LEASE + 20 * SECOND}"
    monkeypatch.setattr("campaign.ledger.postgres.runs.UP_SINCE", up)
    with pytest.raises(LeaseHeld):
        start(ledger)


def test_runs_of_several_machines_claim_different_rows(ledger: Ledger, elsewhere: Ledger) -> None:
    machines = ledger.machines
    assert machines is not None
    machines.begin(b"", {})
    first = ledger.start(SCOPE, NOW, shared=True)
    second = elsewhere.start(SCOPE, NOW, shared=True)
    with pytest.raises(LeaseHeld):
        elsewhere.start(SCOPE, NOW)
    assert [claim.key for claim in first.claim(NOW, 2)] == [ANNA, BEN]
    assert [claim.key for claim in second.claim(NOW, 2)] == [CLEO]
    assert second.record((), (intent(ANNA), intent(CLEO))) == {CLEO}  # Anna is claimed by the other run
    assert first.record((), (intent(ANNA),)) == {ANNA}
    first.end(NOW)  # which releases Ben
    assert [claim.key for claim in second.claim(NOW, 2)] == [BEN]
    machines.end(State.STOPPED, "enough")
    assert second.record((), (intent(BEN),)) == set()


def test_only_rows_in_flight_of_a_dead_run_become_in_doubt(
    ledger: Ledger, elsewhere: Ledger, location: Location
) -> None:
    machines = ledger.machines
    assert machines is not None
    machines.begin(b"", {})
    dead = ledger.start(SCOPE, NOW, shared=True)
    living = elsewhere.start(SCOPE, NOW, shared=True)
    for run, key in ((dead, ANNA), (living, BEN)):
        assert [claim.key for claim in run.claim(NOW, 1)] == [key]
        assert run.record((), (intent(key, copies=(f"boss-of-{key}",)),)) == {key}
    database(ledger).change("UPDATE runs SET process = process || '1' WHERE id = (SELECT min(id) FROM runs)")
    third = registered(location)
    run = third.start(SCOPE, NOW, shared=True)
    assert statuses(ledger) == {ANNA: "in_doubt", BEN: "in_flight", CLEO: "pending"}
    assert database(ledger).rows("SELECT status FROM copies ORDER BY id") == [("in_doubt",), ("in_flight",)]
    living.claim(NOW, 1)
    assert living.record((result(BEN),), (intent(CLEO),)) == {CLEO}
    run.end(NOW)
    third.close()


def test_a_run_loses_its_claim_on_a_row_that_an_enrolment_changed(ledger: Ledger, elsewhere: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    enrol(elsewhere, [row(1, ANNA, city="Bergen"), row(2, BEN), row(3, CLEO)])
    assert run.record((), (intent(ANNA), intent(BEN))) == {BEN}
    run.record((result(ANNA, Status.PENDING),), ())
    (claim,) = run.claim(NOW, 10)
    assert claim.recipient.row["city"] == "Bergen"
    assert run.record((), (intent(ANNA),)) == {ANNA}


@pytest.mark.parametrize("by", ["the list", "a crash of the server"])
def test_a_row_claimed_while_it_is_held_is_not_sent_until_it_is_released(
    ledger: Ledger, elsewhere: Ledger, by: str
) -> None:
    """If a row had two messages, giving up one of them would release the other one's intent."""
    run = start(ledger)
    run.claim(NOW, 1)
    if by == "the list":
        enrol(elsewhere, [row(1, ANNA, city="Bergen"), row(2, BEN), row(3, CLEO)])
    else:
        database(ledger).change("UPDATE messages SET claim = NULL")
    assert [claim.key for claim in run.claim(NOW, 10)] == [BEN, CLEO]
    assert run.claim(NOW, 10) == []
    assert not run.is_due(ANNA)
    assert run.record((), (intent(ANNA), intent(BEN))) == {BEN}
    run.unclaim([ANNA])
    (claim,) = run.claim(NOW, 10)
    assert claim.recipient.row["city"] == ("Bergen" if by == "the list" else "Oslo")
    assert run.is_due(ANNA)
    assert run.record((), (intent(ANNA),)) == {ANNA}


def test_rows_in_flight_stay_so_during_an_enrolment(ledger: Ledger, elsewhere: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    run.record((), (intent(ANNA),))
    enrol(elsewhere, people(ANNA, BEN, CLEO))
    enrol(elsewhere, people(BEN))
    assert statuses(ledger) == {ANNA: "in_flight", BEN: "pending", CLEO: "withdrawn"}


# Other machines end the run while it is about to send.


def test_ending_a_run_waits_for_its_intent_and_sees_it(
    ledger: Ledger, location: PostgresLocation, elsewhere: Ledger
) -> None:
    start(ledger).claim(NOW, 10)
    with psycopg.connect(location.address) as sending:
        sending.execute("UPDATE campaign.runs SET recorded = 1")  # as `record` does first
        sending.execute("UPDATE campaign.messages SET status = 'in_flight', run = 1 WHERE key = %s", (ANNA,))
        with psycopg.connect(location.address) as ending:
            ending.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                ending.execute("UPDATE campaign.runs SET ended_at = heartbeat")
    silent_for(ledger, 31)
    ended(elsewhere)
    assert statuses(ledger)[ANNA] == "in_doubt"


def ended(ledger: Ledger) -> None:
    with connection_of(ledger).transaction():
        reap(connection_of(ledger))


def test_after_a_run_was_ended_no_intent_holds_but_results_count(ledger: Ledger, elsewhere: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    run.record((), (intent(ANNA),))
    silent_for(ledger, 31)
    ended(elsewhere)
    assert statuses(ledger)[ANNA] == "in_doubt"
    with pytest.raises(LeaseLost):
        run.record((result(ANNA),), (intent(BEN),))
    assert statuses(ledger) == {ANNA: "accepted", BEN: "pending", CLEO: "pending"}
    with pytest.raises(LeaseLost):
        run.heartbeat(NOW)
    with pytest.raises(LeaseLost):
        run.claim(NOW, 1)


def test_a_suppressed_row_loses_its_claim(ledger: Ledger, elsewhere: Ledger) -> None:
    """So that it can wait again while the run that held it is still alive."""
    run = start(ledger)
    run.claim(NOW, 10)
    elsewhere.suppressions.add([Suppression(BEN, "asked", NOW)])
    database(ledger).change(
        "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
        " VALUES (?, 0, 'released', '', 0)",
        (ANNA,),
    )
    assert run.record((), (intent(ANNA), intent(BEN))) == set()
    assert statuses(ledger) == {ANNA: "suppressed", BEN: "suppressed", CLEO: "pending"}
    run.unclaim([CLEO])
    assert elsewhere.suppressions.remove([ANNA, BEN]) == []
    enrol(elsewhere, people(ANNA, BEN, CLEO))
    assert database(ledger).rows("SELECT DISTINCT claim FROM messages") == [(None,)]


def test_retries_first_returns_due_deferred_rows_first(ledger: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 2)
    for key, delay in ((ANNA, HOUR), (BEN, MINUTE)):
        run.record((), (intent(key),))
        run.record((result(key, Status.DEFERRED, due_at=NOW + delay),), ())
    assert [claim.key for claim in run.claim(NOW + MINUTE, 1, retries_first=True)] == [BEN]
    assert [claim.key for claim in run.claim(NOW + MINUTE, 5, retries_first=True)] == [CLEO]
    assert run.next_due(NOW) == NOW + HOUR


def test_times_of_a_machine_with_a_wrong_clock_are_corrected_to_the_server_clock(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: right() - HOUR)
    now = time.time_ns()
    run = start(ledger, now)
    run.heartbeat(now)  # which compares the clocks
    run.claim(now, 10)
    run.record((), (intent(ANNA, now, copies=(CLEO,)),))
    copy = outcome(CLEO, Status.DEFERRED, due_at=now + MINUTE)
    run.record((result(ANNA, now=now, copies=(copy,)),), ())
    run.record((result(BEN, Status.REFUSED, now=now, suppress=True),), ())
    run.unclaim([CLEO])
    times = [
        database(ledger).rows("SELECT settled_at FROM messages WHERE key = ?", (ANNA,)),
        database(ledger).rows("SELECT started_at FROM attempts"),
        database(ledger).rows("SELECT settled_at FROM copies"),
        database(ledger).rows("SELECT time FROM events WHERE key = ? ORDER BY id LIMIT 1", (ANNA,)),
        database(ledger).rows("SELECT added_at FROM suppressions"),
        [(due - MINUTE,) for (due,) in database(ledger).rows("SELECT due_at FROM copies")],
    ]
    assert [[abs(found - now - HOUR) < MINUTE for (found,) in rows] for rows in times] == [[True]] * len(
        times
    )
    due = run.next_due(now)
    assert due is not None
    assert due <= now  # Cleo is waiting
    assert [claim.key for claim in run.claim(now, 10)] == [CLEO]
    due = run.next_due(now)
    assert due is not None
    assert abs(due - now - MINUTE) < MINUTE // 2


_FULL = """
CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'No space left on device'; END $$;
CREATE TRIGGER is_full BEFORE INSERT ON {table} EXECUTE FUNCTION is_full();
"""


def test_a_result_is_recorded_even_if_there_is_no_room_for_the_next_intent(ledger: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    assert run.record((), (intent(ANNA), intent(BEN))) == {ANNA, BEN}
    database(ledger).change(_FULL.format(table="attempts"))
    with pytest.raises(LedgerFull, match=r"No space left on device\. Make room there"):
        run.record((result(ANNA),), (intent(CLEO),))
    assert statuses(ledger) == {ANNA: "accepted", BEN: "in_flight", CLEO: "pending"}
    assert run.record((result(BEN, Status.DEFERRED),), ()) == set()
    assert statuses(ledger)[BEN] == "deferred"
    assert database(ledger).rows("SELECT count(*) FROM events") == [(2,)]


def test_a_result_without_room_is_reported(ledger: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    run.record((), (intent(ANNA),))
    database(ledger).change(_FULL.format(table="events"))
    for intents in ((), (intent(BEN),)):
        with pytest.raises(LedgerFull):
            run.record((result(ANNA),), intents)
    assert statuses(ledger) == {ANNA: "in_flight", BEN: "pending", CLEO: "pending"}


# Several connections commit together.


def test_connections_with_messages_in_flight_share_a_commit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ledger)
    assert isinstance(run, PostgresRun)
    run.claim(NOW, 10)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(run.record, (), (intent(ANNA),)).result() == {ANNA}
        assert second.submit(run.record, (), (intent(BEN),)).result() == {BEN}
        waiting = threading.Event()

        def wait() -> float:
            waiting.set()
            return 60.0

        monkeypatch.setattr(run._recorder.gathering, "wait", wait)
        both = first.submit(run.record, (result(ANNA),), (intent(CLEO),))
        assert waiting.wait(60)
        assert second.submit(run.record, (result(BEN),), ()).result() == set()
        assert both.result() == {CLEO}
    assert database(ledger).rows("SELECT recorded FROM runs") == [(3,)]
    assert statuses(ledger) == {ANNA: "accepted", BEN: "accepted", CLEO: "in_flight"}


def test_a_commit_does_not_wait_for_threads_without_messages_in_flight(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ledger)
    assert isinstance(run, PostgresRun)
    run.claim(NOW, 10)
    monkeypatch.setattr(run._recorder.gathering, "wait", lambda: pytest.fail("it waits"))
    with ThreadPoolExecutor(1) as other:
        other.submit(run.record, (), (intent(BEN),)).result()
        other.submit(run.record, (result(BEN),), ()).result()
    # One connection has several in flight: it does not wait for itself.
    assert run.record((), (intent(ANNA), intent(CLEO))) == {ANNA, CLEO}
    run.record((result(ANNA, Status.DEFERRED, due_at=NOW),), ())
    run.claim(NOW, 10)
    assert run.record((), (intent(ANNA),)) == {ANNA}
    run.record((result(ANNA), result(CLEO)), ())


def test_is_due_answers_while_another_connection_commits(ledger: Ledger) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    assert run.is_due(ANNA)
    with ThreadPoolExecutor(1) as other, connection_of(ledger).lock:
        assert other.submit(run.is_due, BEN).result(60)


# The connection breaks.


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_after_a_connection_broke_in_a_commit_its_outcome_is_looked_up(
    ledger: Ledger, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ledger)
    run.claim(NOW, 10)
    run.record((), (intent(ANNA),))
    connection = connection_of(ledger)
    real = connection.row
    broken: list[bool] = []

    def row(statement: str, parameters: Parameters = ()) -> object:
        if broken or "record_messages" not in statement:
            return real(statement, parameters)
        broken.append(True)
        if committed:
            real(statement, parameters)
        connection._connection.close()
        raise LedgerAway("cut")

    monkeypatch.setattr(connection, "row", row)
    assert run.record((result(ANNA, Status.DEFERRED),), (intent(BEN),)) == {BEN}
    assert broken
    assert statuses(ledger) == {ANNA: "deferred", BEN: "in_flight", CLEO: "pending"}
    assert database(ledger).rows("SELECT attempts FROM messages WHERE key = ?", (ANNA,)) == [(1,)]
    assert database(ledger).rows("SELECT count(*) FROM attempts") == [(2,)]
    assert database(ledger).rows("SELECT count(*) FROM events") == [(1,)]
    assert run.record((result(BEN),), (intent(CLEO),)) == {CLEO}


def test_a_run_continues_after_its_connections_were_cut(ledger: Ledger, location: PostgresLocation) -> None:
    run = start(ledger)
    run.claim(NOW, 1)
    cut(location)
    assert [claim.key for claim in run.claim(NOW, 1)] == [BEN]
    cut(location)
    run.heartbeat(NOW)
    run.heartbeat(NOW)
    assert run.holds(0)
    assert run.record((), (intent(ANNA), intent(BEN))) == {ANNA, BEN}


def test_a_server_that_stays_away_is_waited_for_once(
    ledger: Ledger, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleaning up after giving up does not wait for the full time again."""
    run = start(ledger)
    run.claim(NOW, 1)
    connection, tries = connection_of(ledger), list[None]()
    real = connection.reconnect

    def reconnect() -> None:
        tries.append(None)
        real()

    monkeypatch.setattr(connection, "reconnect", reconnect)
    monkeypatch.setattr("campaign.ledger.serverwait.LONGEST", 1)
    with psycopg.connect(location.address, dbname="postgres", autocommit=True) as administrator:
        (name,) = connection.row("SELECT current_database()") or ()
        administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        with pytest.raises(LedgerAway, match="not currently accepting connections"):
            run.record((), (intent(ANNA),))
        assert len(tries) > 1
        tries.clear()
        with pytest.raises(LedgerAway):
            run.unclaim([ANNA])
        assert len(tries) == 1
        administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    run.unclaim([ANNA])
    assert [claim.key for claim in run.claim(NOW, 1)] == [ANNA]


def test_a_claim_whose_answer_was_lost_is_released(ledger: Ledger, location: PostgresLocation) -> None:
    run = start(ledger)
    assert [claim.key for claim in run.claim(NOW, 1)] == [ANNA]
    # It was committed, and the connection broke before the answer.
    database(ledger).change("UPDATE messages SET claim = (SELECT max(id) FROM runs) WHERE key = ?", (BEN,))
    with psycopg.connect(location.address, dbname="postgres", autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", (connection_of(ledger).pid,))
    assert [claim.key for claim in run.claim(NOW, 10)] == [BEN, CLEO]
    assert run.record((), (intent(ANNA),)) == {ANNA}


def test_a_read_only_standby_is_waited_for_until_it_takes_over(
    ledger: Ledger, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise results received meanwhile would be lost, and their rows in doubt."""
    run = start(ledger)
    run.claim(NOW, 1)
    connection, tries = connection_of(ledger), list[None]()
    real = connection.reconnect
    (name,) = connection.row("SELECT current_database()") or ()

    def administer(statement: str) -> None:
        with psycopg.connect(location.address, dbname="postgres", autocommit=True) as administrator:
            administrator.execute(f"ALTER DATABASE {name} {statement}".encode())

    def reconnect() -> None:
        if len(tries) == 2:
            administer("RESET default_transaction_read_only")
        tries.append(None)
        real()

    monkeypatch.setattr(connection, "reconnect", reconnect)
    administer("SET default_transaction_read_only = on")
    cut(location)
    assert run.record((), (intent(ANNA),)) == {ANNA}
    assert len(tries) > 2


def test_pipelined_statements_are_one_transaction(ledger: Ledger) -> None:
    connection = connection_of(ledger)
    insert = ("INSERT INTO settings VALUES (%s, '')", ("one",))
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.pipelined([insert, insert])
    assert connection.setting("one") is None
    connection.pipelined([insert, ("SELECT 1", ())], durable=False)
    assert connection.setting("one") == ""
    assert connection.row("SHOW synchronous_commit") == ("on",)  # switched off for that transaction only


def cut(location: PostgresLocation) -> None:
    with psycopg.connect(location.address, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )


def test_an_enrolment_waits_for_another_and_writes_nothing_if_it_is_cut(
    ledger: Ledger, location: PostgresLocation
) -> None:
    enrolment = ledger.enrolment()
    enrolment.stage(("email", "city"), people(*(f"user{n}@example.com" for n in range(3000))))
    enrolment.drop_duplicates()
    enrolment.recognise()
    assert enrolment.plan().new == 3000
    failed: list[UserError] = []

    def apply() -> None:
        try:
            enrolment.apply(NOW)
        except UserError as error:
            failed.append(error)

    with psycopg.connect(location.address) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_ENROLLING, ledger.campaign_id))
        applying = threading.Thread(target=apply)
        applying.start()
        time.sleep(0.3)
        assert applying.is_alive()
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        applying.join()
    assert failed
    connection_of(ledger).reconnect()
    assert set(statuses(ledger)) == {ANNA, BEN, CLEO}
    with pytest.raises(UserError, match="the connection to the ledger's server broke"):
        enrolment.apply(NOW)
    assert enrol(ledger, people(*(f"user{n}@example.com" for n in range(3000)))).new == 3000
    assert len(statuses(ledger)) == 3003


def test_a_key_that_is_too_long_for_an_index_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UserError, match="line 2: the key is too long"):
        ledger.enrolment().stage(("email", "city"), [row(1, ANNA, key="k" * 3000)])


def test_no_statement_for_a_message_scans_a_whole_table(location: PostgresLocation) -> None:
    book = registered(location)
    enrol(book, people(*(f"user{n}@example.com" for n in range(5000))))
    book.close()
    before = read_in_order(location)
    book = registered(location)
    assert book.machines is not None
    book.machines.begin(b"", {})
    run = book.start(SCOPE, NOW, shared=True)
    for _ in range(8):  # from the sixth time on a statement is prepared
        claims = run.claim(NOW, 8)
        assert all(run.is_due(claim.key) for claim in claims)
        run.record((), [intent(claim.key) for claim in claims[:4]])
        run.record([result(claim.key) for claim in claims[:4]], [intent(claim.key) for claim in claims[4:]])
        run.next_due(NOW)
    book.close()
    assert read_in_order(location) == before
    assert statuses_of(location)["accepted"] == 32


def read_in_order(location: PostgresLocation) -> int:
    """Return how many rows were read by sequential scans of a table."""
    with psycopg.connect(location.address, autocommit=True) as other:
        others = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        until(lambda: not other.execute(others).fetchall())  # their statistics are reported when they end
        (read,) = other.execute(
            "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname = 'messages'"
        ).fetchall()[0]
        return int(read)


def statuses_of(location: PostgresLocation) -> dict[str, int]:
    with psycopg.connect(location.address) as other:
        counts = other.execute("SELECT status, count(*) FROM campaign.messages GROUP BY status").fetchall()
        return {str(status): int(count) for status, count in counts}


def test_an_interrupt_during_a_statement_is_raised(location: PostgresLocation) -> None:
    """The next statement gets its own answer, because the connection is a new one."""

    class Interrupt(KeyboardInterrupt):
        pass

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupt

    ends = Random(1)
    database = Database.open(location, create=True)
    before = signal.signal(signal.SIGALRM, interrupt)
    gc.freeze()
    gc.disable()  # Python discards exceptions raised during garbage collection
    try:
        for _ in range(400):
            gc.collect()
            interrupted, late = False, time.monotonic() + 30
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0025 * ends.random())
                while time.monotonic() < late:
                    database.pipelined([("SELECT pg_sleep(0.002)", ()), ("SELECT 1", ())])
            except Interrupt:
                interrupted = True
            assert interrupted
            if database.is_closed:
                database.reconnect()
            assert database.pipelined([("SELECT 2", ())]) == [[(2,)]]
    finally:
        gc.enable()
        gc.unfreeze()
        signal.signal(signal.SIGALRM, before)
        database.close()


def test_counting_waiting_rows_and_live_workers_does_not_read_sent_rows(
    ledger: Ledger, location: Location
) -> None:
    machines, sql = ledger.machines, database(ledger)
    assert machines is not None
    assert (machines.waiting(), machines.live()) == (3, 0)
    enrol(ledger, people(*(f"user{number}@example.com" for number in range(3 * len(Status)))))
    other = registered(location, "other")
    enrol(other, people(ANNA, BEN))
    machines.begin(b"", {})
    run = ledger.start(SCOPE, NOW, shared=True)
    ids = [row_id for (row_id,) in sql.rows("SELECT id FROM messages WHERE email LIKE 'user%' ORDER BY id")]
    [(run_id,)] = sql.rows("SELECT id FROM runs")
    for row_id, status in zip(ids, [*Status] * 3, strict=True):
        sql.change("UPDATE messages SET status = ?, run = ? WHERE id = ?", (str(status), run_id, row_id))
    accepted = ids[list(Status).index(Status.ACCEPTED)]
    for address, status in enumerate(Status):
        for message in (accepted, ids[0]):
            sql.change(
                "INSERT INTO copies"
                " (message, address, folded, domain, hash, status, due_at, attempts, run, reply)"
                " VALUES (?, ?, ?, '', '', ?, 0, 0, ?, '')",
                (message, str(address), str(address), str(status), run_id),
            )
    assert machines.waiting() == ledger.history.summary(NOW).waiting == 3 * 3 + 3
    assert machines.live() == len(machines.runs()) == 1
    run.end(NOW)
    assert machines.live() == len(machines.runs()) == 0
    other.close()
