"""When the circuit breaker stops a run."""

from __future__ import annotations

import pytest

from campaign.delivery import Answer, Stage, Verdict
from campaign.sending.breaker import Breaker
from campaign.verdict import judge
from tests.sending.answers import answered, unknown, unsent

ACCEPTED = answered(Stage.BODY, "250 Ok")
REFUSED = answered(Stage.RCPT, "550 5.1.1 no such user")
POLICY = answered(Stage.RCPT, "550 5.7.1 policy")
SENDER = answered(Stage.MAIL, "550 5.7.1 not you")
GENERIC = answered(Stage.BODY, "554 5.2.0 submission quota exceeded")
INDIFFERENT = (
    unsent(),
    answered(Stage.BODY, "421 bye"),
    answered(Stage.MAIL, "450 4.7.1 too much mail"),
    answered(Stage.RCPT, "450 4.1.1 unverified address"),
)


def note(breaker: Breaker, answer: Answer) -> str | None:
    trip = breaker.note(judge(answer), answer)
    return trip.why if trip is not None else None


def note_all(breaker: Breaker, *answers: Answer) -> list[str | None]:
    return [note(breaker, answer) for answer in answers]


def test_a_quota_pauses_the_run_at_once() -> None:
    reason = note(Breaker(None, None), answered(Stage.MAIL, "550 5.4.5 daily quota"))
    assert reason is not None
    assert "550 5.4.5 daily quota" in reason


@pytest.mark.parametrize("answer", [SENDER, POLICY, GENERIC], ids=["sender", "policy", "5.2.0"])
def test_three_policy_refusals_in_a_row_pause_the_run(answer: Answer) -> None:
    assert note_all(Breaker(None, None), answer, answer, ACCEPTED, answer, answer) == [None] * 5
    if answer is not SENDER:  # refusals of recipients say nothing in favour of the sender
        assert note_all(Breaker(None, None), answer, answer, REFUSED, answer, answer) == [None] * 5
    *quiet, reason = note_all(Breaker(None, None), answer, answer, *INDIFFERENT, answer)
    assert set(quiet) == {None}
    assert reason is not None
    assert answer.reply is not None
    assert answer.reply.text in reason


def test_too_many_refusals_pause_the_run_from_the_fiftieth_result() -> None:
    breaker = Breaker(0.2, None)
    assert note_all(breaker, *[REFUSED] * 49) == [None] * 49
    reason = note(breaker, ACCEPTED)
    assert reason is not None
    assert reason.startswith("49 of the last 50 were refused")


def test_the_share_is_computed_over_the_last_two_hundred_results() -> None:
    breaker = Breaker(0.2, None)
    assert set(note_all(breaker, *[ACCEPTED] * 1000, *[REFUSED] * 40)) == {None}
    assert note(breaker, REFUSED) is not None
    # What was refused two hundred results ago no longer counts.
    breaker = Breaker(0.2, None)
    earlier = [ACCEPTED] * 160 + [REFUSED] * 40
    assert set(note_all(breaker, *earlier, *earlier)) == {None}


def test_a_deferred_row_counts_as_one_refusal() -> None:
    put_off = answered(Stage.RCPT, "450 4.1.1 unverified address")
    breaker = Breaker(0.2, None)
    note_all(breaker, *[put_off] * 200, *[ACCEPTED] * 9, *[REFUSED] * 3)
    assert not breaker.sound()
    assert note_all(breaker, *[*[put_off] * 8, REFUSED] * 38)[-1] is not None


def test_the_refused_share_may_be_reached_but_not_exceeded_and_can_be_off() -> None:
    assert set(note_all(Breaker(0.5, None), *[ACCEPTED, REFUSED] * 100)) == {None}
    assert set(note_all(Breaker(None, None), *[REFUSED] * 300)) == {None}
    assert set(note_all(Breaker(0.0, None), *[ACCEPTED, *INDIFFERENT] * 100)) == {None}


def test_the_in_doubt_share_may_be_reached_but_not_exceeded() -> None:
    breaker = Breaker(None, 0.05)
    assert set(note_all(breaker, *[unknown(), *[ACCEPTED] * 19] * 10)) == {None}
    assert note(breaker, unknown()) is None  # the first of the ten has left the window
    reason = note(breaker, unknown())
    assert reason is not None
    assert "of the last 200 are in doubt" in reason


def test_messages_left_in_doubt_by_one_server_restart_do_not_stop_the_run() -> None:
    breaker = Breaker(None, 0.05, unanswered=32)
    assert set(note_all(breaker, *[ACCEPTED] * 168, *[unknown()] * 32)) == {None}
    reason = note(breaker, unknown())
    assert reason is not None
    assert reason.startswith("33 in a row are in doubt")


def test_two_refusals_in_a_small_campaign_do_not_stop_the_run() -> None:
    breaker = Breaker(0.2, None)
    note_all(breaker, REFUSED, ACCEPTED, REFUSED)
    assert breaker.sound()
    note(breaker, REFUSED)
    assert not breaker.sound()


def test_deferrals_in_earlier_runs_are_not_results() -> None:
    recent = [*[Verdict.REFUSED] * 3, *[Verdict.DEFERRED] * 197]
    assert not Breaker(0.2, None, recent).sound()
