"""Reply → verdict → what the ledger records, and when to try again. Pure: time and chance are arguments.

The first digit of a reply decides, and the enhanced status code (RFC 3463) refines it; no reply is
ever judged by its words. Two things are retried, in two places: opening a session, by tenacity
(`opening_retry`), where nothing has been promised; and a message after a definite 4xx, through the
ledger's `due_at`, for which `decide` computes the wait with tenacity's strategies. Nothing retries a
message whose last byte has left without an answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.wait import wait_exponential_jitter

from campaign.errors import ConnectFailed
from campaign.model import Answer, EnhancedCode, Fate, Outcome, Result, Settled, Stage, Status

_SECOND = 1_000_000_000
OPENING_ATTEMPTS = 6

# An address that does not exist, for good (RFC 3463 3.2, RFC 7505 4.2 and IANA's registry of codes).
_DEAD = {(5, 1, 1), (5, 1, 6), (5, 1, 10)}
_SENDER = {(5, 1, 7), (5, 1, 8)}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a deferred message is tried again; delays in seconds."""

    attempts: int = 5
    first_delay: float = 60.0
    max_delay: float = 3600.0


class Verdict(StrEnum):
    """What an answer means for its address, and for the run."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # this address, or this message to it
    DEFERRED = "deferred"  # this address, for now
    THROTTLED = "throttled"  # we are too fast, or the server too full: nobody is charged
    SESSION = "session"  # about the session: open another
    SENDER = "sender"  # about us: the row is refused, the address is not to blame
    QUOTA = "quota"  # no more for today
    IN_DOUBT = "in_doubt"
    UNSENT = "unsent"


def judge(answer: Answer) -> Verdict:
    """Return what one answer means. Only a 2xx to the final dot is ACCEPTED."""
    if answer.fate is Fate.UNKNOWN:
        return Verdict.IN_DOUBT
    reply = answer.reply
    if answer.fate is Fate.UNSENT or reply is None:
        return Verdict.UNSENT
    if reply.code == 421:
        return Verdict.SESSION
    if reply.positive:
        return Verdict.ACCEPTED if answer.stage is Stage.BODY else Verdict.UNSENT
    if answer.stage not in (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY):
        return Verdict.SESSION
    code = reply.enhanced
    if code is None and reply.code == 454:
        # RFC 4954 6: 454 is 4.7.0. Amazon SES says it to the final dot, and without that code, where
        # we are too fast.
        code = EnhancedCode(4, 7, 0)
    return _temporary(answer.stage, code) if reply.code < 500 else _permanent(answer.stage, code)


def _temporary(stage: Stage, code: EnhancedCode | None) -> Verdict:
    if code is None:
        return Verdict.DEFERRED if stage in (Stage.RCPT, Stage.BODY) else Verdict.THROTTLED
    if stage is Stage.RCPT:
        # Greylisting is a 4.7.x here; a full server and a rate for all are not about this address.
        return Verdict.THROTTLED if code.subject == 3 or code[1:] == (5, 3) else Verdict.DEFERRED
    throttled = code.subject in (3, 7) or code[1:] == (5, 3)
    return Verdict.THROTTLED if throttled or stage is not Stage.BODY else Verdict.DEFERRED


def _permanent(stage: Stage, code: EnhancedCode | None) -> Verdict:
    if code == (5, 4, 5):
        return Verdict.QUOTA
    if code == (5, 3, 4):  # this message is too large (RFC 1870 6.1), whoever it is for
        return Verdict.REFUSED
    if code in _SENDER or (code is not None and code.subject == 7) or stage is Stage.MAIL:
        return Verdict.SENDER
    return Verdict.REFUSED


def suppresses(answer: Answer) -> bool:
    """Whether the answer says that the address itself is dead, so that nobody should write to it."""
    dead = answer.reply is not None and answer.reply.enhanced in _DEAD
    return dead and answer.stage in (Stage.RCPT, Stage.BODY) and judge(answer) is Verdict.REFUSED


def decide(
    settled: Settled,
    verdict: Verdict,
    *,
    attempts: int,
    policy: RetryPolicy,
    now: int,
    started_at: int | None,
    random: Random,
) -> Result:
    """Return what the ledger records for the row of `settled`; its own address's answer decides.

    `verdict` is that answer's, as the run sees it; `attempts` is how many were charged before;
    `now` is UTC nanoseconds.
    """
    own = settled.answers[0]
    words = _words(own)
    charged = verdict in (Verdict.ACCEPTED, Verdict.REFUSED, Verdict.SENDER, Verdict.DEFERRED)
    status, due_at = _status(verdict), now
    if verdict is Verdict.DEFERRED:
        if attempts + 1 >= policy.attempts:
            status, words = Status.REFUSED, f"gave up after {attempts + 1} attempts: {words}"
        else:
            due_at = now + backoff(attempts + 1, policy, random)
    elif verdict is Verdict.THROTTLED:
        due_at = now + backoff(1, policy, random)
    outcomes = [Outcome(own.address, status, words)]
    outcomes += [Outcome(a.address, _status(judge(a)), _words(a)) for a in settled.answers[1:]]
    return Result(
        key=settled.message.key,
        status=status,
        reply=words,
        outcomes=tuple(outcomes),
        charged=charged,
        settled_at=now,
        due_at=due_at,
        started_at=started_at,
        suppress=suppresses(own) and _names_one(settled),
    )


def _names_one(settled: Settled) -> bool:
    """Whether the row's own answer can be about its own address only: one dot answers for all accepted."""
    others = (answer.stage for answer in settled.answers[1:])
    return settled.answers[0].stage is Stage.RCPT or Stage.BODY not in others


