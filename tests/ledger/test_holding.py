"""A suppression caused by a reply is held until the results around it are judged.

So one misconfigured server cannot suppress addresses for other campaigns.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from campaign.campaignfile.location import Location
from campaign.delivery import Verdict
from campaign.ledger import Ledger
from campaign.ledger.protocols import Run
from campaign.ledger.verdicts import WINDOW
from campaign.model import Status
from tests.ledger.book import NOW, database, enrol, intent, people, result, start

DEAD = "550 5.1.1 no such user"


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    ledger = Ledger.open(location, "spring")
    enrol(ledger, people(*(f"user{n}@example.com" for n in range(600))))
    yield ledger
    ledger.close()


def send(run: Run, count: int, status: Status = Status.ACCEPTED) -> list[str]:
    """Send to this many rows, and return their keys; refused ones are dead addresses."""
    claims = run.claim(NOW, count)
    assert len(claims) == count
    keys = [claim.recipient.key for claim in claims]
    for key in keys:
        assert run.record((), (intent(key),)) == {key}
        dead = status is Status.REFUSED
        run.record((result(key, status, reply=DEAD if dead else "250 Ok", suppress=dead),), ())
    return keys


def held(ledger: Ledger) -> set[str]:
    return {entry.pattern for entry in ledger.suppressions if entry.held_for}


def released(ledger: Ledger) -> set[str]:
    return {entry.pattern for entry in ledger.suppressions if not entry.held_for}


def other(ledger: Ledger) -> Ledger:
    """Another campaign of the same ledger."""
    autumn = Ledger(ledger.storage, "autumn", None)
    autumn.register()
    return autumn


def test_a_held_suppression_holds_for_its_campaign_only(ledger: Ledger) -> None:
    run = start(ledger)
    (dead,) = send(run, 1, Status.REFUSED)
    assert held(ledger) == {dead}
    assert ledger.is_suppressed(dead)
    assert not other(ledger).is_suppressed(dead)
    assert enrol(other(ledger), people(dead, "ben@example.com")).suppressed == 0
    run.release_held()
    assert released(ledger) == {dead}
    assert other(ledger).is_suppressed(dead)
    assert enrol(other(ledger), people(dead, "ben@example.com")).suppressed == 1
    run.end(NOW)


def test_a_second_row_of_a_dead_address_is_not_sent(ledger: Ledger) -> None:
    from tests.ledger.book import row

    enrol(ledger, [row(1, "dead@example.com", key="1"), row(2, "dead@example.com", key="2")])
    run = start(ledger)
    first, second = (claim.recipient.key for claim in run.claim(NOW, 2))
    run.record((), (intent(first),))
    run.record((result(first, Status.REFUSED, address="dead@example.com", reply=DEAD, suppress=True),), ())
    assert run.record((), (intent(second),)) == set()
    run.end(NOW)


def test_a_trip_removes_only_the_suppressions_of_its_window(ledger: Ledger) -> None:
    run = start(ledger)
    true = send(run, 1, Status.REFUSED)
    send(run, WINDOW + 50)
    assert released(ledger) == set(true)  # it is in no window that can still be judged
    wrong = send(run, 40, Status.REFUSED)
    assert held(ledger) == set(wrong)
    run.trip(NOW, take_back=True)
    assert held(ledger) == set()
    assert released(ledger) == set(true)
    assert run.addresses_suppressed() == 1
    assert run.recent_verdicts(WINDOW) == []
    run.end(NOW)


def test_a_trip_for_another_reason_removes_no_suppression(ledger: Ledger) -> None:
    run = start(ledger)
    dead = send(run, 1, Status.REFUSED)
    run.trip(NOW, take_back=False)
    assert held(ledger) == set(dead)
    run.end(NOW)


def test_the_window_spans_all_runs_of_the_campaign(ledger: Ledger) -> None:
    for status in (Status.ACCEPTED, Status.REFUSED, Status.IN_DOUBT):
        run = start(ledger)
        send(run, 3, status)
        run.end(NOW)
    run = start(ledger)
    expected = [Verdict.ACCEPTED] * 3 + [Verdict.REFUSED] * 3 + [Verdict.IN_DOUBT] * 3
    assert run.recent_verdicts(WINDOW) == expected
    assert run.recent_verdicts(4) == expected[-4:]
    run.end(NOW)


def test_suppressions_outside_every_window_are_released_by_a_later_run_too(ledger: Ledger) -> None:
    enrol(other(ledger), people("anna@example.com", "ben@example.com"))
    run = start(ledger)
    (dead,) = send(run, 1, Status.REFUSED)
    send(run, WINDOW // 2)
    run.end(NOW)
    between = start(other(ledger))
    send(between, 2)
    between.end(NOW)
    run = start(ledger)
    send(run, WINDOW // 2 - 25)
    assert held(ledger) == {dead}
    send(run, 50)
    assert released(ledger) == {dead}
    run.end(NOW)


def test_each_campaign_has_its_own_window(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, 3)
    run.end(NOW)
    assert start(other(ledger)).recent_verdicts(WINDOW) == []


def test_rows_left_in_flight_by_a_dead_run_are_not_results(location: Location, ledger: Ledger) -> None:
    """That our process died says nothing about the server."""
    run = start(ledger)
    (claim,) = run.claim(NOW, 1)
    run.record((), (intent(claim.recipient.key),))
    database(ledger).change("UPDATE runs SET process = process || '1'")  # it is dead
    assert start(ledger).recent_verdicts(WINDOW) == []


def test_a_suppression_added_by_a_person_stays(ledger: Ledger) -> None:
    from campaign.ledger import Suppression

    run = start(ledger)
    dead = send(run, 2, Status.REFUSED)
    ledger.suppressions.add([Suppression(dead[0], "asked us", NOW)])
    run.trip(NOW, take_back=True)
    assert {entry.pattern: entry.reason for entry in ledger.suppressions} == {dead[0]: "asked us"}
    run.end(NOW)


def test_suppressions_can_be_removed_by_run_or_reason(ledger: Ledger) -> None:
    run = start(ledger)
    first = send(run, 2, Status.REFUSED)
    run.release_held()
    run.end(NOW)
    again = start(ledger)
    second = send(again, 1, Status.REFUSED)
    again.end(NOW)
    numbers = {entry.pattern: entry.run for entry in ledger.suppressions}
    assert len({numbers[key] for key in first}) == 1
    assert ledger.suppressions.remove_made_by(run=numbers[first[0]]) == 2
    assert {entry.pattern for entry in ledger.suppressions} == set(second)
    assert ledger.suppressions.remove_made_by(reason="no such USER") == 1
    assert len(ledger.suppressions) == 0
