"""One connection's work: a message on its way, and the next one ready behind it.

    Making (claim → render) → session.submit → BodyDue → gate → run.record(intent) → gate → session.release
              → Settled → Answers (verdict → retry.decide → run.record(result))

The gate is asked twice. First, whether the content may leave soon: then its intent is committed, so
that the pace does not wait for the disk. Then, for its place in the pace. The intent is committed before
a byte of the content leaves, and its result as soon as the answer is read; an answer and the next intent
share a commit where they come together. Each time before the kernel is given some of a content, the
lease must have been renewed lately: else this process was suspended, and another may have sent the
message. Nothing is retried here: a deferred row comes back from the ledger when it is due, and opening a
session is retried by tenacity (`retry.opening_retry`).

Where the session has a window, `Volley` sends the messages that fit in it; the others go as above.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from campaign import clock
from campaign.campaignfile.models import CampaignFile
from campaign.delivery import Result, Settled
from campaign.errors import ConnectFailed, LedgerBusy, LedgerFull
from campaign.ledger.protocols import Claim, Run
from campaign.model import SECOND
from campaign.sending.answers import Answers
from campaign.sending.connection import Connection, Opener, Waits
from campaign.sending.dispatch import Dispatch, Ending, Stop
from campaign.sending.making import Making
from campaign.sending.slices import SLICE
from campaign.sending.start import start
from campaign.sending.volley import Volley
from campaign.sending.work import Renders, Work, intent_of
from campaign.smtp.events import BodyDue, Closed, Event
from campaign.smtp.session import Session

# A session that would wait longer than this for its next message is ended: RFC 5321 4.5.3.2.7 lets
# a server hang up after five minutes.
_KEEP_IDLE = 240 * SECOND
# A server that has said nothing for this long may be gone: its next message goes in lock-step.
_RESTED = 5.0
# Sessions of a connection in a row that ended without a verdict on any message, before it gives up.
_FRUITLESS = 5
# Seconds that a run that was stopped waits for the answer to an envelope.
_HEARD = 3.0
# Refusals in windows after which a session is ended: Exim hangs up after eleven (smtp_accept_max_nonmail).
_MOST_REFUSED = 8


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
    """One connection's thread: it keeps messages on their way, and the next ones ready behind them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._dispatch = shared.dispatch
        self._run = shared.run
        self._making = Making(shared.renderer, shared.run, shared.dispatch, shared.on_result)
        self._answers = Answers(shared.run, shared.dispatch, shared.campaign.retry, shared.on_result)
        self._connection: Connection | None = None
        self._ready: deque[Work] = deque()  # rendered, and not submitted yet: one, or those of a window
        window = shared.campaign.smtp.window
        self._volley = Volley(window, self._run, self._dispatch, self._answers, self._making, self._ready)
        self._quiet_since = time.monotonic()

    def work(self) -> None:
        """Send until there is nothing left to do. Raises ConnectFailed, LedgerFull, LeaseLost."""
        while True:
            wait = self._fill()
            if wait is None and not self._answers.open:
                break
            self._advance(SECOND if wait is None else wait)
        if self._connection is not None:
            self._connection.quit()
            self._connection = None

    def close(self) -> None:
        """Let go of the connection and of every row that is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            events = connection.session.lost("given up", connection.transport.unsent)
            self._answers.settle([event for event in events if isinstance(event, Settled)])
            connection.close()
        self._answers.tell()
        self._drop_ready()

    def _fill(self) -> int | None:
        """Give the session messages where it wants them.

        Returns the nanoseconds to wait for something to happen, or None where nothing is left.
        """
        if self._dispatch.stopped is not None:
            self._answers.settle()
            self._drop_ready()
            if self._dispatch.at_once.is_set() or self._unheard():
                self.close()
            return None
        connection = self._connection
        if connection is not None and self._windowed(connection):
            return self._fill_window(connection)
        self._answers.settle()
        if connection is not None and not connection.session.wants_message:
            return SECOND
        if not self._ready:
            self._answers.tell()
            wait = self._make()
            if not self._ready:
                return wait
        return self._submit_next()

    def _unheard(self) -> bool:
        """Whether a server lets a run that was stopped wait, and no content depends on what it will say."""
        connection = self._connection
        if connection is None or connection.waited <= _HEARD:
            return False
        return not connection.session.content_written(connection.transport.unsent)

    def _fill_window(self, connection: Connection) -> int | None:
        """Make messages, and send them in a window, or alone where they cannot go so; returns as `_fill`."""
        session, wait = connection.session, SECOND
        if len(self._ready) < self._shared.campaign.smtp.window:
            made = self._make()
            if made is None or not self._ready:
                return self._wait_held(made)
            wait = made
        left = self._left()
        if left == 0 or self._rested(session) or not session.fits_window(self._ready[0].message):
            if session.wants_message:
                if session.idle:
                    self._answers.settle()
                return self._submit_next()
        elif self._volley.pays(session.room, left, more=wait == 0):
            try:
                wait = self._volley.send(connection, min(session.room, left))
            except (LedgerBusy, LedgerFull) as unwritable:
                # Nothing leaves any more, but what is unanswered is waited for.
                self._dispatch.stop(Stop(Ending.PAUSED, str(unwritable)))
                return 0
        return self._wait_held(wait)

    def _wait_held(self, wait: int | None) -> int | None:
        """Record what was held long enough; return when to look again: at once if so, else after `wait`."""
        held = self._answers.settle_held()
        return wait if wait is None else min(wait, held)

    def _make(self) -> int | None:
        """Make another message ready; return the ns to wait for the next, or None where nothing is left."""
        made = self._making.take()
        if isinstance(made, Work):
            self._ready.append(made)
            return 0
        if made is None:
            return None
        self._shared.waits.tell(made.delay / SECOND, made.why)
        return made.delay

    def _submit_next(self) -> int:
        """Submit the message that is ready; returns as `_fill` does."""
        if self._left() == 0:
            if self._answers.open:
                return SECOND
            self._end_session()
        work = self._ready[0]
        if ahead := work.booking.ahead(clock.steady()):
            return ahead
        renewed = self._making.renewed(work)
        if renewed is not work:
            self._ready.popleft()
            self._ready.extendleft([renewed] if renewed is not None else [])
            return 0
        self._submit(work)
        self._render_ahead()
        return 0

    def _render_ahead(self) -> None:
        """Render the next message while the server works on the last one."""
        if self._connection is not None and not self._ready and self._dispatch.stopped is None:
            self._handle(self._connection.flush())
            self._answers.tell()
            made = self._making.take()
            if isinstance(made, Work):
                self._ready.append(made)

    def _submit(self, work: Work) -> None:
        if not self._run.is_due(work.message.key):
            self._making.drop(self._ready.popleft())  # suppressed, forgotten or settled while it waited here
            return
        if self._connection is None:
            self._open_session()
        connection = self._connection
        if connection is None:
            return
        session = connection.session
        if self._rested(session):
            # Look whether the server has said 421 meanwhile, and do not trust it with a flight.
            self._handle(connection.step(0))
            session.rest()
        if self._windowed(connection) and session.fits_window(work.message):
            return  # it has just been opened
        if self._ready and self._ready[0] is work and self._connection is not None and session.wants_message:
            self._answers.open[work.message.key] = self._ready.popleft()
            session.submit(work.message)

    def _open_session(self) -> None:
        opener, answers = self._shared.opener, self._answers
        self._connection = opener.open(self._drop_ready, answers.fruitless)
        self._connection.may_write = self._may_write
        self._shared.opened.set()
        answers.fruitful = False
        self._quiet_since = time.monotonic()

    def _rested(self, session: Session) -> bool:
        """Whether the session was not used for so long that it may have ended."""
        return session.idle and time.monotonic() - self._quiet_since > _RESTED

    def _windowed(self, connection: Connection) -> bool:
        """Whether messages leave in a window."""
        return connection.session.windowed and self._shared.opener.window > 1

    def _advance(self, wait: int) -> None:
        """Let time pass: read and write, or sleep where there is no session."""
        self._answers.tell()
        if self._connection is None:
            time.sleep(min(wait / SECOND, SLICE))
            return
        if wait > _KEEP_IDLE and not self._answers.open:
            self._end_session()
            return
        # What is unanswered ends the wait by itself; the slice is for looking whether to stop.
        alone = self._answers.open and not self._windowed(self._connection)
        self._handle(self._connection.step(SLICE if alone else min(wait / SECOND, SLICE)))

    def _handle(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._quiet_since = time.monotonic()
        idle = not self._answers.open
        settled = [event for event in events if isinstance(event, Settled)]
        due = next((event.message for event in events if isinstance(event, BodyDue)), None)
        closed = next((event for event in events if isinstance(event, Closed)), None)
        connection = self._connection
        if closed is None and due is not None:
            self._release(self._answers.open[due.key], settled)
        elif closed is None and connection is not None and self._windowed(connection):
            self._answers.hold(settled)
        else:
            self._answers.settle(settled)
        if closed is not None and connection is not None:
            self._shared.opener.end_windows(connection.session.why_no_window)
            connection.close()
            self._connection = None
            self._unbook()
            answers = self._answers
            if not idle:  # a server may end a session that is not used
                answers.fruitless = 0 if answers.fruitful else answers.fruitless + 1
            if answers.fruitless >= _FRUITLESS:
                what = f"{_FRUITLESS} sessions in a row ended before the server had answered any message"
                raise ConnectFailed(f"{what}; the last one: {closed.why}")

    def _release(self, work: Work, settled: list[Settled]) -> None:
        """Wait for the pace, commit the intent, and let the content go."""
        connection, dispatch, answers = self._connection, self._dispatch, self._answers
        if connection is None:
            return
        with work.booking as booking:
            while True:
                granted, delay = booking.may_intend(clock.steady())
                if granted or dispatch.stopped is not None:
                    break
                answers.settle(settled)
                settled = []
                events = connection.step(min(delay / SECOND, SLICE))
                if events:  # the server has given us up
                    self._handle(events)
                    return
            if dispatch.stopped is not None:
                answers.settle(settled)
                self._abandon("the run was stopped before this message")
                return
            began = clock.moment()
            intent = intent_of(work.message, began, delay)
            held = intent.key in answers.settle(settled, [intent])
            dispatch.gate.committed(clock.steady() - began.steady)
            if not held:
                self._abandon("the row was withdrawn, suppressed or settled meanwhile")
                return
            if not start(self._run, dispatch, booking, intent):
                self._abandon("the run was stopped before this message")
                return
            connection.session.release(work.message)

    def _may_write(self) -> bool:
        """Whether the lease is certainly ours still: a process that was suspended cannot know."""
        return self._run.holds(clock.steady())

    def _abandon(self, why: str) -> None:
        """End a transaction past 354: only closing the socket does that, never a dot."""
        connection, self._connection = self._connection, None
        if connection is not None:
            events = connection.session.lost(why)
            connection.close()
            self._answers.settle([event for event in events if isinstance(event, Settled)])

    def _drop_ready(self) -> None:
        while self._ready:
            self._making.drop(self._ready.popleft())

    def _left(self) -> int:
        """Return how many more messages the session should carry (RFC 9422 4.1: MAILMAX)."""
        most = self._shared.campaign.smtp.messages_per_session
        if self._connection is None:
            return most
        session = self._connection.session
        if session.refused >= _MOST_REFUSED:
            return 0
        left = most - session.submitted
        if session.extensions.mail_max is not None:
            left = min(left, session.extensions.mail_max - session.transactions)
        return max(0, left)

    def _end_session(self) -> None:
        connection, self._connection = self._connection, None
        self._unbook()
        if connection is not None:
            connection.quit()

    def _unbook(self) -> None:
        """Let other connections go first, while this one has no session."""
        for work in self._ready:
            work.booking.give_back()
