"""A ledger that another process keeps locked, and long writes that keep nobody waiting."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.errors import LeaseHeld, LedgerBusy
from campaign.ledger import Ledger, Suppression
from campaign.ledger.sqlite import opening, runs
from campaign.ledger.sqlite.runs import LEASE
from campaign.model import SECOND, Status
from tests.ledger.book import NOW, database, enrol, intent, people, result, sqlite, start, statuses
from tests.ledger.lock import locked

ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    book = Ledger.open(path, "news")
    enrol(book, people(ANNA, BEN, CLEO))
    yield book
    book.close()


def test_results_are_kept_until_the_ledger_is_free(path: Path, ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    with locked(path):
        sending.record((result(ANNA, Status.REFUSED, reply="550 5.7.1 no"),), ())
        sending.record((result(BEN, Status.REFUSED, reply="550 5.1.1 no"),), ())
        sending.trip(NOW, take_back=False)
        assert sending.catch_up() == 3
        assert statuses(ledger) == {ANNA: "in_flight", BEN: "pending", CLEO: "pending"}
        # A row whose result is kept is not sent again, and the run is not finished.
        sending.unclaim([CLEO])
        assert [claim.key for claim in sending.claim(NOW, 10)] == [CLEO]
        assert sending.next_due(NOW) == NOW + SECOND
    assert sending.catch_up() == 0
    assert statuses(ledger) == {ANNA: "refused", BEN: "refused", CLEO: "pending"}
    assert sending.next_due(NOW) is None
    assert database(ledger).rows("SELECT kind FROM events ORDER BY id") == [
        ("refused",), ("refused",), ("tripped",),
    ]  # fmt: skip


def test_an_intent_is_given_up_and_the_result_with_it_is_kept(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.4)
    with locked(path), pytest.raises(LedgerBusy, match="has kept the ledger locked for"):
        sending.record((result(ANNA),), (intent(BEN),))
    assert sending.record((), (intent(CLEO),)) == {CLEO}
    assert statuses(ledger) == {ANNA: "accepted", BEN: "pending", CLEO: "in_flight"}
    assert database(ledger).rows("SELECT count(*) FROM attempts") == [(2,)]


def test_an_intent_waits_for_a_lock_that_ends(path: Path, ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    with locked(path, 0.5):
        assert sending.record((result(ANNA),), (intent(BEN),)) == {BEN}
    assert statuses(ledger) == {ANNA: "accepted", BEN: "in_flight", CLEO: "pending"}


def test_a_run_writes_kept_results_when_it_ends(path: Path, ledger: Ledger) -> None:
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    with locked(path):
        sending.record((result(ANNA),), ())
    sending.end(NOW)
    assert statuses(ledger)[ANNA] == "accepted"


def test_a_lock_does_not_cost_a_run_its_lease(path: Path, ledger: Ledger) -> None:
    """The lock blocked its heartbeats too, so whoever waits for the lease waits for one more heartbeat."""
    first = start(ledger)
    other = Ledger.open(path, "news")
    database(ledger).change("UPDATE runs SET host = 'elsewhere'")
    first.heartbeat(NOW - 2 * LEASE)
    with locked(path, 1.5):
        with pytest.raises(LedgerBusy):
            first.heartbeat(NOW)
        with pytest.raises(LeaseHeld):
            start(other)
    with pytest.raises(LeaseHeld):
        start(other)
    first.heartbeat(NOW)
    with pytest.raises(LeaseHeld):
        start(other)
    other.close()


def test_a_dead_run_counts_as_dead_one_heartbeat_after_a_lock(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(ledger)
    other = Ledger.open(path, "news")
    database(ledger).change("UPDATE runs SET host = 'elsewhere', heartbeat = ?", (NOW - 2 * LEASE,))
    with locked(path, 1.5), pytest.raises(LeaseHeld):
        start(other)
    monkeypatch.setattr(runs, "_RENEWED", 0.0)
    start(other).end(NOW)
    other.close()


def test_opening_a_ledger_after_a_long_lock_ends_no_live_run(path: Path, ledger: Ledger) -> None:
    first = start(ledger)
    database(ledger).change("UPDATE runs SET host = 'elsewhere'")
    first.heartbeat(NOW - 2 * LEASE)
    with locked(path, 1.5):
        other = Ledger.open(path, "news")
    first.heartbeat(NOW)
    other.close()


class Watched:
    """Counts how many statements of each transaction have changed something."""

    def __init__(self, ledger: Ledger) -> None:
        self.sizes: list[int] = []
        sqlite(ledger)._connection.set_trace_callback(self._told)

    def _told(self, statement: str) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            self.sizes.append(0)
        elif self.sizes and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.sizes[-1] += 1


PEOPLE = 5000
BATCH = 3 * 2000  # statements: three for each row at most


@pytest.fixture
def crowd(path: Path) -> Iterator[tuple[Ledger, list[str]]]:
    """A ledger with some thousand rows in doubt; each has a reply that contains Anna's address."""
    book = Ledger.open(path, "news")
    addresses = [f"user{n}@example.com" for n in range(PEOPLE)]
    enrol(book, people(*addresses))
    database(book).change("UPDATE messages SET status = 'in_doubt', reply = ?", (f"ask {ANNA}",))
    yield book, addresses
    book.close()


