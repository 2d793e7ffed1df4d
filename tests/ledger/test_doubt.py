"""Settling rows in doubt, and rows that wait although a server's log shows that they were sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from campaign.campaignfile.location import Location
from campaign.ledger import Ledger, Suppression
from campaign.model import Status
from tests.ledger.book import NOW, database, enrol, people, send, start, statuses

ANNA, BEN, CLEO, DORA = (f"{name}@example.com" for name in ("anna", "ben", "cleo", "dora"))


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    """Anna is accepted, Ben refused, Cleo deferred, and Dora pending."""
    ledger = Ledger.open(location, "news")
    enrol(ledger, people(ANNA, BEN, CLEO, DORA))
    run = start(ledger)
    for key, status in ((ANNA, Status.ACCEPTED), (BEN, Status.REFUSED), (CLEO, Status.DEFERRED)):
        assert send(ledger, run, key, status)
    run.end(NOW)
    yield ledger
    ledger.close()


def test_rows_sent_according_to_a_log_become_accepted_even_if_waiting_or_refused(ledger: Ledger) -> None:
    everybody = [ANNA, BEN, CLEO, DORA]
    assert ledger.settle_doubt(Status.ACCEPTED, everybody, "by a log", NOW) == 0
    assert ledger.settle_doubt(Status.ACCEPTED, everybody, "by a log", NOW, waiting=True) == 3
    assert set(statuses(ledger).values()) == {"accepted"}
    told = database(ledger).rows("SELECT key FROM events WHERE text = 'by a log' ORDER BY key")
    assert told == [(BEN,), (CLEO,), (DORA,)]


def test_suppressed_and_forgotten_rows_do_not_become_pending(ledger: Ledger) -> None:
    again = [CLEO, DORA]
    run = start(ledger)
    assert send(ledger, run, DORA, Status.IN_DOUBT)
    run.claim(NOW, 10)
    database(ledger).change("UPDATE messages SET status = 'in_doubt' WHERE key IN (?, ?)", (CLEO, ANNA))
    run.end(NOW)
    ledger.suppressions.add([Suppression(CLEO, "by hand", NOW)])
    ledger.forget(ANNA, NOW)
    (forgotten,) = statuses(ledger).keys() - {BEN, *again}
    assert ledger.settle_doubt(Status.PENDING, [forgotten, *again], "by hand", NOW) == 3
    assert statuses(ledger) == {
        forgotten: "suppressed",
        BEN: "refused",
        CLEO: "suppressed",
        DORA: "pending",
    }


def test_a_suppressed_row_in_doubt_can_be_settled_as_accepted(ledger: Ledger) -> None:
    run = start(ledger)
    assert send(ledger, run, DORA, Status.IN_DOUBT)
    run.end(NOW)
    ledger.suppressions.add([Suppression(DORA, "by hand", NOW)])
    assert ledger.settle_doubt(Status.ACCEPTED, [DORA], "by hand", NOW) == 1
    assert statuses(ledger)[DORA] == "accepted"
