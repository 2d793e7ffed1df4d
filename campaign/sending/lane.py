"""One connection's work: a message on its way, and the next one ready behind it.

    run.claim → render → session.submit → BodyDue → gate → run.record(intent) → gate → session.release
              → Settled → verdict → retry.decide → run.record(result)

The gate is asked twice. First, whether the content may leave soon: then its intent is committed, so
that the pace does not wait for the disk. Then, for its place in the pace. The intent is committed before
a byte of the content leaves, and its result as soon as the answer is read; an answer and the next intent
share a commit where they come together. Each time before the kernel is given some of a content, the
lease must have been renewed lately: else this process was suspended, and another may have sent the
message. Nothing is retried here: a deferred row comes back from the ledger when it is due, and opening a
session is retried by tenacity (`retry.opening_retry`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Fate, Result, Settled, Verdict
from campaign.errors import ConnectFailed, Overrun, UserError
from campaign.ledger.protocols import Claim, Intent, Run
from campaign.model import SECOND
from campaign.sending.account import TARDY
from campaign.sending.ahead import FRESH
from campaign.sending.connection import Connection, Opener, Waits
from campaign.sending.dispatch import Dispatch, Ending, Later, Stop
from campaign.sending.gate import Booking
from campaign.sending.retry import Standing, decide
from campaign.sending.work import Done, Renders, Work, made, owed, unmade
from campaign.smtp import BodyDue, Closed, Event

_SLICE = 0.25  # seconds after which a waiting thread looks whether it should stop
# A session that would wait longer than this for its next message is ended: RFC 5321 4.5.3.2.7 lets
# a server hang up after five minutes.
_KEEP_IDLE = 240 * SECOND
# A server that has said nothing for this long may be gone: its next message goes in lock-step.
_RESTED = 5.0
# Sessions of a connection in a row that ended without a verdict on any message, before it gives up.
_FRUITLESS = 5


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of one run have in common. `opened` is set with the first session."""

    campaign: CampaignFile
    renderer: Renders
    run: Run
    dispatch: Dispatch
    opener: Opener
    waits: Waits
    on_result: Callable[[Claim, Result], None]
    opened: threading.Event