_STATUS = {
    Verdict.ACCEPTED: Status.ACCEPTED,
    Verdict.REFUSED: Status.REFUSED,
    Verdict.SENDER: Status.REFUSED,
    Verdict.DEFERRED: Status.DEFERRED,
    Verdict.THROTTLED: Status.DEFERRED,
    Verdict.IN_DOUBT: Status.IN_DOUBT,
}


def _status(verdict: Verdict) -> Status:
    return _STATUS.get(verdict, Status.PENDING)


def _words(answer: Answer) -> str:
    if answer.reply is not None:
        return answer.reply.text
    if answer.fate is Fate.UNKNOWN:
        return f"no answer to the message: {answer.why}"
    return f"{answer.stage}: {answer.why}"


def backoff(attempt: int, policy: RetryPolicy, random: Random) -> int:
    """Return the nanoseconds to wait before the attempt after `attempt`, counted from 1.

    tenacity's exponential wait, and up to a quarter of it more, so that rows that were deferred
    together do not come back together.
    """
    state = RetryCallState(_NO_RETRYING, None, (), {})
    state.attempt_number = attempt
    delay = wait_exponential(policy.first_delay, max=policy.max_delay)(state)
    return int(min(delay * (1 + random.random() / 4), policy.max_delay) * _SECOND)


_NO_RETRYING = Retrying()


def opening_retry(sleep: Callable[[float], None]) -> Retrying:
    """Return tenacity's retrying for opening a session: jittered waits, and an end.

    A failure that another try cannot mend, such as a refused login, is raised at once.
    """
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ConnectFailed) and not error.permanent),
        wait=wait_exponential_jitter(initial=1, max=30, jitter=1),
        stop=stop_after_attempt(OPENING_ATTEMPTS),
        sleep=sleep,
        reraise=True,
    )


class Breaker:
    """The circuit breaker: says when a run must pause, and why.

    Sender or policy refusals three in a row, a quota, and more refusals than `most_refused` (a
    fraction) of the last 200 results, judged from 50 on.
    """

    RECENT, JUDGED_FROM, IN_A_ROW = 200, 50, 3

    def __init__(self, most_refused: float | None) -> None:
        self._most_refused = most_refused
        self._recent: deque[bool] = deque(maxlen=self.RECENT)
        self._sender = 0
        self._generic = 0

    def note(self, answer: Answer) -> str | None:
        """Take note of a row's own answer; return the reason to pause the campaign, or None."""
        verdict, reply = judge(answer), _words(answer)
        code = answer.reply.enhanced if answer.reply is not None else None
        if verdict in (Verdict.UNSENT, Verdict.SESSION, Verdict.THROTTLED, Verdict.IN_DOUBT):
            return None
        if verdict is Verdict.QUOTA:
            return f"the server says that the quota is used up: {reply}. Send again once it is renewed."
        refused = verdict in (Verdict.REFUSED, Verdict.SENDER)
        self._recent.append(refused)
        self._sender = self._sender + 1 if verdict is Verdict.SENDER else 0
        # Exchange Online's word for a full quota; the code alone is generic, its repetition is not.
        self._generic = self._generic + 1 if refused and code == (5, 2, 0) else 0
        if self._generic >= self.IN_A_ROW:
            return f"the server refuses one message after another, as with a quota used up: {reply}"
        if self._sender >= self.IN_A_ROW:
            return (
                f"{self._sender} refusals in a row are about the sender or a policy, no recipient: {reply}."
                " Look at `from`, `envelope_from`, SPF and DKIM, then send again."
            )
        share = sum(self._recent) / len(self._recent)
        if (
            self._most_refused is not None
            and len(self._recent) >= self.JUDGED_FROM
            and share > self._most_refused
        ):
            return (
                f"{share:.0%} of the last {len(self._recent)} were refused, more than `stop_when.refused`"
                f" allows; the last one said: {reply}"
            )
        return None
