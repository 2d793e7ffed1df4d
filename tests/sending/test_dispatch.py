"""What the connections of a run share: what a row's answer means beside those before it."""

from __future__ import annotations

from random import Random

import pytest

from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Answer, EnhancedCode, Envelope, Fate, Message, Reply, Settled, Stage, Verdict
from campaign.model import SECOND, Status
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Dispatch
from campaign.sending.gate import Gate
from campaign.sending.pacing import LocalPace
from campaign.sending.retry import Standing, decide
from tests.sending.rows import Rows


@pytest.fixture
def dispatch() -> Dispatch:
    return Dispatch(Rows(), Gate(LocalPace(())), RetryPolicy(), Breaker(None, None))


def answer(code: int, enhanced: tuple[int, int, int] | None, stage: Stage = Stage.RCPT) -> Answer:
    reply = Reply(code, ("words",), EnhancedCode(*enhanced) if enhanced else None)
    return Answer("u@example.test", Fate.ANSWERED, stage, reply)


GREYLISTED = answer(450, (4, 7, 1))


def test_one_recipient_put_off_by_a_policy_is_greylisted(dispatch: Dispatch) -> None:
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED
    assert dispatch.judge(answer(250, None, Stage.BODY)) is Verdict.ACCEPTED
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED


def test_recipient_after_recipient_put_off_is_our_rate(dispatch: Dispatch) -> None:
    verdicts = [dispatch.judge(GREYLISTED) for _ in range(4)]
    assert verdicts == [Verdict.DEFERRED, Verdict.DEFERRED, Verdict.THROTTLED, Verdict.THROTTLED]
    message = Message("k", 1, Envelope("a@example.com", ("u@example.test",)), "<1@example.com>", (b"\r\n",))
    result = decide(
        Settled(message, (GREYLISTED,)),
        verdicts[-1],
        Standing(4),
        policy=RetryPolicy(attempts=5),
        now=0,
        random=Random(0),
    )
    assert (result.status, result.outcomes[0].charged, result.spared) == (Status.DEFERRED, False, True)


def test_what_was_on_its_way_when_the_server_slowed_us_down_is_no_further_reason() -> None:
    gate = Gate(LocalPace(()))
    dispatch = Dispatch(Rows(), gate, RetryPolicy(), Breaker(None, None))
    full, now = answer(452, (4, 3, 1), Stage.BODY), 10 * SECOND
    for place in range(8):
        dispatch.note(full, Verdict.THROTTLED, now + place, now, started_at=now - SECOND)
    assert gate.held(now) == SECOND
    dispatch.note(full, Verdict.THROTTLED, now + SECOND, now, started_at=now + SECOND - 1)
    assert gate.held(now + SECOND) == 2 * SECOND
    dispatch.note(full, Verdict.THROTTLED, now + 2 * SECOND, now)  # before its content could start
    assert gate.held(now + 2 * SECOND) == 4 * SECOND


def test_what_is_about_the_mailbox_is_never_our_rate(dispatch: Dispatch) -> None:
    assert {dispatch.judge(answer(452, (4, 2, 2))) for _ in range(9)} == {Verdict.DEFERRED}
