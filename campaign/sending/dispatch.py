"""What the connections of one run share, behind one lock: claims, pace, limit, and when to stop.

    ledger → claim → `next` → (a connection renders it) → `ahead` → `may_intend` → `start` → `note`

A connection asks `next` for a row, `ahead` whether its envelope may go out already, `may_intend`
before it commits its intent, `start` before its content leaves, and tells with `note` how it ended.
An intent is committed a little before its content may leave, so that the disk takes nothing from
the pace; `start` alone takes a place in it, when that is free. Whoever finds a reason to stop says so
with `stop`; the others see it before their next message. The clocks are arguments: `now` is
monotonic nanoseconds for the pace, and `utc` is UTC nanoseconds for the ledger.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from campaign.campaignfile.models import CampaignFile, RetryPolicy
from campaign.errors import Problem
from campaign.ledger import Claim, Run
from campaign.model import Answer, Stage, Window
from campaign.sending.breaker import Breaker
from campaign.sending.pacing import Pace
from campaign.verdict import Verdict, judge

CLAIMS = 64  # rows claimed at once; what is not sent of them goes back
_IN_A_ROW = 3
_SECOND = 1_000_000_000
# An envelope goes out early only if its content may follow within this time: the server waits.
_AHEAD = 2 * _SECOND
# An intent is committed before its content may leave by what commits have taken lately, and little
# more, since those that a crash leaves behind are in doubt; at first, and at most, by so much.
_FIRST_LEAD, _MOST_LEAD = _SECOND // 100, _SECOND // 10


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "done"
    LIMIT = "limit"  # --limit was reached
    PAUSED = "paused"  # quota, circuit breaker, full disk
    DISCONNECTED = "disconnected"  # could not connect, log in, or stay connected
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of a run, and the sentence that explains it."""

    ending: Ending
    why: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to send for so many nanoseconds; `why` is a sentence where a person may wonder."""

    delay: int
    why: str = ""


def too_narrow(campaign: CampaignFile) -> list[Problem]:
    """Return a problem for each rate in which a message and its copies could never be sent."""
    addresses = 1 + len(campaign.cc) + len(campaign.bcc)
    path = "rate" if campaign.rate else "smtp.rate"
    return [
        campaign.problem(
            path, f"{window} is too narrow: with cc and bcc each message has {addresses} addresses at once"
        )
        for window in campaign.windows
        if window.count < addresses
    ]


class Dispatch:
    """See the module. Every method may be called from any connection's thread."""

    def __init__(
        self,
        ledger: Run,
        windows: tuple[Window, ...],
        policy: RetryPolicy,
        breaker: Breaker,
        *,
        limit: int | None = None,
    ) -> None:
        self.stopped: Stop | None = None
        self.finished = False  # nothing is left to send, and no connection holds a row
        self.at_once = threading.Event()  # do not even wait for answers
        self._ledger = ledger
        self._pace = Pace(windows)
        self._policy = policy
        self._breaker = breaker
        self._left = limit
        self._lock = threading.RLock()  # a signal's handler may stop the run while this thread has it
        self._claims: deque[Claim] = deque()
        self._out = 0  # rows that a connection has
        self._ahead = 0  # addresses between `ahead` and `start`
        self._line: list[str] = []  # keys whose intents wait for the pace, first come first served
        self._intended = 0  # addresses between `may_intend` and `start`
        self._lead = _FIRST_LEAD
        self._last_start = 0
        self._throttles = 0
        self._put_off = 0  # rows in a row that a policy put off at RCPT
        self._throttled = ""  # the server's words
        self._not_before = 0  # after throttling; monotonic ns

    def ended(self) -> bool:
        """Whether nothing is left to do, or the run was stopped."""
        return self.finished or self.stopped is not None

    def load(self, ages: Iterable[tuple[int, int]], now: int) -> None:
        """Rebuild the longer windows from (age in ns, addresses), oldest first."""
        self._pace.load(ages, now)

    def next(self, now: int, utc: int) -> Claim | Later | None:
        """Return a row to send now, when to ask again, or None where there is nothing left to do.

        A row must be given back with `note` or `give_back`.
        """
        with self._lock:
            if self.stopped is not None:
                return None
            if now < self._not_before:
                return Later(self._not_before - now, f"the server asks us to slow down: {self._throttled}")
            if not self._claims:
                self._claims.extend(self._ledger.claim(utc, CLAIMS))
            if not self._claims:
                return self._nothing_due(utc)
            if self._left is not None and self._left <= self._out:
                if self._out:
                    return Later(_SECOND // 10)
                self._stop(Stop(Ending.LIMIT, "the limit of this run is reached"))
                return None
            self._out += 1
            return self._claims.popleft()

    def ahead(self, now: int, addresses: int) -> int:
        """Return 0 where an envelope of so many addresses may go out, and book it; else ns to wait.

        Its content may follow soon, those that others have booked before it counted in. A booking
        ends with `start` or `cancel`.
        """
        with self._lock:
            delay = max(self._pace.finish(now, self._ahead + addresses), self._not_before - now)
            if delay > _AHEAD:
                return delay - _AHEAD // 2
            self._ahead += addresses
            return 0

    def may_intend(self, now: int, addresses: int, key: str) -> tuple[bool, int]:
        """Return whether a booked content may leave soon, and the ns until it may, or until to ask again.

        If so, it is counted on, until `start` or `cancel_intent`. Who asks first goes first: a server
        that has said 354 waits.
        """
        with self._lock:
            delay = self._soonest(now, addresses)
            if key not in self._line:
                self._line.append(key)
            if self._line[0] != key or delay > self._lead:
                return False, max(delay - self._lead, _SECOND // 1000)
            self._line.remove(key)
            self._intended += addresses
            return True, delay

    def committed(self, took: int) -> None:
        """Take note of the ns that the commit of an intent has taken."""
        with self._lock:
            self._lead = min(max(took * 3 // 2 + _SECOND // 1000, self._lead * 15 // 16), _MOST_LEAD)

    def start(self, now: int, addresses: int) -> int:
        """Return 0 where the content whose intent holds may leave now, and note it; else ns to wait."""
        with self._lock:
            # Another connection may have read its clock later and come here earlier.
            now = max(now, self._last_start)
            if delay := self._pace.delay(now, addresses):
                return delay
            self._pace.take(now, addresses)
            self._last_start = now
            self._intended -= addresses
            self._ahead -= addresses
            return 0

    def cancel_intent(self, addresses: int) -> None:
        """Take back what `may_intend` counted on; it stays booked."""
        with self._lock:
            self._intended -= addresses

    def cancel(self, addresses: int, key: str) -> None:
        """Give a booking back whose content will not leave."""
        with self._lock:
            self._ahead -= addresses
            if key in self._line:
                self._line.remove(key)

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

    def note(self, answer: Answer, verdict: Verdict, now: int) -> None:
        """Take note of a row's own answer; it may slow the run down, or stop it."""
        with self._lock:
            self._out -= 1
            happened = verdict not in (Verdict.UNSENT, Verdict.SESSION)
            if happened and self._left is not None:
                self._left -= 1
            if verdict is Verdict.THROTTLED:
                self._throttles = min(self._throttles + 1, 16)
                self._throttled = answer.reply.text if answer.reply is not None else answer.why
                delay = min(2.0 ** (self._throttles - 1), self._policy.max_delay)
                self._not_before = max(self._not_before, now + int(delay * _SECOND))
            elif verdict is Verdict.ACCEPTED:
                self._throttles //= 2
            reason = self._breaker.note(answer)
            if reason is not None:
                self._stop(Stop(Ending.PAUSED, reason))

    def give_back(self) -> None:
        """Give a row back that was not sent; the ledger is told by whoever holds it."""
        with self._lock:
            self._out -= 1

    def stop(self, stop: Stop) -> None:
        """Send nothing more. The first reason stays."""
        with self._lock:
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

    def _nothing_due(self, utc: int) -> Later | None:
        due = self._ledger.next_due(utc)
        if due is not None:
            why = "those that are left were put off by the server" if not self._out else ""
            return Later(max(due - utc, _SECOND // 100), why)
        # A row that another connection has may come back as deferred.
        self.finished = not self._out
        return None if self.finished else Later(_SECOND // 10)

    def _soonest(self, now: int, addresses: int) -> int:
        """Return the ns until so many addresses may start, behind those that are intended."""
        before = self._intended
        if not self._pace.fits(before + addresses):
            return self._lead + _SECOND // 100  # one of those that are intended starts first
        delay = self._pace.delay(now, before + addresses)
        return max(delay, self._pace.finish(now, before + 1)) if before else delay
