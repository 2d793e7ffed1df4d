"""Turns a verdict into a result: the row's status, whether it is charged, and when to try again. Pure.

Time and random numbers are arguments. Two things are retried, in two places. Tenacity retries opening a
session (`opening_retry`), when no message depends on it yet. A message with a definite 4xx is retried
through the ledger's `due_at`; `decide` computes the wait with tenacity's strategies. If the last byte of a
message has left and no answer came, nothing retries it.
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
_SPARED = 2  # how often throttling, or the end of a session, is not charged to a row


@dataclass(frozen=True, slots=True)
class Standing:
    """A row's history before an attempt, and what the run has seen meanwhile.

    `attempts` were charged, `spared` ones were not. `others_accepted`: the server accepted messages
    lately, so that its answer is about this row.
    """

    attempts: int
    spared: int = 0
    others_accepted: bool = False


def decide(
    settled: Settled, verdict: Verdict, standing: Standing, *, policy: RetryPolicy, now: int, random: Random
) -> Result:
    """Return what the ledger records for the row of `settled`; its own address's answer decides.

    `verdict` is the run's verdict on that answer; `now` is UTC nanoseconds.

    A row that is throttled repeatedly while others are accepted is charged like a deferred one, and so is
    a row that ends one session after another. If the return path is refused, the row stays pending; but
    if other rows are accepted, this row's own return path is at fault: it is deferred and charged.
    """
    own = settled.answers[0]
    row_verdict = verdict
    spared = verdict in (Verdict.THROTTLED, Verdict.SESSION)
    # Before RCPT an answer cannot be about the row: throttling there is about our rate.
    about_row = verdict is Verdict.SESSION or (standing.others_accepted and own.stage in _AFTER_MAIL)
    if spared and standing.spared >= _SPARED and about_row:
        row_verdict, spared = Verdict.DEFERRED, False
    elif verdict is Verdict.SENDER and standing.others_accepted:
        row_verdict = Verdict.DEFERRED
    first = _outcome(own, row_verdict, standing.attempts, policy, now, random)
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
    """Whether the row's own answer is about its address alone; the reply to the dot is about all accepted."""
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
    """Return the nanoseconds to wait after attempt number `attempt`, counted from 1.

    It is tenacity's exponential wait plus up to a quarter of it, so that rows deferred together do not
    come back together.
    """
    state = RetryCallState(_NO_RETRYING, None, (), {})
    state.attempt_number = attempt
    delay = wait_exponential(policy.first_delay, max=policy.max_delay)(state)
    return int(min(delay * (1 + random.random() / 4), policy.max_delay) * SECOND)


_NO_RETRYING = Retrying()


_LONGEST_OPENING, _JITTER = 30, 1  # seconds
_OPENING_WAIT = wait_exponential_jitter(initial=1, max=_LONGEST_OPENING, jitter=_JITTER)


def opening_waits(tries: int, attempts: int) -> float:
    """Return the longest total, in seconds, of the waits that remain after `tries` of `attempts`."""
    return sum(min(2.0 ** (n - 1) + _JITTER, _LONGEST_OPENING) for n in range(tries, attempts))


def opening_retry(attempts: int, sleep: Callable[[float], None]) -> Retrying:
    """Return tenacity's Retrying for opening a session: `attempts` tries with jittered waits.

    A permanent failure, such as a refused login, is raised at once.
    """
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ConnectFailed) and not error.permanent),
        wait=_OPENING_WAIT,
        stop=stop_after_attempt(attempts),
        sleep=sleep,
        reraise=True,
    )
