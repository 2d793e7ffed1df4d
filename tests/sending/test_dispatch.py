"""What the connections of a run share: what a row's answer means beside those before it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.models import RetryPolicy
from campaign.ledger import Ledger, Scope
from campaign.model import (
    SECOND,
    Answer,
    EnhancedCode,
    Envelope,
    Fate,
    Message,
    Reply,
    Settled,
    Stage,
    Status,
    Window,
)
from campaign.sending.breaker import Breaker
from campaign.sending.dispatch import Dispatch
from campaign.sending.retry import decide
from campaign.verdict import Verdict


@pytest.fixture
def dispatch() -> Iterator[Dispatch]:
    ledger = Ledger.temporary("test")
    yield Dispatch(ledger.start(Scope("localhost", ""), 0), (), RetryPolicy(), Breaker(None))
    ledger.close()


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
        attempts=4,
        policy=RetryPolicy(attempts=5),
        now=0,
        started_at=None,
        random=Random(0),
    )
    assert (result.status, result.charged) == (Status.DEFERRED, False)


def test_what_is_about_the_mailbox_is_never_our_rate(dispatch: Dispatch) -> None:
    assert {dispatch.judge(answer(452, (4, 2, 2))) for _ in range(9)} == {Verdict.DEFERRED}


MS = SECOND // 1000


def starts(
    windows: Sequence[Window], lanes: int, count: int, commits: Sequence[int], addresses: Sequence[int] = (1,)
) -> list[int]:
    """Start `count` contents over so many lanes; return the start of each of their addresses.

    `commits` are the ns that commits take, in turn, and `addresses` the sizes of envelopes.
    """
    ledger = Ledger.temporary("test")
    dispatch = Dispatch(ledger.start(Scope("localhost", ""), 0), tuple(windows), RetryPolicy(), Breaker(None))
    ledger.close()
    made, asked = list[int](), count
    turns = [(0, lane, 0) for lane in range(lanes)]  # when, who, and the addresses of an intent that holds
    while turns:
        now, lane, size = heapq.heappop(turns)
        if size:
            if delay := dispatch.start(now, size):
                heapq.heappush(turns, (now + delay, lane, size))
                continue
            made += [now] * size
        if asked:
            size = addresses[asked % len(addresses)]
            granted, delay = dispatch.may_intend(now, size, f"{lane}")
            if granted:
                asked -= 1
                took = commits[asked % len(commits)]
                dispatch.committed(took)
                heapq.heappush(turns, (now + took, lane, size))
            else:
                heapq.heappush(turns, (now + delay, lane, 0))
    return made


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_a_disk_takes_is_not_taken_from_the_pace(lanes: int) -> None:
    made = starts([Window(100, SECOND)], lanes, 300, [8 * MS, 3 * MS])
    assert made == [made[0] + n * 10 * MS for n in range(len(made))]
    assert len(made) == 300


def test_envelopes_of_several_addresses_use_a_narrow_window_up() -> None:
    made = starts([Window(10, SECOND)], lanes=8, count=60, commits=[3 * MS], addresses=[3])
    assert len(made) == 180
    assert made[-1] - made[0] <= 21 * SECOND  # three envelopes a second


@given(
    windows=st.lists(
        st.builds(Window, st.integers(3, 200), st.sampled_from([SECOND, 60 * SECOND])), min_size=1, max_size=3
    ),
    lanes=st.integers(1, 4),
    commits=st.lists(st.integers(0, 200 * MS), min_size=1, max_size=5),
    addresses=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_no_window_holds_more_however_long_the_disk_takes(
    windows: list[Window], lanes: int, commits: list[int], addresses: list[int]
) -> None:
    made = starts(windows, lanes, 60, commits, addresses)
    assert len(made) == sum(addresses[place % len(addresses)] for place in range(1, 61))
    for window in windows:
        pairs = zip(made, made[window.count :], strict=False)
        assert all(later - earlier >= window.period for earlier, later in pairs), (window, made)
