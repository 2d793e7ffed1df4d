"""Bounces, complaints and unsubscribes: which row a token finds, what is recorded, who is suppressed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from campaign.campaignfile.location import Location
from campaign.ledger import Ledger
from campaign.ledger.protocols import Intent
from campaign.ledger.returns import DAY, EVENTS_OF_ONE, Fate, Kind, Mailed, Recorded, Rules, Said, by_address
from campaign.model import Status
from tests.ledger.book import NOW, database, enrol, message_id, outcome, people, result, start

ANNA, BOSS, AUDIT = "anna@example.com", "boss@example.com", "audit@example.com"
RULES = Rules()


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    ledger = Ledger.open(location, "spring")
    yield ledger
    ledger.close()


def token(campaign: str, address: str) -> str:
    return message_id(f"{campaign} {address}")[1:21]


def mail(
    ledger: Ledger, *addresses: str, campaign: str = "spring", copies: tuple[str, ...] = (), now: int = NOW
) -> Ledger:
    """Record that a campaign of this ledger was accepted for these people, each with these copies."""
    book = Ledger(ledger.storage, campaign, None)
    enrol(book, people(*addresses), now=now)
    run = start(book, now)
    run.claim(now, len(addresses))
    for address in addresses:
        one = Intent(
            address, now, (address, *copies), message_id(campaign + address), token(campaign, address)
        )
        assert run.record((), (one,)) == {address}
        run.record((result(address, now=now, copies=tuple(outcome(copy) for copy in copies)),), ())
    run.end(now)
    return book


def hear(
    book: Ledger,
    campaign: str,
    address: str,
    kind: Kind = Kind.BOUNCED,
    *names: str,
    source: str = "<report>",
    now: int = NOW,
    rules: Rules = RULES,
) -> list[Recorded]:
    returns = book.returns()
    mailed = returns.of_token(token(campaign, address))
    assert mailed is not None
    return returns.record(mailed, [Said(kind, names or (address,), "5.1.1 no such user")], source, now, rules)


def fates(recorded: list[Recorded]) -> list[Fate]:
    return [one.fate for one in recorded]


def listed(ledger: Ledger) -> dict[str, str]:
    """Return the reasons of the suppressions that hold for every campaign."""
    return {entry.pattern: entry.reason for entry in ledger.suppressions if not entry.held_for}


def held(ledger: Ledger) -> set[str]:
    return {entry.pattern for entry in ledger.suppressions if entry.held_for}


def crowd(count: int) -> list[str]:
    return [f"user{number}@example.com" for number in range(count)]


# Which address it is about


def test_a_token_finds_only_the_row_of_its_campaign(ledger: Ledger) -> None:
    spring, autumn = mail(ledger, ANNA), mail(ledger, ANNA, campaign="autumn")
    mailed = spring.returns().of_token(token("spring", ANNA))
    assert mailed == Mailed(spring.campaign_id, ANNA, ANNA, frozenset({ANNA}), alone=True)
    assert spring.returns().of_message_id(message_id("spring" + ANNA)) == mailed
    assert autumn.returns().of_token(token("spring", ANNA)) is None
    assert autumn.returns(of_every_campaign=True).of_token(token("spring", ANNA)) == mailed
    for wrong in ("", "0" * 20, token("spring", ANNA)[:-1], "%", message_id("spring" + ANNA)):
        assert spring.returns().of_token(wrong) is None
        assert Ledger(ledger.storage, "unknown", None).returns().of_token(wrong) is None


def test_a_report_about_a_row_that_was_never_accepted_suppresses_nobody(ledger: Ledger) -> None:
    enrol(ledger, people(ANNA))
    run = start(ledger)
    run.claim(NOW, 1)
    run.record((), (Intent(ANNA, NOW, (ANNA,), "<id@x>", token("spring", ANNA)),))
    run.record((result(ANNA, Status.REFUSED, reply="550 5.7.1 no"),), ())
    run.end(NOW)
    assert fates(hear(ledger, "spring", ANNA)) == [Fate.UNNAMED]
    assert listed(ledger) == {}


def test_a_dead_copy_address_is_suppressed_without_its_row(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, copies=(BOSS, AUDIT))
    assert hear(book, "spring", ANNA, Kind.BOUNCED, "Boss@Example.COM") == [
        Recorded(Kind.BOUNCED, BOSS, Fate.SUPPRESSED)
    ]
    assert hear(book, "spring", ANNA, Kind.BOUNCED, AUDIT)[0].address == AUDIT
    assert set(listed(ledger)) == {BOSS, AUDIT}


def test_for_a_message_with_copies_a_report_must_name_the_address(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, copies=(BOSS,))
    for names in ((), ("other@example.net",), ("",)):
        assert fates(hear(book, "spring", ANNA, Kind.COMPLAINED, *(names or ("x@y.example",)))) == [
            Fate.UNNAMED
        ]
    assert listed(ledger) == {}


def test_a_report_about_a_forwarded_message_without_copies_means_its_row(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    assert hear(book, "spring", ANNA, Kind.BOUNCED, "new@elsewhere.example")[0].address == ANNA
    assert set(listed(ledger)) == {ANNA}


def test_a_row_whose_copy_was_forgotten_still_counts_as_having_copies(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, copies=(BOSS,))
    ledger.forget(BOSS, NOW)
    assert fates(hear(book, "spring", ANNA, Kind.BOUNCED, BOSS)) == [Fate.UNNAMED]


def test_each_address_in_a_report_gets_its_own_statement() -> None:
    mailed = Mailed(1, ANNA, ANNA, frozenset({ANNA, BOSS}), alone=False)
    said = [
        Said(Kind.BOUNCED_FOR_NOW, (BOSS,), "5.2.2"),
        Said(Kind.BOUNCED, ("", ANNA.upper()), "5.1.1"),
        Said(Kind.BOUNCED, ("else@where.example",), "5.1.1"),
    ]
    assert list(by_address(mailed, said)) == [(BOSS, said[0]), (ANNA, said[1]), ("", said[2])]


def test_of_several_forwarded_addresses_the_mildest_statement_counts() -> None:
    mailed = Mailed(1, ANNA, ANNA, frozenset({ANNA}), alone=True)
    said = [Said(Kind.BOUNCED, ("a@x.example",), "5.1.1"), Said(Kind.BOUNCED_FOR_NOW, ("b@x.example",), "4")]
    assert list(by_address(mailed, said)) == [(ANNA, said[1])]
    named = Said(Kind.BOUNCED, (ANNA,), "5.1.1")
    assert list(by_address(mailed, [*said, named])) == [(ANNA, named)]


@pytest.mark.parametrize("name", ["a+b@köln.example", "A+2Bb@KÖLN.example", " <a+b@xn--kln-sna.example> "])
def test_an_address_in_any_spelling_is_recognised(name: str) -> None:
    own = "a+b@xn--kln-sna.example"
    mailed = Mailed(1, "k", own, frozenset({own, BOSS}), alone=False)
    [(address, _)] = by_address(mailed, [Said(Kind.BOUNCED, (name,), "")])
    assert address == own


# Once, and undone


def test_a_report_counts_once_however_often_it_is_read(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    assert fates(hear(book, "spring", ANNA)) == [Fate.SUPPRESSED]
    assert fates(hear(book, "spring", ANNA)) == [Fate.KNOWN]
    assert book.returns().counts()[Kind.BOUNCED] == 1


def test_an_address_that_a_person_removed_stays_off_the_list(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    hear(book, "spring", ANNA)
    ledger.suppressions.remove([ANNA])
    assert fates(hear(book, "spring", ANNA)) == [Fate.KNOWN]
    assert listed(ledger) == {}


def test_suppressions_state_their_reason_and_can_be_removed_by_it(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, BOSS)
    hear(book, "spring", ANNA)
    hear(book, "spring", BOSS, Kind.COMPLAINED)
    [bounced] = [entry for entry in ledger.suppressions if entry.pattern == ANNA]
    assert (bounced.reason, bounced.campaign, bounced.added_at) == (
        "bounced: 5.1.1 no such user",
        "spring",
        NOW,
    )
    assert ledger.suppressions.remove_made_by(reason="bounced:") == 1
    assert set(listed(ledger)) == {BOSS}


def test_a_complaint_replaces_the_reason_of_a_bounce(ledger: Ledger) -> None:
    """So that undoing suppressions for bounces does not mail people who complained."""
    book = mail(ledger, ANNA)
    hear(book, "spring", ANNA)
    hear(book, "spring", ANNA, Kind.COMPLAINED, source="<another>")
    assert listed(ledger)[ANNA].startswith("complained")


def test_events_are_limited_but_requests_are_always_obeyed(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    for number in range(EVENTS_OF_ONE + 5):
        fate = fates(hear(book, "spring", ANNA, Kind.BLOCKED, source=f"<{number}>"))
        assert fate == [Fate.NOTED if number < EVENTS_OF_ONE else Fate.TOO_OFTEN]
    for number in range(EVENTS_OF_ONE + 5):
        assert fates(hear(book, "spring", ANNA, Kind.UNSUBSCRIBED, source=f"<{number}>")) == [Fate.SUPPRESSED]
    assert database(ledger).row("SELECT count(*) FROM events WHERE source IS NOT NULL") == (
        2 * EVENTS_OF_ONE,
    )


def test_a_forgotten_person_is_not_recorded_again(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, BOSS, copies=(AUDIT,))
    hear(book, "spring", ANNA, Kind.BOUNCED, AUDIT)
    ledger.forget(AUDIT, NOW)
    assert not database(ledger).rows("SELECT 1 FROM events WHERE address = ?", (AUDIT,))
    returns = book.returns()
    mailed = Mailed(book.campaign_id, BOSS, BOSS, frozenset({BOSS, AUDIT}), alone=False)
    returns.record(mailed, [Said(Kind.COMPLAINED, (AUDIT,), "abuse")], "<late>", NOW, RULES)
    assert AUDIT not in {entry.pattern for entry in ledger.suppressions}


def test_waiting_rows_of_other_campaigns_are_suppressed_at_once(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    enrol(Ledger(ledger.storage, "autumn", None), people(ANNA))
    hear(book, "spring", ANNA)
    assert database(ledger).rows("SELECT status FROM messages ORDER BY id") == [
        ("accepted",),
        ("suppressed",),
    ]


def test_the_status_of_the_row_stays_accepted(ledger: Ledger) -> None:
    book = mail(ledger, ANNA)
    hear(book, "spring", ANNA)
    assert book.history.summary(NOW).counts[Status.ACCEPTED] == 1


# Too many


def test_dead_addresses_are_suppressed_below_five_percent_and_disputed_above(ledger: Ledger) -> None:
    everybody = crowd(100)
    book = mail(ledger, *everybody)
    for address in everybody[:4]:
        assert fates(hear(book, "spring", address)) == [Fate.SUPPRESSED]
    assert set(listed(ledger)) == set(everybody[:4])
    assert fates(hear(book, "spring", everybody[4])) == [Fate.HELD]
    assert listed(ledger) == {}
    assert held(ledger) == set(everybody[:5])
    assert book.returns().held() == 5
    # They hold for this campaign, and the end of a run does not release them.
    run = start(book)
    run.release_held()
    run.end(NOW)
    assert listed(ledger) == {}
    enrol(Ledger(ledger.storage, "autumn", None), people(*everybody[:5]))
    assert database(ledger).row("SELECT count(*) FROM messages WHERE status = 'pending'") == (5,)


def test_a_complaint_is_believed_although_too_many_are_dead(ledger: Ledger) -> None:
    everybody = crowd(20)
    book = mail(ledger, *everybody)
    hear(book, "spring", everybody[0], Kind.COMPLAINED)
    for address in everybody[1:4]:
        hear(book, "spring", address)
    assert set(listed(ledger)) == {everybody[0]}
    assert held(ledger) == set(everybody[1:4])


def test_one_or_two_dead_addresses_of_a_short_list_are_believed(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, BOSS, AUDIT)
    assert fates(hear(book, "spring", ANNA)) == [Fate.SUPPRESSED]
    assert fates(hear(book, "spring", BOSS)) == [Fate.SUPPRESSED]
    assert fates(hear(book, "spring", AUDIT)) == [Fate.HELD]


# Temporary bounces


def test_soft_bounces_are_counted_by_campaign(ledger: Ledger) -> None:
    for number in range(3):
        name = f"issue {number}"
        book = mail(ledger, ANNA, campaign=name, now=NOW + number * DAY)
        for again in range(3):
            [one] = hear(book, name, ANNA, Kind.BOUNCED_FOR_NOW, source=f"<{again}>", now=NOW + number * DAY)
            assert one.fate is (Fate.SUPPRESSED if number == 2 else Fate.NOTED)
    assert listed(ledger) == {ANNA: "bounced again and again: 5.1.1 no such user"}


def test_soft_bounces_count_by_the_time_their_message_was_sent(ledger: Ledger) -> None:
    times = (NOW, NOW + 20 * DAY, NOW + 40 * DAY)
    read = NOW + 41 * DAY
    for number, now in enumerate(times):
        book = mail(ledger, ANNA, campaign=f"issue {number}", now=now)
        assert fates(hear(book, f"issue {number}", ANNA, Kind.BOUNCED_FOR_NOW, now=read)) == [Fate.NOTED]
    assert listed(ledger) == {}


@pytest.mark.parametrize(("days", "fate"), [(13, Fate.SUPPRESSED), (14, Fate.NOTED)])
def test_a_message_that_arrived_forgives_earlier_bounces(ledger: Ledger, days: int, fate: Fate) -> None:
    for number in range(2):
        book = mail(ledger, ANNA, campaign=f"issue {number}", now=NOW + number)
        hear(book, f"issue {number}", ANNA, Kind.BOUNCED_FOR_NOW, now=NOW)
    mail(ledger, ANNA, campaign="arrived", now=NOW + DAY)
    last = NOW + DAY + days * DAY
    book = mail(ledger, ANNA, campaign="last", now=last)
    assert fates(hear(book, "last", ANNA, Kind.BOUNCED_FOR_NOW, now=last)) == [fate]


def test_soft_bounces_of_copies_count_too(ledger: Ledger) -> None:
    for number in range(3):
        name = f"issue {number}"
        book = mail(ledger, ANNA, campaign=name, copies=(BOSS,), now=NOW + number)
        hear(book, name, ANNA, Kind.BOUNCED_FOR_NOW, BOSS, now=NOW + number)
    assert set(listed(ledger)) == {BOSS}


def test_blocked_mail_suppresses_nobody(ledger: Ledger) -> None:
    for number in range(5):
        name = f"issue {number}"
        book = mail(ledger, ANNA, campaign=name, now=NOW + number)
        assert fates(hear(book, name, ANNA, Kind.BLOCKED, now=NOW + number)) == [Fate.NOTED]
    assert listed(ledger) == {}


def test_complaints_suppress_even_if_dead_addresses_do_not(ledger: Ledger) -> None:
    off = Rules(soft=1, dead=False)
    book = mail(ledger, ANNA, BOSS)
    assert fates(hear(book, "spring", ANNA, rules=off)) == [Fate.NOTED]
    assert fates(hear(book, "spring", ANNA, Kind.BOUNCED_FOR_NOW, rules=off)) == [Fate.NOTED]
    assert fates(hear(book, "spring", BOSS, Kind.UNSUBSCRIBED, rules=off)) == [Fate.SUPPRESSED]


# Reports


def test_returns_are_counted_by_domain_and_code(ledger: Ledger) -> None:
    book = mail(ledger, ANNA, BOSS, "cleo@example.net")
    hear(book, "spring", ANNA)
    hear(book, "spring", BOSS)
    hear(book, "spring", "cleo@example.net", Kind.BLOCKED)
    returns = book.returns()
    assert returns.codes(10) == [
        ("example.com", Kind.BOUNCED, "5.1.1", 2),
        ("example.net", Kind.BLOCKED, "5.1.1", 1),
    ]
    assert returns.counts()[Kind.BOUNCED] == 2
    assert returns.last_words()[ANNA] == "bounced: 5.1.1 no such user"


def test_shares_are_those_of_this_campaign_and_the_one_before(ledger: Ledger) -> None:
    mail(ledger, ANNA, campaign="oldest", now=NOW)
    before = mail(ledger, *crowd(9), campaign="before", now=NOW + DAY)
    hear(before, "before", crowd(1)[0])
    hear(before, "before", crowd(2)[1], Kind.COMPLAINED)
    [share] = Ledger(ledger.storage, "new", None).returns().shares()
    assert (share.campaign, share.accepted, share.complained, share.bounced) == ("before", 9, 1, 1)
    new = mail(ledger, ANNA, campaign="new", now=NOW + 2 * DAY)
    assert [share.campaign for share in new.returns().shares()] == ["new", "before"]
