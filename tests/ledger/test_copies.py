"""Copies: each cc and bcc address has its own status, due time and attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from campaign.campaignfile.location import Location
from campaign.errors import LeaseLost, UserError
from campaign.ledger import Ledger, Suppression
from campaign.ledger.protocols import Choices, Run, copy_key
from campaign.model import SECOND, Status
from tests.ledger.book import NOW, database, enrol, intent, outcome, people, result, row, start

ANNA, BOSS, AUDIT = "anna@example.com", "Boss@example.com", "audit@example.com"
BUSY = "450 4.2.1 busy"


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    ledger = Ledger.open(location, "spring")
    enrol(ledger, people(ANNA))
    yield ledger
    ledger.close()


def send(run: Run, own: Status, **copies: Status) -> None:
    """Send Anna's message with copies to BOSS and AUDIT."""
    run.claim(NOW, 1)
    assert run.record((), (intent(ANNA, copies=(BOSS, AUDIT)),)) == {ANNA}
    said = (
        outcome(BOSS, copies["boss"], BUSY, due_at=NOW + 60 * SECOND),
        outcome(AUDIT, copies["audit"], "250 Ok"),
    )
    run.record((result(ANNA, own, copies=said),), ())


def standing(ledger: Ledger) -> dict[str, str]:
    rows = database(ledger).rows("SELECT address, status FROM copies")
    return {str(address): str(status) for address, status in rows}


