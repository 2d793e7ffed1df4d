"""Forgetting: no octet of a person stays in the ledger's files, and nobody is mailed because of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from campaign.campaignfile.location import Location
from campaign.errors import LeaseHeld, UserError
from campaign.ledger import Forgotten, Ledger, Suppression
from campaign.ledger.patterns import is_hash
from campaign.ledger.protocols import Choices
from campaign.ledger.sqlite.runs import LEASE, hold_for_scrubbing, release_from_scrubbing
from campaign.model import Status
from tests.ledger.book import (
    NOW,
    TABLES,
    bad,
    database,
    enrol,
    files,
    intent,
    message_id,
    outcome,
    people,
    registered,
    result,
    row,
    send,
    sqlite,
    start,
    statuses,
)

ANNA = "Anna.Person@example.test"


@pytest.fixture
def ledger(location: Location) -> Ledger:
    return registered(location)


def test_no_octet_of_a_forgotten_person_stays_in_the_files(location: Location) -> None:
    """Among thousands of rows that were inserted, moved, changed and deleted in every way."""
    chance = random.Random(1)
    ledger = Ledger.open(location, "news")
    addresses = [f"{chance.randrange(16**6):06x}.person{n}@example.test" for n in range(2000)]
    listed = [row(n, a, city="x" * chance.randrange(400)) for n, a in enumerate(addresses, 1)]
    enrol(ledger, listed)
    sending = start(ledger)
    outcomes = [Status.ACCEPTED, Status.REFUSED, Status.DEFERRED, Status.IN_DOUBT, None]
    for claim in sending.claim(NOW, 2000):
        key, status = claim.recipient.key, chance.choice(outcomes)
        sending.record((), (intent(key),))
        if status is not None:
            words = f"550 <{key}> " + "y" * chance.randrange(200)
            sending.record((result(key, status, reply=words),), ())
    sending.end(NOW)
    enrol(ledger, [row(n, a, city="z" * chance.randrange(600)) for n, a in enumerate(addresses, 1) if n % 5])
    ledger.suppressions.add([Suppression(a, "asked", NOW) for a in chance.sample(addresses, 200)])
    ledger.close()

    ledger = Ledger.open(location, "news")
    gone = chance.sample(addresses, 200)
    assert sum(ledger.forget(address, NOW).rows for address in gone) == 200
    assert ledger.scrub(NOW)

    left = files(location)
    assert [address for address in gone if address.encode() in left] == []
    assert all(address.encode() in left for address in set(addresses) - set(gone))
    ledger.close()


@pytest.mark.kinds("sqlite")
def test_forgetting_during_a_send_cleans_the_files_after_the_run(location: Location, ledger: Ledger) -> None:
    enrol(ledger, people(ANNA, "ben@example.test"))
    sending = start(ledger)
    assert send(ledger, sending, ANNA.casefold())

    other = Ledger.open(location, "", create=False)
    assert other.forget(ANNA, NOW).rows == 1
    with pytest.raises(LeaseHeld):
        other.scrub(NOW)
    assert isinstance(location, Path)
    size = location.stat().st_size
    sending.heartbeat(NOW)
    assert location.stat().st_size == size  # rewriting would change it, and messages would wait
    with pytest.raises(LeaseHeld):
        other.scrub(NOW)
    assert send(ledger, sending, "ben@example.test")
    sending.end(NOW)
    assert other.scrub(NOW)

    assert b"anna" not in files(location).lower()
    other.close()
    ledger.close()


@pytest.mark.kinds("sqlite")
def test_an_open_reader_delays_cleaning_until_the_end_of_the_next_run(
    location: Location, ledger: Ledger
) -> None:
    enrol(ledger, people(ANNA, *(f"user{n}@example.test" for n in range(2000))))
    sending = start(ledger)
    reader = Ledger.open(location, "news", create=False, read_only=True)
    entries = reader.history.entries(NOW)
    next(entries)
    ledger.forget(ANNA, NOW)
    sending.end(NOW)
    assert not ledger.scrub(NOW)
    assert len(list(entries)) == 2000
    start(ledger).end(NOW)
    assert ledger.scrub(NOW)
    assert b"anna" not in files(location).lower()
    reader.close()
    ledger.close()


@pytest.mark.parametrize(
    ("status", "stays"),
    [
        (Status.ACCEPTED, True),
        (Status.IN_DOUBT, True),
        (Status.REFUSED, False),
        (Status.DEFERRED, False),
        (None, False),
    ],
)
def test_a_sent_row_keeps_only_a_hash(ledger: Ledger, status: Status | None, stays: bool) -> None:
    enrol(ledger, people(ANNA))
    sending = start(ledger)
    if status is not None:
        send(ledger, sending, ANNA.casefold(), status)
    assert ledger.forget(ANNA, NOW).rows == 1
    found = statuses(ledger)
    assert len(found) == stays
    assert all(is_hash(key) and stored == status for key, stored in found.items())
    assert database(ledger).rows("SELECT * FROM events") == []
    ledger.close()


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.IN_DOUBT, Status.DEFERRED, None])
def test_a_forgotten_person_who_is_still_on_the_list_is_not_mailed(
    ledger: Ledger, status: Status | None
) -> None:
    enrol(ledger, people(ANNA))
    sending = start(ledger)
    if status is not None:
        send(ledger, sending, ANNA.casefold(), status)
    ledger.forget(ANNA, NOW)

    plan = enrol(ledger, people(ANNA), Choices(resend_doubt=True, retry_refused=True))

    assert plan.to_send == 0
    assert sending.claim(NOW, 10) == []
    assert b"anna" not in repr(database(ledger).rows("SELECT * FROM messages")).lower().encode()
    another = Ledger(ledger.storage, "another", None)
    assert enrol(another, people(ANNA)).suppressed == 1
    assert database(another).rows("SELECT * FROM messages WHERE campaign = ?", (another.campaign_id,)) == []
    ledger.close()


def test_a_forgotten_address_can_be_mailed_again_on_demand(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA))
    ledger.forget(ANNA, NOW)
    assert ledger.suppressions.remove([ANNA.casefold()]) == []
    assert enrol(ledger, people(ANNA)).to_send == 1
    ledger.close()


def test_a_person_forgotten_after_the_list_was_read_is_not_enrolled(ledger: Ledger) -> None:
    enrol(Ledger(ledger.storage, "earlier", None), people(ANNA))
    enrolment = ledger.enrolment()
    enrolment.stage(("email", "city"), people(ANNA, "ben@example.test"))
    list(enrolment.drop_duplicates())
    enrolment.recognise()
    assert enrolment.plan().to_send == 2
    ledger.forget(ANNA, NOW)
    enrolment.apply(NOW)
    assert statuses(ledger) == {"ben@example.test": "pending"}
    ledger.close()


def test_a_row_forgotten_in_flight_keeps_its_result_but_no_address(
    location: Location, ledger: Ledger
) -> None:
    enrol(ledger, people(ANNA, "ben@example.test", "cleo@example.test"))
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent(ANNA.casefold()), intent("ben@example.test"), intent("cleo@example.test")))
    ledger.forget(ANNA, NOW)
    ledger.forget("ben@example.test", NOW)
    sending.record((result(ANNA.casefold()), result("ben@example.test", Status.DEFERRED)), ())
    assert sorted(statuses(ledger).values()) == ["accepted", "in_flight"]  # Cleo's is still in flight
    assert statuses(ledger)["cleo@example.test"] == "in_flight"
    assert database(ledger).rows("SELECT count(*) FROM attempts WHERE message IS NULL") == [(1,)]
    sending.end(NOW)
    ledger.close()
    assert b"anna" not in files(location).lower()
    assert b"ben@" not in files(location).lower()


def test_the_address_is_erased_from_copies_and_replies(location: Location, ledger: Ledger) -> None:
    enrol(ledger, [*people("ben@example.test"), bad(2, words=f"{ANNA} has a bad cell")])
    sending = start(ledger)
    sending.claim(NOW, 10)
    sending.record((), (intent("ben@example.test"),))
    copy = outcome(ANNA, Status.REFUSED, f"550 5.1.1 <{ANNA}>: no such user")
    sending.record((result("ben@example.test", Status.REFUSED, reply=f"550 {ANNA}", copies=(copy,)),), ())
    assert ledger.forget(ANNA, NOW).rows == 0
    sending.end(NOW)
    ledger.close()
    assert b"anna" not in files(location).lower()
    assert b"ben@example.test" in files(location)


def test_a_bad_row_that_contains_the_address_is_erased(location: Location, ledger: Ledger) -> None:
    rows = [*people("ben@example.test"), bad(2, words="two addresses", email=f"x@example.test; {ANNA}.")]
    enrol(ledger, rows)
    assert list(statuses(ledger).values()) == ["pending", "invalid"]
    assert ledger.forget(ANNA, NOW).rows == 1
    assert enrol(ledger, rows).invalid == 1  # the list still names them, and nothing of it is stored
    assert list(statuses(ledger).values()) == ["pending"]
    assert ledger.scrub(NOW)
    ledger.close()
    assert b"anna" not in files(location).lower()


def test_a_bad_row_of_a_forgotten_person_is_not_recorded_again(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA))
    ledger.forget(ANNA, NOW)
    plan = enrol(ledger, [bad(1, ANNA.casefold(), "the row has a NUL character in it")])
    assert plan.invalid == 1
    assert statuses(ledger) == {}
    ledger.close()


def test_the_history_shows_no_personal_data_of_forgotten_people(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA, "ben@example.test"))
    sending = start(ledger)
    send(ledger, sending, ANNA.casefold())
    send(ledger, sending, "ben@example.test", Status.IN_DOUBT)
    ledger.forget(ANNA, NOW)
    ledger.forget("ben@example.test", NOW)
    summary = ledger.history.summary(NOW)
    assert summary.counts[Status.ACCEPTED] == 1
    entries = list(ledger.history.entries(NOW))
    assert [(entry.email, dict(entry.row)) for entry in entries] == [("", {}), ("", {})]
    assert entries[1].message_id == message_id("ben@example.test")
    assert ledger.history.domains(NOW, summary) == []
    assert ledger.history.all_columns() == ("email", "city")
    ledger.close()


def test_cleaning_the_files_does_not_add_a_run(location: Location, ledger: Ledger) -> None:
    enrol(ledger, people(ANNA))
    assert ledger.forget(ANNA, NOW).rows == 1
    assert ledger.scrub(NOW)
    assert database(ledger).rows("SELECT * FROM runs") == []
    assert b"anna" not in files(location).lower()
    start(ledger).end(NOW)
    ledger.close()


@pytest.mark.kinds("sqlite")
def test_a_run_cannot_start_while_another_process_cleans_the_files(
    location: Location, ledger: Ledger
) -> None:
    enrol(ledger, people(ANNA))
    hold_for_scrubbing(sqlite(ledger), NOW)
    other = Ledger.open(location, "news")
    with pytest.raises(LeaseHeld, match="is removing forgotten data from this ledger"):
        start(other)
    assert other.forget(ANNA, NOW).rows == 1
    assert not other.scrub(NOW)
    release_from_scrubbing(sqlite(ledger))
    assert other.scrub(NOW)
    # A process that died while cleaning blocks nobody.
    sqlite(ledger).set_setting("scrubber", json.dumps(["elsewhere", 1, "boot 1", NOW]))
    start(other, NOW + LEASE).end(NOW + LEASE)
    other.close()
    ledger.close()


# Who is forgotten: an address, or a cell of a bad row.


def everything(ledger: Ledger) -> list[object]:
    return [database(ledger).rows(f"SELECT * FROM {table}") for table in TABLES]


@pytest.mark.parametrize("text", ["", "  ", "\t\n", "anna", "@example.test", "example.test", "[]"])
def test_a_text_that_is_neither_an_address_nor_a_cell_of_a_bad_row_is_refused(
    ledger: Ledger, text: str
) -> None:
    """For example an empty variable in a script: rows of forgotten people and bad rows have no address."""
    rows = [*people(ANNA, "ben@example.test", "cleo@example.test"), bad(4, email="", city="Oslo")]
    enrol(ledger, rows)
    sending = start(ledger)
    for key in (ANNA.casefold(), "ben@example.test"):
        assert send(ledger, sending, key)
    ledger.forget(ANNA, NOW)
    before = everything(ledger)
    with pytest.raises(UserError, match="nor is it a cell of a bad row"):
        ledger.forget(text, NOW)
    assert everything(ledger) == before
    plan = enrol(ledger, rows)
    assert (plan.to_send, plan.accepted, plan.invalid) == (1, 2, 1)
    ledger.close()


def test_a_bad_row_is_forgotten_by_its_exact_cell(location: Location, ledger: Ledger) -> None:
    rows = [
        *people("ben@example.test"),
        bad(2, email="anna.person(at)example.test", city="Oslo"),
        bad(3, email=" Anna.Person(at)example.test", city="Oslo"),
        bad(4, email="anna.person", city="Oslo"),
    ]
    enrol(ledger, rows)
    with pytest.raises(UserError):
        ledger.forget("person", NOW)
    assert ledger.forget(" Anna.Person(at)example.test ", NOW) == Forgotten(1, 0, found=True, earlier=False)
    assert ledger.forget("anna.person(at)example.test", NOW).rows == 1
    assert sorted(statuses(ledger).values()) == ["invalid", "pending"]
    assert enrol(ledger, rows).invalid == 3  # the list still has them, and nothing of them is stored
    assert sorted(statuses(ledger).values()) == ["invalid", "pending"]
    assert ledger.scrub(NOW)
    ledger.close()
    assert b"person(at)" not in files(location).lower()


def test_without_a_match_nothing_is_changed_and_nobody_is_suppressed(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA))
    before = everything(ledger)
    for address in (
        "person@example.test",
        "anna.person@example.tes",
        "na.person@example.test",
        "%@example.test",
    ):
        assert ledger.forget(address, NOW) == Forgotten(0, 0, found=False, earlier=False)
    assert everything(ledger) == before
    assert ledger.forget(ANNA, NOW).found
    assert ledger.forget(ANNA, NOW) == Forgotten(0, 0, found=False, earlier=True)
    ledger.close()


def test_a_person_who_is_only_on_the_suppression_list_stays_there_as_a_hash(
    location: Location, ledger: Ledger
) -> None:
    ledger.suppressions.add([Suppression(ANNA.casefold(), "asked", NOW)])
    assert ledger.forget(ANNA, NOW) == Forgotten(0, 0, found=True, earlier=False)
    assert [is_hash(entry.pattern) for entry in ledger.suppressions] == [True]
    assert ledger.is_suppressed(ANNA)
    assert ledger.scrub(NOW)
    ledger.close()
    assert b"anna" not in files(location).lower()


@pytest.mark.parametrize(
    "cell", [ANNA, ANNA.upper(), f"Anna <{ANNA}>, x@example.test", f'"{ANNA}"', f"x@example.test;{ANNA}."]
)
def test_a_cell_of_another_row_that_names_the_person_is_counted_and_stays(ledger: Ledger, cell: str) -> None:
    listed = [row(1, "ben@example.test", city=cell), row(2, "cleo@example.test", city=f"jo{ANNA}")]
    enrol(ledger, listed)
    assert ledger.forget(ANNA, NOW) == Forgotten(0, 1, found=True, earlier=False)
    assert ledger.is_suppressed(ANNA)
    assert set(statuses(ledger)) == {"ben@example.test", "cleo@example.test"}
    assert [entry.row["city"] for entry in ledger.history.entries(NOW)] == [cell, f"jo{ANNA}"]
    ledger.close()


@pytest.mark.parametrize(
    "written", ["Zoë@bücher.example", "zoe\u0308@B\u00fccher.example", "ZOË@xn--bcher-kva.example"]
)
def test_addresses_in_other_scripts_are_found_in_every_form(ledger: Ledger, written: str) -> None:
    enrol(ledger, [row(1, "ben@example.test", city=written), bad(2, email=f"{written}; x@example.test")])
    assert ledger.forget("zoë@bücher.example", NOW) == Forgotten(1, 1, found=True, earlier=False)
    ledger.close()


def test_a_bad_row_with_an_address_that_ends_alike_stays(ledger: Ledger) -> None:
    enrol(ledger, [*people(ANNA), bad(2, email=f"jo{ANNA}; x@example.test"), bad(3, email=f"{ANNA}.au;")])
    assert ledger.forget(ANNA, NOW).rows == 1
    assert list(statuses(ledger).values()) == ["invalid", "invalid"]
    ledger.close()
