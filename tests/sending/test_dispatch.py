"""What the connections of a run share: what a reply means depends on the replies before it."""

from __future__ import annotations

from random import Random

import pytest

from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Answer, EnhancedCode, Envelope, Fate, Message, Reply, Settled, Stage, Verdict
from campaign.ledger.protocols import Claim
from campaign.model import SECOND, Status
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Dispatch, Ending, Later, Stop
from campaign.sending.pace.gate import Gate
from campaign.sending.pace.pacing import LocalPace
from campaign.sending.retry import Standing, decide
from tests.sending.rows import Rows


@pytest.fixture
def dispatch() -> Dispatch:
    return Dispatch(Rows(), Gate(LocalPace(())), RetryPolicy(), Breaker(None, None))


def answer(code: int, enhanced: tuple[int, int, int] | None, stage: Stage = Stage.RCPT) -> Answer:
    reply = Reply(code, ("words",), EnhancedCode(*enhanced) if enhanced else None)
    return Answer("u@example.test", Fate.ANSWERED, stage, reply)


GREYLISTED = answer(450, (4, 7, 1))


def test_a_single_policy_deferral_counts_as_greylisting(dispatch: Dispatch) -> None:
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED
    assert dispatch.judge(answer(250, None, Stage.BODY)) is Verdict.ACCEPTED
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED
    assert dispatch.judge(GREYLISTED) is Verdict.DEFERRED


def test_policy_deferrals_in_a_row_count_as_throttling(dispatch: Dispatch) -> None:
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


def test_deferrals_of_messages_in_flight_do_not_throttle_again() -> None:
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


def test_mailbox_errors_never_count_as_throttling(dispatch: Dispatch) -> None:
    assert {dispatch.judge(answer(452, (4, 2, 2))) for _ in range(9)} == {Verdict.DEFERRED}


def test_a_full_mailbox_does_not_count_among_policy_deferrals(dispatch: Dispatch) -> None:
    full = answer(452, (4, 2, 2))
    verdicts = [dispatch.judge(one) for one in (GREYLISTED, GREYLISTED, full, GREYLISTED, GREYLISTED)]
    assert set(verdicts) == {Verdict.DEFERRED}


THROTTLED, ACCEPTED = answer(452, (4, 3, 1), Stage.BODY), answer(250, None, Stage.BODY)


def test_an_acceptance_halves_the_steps_of_the_wait() -> None:
    gate = Gate(LocalPace(()))
    dispatch = Dispatch(Rows(), gate, RetryPolicy(), Breaker(None, None))
    for _ in range(4):
        dispatch.note(THROTTLED, Verdict.THROTTLED, 0, 0)
    assert gate.held(0) == 8 * SECOND
    dispatch.note(ACCEPTED, Verdict.ACCEPTED, 60 * SECOND, 0)
    dispatch.note(THROTTLED, Verdict.THROTTLED, 60 * SECOND, 0)
    assert gate.held(60 * SECOND) == 4 * SECOND


def test_after_throttling_retries_come_first() -> None:
    rows = Rows("new@example.com", "again@example.com")
    rows.spared["again@example.com"] = 1
    dispatch = Dispatch(rows, Gate(LocalPace(())), RetryPolicy(), Breaker(None, None))
    dispatch.note(THROTTLED, Verdict.THROTTLED, 0, 0)
    claim = dispatch.next(60 * SECOND, 0)
    assert isinstance(claim, Claim)
    assert claim.key == "again@example.com"


def test_rows_handed_out_count_towards_the_limit() -> None:
    rows = Rows("a@example.com", "b@example.com")
    dispatch = Dispatch(rows, Gate(LocalPace(())), RetryPolicy(), Breaker(None, None), limit=1)
    assert isinstance(dispatch.next(0, 0), Claim)
    assert isinstance(dispatch.next(0, 0), Later)
    dispatch.note(ACCEPTED, Verdict.ACCEPTED, 0, 0)
    assert dispatch.next(0, 0) is None
    assert dispatch.outcome().ending is Ending.LIMIT


@pytest.mark.parametrize(
    ("code", "verdict", "take_back"),
    [((5, 1, 1), Verdict.REFUSED, True), ((5, 4, 5), Verdict.QUOTA, False)],
    ids=["refusals", "quota"],
)
def test_only_a_trip_by_refusals_removes_suppressions(
    code: tuple[int, int, int], verdict: Verdict, take_back: bool
) -> None:
    rows = Rows()
    breaker = Breaker(0.2, None, [Verdict.REFUSED] * 49)
    dispatch = Dispatch(rows, Gate(LocalPace(())), RetryPolicy(), breaker)
    dispatch.note(answer(550, code), verdict, 0, 0)
    assert rows.trips == [take_back]
    assert dispatch.outcome().ending is Ending.PAUSED


@pytest.mark.parametrize(
    ("stopped", "ending"),
    [(None, Ending.PAUSED), (Ending.LIMIT, Ending.PAUSED), (Ending.INTERRUPTED, Ending.INTERRUPTED)],
)
def test_rows_that_were_put_aside_leave_the_run_unfinished(
    dispatch: Dispatch, stopped: Ending | None, ending: Ending
) -> None:
    dispatch.put_aside("there is no file 'a.pdf'")
    if stopped is not None:
        dispatch.stop(Stop(stopped))
    assert dispatch.outcome().ending is ending