def test_a_deferred_copy_is_sent_again_without_its_row(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    assert standing(ledger) == {BOSS: "deferred", AUDIT: "accepted"}
    assert run.claim(NOW, 10) == []
    assert run.next_due(NOW) == NOW + 60 * SECOND
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    assert (claim.recipient.key, claim.copy, claim.attempts) == (ANNA, BOSS, 1)
    assert run.next_due(NOW) is None
    assert run.record((), (intent(claim.key),)) == {claim.key}
    assert standing(ledger)[BOSS] == "in_flight"
    run.record((result(claim.key, Status.ACCEPTED, address=BOSS),), ())
    assert standing(ledger) == {BOSS: "accepted", AUDIT: "accepted"}
    assert ledger.history.summary(NOW).waiting == 0
    run.end(NOW)


def test_a_result_for_a_copy_does_not_change_its_row(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    of_the_row = "SELECT status, reply, attempts, due_at, settled_at FROM messages"
    before = database(ledger).rows(of_the_row)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    run.record((), (intent(claim.key),))
    run.record((result(claim.key, address=BOSS, reply="250 at last", now=NOW + 61 * SECOND),), ())
    assert database(ledger).rows(of_the_row) == before
    assert database(ledger).rows("SELECT address, text FROM events ORDER BY id DESC LIMIT 1") == [
        (BOSS, "250 at last")
    ]


def test_a_copy_that_was_unclaimed_can_be_claimed_again(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    assert run.claim(NOW + 60 * SECOND, 10) == []
    run.unclaim([claim.key])
    assert run.claim(NOW + 60 * SECOND, 10) == [claim]


def test_a_claimed_copy_is_due_until_its_address_is_suppressed(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    assert run.is_due(claim.key)
    assert not run.is_due(copy_key(ANNA, AUDIT))
    run.unclaim([claim.key])
    ledger.suppressions.add([Suppression(BOSS.casefold(), "asked", NOW)])
    assert run.claim(NOW + 60 * SECOND, 10) == []
    assert not run.is_due(claim.key)


def test_the_status_of_a_row_is_that_of_its_own_address(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.REFUSED, audit=Status.ACCEPTED)
    run.end(NOW)
    summary = ledger.history.summary(NOW)
    assert summary.counts[Status.ACCEPTED] == 1
    assert summary.counts[Status.REFUSED] == 0
    assert summary.copies[Status.REFUSED] == summary.refused == 1
    (copy,) = ledger.history.copies(NOW, [Status.REFUSED])
    assert (copy.email, copy.address, copy.reply) == (ANNA, BOSS, BUSY)


def test_copies_of_a_row_that_is_not_accepted_wait_for_it(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.DEFERRED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    claims = run.claim(NOW + 99 * SECOND, 10)
    assert [(claim.key, claim.settled) for claim in claims] == [(ANNA, frozenset({AUDIT}))]
    run.end(NOW)


def test_an_address_without_a_reply_is_not_lost(ledger: Ledger) -> None:
    """The session ended between two replies: nobody got the message."""
    run = start(ledger)
    run.claim(NOW, 1)
    run.record((), (intent(ANNA, copies=(BOSS,)),))
    run.record(
        (result(ANNA, Status.PENDING, reply="RCPT TO: lost", copies=(outcome(BOSS, Status.PENDING),)),), ()
    )
    assert standing(ledger) == {BOSS: "pending"}
    (claim,) = run.claim(NOW, 10)
    assert (claim.key, claim.settled) == (ANNA, frozenset())
    run.end(NOW)


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.PENDING])
def test_a_row_and_its_copies_are_in_doubt_together(ledger: Ledger, status: Status) -> None:
    run = start(ledger)
    send(run, Status.IN_DOUBT, boss=Status.IN_DOUBT, audit=Status.IN_DOUBT)
    run.end(NOW)
    assert ledger.settle_doubt(status, [ANNA], "by hand", NOW) == 1
    assert set(standing(ledger).values()) == {status}
    if status is Status.PENDING:
        run = start(ledger)
        (claim,) = run.claim(NOW, 10)
        assert (claim.copy, claim.settled) == ("", frozenset())
        run.end(NOW)


def test_a_copy_in_doubt_is_listed_and_can_be_settled(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    run.record((), (intent(claim.key),))
    run.record((result(claim.key, Status.IN_DOUBT, address=BOSS),), ())
    run.end(NOW)
    assert ledger.history.summary(NOW).in_doubt == 1
    assert [copy.address for copy in ledger.history.copies(NOW, [Status.IN_DOUBT])] == [BOSS]
    assert ledger.settle_doubt(Status.PENDING, [copy_key(ANNA, BOSS)], "by hand", NOW) == 1
    assert standing(ledger)[BOSS] == "pending"
    assert ledger.settle_doubt(Status.PENDING, [copy_key(ANNA, BOSS)], "by hand", NOW) == 0


def test_copies_that_a_dead_run_left_in_flight_are_in_doubt(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    run.record((), (intent(claim.key),))
    database(ledger).change("UPDATE runs SET process = process || '1'")  # it is dead
    assert ledger.history.summary(NOW).in_doubt == 1  # before any process has recorded that
    start(ledger).end(NOW)
    assert standing(ledger) == {BOSS: "in_doubt", AUDIT: "accepted"}


def test_a_copy_claimed_by_a_dead_run_is_claimed_by_the_next_one(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    held = run.claim(NOW + 60 * SECOND, 10)
    database(ledger).change("UPDATE runs SET process = process || '1'")  # it is dead
    again = start(ledger)
    assert again.claim(NOW + 60 * SECOND, 10) == held
    again.end(NOW)


def test_a_copy_in_doubt_cannot_become_pending_while_its_sender_still_exists(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    run.record((), (intent(claim.key),))
    [(host,)] = database(ledger).rows("SELECT host FROM runs")
    database(ledger).change("UPDATE runs SET host = 'elsewhere', heartbeat = 0")
    start(ledger).end(NOW)  # which ends the dead run
    database(ledger).change("UPDATE runs SET host = ? WHERE id = 1", (host,))
    with pytest.raises(UserError, match=f"^{BOSS}: process .* may still send it"):
        ledger.settle_doubt(Status.PENDING, [copy_key(ANNA, BOSS)], "by hand", NOW)
    assert standing(ledger)[BOSS] == "in_doubt"
    assert ledger.settle_doubt(Status.ACCEPTED, [copy_key(ANNA, BOSS)], "by hand", NOW) == 1


def test_a_run_that_lost_its_lease_sends_no_copy(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    database(ledger).change("UPDATE runs SET ended_at = heartbeat")
    with pytest.raises(LeaseLost):
        run.record((), (intent(claim.key),))
    assert standing(ledger)[BOSS] == "deferred"


def test_a_suppressed_address_gets_no_copy(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    ledger.suppressions.add([Suppression("boss@example.com", "asked", NOW)])
    assert not run.is_due(claim.key)
    assert run.record((), (intent(claim.key),)) == set()
    assert standing(ledger)[BOSS] == "suppressed"
    run.end(NOW)


def test_a_dead_copy_address_suppresses_only_itself(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    (claim,) = run.claim(NOW + 60 * SECOND, 10)
    run.record((), (intent(claim.key),))
    dead = result(claim.key, Status.REFUSED, address=BOSS, reply="550 5.1.1 no", suppress=True)
    run.record((dead,), ())
    run.end(NOW)
    assert [entry.pattern for entry in ledger.suppressions] == ["boss@example.com"]


@pytest.mark.parametrize(
    ("status", "choices"),
    [
        (Status.REFUSED, Choices(retry_refused=True)),
        (Status.IN_DOUBT, Choices(resend_doubt=True)),
    ],
)
def test_choices_for_rows_apply_to_copies_too(ledger: Ledger, status: Status, choices: Choices) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=status, audit=Status.ACCEPTED)
    run.end(NOW)
    assert enrol(ledger, people(ANNA)).copies == 0
    plan = enrol(ledger, people(ANNA), choices)
    assert (plan.to_send, plan.copies) == (0, 1)
    run = start(ledger)
    assert [claim.copy for claim in run.claim(NOW, 10)] == [BOSS]
    run.end(NOW)


@pytest.mark.parametrize(
    ("status", "choices", "address"),
    [
        (Status.REFUSED, Choices(retry_refused=True), ANNA),
        (Status.REFUSED, Choices(), "anna.lee@example.com"),  # the address was corrected
        (Status.IN_DOUBT, Choices(resend_doubt=True), ANNA),
    ],
)
def test_copies_are_sent_again_with_their_row(
    ledger: Ledger, status: Status, choices: Choices, address: str
) -> None:
    """There is one reply for the whole envelope: what the server said about the row holds for its copies."""
    run = start(ledger)
    send(run, status, boss=status, audit=status)
    run.end(NOW)
    again = replace(row(1, ANNA), email=address)
    assert enrol(ledger, [again], choices).to_send == 1
    run = start(ledger)
    (claim,) = run.claim(NOW, 10)
    assert (claim.copy, claim.settled) == ("", frozenset())
    run.end(NOW)


def test_a_refused_copy_stays_refused_while_its_row_waits(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.DEFERRED, boss=Status.REFUSED, audit=Status.PENDING)
    run.end(NOW)
    enrol(ledger, people(ANNA))
    assert standing(ledger)[BOSS] == "refused"


def test_copies_leave_the_list_with_their_row(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    run.end(NOW)
    assert enrol(ledger, people("ben@example.com")).copies == 0
    assert standing(ledger)[BOSS] == "withdrawn"
    assert enrol(ledger, people(ANNA)).copies == 1
    assert standing(ledger)[BOSS] == "pending"


def test_a_forgotten_person_is_also_erased_as_a_copy(ledger: Ledger) -> None:
    run = start(ledger)
    send(run, Status.ACCEPTED, boss=Status.DEFERRED, audit=Status.ACCEPTED)
    run.end(NOW)
    ledger.forget("boss@example.com", NOW)
    assert standing(ledger) == {AUDIT: "accepted"}
    ledger.forget(ANNA, NOW)
    assert BOSS not in standing(ledger)
