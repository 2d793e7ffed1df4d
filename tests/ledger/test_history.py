"""What a reader of a ledger gets: counts, rows, domains, replies, progress; also from an empty ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.location import Location
from campaign.ledger import Ledger
from campaign.model import SECOND, Status
from tests.ledger.book import NOW, bad, database, enrol, intent, people, result, row, send, sqlite, start

ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.org"


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    book = Ledger.open(location, "news")
    yield book
    book.close()


def test_the_history_of_an_empty_ledger_is_empty(ledger: Ledger) -> None:
    summary = ledger.history.summary(NOW)
    assert set(summary.counts) == set(Status)
    assert not any(summary.counts.values())
    assert (summary.first_accepted_at, summary.last_accepted_at, summary.next_due) == (None, None, None)
    assert (summary.sending, summary.waiting) == (None, 0)
    assert list(ledger.history.entries(NOW)) == []
    assert ledger.history.all_columns() == ()
    assert ledger.history.domains(NOW, summary) == []
    assert list(ledger.history.replies(NOW)) == []
    assert ledger.history.accepted_by_time(summary, 10) == []
    assert ledger.digest is None


def test_an_unknown_campaign_has_an_empty_history(ledger: Ledger, location: Location) -> None:
    enrol(ledger, people(ANNA))
    reader = Ledger.open(location, "another", create=False, read_only=True)
    assert not any(reader.history.summary(NOW).counts.values())
    assert list(reader.history.entries(NOW)) == []
    assert database(reader).rows("SELECT name FROM campaigns") == [("news",)]
    reader.close()


def test_the_summary_has_counts_times_and_due_times(ledger: Ledger) -> None:
    enrol(ledger, [*people(ANNA, BEN, CLEO), bad(4)])
    sending = start(ledger)
    sending.claim(NOW, 10)
    for n, key in enumerate((ANNA, BEN)):
        sending.record((), (intent(key, NOW + n),))
        sending.record((result(key, now=NOW + n * SECOND),), ())
    sending.record((), (intent(CLEO),))
    sending.record((result(CLEO, Status.DEFERRED, reply="450 4.2.1 busy", due_at=NOW + 60),), ())
    summary = ledger.history.summary(NOW)
    assert {status: n for status, n in summary.counts.items() if n} == {
        Status.ACCEPTED: 2,
        Status.DEFERRED: 1,
        Status.INVALID: 1,
    }
    assert (summary.first_accepted_at, summary.last_accepted_at) == (NOW, NOW + SECOND)
    assert (summary.next_due, summary.waiting) == (NOW + 60, 1)
    assert sorted(ledger.history.replies(NOW)) == [
        (Status.DEFERRED, "450 4.2.1 busy", 1),
        (Status.INVALID, "the address is blank", 1),
    ]
    assert ledger.history.domains(NOW, summary)[:1] == [("example.com", {Status.ACCEPTED: 2})]
    assert ledger.history.accepted_by_time(summary, 10) == [(NOW, 1), (NOW + SECOND, 2)]


def test_rows_that_a_dead_run_left_in_flight_count_as_in_doubt_by_domain_too(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA, BEN))
    sending = start(ledger)
    sending.claim(NOW, 2)
    sending.record((), (intent(BEN),))
    later = NOW + 3600 * SECOND
    summary = ledger.history.summary(later)
    ((_, by_status),) = ledger.history.domains(later, summary)
    assert {status: count for status, count in by_status.items() if count} == {
        status: count for status, count in summary.counts.items() if count
    }


def test_entries_come_in_list_order_with_their_columns(ledger: Ledger) -> None:
    enrol(ledger, [row(1, BEN, name="Ben", city="Bergen"), row(2, ANNA)])
    sending = start(ledger)
    send(ledger, sending, BEN)
    # A later list has another column, and Ben is not on it.
    rows = [row(1, ANNA), row(2, CLEO)]
    rows = [type(r)(r.number, r.line, r.key, r.email, r.name, {**r.row, "plan": "pro"}) for r in rows]
    enrol(ledger, rows, columns=("email", "city", "plan"))
    entries = list(ledger.history.entries(NOW))
    assert [(e.email, e.status, dict(e.row)) for e in entries] == [
        (BEN, "accepted", {"email": BEN, "city": "Bergen"}),
        (ANNA, "pending", {"email": ANNA, "city": "Oslo", "plan": "pro"}),
        (CLEO, "pending", {"email": CLEO, "city": "Oslo", "plan": "pro"}),
    ]
    assert ledger.history.all_columns() == ("email", "city", "plan")
    ben = entries[0]
    assert (ben.name, ben.attempts, ben.reply, ben.started_at, ben.settled_at) == (
        "Ben", 1, "250 2.0.0 Ok", NOW, NOW,
    )  # fmt: skip
    assert [e.email for e in ledger.history.entries(NOW, [Status.ACCEPTED])] == [BEN]
    assert list(ledger.history.entries(NOW, [Status.REFUSED])) == []


def test_a_reader_sees_each_commit_of_a_running_send(ledger: Ledger, location: Location) -> None:
    enrol(ledger, people(ANNA, BEN))
    sending = start(ledger)
    reader = Ledger.open(location, "news", create=False, read_only=True)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA),))
    assert reader.history.summary(NOW).counts[Status.IN_FLIGHT] == 1
    sending.record((result(ANNA),), (intent(BEN),))
    assert reader.history.summary(NOW).counts[Status.ACCEPTED] == 1
    if isinstance(location, Path):
        with pytest.raises(sqlite3.DatabaseError):
            sqlite(reader)._connection.execute("DELETE FROM messages")
    reader.close()


def test_a_digest_counts_only_after_a_message_was_sent(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA, BEN))
    ledger.set_digest("one")
    assert ledger.digest is None
    send(ledger, start(ledger), ANNA)
    assert ledger.digest == "one"


@given(
    gaps=st.lists(st.sampled_from([0, 1, SECOND, 29 * SECOND, 30 * SECOND, 31 * SECOND, 3600 * SECOND])),
    starts=st.sets(st.integers(0, 12), max_size=3),
)
def test_pauses_do_not_count_as_sending_time(gaps: list[int], starts: set[int]) -> None:
    """A pause is half a minute without an acceptance, or the time before a run."""
    times = list(accumulate([NOW, *gaps]))
    ledger = Ledger.temporary("news")
    try:
        enrol(ledger, people(*(f"user{n}@example.com" for n in range(len(times)))))
        for n, time in enumerate(times):
            if n in starts:
                start(ledger, time).end(time)
            database(ledger).change(
                "UPDATE messages SET status = 'accepted', settled_at = ? WHERE number = ?", (time, n + 1)
            )
        summary = ledger.history.summary(NOW)
    finally:
        ledger.close()
    began = {times[n] for n in starts if n < len(times)}
    joined = [
        later - earlier
        for earlier, later in pairwise(times)
        if later - earlier <= 30 * SECOND and not any(earlier < run <= later for run in began)
    ]
    stops = [1 for a, b in pairwise(times) if b - a > 30 * SECOND or any(a < run <= b for run in began)]
    assert summary.active == sum(joined)
    assert summary.stretches == 1 + len(stops)


def test_last_due_is_the_latest_due_time(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA, BEN, CLEO))
    sending = start(ledger)
    sending.claim(NOW, 10)
    for n, key in enumerate((ANNA, BEN), 1):
        sending.record((), (intent(key),))
        sending.record((result(key, Status.DEFERRED, reply="450 4.2.1 busy", due_at=NOW + n),), ())
    summary = ledger.history.summary(NOW)
    assert (summary.next_due, summary.last_due) == (None, NOW + 2)
    sending.end(NOW)