class Lane:
    """One connection's thread: it keeps one message on its way and the next one ready behind it."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._dispatch = shared.dispatch
        self._run = shared.run
        self._connection: Connection | None = None
        self._next: Work | None = None  # rendered, and not submitted yet
        self._open: dict[str, Work] = {}  # submitted, by key
        self._untold: list[Done] = []  # accepted: the content behind them goes before they are told of
        self._fruitful = False  # the server has judged a message in this session
        self._fruitless = 0  # sessions in a row that were not
        self._quiet_since = time.monotonic()
        self._random = random.Random()  # noqa: S311  (jitter, no secret)

    def work(self) -> None:
        """Send until there is nothing left to do. Raises ConnectFailed, LedgerFull, LeaseLost."""
        while True:
            wait = self._fill()
            if wait is None and not self._open:
                break
            self._advance(0 if wait is None else wait)
        if self._connection is not None:
            self._connection.quit()
            self._connection = None

    def close(self) -> None:
        """Let go of the connection and of every row that is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._settle([e for e in connection.session.lost("given up") if isinstance(e, Settled)])
            connection.close()
        self._tell()
        if self._next is not None:
            self._drop_next()

    def _fill(self) -> int | None:
        """Give the session its next message where it wants one.

        Returns the nanoseconds to wait for something to happen, or None where nothing is left.
        """
        if self._dispatch.stopped is not None:
            if self._next is not None:
                self._drop_next()
            if self._dispatch.at_once.is_set():
                self.close()
            return None
        connection = self._connection
        if connection is not None and not connection.session.wants_message:
            return SECOND
        if self._next is None:
            self._tell()
            claim = self._dispatch.next(clock.steady(), time.time_ns())
            if claim is None:
                return None
            if isinstance(claim, Later):
                self._shared.waits.tell(claim.delay / SECOND, claim.why)
                return claim.delay
            self._next = self._render(claim)
            if self._next is None:
                return 0
        if self._worn_out():
            if self._open:
                return SECOND
            self._end_session()
        if ahead := self._next.booking.ahead(clock.steady()):
            return ahead
        if clock.steady() - self._next.made_at > FRESH:
            work, self._next = self._next, None
            work.booking.give_back()
            self._next = self._render(work.claim)
            return 0
        self._submit(self._next)
        self._render_ahead()
        return 0

    def _render_ahead(self) -> None:
        """Render the next message while the server works on the last one."""
        if self._connection is not None and self._next is None and self._dispatch.stopped is None:
            self._handle(self._connection.flush())
            self._tell()
            claim = self._dispatch.next(clock.steady(), time.time_ns())
            if isinstance(claim, Claim):
                self._next = self._render(claim)

    def _submit(self, work: Work) -> None:
        if not self._run.is_due(work.message.key):
            self._drop_next()  # suppressed, forgotten or settled while it waited here
            return
        if self._connection is None:
            self._connection = self._shared.opener.open(self._drop_next, self._fruitless)
            self._connection.may_write = self._may_write
            self._shared.opened.set()
            self._fruitful = False
            self._quiet_since = time.monotonic()
        session = self._connection.session
        if session.idle and time.monotonic() - self._quiet_since > _RESTED:
            # Look whether the server has said 421 meanwhile, and do not trust it with a flight.
            self._handle(self._connection.step(0))
            session.rest()
        if self._next is work and self._connection is not None and session.wants_message:
            self._next = None
            self._open[work.message.key] = work
            session.submit(work.message)

    def _advance(self, wait: int) -> None:
        """Let time pass: read and write, or sleep where there is no session."""
        self._tell()
        if self._connection is None:
            time.sleep(min(wait / SECOND, _SLICE))
            return
        if wait > _KEEP_IDLE and not self._open:
            self._end_session()
            return
        # What is unanswered ends the wait by itself; the slice is for looking whether to stop.
        seconds = _SLICE if self._open else min(wait / SECOND, _SLICE)
        self._handle(self._connection.step(seconds))

    def _handle(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._quiet_since = time.monotonic()
        idle = not self._open
        settled = [event for event in events if isinstance(event, Settled)]
        due = next((event.message for event in events if isinstance(event, BodyDue)), None)
        closed = next((event for event in events if isinstance(event, Closed)), None)
        if due is None or closed is not None:
            self._settle(settled)
        else:
            self._release(self._open[due.key], settled)
        if closed is not None and self._connection is not None:
            self._connection.close()
            self._connection = None
            if not idle:  # a server may end a session that is not used
                self._fruitless = 0 if self._fruitful else self._fruitless + 1
            if self._fruitless >= _FRUITLESS:
                what = f"{_FRUITLESS} sessions in a row ended before the server had judged a message"
                raise ConnectFailed(f"{what}; the last one: {closed.why}")

    def _release(self, work: Work, settled: list[Settled]) -> None:
        """Wait for the pace, commit the intent, and let the content go."""
        connection, dispatch = self._connection, self._dispatch
        if connection is None:
            return
        with work.booking as booking:
            while True:
                granted, delay = booking.may_intend(clock.steady())
                if granted or dispatch.stopped is not None:
                    break
                self._settle(settled)
                settled = []
                events = connection.step(min(delay / SECOND, _SLICE))
                if events:  # the server has given us up
                    self._handle(events)
                    return
            if dispatch.stopped is not None:
                self._settle(settled)
                self._abandon("the run was stopped before this message")
                return
            message, began = work.message, clock.moment()
            intent = Intent(
                message.key,
                began.utc + delay,
                message.envelope.recipients,
                message.message_id,
                message.bounce_token,
                began.steady + delay,
            )
            held = self._settle(settled, intent)
            dispatch.gate.committed(clock.steady() - began.steady)
            if not held:
                self._abandon("the row was withdrawn, suppressed or settled meanwhile")
                return
            if not self._start(booking, intent):
                self._abandon("the run was stopped before this message")
                return
            connection.session.release(work.message)

    def _start(self, booking: Booking, intent: Intent) -> bool:
        """Wait for a place in the pace. A start much later than the intent says is recorded first.

        Returns False where the run is stopped, and the place would be a long time coming.
        """
        planned, delay = intent.steady or 0, 0
        while True:
            now = clock.moment()
            if now.steady > planned + TARDY:  # a slow disk, or others who were faster
                planned = now.steady + delay
                self._run.put_off(replace(intent, started_at=now.utc + delay, steady=planned))
            elif delay := booking.start(now.steady):
                if delay > SECOND and self._dispatch.stopped is not None:
                    return False
                time.sleep(min(delay / SECOND, _SLICE))
            else:
                return True

    def _may_write(self) -> bool:
        """Whether the lease is certainly ours still: a process that was suspended cannot know."""
        return self._run.holds(clock.steady())

    def _abandon(self, why: str) -> None:
        """End a transaction past 354: only closing the socket does that, never a dot."""
        connection, self._connection = self._connection, None
        if connection is not None:
            events = connection.session.lost(why)
            connection.close()
            self._settle([event for event in events if isinstance(event, Settled)])

    def _settle(self, settled: list[Settled], intent: Intent | None = None) -> bool:
        """Record what was answered, and an intent; return whether the intent holds."""
        if not settled and intent is None:
            return True
        done: list[Done] = []
        utc, held = time.time_ns(), False
        for one in settled:
            work = self._open.pop(one.message.key)
            work.booking.settled()
            verdict, claim = self._dispatch.judge(one.answers[0]), work.claim
            standing = Standing(claim.attempts, claim.spared, self._dispatch.others_accepted())
            policy = self._shared.campaign.retry
            result = decide(one, verdict, standing, policy=policy, now=utc, random=self._random)
            done.append(Done(claim, one.answers[0], verdict, result))
        try:
            granted = self._run.record([one.result for one in done], [intent] if intent else [])
            held = intent is None or intent.key in granted
        finally:  # an answer was given, whatever becomes of the intent
            self._untold += done
            # One that says nothing against going on can wait until the next content is on its way.
            if not held or intent is None or any(one.verdict is not Verdict.ACCEPTED for one in done):
                self._tell()
        return held

    def _tell(self) -> None:
        """Tell of what was answered, and is in the ledger."""
        while self._untold:
            one = self._untold.pop(0)
            if one.verdict not in (Verdict.SESSION, Verdict.UNSENT, Verdict.IN_DOUBT):
                self._fruitful, self._fruitless = True, 0
            self._dispatch.note(one.own, one.verdict, clock.steady(), one.result.settled_at)
            if one.own.fate is not Fate.UNSENT:
                self._shared.on_result(one.claim, one.result)

    def _render(self, claim: Claim) -> Work | None:
        """Make a row's message. One that can no longer be made is put aside, and the others go on."""
        try:
            message = made(self._shared.renderer, claim.recipient)
        except Overrun as error:  # no other row would fare better
            self._dispatch.give_back()
            self._run.unclaim([claim.key])
            self._dispatch.stop(Stop(Ending.PAUSED, "; ".join(map(str, error.problems))))
            return None
        except UserError as error:
            self._put_aside(claim, error)
            return None
        except BaseException:
            self._dispatch.give_back()
            self._run.unclaim([claim.key])
            raise
        message = owed(message, claim, self._run)
        booking = self._dispatch.gate.book(message.key, len(message.envelope.recipients))
        return Work(claim, message, booking, clock.steady())

    def _put_aside(self, claim: Claim, error: UserError) -> None:
        result = unmade(claim, "; ".join(problem.message for problem in error.problems), time.time_ns())
        if not claim.copy:  # which stays claimed, and owed: the next run tries it again
            self._run.record([result], [])
        self._dispatch.put_aside("; ".join(map(str, error.problems)))
        self._shared.on_result(claim, result)

    def _drop_next(self) -> None:
        work, self._next = self._next, None
        if work is not None:
            work.booking.give_back()
            self._dispatch.give_back()
            self._run.unclaim([work.message.key])

    def _worn_out(self) -> bool:
        """Whether the session has carried as many messages as it should (RFC 9422 4.1: MAILMAX)."""
        if self._connection is None:
            return False
        session = self._connection.session
        most = self._shared.campaign.smtp.messages_per_session
        return session.submitted >= min(most, session.extensions.mail_max or most)

    def _end_session(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.quit()
