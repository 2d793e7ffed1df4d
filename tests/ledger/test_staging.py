"""Staging finds accepted rows however the list changed; duplicates and bad rows are told apart."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

import pytest

from campaign.ledger import Ledger
from campaign.ledger.protocols import Enrolment, Plan
from campaign.ledger.sqlite.staging import _Accepted
from campaign.model import BadRow, Recipient
from tests.ledger.book import COLUMNS, NOW, bad, database, enrol, row

COUNT = 9000
ADDRESSES = [f"user{n}@example.com" for n in range(COUNT)]


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    """Every row is accepted but each hundredth."""
    book = Ledger.temporary("news")
    enrol(book, [row(n, address) for n, address in enumerate(ADDRESSES, 1)])
    database(book).change("UPDATE messages SET status = 'accepted' WHERE number % 100 != 0")
    yield book
    book.close()


def plan(
    ledger: Ledger, rows: list[Recipient | BadRow], shown: tuple[str, ...] = ()
) -> tuple[Plan, list[tuple[int, str, int]], Enrolment]:
    """Return the plan, and (line, key, line of the first row) of each duplicate."""
    enrolment = ledger.enrolment()
    enrolment.stage(COLUMNS, rows, shown)
    said = [(double.line, double.key, double.first) for double in enrolment.drop_duplicates()]
    enrolment.recognise()
    return enrolment.plan(), said, enrolment


def listed(addresses: list[str]) -> list[Recipient | BadRow]:
    return [row(n, address) for n, address in enumerate(addresses, 1)]


def shuffled(addresses: list[str]) -> list[str]:
    return random.Random(1).sample(addresses, len(addresses))


NEW = [f"new{n}@example.com" for n in range(5000)]


@pytest.mark.parametrize(
    ("addresses", "new", "gone"),
    [
        (ADDRESSES, 0, 0),
        (ADDRESSES[::-1], 0, 0),
        (shuffled(ADDRESSES), 0, 0),
        (ADDRESSES + NEW, 5000, 0),
        (NEW + ADDRESSES, 5000, 0),
        (ADDRESSES[:3000] + NEW + ADDRESSES[3000:], 5000, 0),
        (ADDRESSES[6000:] + ADDRESSES[:6000], 0, 0),
        (ADDRESSES[:100] + ADDRESSES[8000:], 0, 7900),
        (ADDRESSES[::3], 0, 6000),
        (NEW, 5000, 9000),
        ([], 0, 9000),
    ],
    ids=[
        "as it was",
        "backwards",
        "shuffled",
        "more at the end",
        "more at the front",
        "more in the middle",
        "turned",
        "most left",
        "every third",
        "another list",
        "empty",
    ],
)
def test_accepted_rows_are_found_however_the_list_changed(
    ledger: Ledger, addresses: list[str], new: int, gone: int
) -> None:
    found, said, enrolment = plan(ledger, listed(addresses))
    waiting = {address for n, address in enumerate(ADDRESSES, 1) if n % 100 == 0}
    here, fresh = set(addresses), set(NEW)
    assert said == []
    assert found.new == new
    assert found.accepted == COUNT - gone - len(waiting & here)
    assert found.to_send == new + len(waiting & here)
    assert found.withdrawn == len(waiting - here)
    sent = [recipient.email for recipient in enrolment.to_send()]
    assert sent == [address for address in addresses if address in waiting or address in fresh]


def test_a_list_in_the_same_order_needs_few_index_look_ups(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = _Accepted._look_up

    def look_up(self: _Accepted, keys: list[str], places: list[int]) -> list[tuple[int, int]]:
        asked.append(len(places))
        return real(self, keys, places)

    monkeypatch.setattr(_Accepted, "_look_up", look_up)
    plan(ledger, listed(ADDRESSES[:2500] + ADDRESSES[6000:]))
    # Those that still wait, and one batch after the gap.
    assert sum(asked) < 2200


@pytest.mark.parametrize("distance", [1, 1999, 2000, 5000])
def test_duplicates_of_accepted_rows_are_reported(ledger: Ledger, distance: int) -> None:
    rows = listed([*ADDRESSES[:distance], ADDRESSES[0], *ADDRESSES[distance:7000]])
    found, said, _ = plan(ledger, rows)
    assert said == [(distance + 2, "user0@example.com", 2)]
    assert found.accepted == 7000 - 70


def test_duplicates_are_reported_in_list_order(ledger: Ledger) -> None:
    new, accepted, waiting = "x@example.com", ADDRESSES[0], ADDRESSES[99]
    rows = listed([new, accepted, waiting, waiting, new, accepted, new])
    found, said, _ = plan(ledger, rows)
    assert said == [
        (5, waiting, 4),
        (6, new, 2),
        (7, accepted, 3),
        (8, new, 2),
    ]
    assert (found.new, found.accepted, found.to_send) == (1, 1, 2)


@pytest.mark.parametrize(
    "address", [ADDRESSES[0], ADDRESSES[99], "x@example.com"], ids=["had", "waits", "new"]
)
def test_duplicates_whose_messages_differ_are_marked(ledger: Ledger, address: str) -> None:
    """They differ in shown columns, in the name or the address; other differences do not count."""
    key = address
    rows: list[Recipient | BadRow] = [
        row(1, address, city="Oslo"),
        row(2, address.upper(), city=" Oslo "),
        row(3, address, city="Rome"),
        row(4, address, name="Ann"),
        row(5, "another@example.com", key=key),
    ]
    for shown, different in ((("city",), [4, 5, 6]), ((), [5, 6])):
        enrolment = ledger.enrolment()
        enrolment.stage(COLUMNS, rows, shown)
        doubles = list(enrolment.drop_duplicates())
        assert [double.line for double in doubles] == [3, 4, 5, 6]
        assert [double.line for double in doubles if double.differs] == different


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_bad_row_with_the_key_of_an_accepted_row_counts_once(
    ledger: Ledger, order: tuple[int, int]
) -> None:
    rows: list[Recipient | BadRow] = [row(1, ADDRESSES[0]), bad(2, ADDRESSES[0])]
    rows = [
        row(n, ADDRESSES[0]) if isinstance(rows[place], Recipient) else bad(n, ADDRESSES[0])
        for n, place in enumerate(order, 1)
    ]
    found, said, _ = plan(ledger, rows)
    assert (found.accepted, found.invalid, said) == (1, 0, [])
    found, said, _ = plan(ledger, [bad(1, ADDRESSES[0]), bad(2, ADDRESSES[0])])
    assert (found.accepted, found.invalid, said) == (1, 0, [])


def test_bad_rows_without_a_key_are_kept_apart(ledger: Ledger) -> None:
    """Also from a row whose key looks like the ones that they are given."""
    book = Ledger.temporary("another")
    listing: list[Recipient | BadRow] = [row(1, "a@example.com", key="row 2"), bad(2), bad(3)]
    assert enrol(book, listing).invalid == 2
    assert enrol(book, listing).invalid == 2
    assert [entry.number for entry in book.history.entries(NOW)] == [1, 2, 3]
    assert enrol(book, listing[:1]).withdrawn == 2
    book.close()


def test_duplicates_are_dropped_even_if_the_iterator_is_not_consumed() -> None:
    book = Ledger.temporary("duplicates")
    enrolment = book.enrolment()
    enrolment.stage(COLUMNS, listed(["anna@example.com", "ben@example.com", "anna@example.com"]))
    doubles = enrolment.drop_duplicates()
    assert [recipient.number for recipient in enrolment.to_send()] == [1, 2]
    assert [double.line for double in doubles] == [4]
    book.close()


def test_a_batch_is_staged_whole_or_not_at_all() -> None:
    book = Ledger.temporary("batches")
    enrolment = book.enrolment()
    with pytest.raises(sqlite3.IntegrityError):
        enrolment.stage(COLUMNS, [row(1, "anna@example.com"), row(2, "ben@example.com"), row(2, "b@x.test")])
    assert database(book).rows("SELECT number FROM temp.staged") == []
    book.close()


def test_bad_rows_are_marked_all_or_none() -> None:
    def marks() -> Iterator[tuple[int, str]]:
        yield 1, "no such city"
        raise OSError("the disk fails")

    book = Ledger.temporary("marks")
    enrolment = book.enrolment()
    enrolment.stage(COLUMNS, listed(["anna@example.com"]))
    with pytest.raises(OSError, match="the disk fails"):
        enrolment.mark_bad(marks())
    assert len(list(enrolment.to_send())) == 1
    book.close()