def test_long_writes_are_in_batches(crowd: tuple[Ledger, list[str]]) -> None:
    ledger, addresses = crowd
    watched = Watched(ledger)
    assert ledger.settle_doubt(Status.PENDING, addresses, "by hand", NOW) == PEOPLE
    new, rows = ledger.suppressions.add(Suppression(address, "asked", NOW) for address in addresses)
    assert (new, rows) == (addresses, PEOPLE)
    assert set(statuses(ledger).values()) == {"suppressed"}
    assert len(watched.sizes) >= 3 * PEOPLE // 2000
    assert max(watched.sizes) <= BATCH


def test_the_search_for_a_forgotten_person_is_outside_of_transactions(
    crowd: tuple[Ledger, list[str]],
) -> None:
    ledger, _ = crowd
    within: list[bool] = []
    connection = sqlite(ledger)._connection
    connection.set_trace_callback(
        lambda told: within.append(connection.in_transaction) if "LIKE" in told else None
    )
    assert ledger.forget(ANNA, NOW).found
    assert within
    assert not any(within)
    assert database(ledger).rows("SELECT DISTINCT reply FROM messages") == [("",)]


def test_a_domain_of_thousands_is_suppressed_in_batches(crowd: tuple[Ledger, list[str]]) -> None:
    ledger, _ = crowd
    database(ledger).change("UPDATE messages SET status = 'pending'")
    watched = Watched(ledger)
    assert ledger.suppressions.add([Suppression("@example.com", "asked", NOW)]) == (["@example.com"], PEOPLE)
    assert 0 < max(watched.sizes) <= BATCH
    assert len(watched.sizes) > PEOPLE // 2000


@pytest.mark.parametrize(
    "waiting",
    [
        lambda path, _: Ledger.open(path, "news"),
        lambda _, ledger: ledger.forget(ANNA, NOW),
        lambda _, ledger: database(ledger).change("DELETE FROM suppressions"),
    ],
    ids=["to open it", "to begin a transaction", "to change something"],
)
def test_ctrl_c_interrupts_the_wait_for_a_lock(
    path: Path, ledger: Ledger, waiting: Callable[[Path, Ledger], object]
) -> None:
    main = threading.main_thread().ident or 0
    given_up = threading.Timer(opening.BUSY_TIMEOUT / 2, lambda: None)
    with locked(path):
        threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
        given_up.start()
        with pytest.raises(KeyboardInterrupt):
            waiting(path, ledger)
    assert given_up.is_alive(), "it was heard only when the wait was over"
    given_up.cancel()
