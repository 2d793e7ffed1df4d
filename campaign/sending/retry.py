"""Verdict → Result: a row's status, whether it is charged, and when it is tried again. Pure.

Time and chance are arguments. Two things are retried, in two places: opening a session, by tenacity
(`opening_retry`), where nothing has been promised; and a message after a definite 4xx, through the
ledger's `due_at`, for which `decide` computes the wait with tenacity's strategies. Nothing retries a
message whose last byte has left without an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.wait import wait_exponential_jitter

from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Answer, Outcome, Result, Settled, Stage, Verdict
from campaign.errors import ConnectFailed
from campaign.model import SECOND, Status
from campaign.verdict import judge, suppresses, words

_AFTER_MAIL = (Stage.RCPT, Stage.DATA, Stage.BODY)
_SPARED = 2  # times that throttling, or the end of a session, is not charged to a row


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a row stood before an attempt, and what the run has seen meanwhile.

    `attempts` were charged and `spared` were not. `others_accepted`: the server has taken messages
    lately, so that what happens to this one is about it.
    """

    attempts: int
    spared: int = 0
    others_accepted: bool = False


def decide(
    settled: Settled, verdict: Verdict, standing: Standing, *, policy: RetryPolicy, now: int, random: Random
) -> Result:
    """Return what the ledger records for the row of `settled`; its own address's answer decides.

    `verdict` is that answer's, as the run sees it; `now` is UTC nanoseconds.

    Charged like one that is deferred: a row that is throttled again and again while others are
    accepted, and one that ends one session after another. Where the return path is refused the row stays
    as it was; but if other rows are accepted, the fault is this row's own return path, and it is deferred
    and charged.
    """
    own = settled.answers[0]
    blamed = verdict
    spared = verdict in (Verdict.THROTTLED, Verdict.SESSION)
    # Before RCPT nothing was said of this row: what is throttled there is our rate.
    about_it = verdict is Verdict.SESSION or (standing.others_accepted and own.stage in _AFTER_MAIL)
    if spared and standing.spared >= _SPARED and about_it:
        blamed, spared = Verdict.DEFERRED, False
    elif verdict is Verdict.SENDER and standing.others_accepted:
        blamed = Verdict.DEFERRED
    first = _outcome(own, blamed, standing.attempts, policy, now, random)
    copies = [_outcome(a, judge(a), standing.attempts, policy, now, random) for a in settled.answers[1:]]
    return Result(
        key=settled.message.key,
        verdict=verdict,
        outcomes=(first, *copies),
        settled_at=now,
        spared=spared,
        suppress=suppresses(own) and _names_one(settled),
    )


def _outcome(
    answer: Answer, verdict: Verdict, attempts: int, policy: RetryPolicy, now: int, random: Random
) -> Outcome:
    status, reply, due_at = _STATUS.get(verdict, Status.PENDING), words(answer), now
    charged = verdict in (Verdict.ACCEPTED, Verdict.REFUSED, Verdict.POLICY, Verdict.DEFERRED)
    if verdict is Verdict.DEFERRED:
        if attempts + 1 >= policy.attempts:
            status, reply = Status.REFUSED, f"gave up after {attempts + 1} attempts: {reply}"
        else:
            due_at = now + backoff(attempts + 1, policy, random)
    elif verdict is Verdict.THROTTLED:
        due_at = now + backoff(1, policy, random)
    return Outcome(answer.address, status, reply, charged, due_at)


def _names_one(settled: Settled) -> bool:
    """Whether the row's own answer can be about its own address only: one dot answers for all accepted."""
    others = (answer.stage for answer in settled.answers[1:])
    return settled.answers[0].stage is Stage.RCPT or Stage.BODY not in others


_STATUS = {
    Verdict.ACCEPTED: Status.ACCEPTED,
    Verdict.REFUSED: Status.REFUSED,
    Verdict.POLICY: Status.REFUSED,
    Verdict.DEFERRED: Status.DEFERRED,
    Verdict.THROTTLED: Status.DEFERRED,
    Verdict.IN_DOUBT: Status.IN_DOUBT,
}


def backoff(attempt: int, policy: RetryPolicy, random: Random) -> int:
    """Return the nanoseconds to wait before the attempt after `attempt`, counted from 1.

    tenacity's exponential wait, and up to a quarter of it more, so that rows that were deferred
    together do not come back together.
    """
    state = RetryCallState(_NO_RETRYING, None, (), {})
    state.attempt_number = attempt
    delay = wait_exponential(policy.first_delay, max=policy.max_delay)(state)
    return int(min(delay * (1 + random.random() / 4), policy.max_delay) * SECOND)


_NO_RETRYING = Retrying()


_LONGEST_OPENING, _JITTER = 30, 1  # seconds
_OPENING_WAIT = wait_exponential_jitter(initial=1, max=_LONGEST_OPENING, jitter=_JITTER)


def opening_waits(tries: int, attempts: int) -> float:
    """Return the seconds that the waits between the attempts after `tries` take together, at most."""
    return sum(min(2.0 ** (n - 1) + _JITTER, _LONGEST_OPENING) for n in range(tries, attempts))


def opening_retry(attempts: int, sleep: Callable[[float], None]) -> Retrying:
    """Return tenacity's retrying for opening a session: jittered waits, and an end.

    A failure that another try cannot mend, such as a refused login, is raised at once.
    """
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ConnectFailed) and not error.permanent),
        wait=_OPENING_WAIT,
        stop=stop_after_attempt(attempts),
        sleep=sleep,
        reraise=True,
    )
