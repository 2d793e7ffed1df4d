"""Hands rows to the connections of a run, and holds what they share: limit, throttling, when to stop.

    ledger → claim → `next` → (a connection renders it, and asks the gate) → `note`

A connection asks `next` for a row, and reports with `note` how it ended, or gives it back. A thread with
a reason to stop calls `stop`; the others see it before their next message. The clocks are arguments:
`now` is monotonic nanoseconds, and `utc` is UTC nanoseconds for the ledger.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from campaign.campaignfile.models import RetryPolicy
from campaign.delivery import Answer, Stage, Verdict
from campaign.ledger.protocols import Claim, Run
from campaign.model import SECOND, Recipient
from campaign.sending.breaker import Breaker
from campaign.sending.pace.gate import Gate
from campaign.verdict import judge, words
from campaign.wording import counted

CLAIMS = 64  # the most rows claimed at once; unsent ones are given back
_FEW_CLAIMS = 8  # at first, and if messages take long: other machines may want the rest
_SOON = SECOND // 2  # if claims are used up within this time, more are claimed next time
_IN_A_ROW = 3
_LATELY = 20  # how many recent verdicts show whether the server accepts other rows


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "done"
    LIMIT = "limit"  # --limit was reached
    PAUSED = "paused"  # quota, circuit breaker, full disk, messages that can no longer be made
    UNEQUIPPED = "unequipped"  # this machine lacks files or secrets that another may have
    DISCONNECTED = "disconnected"  # could not connect, log in, or stay connected
    INTERRUPTED = "interrupted"
    DECLINED = "declined"  # the person said no
    HANDED_OVER = "handed over"  # workers send it


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ended, with a sentence that explains it.

    `path`: the key of the campaign file to look at (`smtp.password_env`), or "". `login_refused`: the
    server refused the login for good, and another try may lock the account.
    """

    ending: Ending
    why: str = ""
    path: str = ""
    login_refused: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to send for `delay` nanoseconds; `why`: a sentence for a person, or ""."""

    delay: int
    why: str = ""


class Dispatch:
    """Hands out rows and collects results. Every method may be called from any thread."""

    def __init__(
        self, run: Run, gate: Gate, policy: RetryPolicy, breaker: Breaker, *, limit: int | None = None
    ) -> None:
        self.gate = gate
        self.stopped: Stop | None = None
        self.finished = False  # nothing is left to send, and no connection holds a row
        self.at_once = threading.Event()  # stop without waiting for answers
        self._run = run
        self._policy = policy
        self._breaker = breaker
        self._left = limit
        self._lock = threading.RLock()  # a signal handler may stop the run while this thread holds it
        self._claims: deque[Claim] = deque()
        self._most = _FEW_CLAIMS  # how many rows to claim next time
        self._claimed_at = 0
        self._out = 0  # rows that connections hold
        self._throttles = 0
        self._throttled_at = 0
        self._policy_deferrals = 0  # in a row, at RCPT
        self._lately = deque[Verdict](maxlen=_LATELY)
        self._throttle_reply = ""
        self._put_aside = 0  # rows with a message that can no longer be made
        self._why_aside = ""  # the reason for the first of them

    def ended(self) -> bool:
        """Whether nothing is left to do or the run was stopped."""
        return self.finished or self.stopped is not None

    def next(self, now: int, utc: int) -> Claim | Later | None:
        """Return a row to send now, or when to ask again, or None if nothing is left to do.

        The caller must end each row with `note`, `give_back` or `put_aside`.
        """
        with self._lock:
            if self.stopped is not None:
                return None
            if held := self.gate.held(now):
                return Later(held, f"the server asks us to slow down: {self._throttle_reply}")
            if self._left is not None and self._left <= self._out and not self._is_finished(utc):
                if self._out:
                    return Later(SECOND // 10)
                self._stop(Stop(Ending.LIMIT, "the limit of this run is reached"))
                return None
            if not self._claims:
                # While throttled, greylisted rows go first once due: the server would defer new rows too.
                self._claims.extend(self._run.claim(utc, self._size(now), retries_first=self._throttles > 0))
            if not self._claims:
                return self._nothing_due(utc)
            self._out += 1
            return self._claims.popleft()

    def upcoming(self, most: int) -> list[Recipient]:
        """Return the next claimed rows, at most `most`."""
        with self._lock:
            return [claim.recipient for claim in islice(self._claims, most)]

    def judge(self, answer: Answer) -> Verdict:
        """Return the verdict on a row's own answer, in view of those before it.

        A single 4.7.x at RCPT is greylisting of that address; several in a row mean that we are too fast.
        """
        verdict, reply = judge(answer), answer.reply
        with self._lock:
            if verdict is Verdict.DEFERRED and reply is not None and reply.enhanced is not None:
                policy = answer.stage is Stage.RCPT and reply.enhanced.subject == 7
                self._policy_deferrals = self._policy_deferrals + 1 if policy else 0
                return Verdict.THROTTLED if self._policy_deferrals >= _IN_A_ROW else verdict
            if verdict not in (Verdict.UNSENT, Verdict.SESSION):
                self._policy_deferrals = 0
            return verdict

    def others_accepted(self) -> bool:
        """Whether the server accepted messages lately, so that a refusal is about its own row."""
        with self._lock:
            return Verdict.ACCEPTED in self._lately

    def note(
        self, answer: Answer, verdict: Verdict, now: int, utc: int, started_at: int | None = None
    ) -> None:
        """Record a row's own answer, which may slow the run down or stop it. Raises LedgerFull.

        `started_at`: when its content started; None if it did not. If that was before the last throttling,
        a throttling answer repeats the same request, and does not double the wait.
        """
        with self._lock:
            self._out -= 1
            self._lately.append(verdict)
            happened = verdict not in (Verdict.UNSENT, Verdict.SESSION)
            if happened and self._left is not None:
                self._left -= 1
            again = started_at is not None and started_at < self._throttled_at
            if verdict is Verdict.THROTTLED and not again:
                self._throttles = min(self._throttles + 1, 16)
                self._throttle_reply, self._throttled_at = words(answer), now
                delay = min(2.0 ** (self._throttles - 1), self._policy.max_delay)
                self.gate.hold(now + int(delay * SECOND))
            elif verdict is Verdict.ACCEPTED:
                self._throttles //= 2
            trip = self._breaker.note(verdict, answer)
            if trip is not None and self.stopped is None:
                self._stop(Stop(Ending.PAUSED, trip.why))
                self._run.trip(utc, take_back=trip.by_refusals)

    def give_back(self) -> None:
        """Give back a row that was not sent; the caller also returns it to the ledger."""
        with self._lock:
            self._out -= 1

    def put_aside(self, why: str) -> None:
        """Count a row with a message that can no longer be made; the others go on."""
        with self._lock:
            self._out -= 1
            self._put_aside += 1
            self._why_aside = self._why_aside or why

    def outcome(self) -> Stop:
        """Return why the run ended. If rows were put aside, it is unfinished: the next run tries them."""
        if self._put_aside and (self.stopped is None or self.stopped.ending is Ending.LIMIT):
            what = f"{counted(self._put_aside, 'message')} could no longer be made; the next send tries again"
            return Stop(Ending.PAUSED, f"{what}: {self._why_aside}")
        return self.stopped or Stop(Ending.DONE)

    def stop(self, stop: Stop) -> None:
        """Send nothing more. The first reason stays."""
        # Without the lock: its holder may wait for the ledger, and a signal handler must not wait.
        self._stop(stop)

    def unclaimed(self) -> list[str]:
        """Return and forget the keys that were claimed but not handed out."""
        with self._lock:
            keys = [claim.recipient.key for claim in self._claims]
            self._claims.clear()
            return keys

    def _stop(self, stop: Stop) -> None:
        if self.stopped is None:
            self.stopped = stop

    def _is_finished(self, utc: int) -> bool:
        """Whether nothing is left to send, now or later."""
        return not self._out and not self._claims and self._run.next_due(utc) is None

    def _size(self, now: int) -> int:
        """Return how many rows to claim: about as many as are sent in a second."""
        took, self._claimed_at = now - self._claimed_at, now
        self._most = min(2 * self._most, CLAIMS) if took < _SOON else max(self._most // 2, _FEW_CLAIMS)
        return self._most

    def _nothing_due(self, utc: int) -> Later | None:
        due = self._run.next_due(utc)
        if due is not None:
            why = "those that are left were put off by the server" if not self._out else ""
            return Later(max(due - utc, SECOND // 100), why)
        # A row that another connection holds may come back as deferred.
        self.finished = not self._out
        return None if self.finished else Later(SECOND // 10)
