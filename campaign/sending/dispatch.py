"""What the connections of one run share, behind one lock: claims, limit, throttling, and when to stop.

    ledger → claim → `next` → (a connection renders it, and asks the gate) → `note`

A connection asks `next` for a row and tells with `note` how it ended, or gives it back. Whoever finds
a reason to stop says so with `stop`; the others see it before their next message. The clocks are
arguments: `now` is monotonic nanoseconds, and `utc` is UTC nanoseconds for the ledger.
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
from campaign.sending.gate import Gate
from campaign.verdict import judge, words
from campaign.wording import counted

CLAIMS = 64  # rows claimed at once, at most; what is not sent of them goes back
_FEW_CLAIMS = 8  # at first, and where a message takes long: other machines may want the rest
_SOON = SECOND // 2  # in which claims are used up where more are claimed the next time
_IN_A_ROW = 3
_LATELY = 20  # verdicts by which it is told whether others are accepted around a row


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "done"
    LIMIT = "limit"  # --limit was reached
    PAUSED = "paused"  # quota, circuit breaker, full disk, messages that can no longer be made
    UNEQUIPPED = "unequipped"  # this machine lacks what messages are made of; another may have it
    DISCONNECTED = "disconnected"  # could not connect, log in, or stay connected
    INTERRUPTED = "interrupted"
    DECLINED = "declined"  # the person said no
    HANDED_OVER = "handed over"  # workers send it


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of a run, and the sentence that explains it.

    `path` is the key of the campaign file to look at (`smtp.password_env`), where there is one.
    `login_refused`: for good, so that each try again may lock the account.
    """

    ending: Ending
    why: str = ""
    path: str = ""
    login_refused: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to send for so many nanoseconds; `why` is a sentence where a person may wonder."""

    delay: int
    why: str = ""


class Dispatch:
    """See the module. Every method may be called from any connection's thread."""

    def __init__(
        self, run: Run, gate: Gate, policy: RetryPolicy, breaker: Breaker, *, limit: int | None = None
    ) -> None:
        self.gate = gate
        self.stopped: Stop | None = None
        self.finished = False  # nothing is left to send, and no connection holds a row
        self.at_once = threading.Event()  # do not even wait for answers
        self._run = run
        self._policy = policy
        self._breaker = breaker
        self._left = limit
        self._lock = threading.RLock()  # a signal's handler may stop the run while this thread has it
        self._claims: deque[Claim] = deque()
        self._most = _FEW_CLAIMS  # rows claimed the next time
        self._claimed_at = 0
        self._out = 0  # rows that a connection has
        self._throttles = 0
        self._throttled_at = 0
        self._put_off = 0  # rows in a row that a policy put off at RCPT
        self._lately = deque[Verdict](maxlen=_LATELY)
        self._throttled = ""  # the server's words
        self._put_aside = 0  # rows whose message can no longer be made
        self._why_aside = ""  # of the first of them

    def ended(self) -> bool:
        """Whether nothing is left to do, or the run was stopped."""
        return self.finished or self.stopped is not None

    def next(self, now: int, utc: int) -> Claim | Later | None:
        """Return a row to send now, when to ask again, or None where there is nothing left to do.

        A row must be given back with `note` or `give_back`.
        """
        with self._lock:
            if self.stopped is not None:
                return None
            if held := self.gate.held(now):
                return Later(held, f"the server asks us to slow down: {self._throttled}")
            if self._left is not None and self._left <= self._out and not self._is_finished(utc):
                if self._out:
                    return Later(SECOND // 10)
                self._stop(Stop(Ending.LIMIT, "the limit of this run is reached"))
                return None
            if not self._claims:
                # Who was greylisted waits for their time, and then goes first: each new row is put off too.
                self._claims.extend(self._run.claim(utc, self._size(now), again_first=self._throttles > 0))
            if not self._claims:
                return self._nothing_due(utc)
            self._out += 1
            return self._claims.popleft()

    def upcoming(self, most: int) -> list[Recipient]:
        """Return the rows that are claimed and come next, at most so many."""
        with self._lock:
            return [claim.recipient for claim in islice(self._claims, most)]

    def judge(self, answer: Answer) -> Verdict:
        """Return what a row's own answer means, seen beside those before it.

        One 4.7.x at RCPT is greylisting of that address; recipient after recipient, it is our rate.
        """
        verdict, reply = judge(answer), answer.reply
        with self._lock:
            if verdict is Verdict.DEFERRED and reply is not None and reply.enhanced is not None:
                policy = answer.stage is Stage.RCPT and reply.enhanced.subject == 7
                self._put_off = self._put_off + 1 if policy else 0
                return Verdict.THROTTLED if self._put_off >= _IN_A_ROW else verdict
            if verdict not in (Verdict.UNSENT, Verdict.SESSION):
                self._put_off = 0
            return verdict

    def others_accepted(self) -> bool:
        """Whether the server has accepted messages lately, so that what it says of one is about that one."""
        with self._lock:
            return Verdict.ACCEPTED in self._lately

    def note(
        self, answer: Answer, verdict: Verdict, now: int, utc: int, started_at: int | None = None
    ) -> None:
        """Take note of a row's own answer; it may slow the run down, or stop it. Raises LedgerFull.

        `started_at` is when its content started, if it has. What had before the server asked us to slow
        down is asked for the same once more, and is no reason to wait twice as long.
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
                self._throttled, self._throttled_at = words(answer), now
                delay = min(2.0 ** (self._throttles - 1), self._policy.max_delay)
                self.gate.hold(now + int(delay * SECOND))
            elif verdict is Verdict.ACCEPTED:
                self._throttles //= 2
            trip = self._breaker.note(verdict, answer)
            if trip is not None and self.stopped is None:
                self._stop(Stop(Ending.PAUSED, trip.why))
                self._run.trip(utc, take_back=trip.by_refusals)

    def give_back(self) -> None:
        """Give a row back that was not sent; the ledger is told by whoever holds it."""
        with self._lock:
            self._out -= 1

    def put_aside(self, why: str) -> None:
        """Give a row back whose message can no longer be made; the others go on."""
        with self._lock:
            self._out -= 1
            self._put_aside += 1
            self._why_aside = self._why_aside or why

    def outcome(self) -> Stop:
        """Return why the run ended. Rows that were put aside make it unfinished: the next one tries them."""
        if self._put_aside and (self.stopped is None or self.stopped.ending is Ending.LIMIT):
            what = f"{counted(self._put_aside, 'message')} could no longer be made; the next send tries again"
            return Stop(Ending.PAUSED, f"{what}: {self._why_aside}")
        return self.stopped or Stop(Ending.DONE)

    def stop(self, stop: Stop) -> None:
        """Send nothing more. The first reason stays."""
        # Whoever has the lock may wait for the ledger, and a signal's handler must not wait for that.
        self._stop(stop)

    def unclaimed(self) -> list[str]:
        """Take the keys that were claimed and not handed out."""
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
        """Return how many rows to claim: those of about a second."""
        took, self._claimed_at = now - self._claimed_at, now
        self._most = min(2 * self._most, CLAIMS) if took < _SOON else max(self._most // 2, _FEW_CLAIMS)
        return self._most

    def _nothing_due(self, utc: int) -> Later | None:
        due = self._run.next_due(utc)
        if due is not None:
            why = "those that are left were put off by the server" if not self._out else ""
            return Later(max(due - utc, SECOND // 100), why)
        # A row that another connection has may come back as deferred.
        self.finished = not self._out
        return None if self.finished else Later(SECOND // 10)
